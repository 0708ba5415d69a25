/** Turns a Grafana dashboard into one of Pharos, and says of each panel what became of it. */
import { CheckCircleFilled, CloseCircleFilled, WarningFilled } from '@ant-design/icons'
import { useMutation } from '@tanstack/react-query'
import { Button, Input, Modal, Table, Upload } from 'antd'
import { useState } from 'react'
import { useNavigate } from 'react-router'
import { inWorkspace, post } from '../api/client'
import type { ImportedDashboard } from '../api/types'
import { useWorkspace } from '../app/url'
import { ErrorNote } from '../components/feedback'
import { useT } from '../i18n'

const icons = { taken: <CheckCircleFilled className="state-ok" />, partly: <WarningFilled className="state-warn" />, left_out: <CloseCircleFilled className="state-error" /> }

export function GrafanaImport({ onClose }: { onClose: () => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const [text, setText] = useState('')
  const [broken, setBroken] = useState<Error | null>(null)
  const read = useMutation({ mutationFn: (dashboard: unknown) => post<ImportedDashboard>(inWorkspace(workspace, 'dashboards:import_grafana'), { dashboard }) })
  const start = (json: string) => {
    try {
      setBroken(null)
      read.mutate(JSON.parse(json))
    } catch (e) {
      setBroken(new Error(t('grafana.noJson', { why: e instanceof Error ? e.message : String(e) })))
    }
  }
  const done = read.data
  return (
    <Modal
      open title={t('grafana.import')} width={760} onCancel={onClose} cancelText={t('action.cancel')} okText={done ? t('grafana.continue') : t('grafana.read')} confirmLoading={read.isPending}
      okButtonProps={{ disabled: done ? (done.spec.reports ?? []).length === 0 : text.trim() === '' }}
      onOk={() => (done ? void navigate(`/w/${encodeURIComponent(workspace)}/dashboards/new`, { state: { spec: done.spec } }) : start(text))}
    >
      <div className="stack" style={{ gap: 12 }}>
        {(broken ?? read.error) !== null && <ErrorNote error={broken ?? read.error} />}
        {!done ? (
          <>
            <div className="muted">{t('grafana.about')}</div>
            <Upload accept=".json,application/json" showUploadList={false} beforeUpload={(file) => { void file.text().then(setText); return false }}><Button>{t('grafana.file')}</Button></Upload>
            <Input.TextArea aria-label={t('grafana.json')} rows={10} className="mono" value={text} onChange={(e) => setText(e.target.value)} placeholder='{"title": …, "panels": […]}' />
          </>
        ) : (
          <>
            <Table
              size="small" pagination={false} rowKey={(p) => String(done.panels.indexOf(p))} dataSource={done.panels} scroll={{ y: 360 }}
              columns={[
                { title: t('grafana.panel'), render: (_, p) => <>{p.title || '-'} <code className="muted">{p.type}</code></> },
                { title: t('grafana.result'), width: 150, render: (_, p) => <span className="nowrap">{icons[p.result]} {t(`grafana.${p.result}`)}</span> },
                { title: t('grafana.notes'), render: (_, p) => p.notes.map((n) => <div key={n}>{n}</div>) },
              ]}
            />
            {done.notes.length > 0 && <ul style={{ margin: 0, paddingInlineStart: 18 }}>{done.notes.map((n) => <li key={n}>{n}</li>)}</ul>}
          </>
        )}
      </div>
    </Modal>
  )
}
