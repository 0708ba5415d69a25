/** Monitors out and in: export of chosen ones as a document, import with a look at what it would do. */
import { CopyOutlined, DownloadOutlined, UploadOutlined } from '@ant-design/icons'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Alert, App, Button, Checkbox, Input, Modal, Segmented, Select, Skeleton, Tag, Upload } from 'antd'
import { lazy, Suspense, useState } from 'react'
import { inWorkspace, post } from '../api/client'
import type { Imported, ImportedItem, Template } from '../api/types'
import { useWorkspace } from '../app/url'
import { copyText } from '../components/copy'
import { ErrorNote, errorText, Loaded } from '../components/feedback'
import { Field } from '../components/Field'
import { useT } from '../i18n'
import { useOrganised } from './FolderTree'
import { does, outcomes, templateText, type Form } from './templates'
import { useDebounced } from './useDebounced'

const CodeView = lazy(() => import('../components/CodeView'))

export function ExportDialog({ names, onClose }: { names: string[]; onClose: () => void }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const [form, setForm] = useState<Form>('yaml')
  const template = useQuery({ queryKey: ['template', workspace, names], queryFn: ({ signal }) => post<Template>(inWorkspace(workspace, 'templates:export'), { monitors: names }, signal), gcTime: 0 })
  const text = template.data ? templateText(template.data, form) : ''
  const save = () => {
    const a = document.createElement('a')
    a.href = URL.createObjectURL(new Blob([text], { type: form === 'json' ? 'application/json' : 'application/yaml' }))
    a.download = `${names.length === 1 ? names[0]! : 'monitors'}.${form}`
    a.click()
    URL.revokeObjectURL(a.href)
  }
  return (
    <Modal open title={t('template.export.title', { n: names.length })} width={860} onCancel={onClose} footer={
      <>
        <Button icon={<CopyOutlined />} disabled={text === ''} onClick={() => void copyText(text).then(() => message.success(t('action.copied')))}>{t('action.copy')}</Button>
        <Button type="primary" icon={<DownloadOutlined />} disabled={text === ''} onClick={save}>{t('template.download')}</Button>
      </>
    }>
      <Loaded query={template}>
        {(d) => (
          <div className="stack" style={{ gap: 12 }}>
            <div className="row">
              <Segmented aria-label={t('template.form')} value={form} onChange={setForm} options={[{ value: 'yaml', label: 'YAML' }, { value: 'json', label: 'JSON' }]} />
              <span className="muted">{t('template.holds', { n: d.items.length })}</span>
            </div>
            {d.channels.length > 0 && <Alert type="info" showIcon title={t('template.channels', { names: d.channels.join(', ') })} />}
            {d.left_out.length > 0 && <Alert type="warning" showIcon title={t('template.leftOut', { names: d.left_out.join(', ') })} />}
            <Suspense fallback={<Skeleton active />}><CodeView text={text} label={t('template.text')} /></Suspense>
          </div>
        )}
      </Loaded>
    </Modal>
  )
}

type Way = 'skip' | 'overwrite' | 'copy'

export function ImportDialog({ onClose }: { onClose: () => void }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const organised = useOrganised()
  const [text, setText] = useState('')
  const [way, setWay] = useState<Way>('skip')
  const [without, setWithout] = useState(false)
  const [busy, setBusy] = useState(false)
  const [failed, setFailed] = useState<unknown>(null)
  const body = { text, on_conflict: way, without_missing_channels: without }
  const asked = useDebounced(body, 400)
  const path = inWorkspace(workspace, 'templates:import')
  const preview = useQuery({
    queryKey: ['import', workspace, asked], queryFn: ({ signal }) => post<Imported>(path, { ...asked, dry_run: true }, signal),
    enabled: asked.text.trim() !== '', retry: false, gcTime: 0, placeholderData: keepPreviousData,
  })
  const settled = JSON.stringify(asked) === JSON.stringify(body) && !preview.isFetching
  const ready = settled && preview.isSuccess && does(preview.data.items)
  const take = async () => {
    setBusy(true)
    try {
      const done = await post<Imported>(path, body)
      await organised()
      void message.success(t('template.done', { n: done.items.filter((i) => i.outcome === 'created' || i.outcome === 'updated').length }))
      onClose()
    } catch (e) {
      setFailed(e)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Modal open title={t('template.import')} width={860} okText={t('template.take')} cancelText={t('action.cancel')} okButtonProps={{ disabled: !ready }} confirmLoading={busy} onCancel={onClose} onOk={() => void take()}>
      <div className="stack" style={{ gap: 12 }}>
        <Field label={t('template.text')} hint={t('template.text.hint')}>
          {(a) => <Input.TextArea {...a} className="mono" rows={9} value={text} onChange={(e) => { setText(e.target.value); setFailed(null) }} placeholder={'apiVersion: pharos/v1\nkind: LogMonitor\n…'} />}
        </Field>
        <div className="row">
          <Upload accept=".yaml,.yml,.json" showUploadList={false} beforeUpload={(file) => { void file.text().then(setText, (e: unknown) => message.error(errorText(e, t))); return false }}>
            <Button icon={<UploadOutlined />}>{t('template.file')}</Button>
          </Upload>
          <Select<Way> aria-label={t('template.way')} value={way} style={{ minWidth: 300 }} onChange={setWay} options={(['skip', 'overwrite', 'copy'] as const).map((w) => ({ value: w, label: t(`template.way.${w}`) }))} />
          <Checkbox checked={without} onChange={(e) => setWithout(e.target.checked)}>{t('template.without')}</Checkbox>
        </div>
        {failed !== null && <ErrorNote error={failed} title={t('template.failed')} />}
        {text.trim() !== '' && (preview.isError && settled ? <ErrorNote error={preview.error} title={t('template.refused')} /> : preview.data ? <Preview result={preview.data} without={without} /> : <Skeleton active />)}
      </div>
    </Modal>
  )
}

const colors: Record<ImportedItem['outcome'], string | undefined> = { created: 'green', updated: 'orange', unchanged: undefined, skipped: undefined }

function Preview({ result, without }: { result: Imported; without: boolean }) {
  const t = useT()
  return (
    <>
      <div className="row">{outcomes(result.items).map((o) => <Tag key={o.outcome} color={colors[o.outcome]}>{t(`template.${o.outcome}`)} {o.n}</Tag>)}</div>
      {without && result.missing_channels.length > 0 && <Alert type="warning" showIcon title={t('template.missing', { names: result.missing_channels.join(', ') })} />}
      <div style={{ maxHeight: 320, overflow: 'auto' }}>
        <table className="plain-table" aria-label={t('template.preview')}>
          <thead><tr><th>{t('template.kind')}</th><th>{t('monitor.name')}</th><th>{t('monitor.title')}</th><th>{t('template.outcome')}</th></tr></thead>
          <tbody>
            {result.items.map((i) => (
              <tr key={i.kind + i.as}>
                <td>{i.kind}</td>
                <td><code>{i.as === i.name ? i.name : `${i.name} → ${i.as}`}</code></td>
                <td>{i.title}</td>
                <td>
                  <Tag color={colors[i.outcome]} style={{ marginInlineEnd: 8 }}>{t(`template.${i.outcome}`)}</Tag>
                  {i.changes.length > 0 && <span className="muted">{i.changes.join(', ')}</span>}
                  {i.pending_app && <div className="muted">{t('template.pending', { app: i.pending_app })}</div>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}
