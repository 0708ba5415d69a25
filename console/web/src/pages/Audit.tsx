/** Who changed what, with the state before and after. */
import { Input, Select } from 'antd'
import { useUrlStates } from '../app/url'
import { Teach } from '../components/feedback'
import { ListTable, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { Moment } from '../components/time'
import type { AuditEntry } from '../api/types'
import { useT } from '../i18n'

function pretty(v: unknown): string {
  return v === null || v === undefined || v === '' ? '–' : typeof v === 'string' ? v : JSON.stringify(v, null, 2)
}

export default function Audit() {
  const t = useT()
  const [params, set] = useUrlStates()
  const kind = params.get('kind') ?? ''
  const actor = params.get('actor') ?? ''
  const list = useList<AuditEntry>('/api/v1/audit_log', { kind, actor })
  const columns: Column<AuditEntry>[] = [
    { title: t('audit.time'), render: (_, e) => <Moment at={e.time_ms} /> },
    { title: t('audit.who'), dataIndex: 'actor' },
    { title: t('audit.action'), dataIndex: 'action', render: (v: string) => <code>{v}</code> },
    { title: t('audit.kind'), dataIndex: 'kind' },
    { title: t('audit.object'), render: (_, e) => e.name || e.object_id || '–' },
    { title: t('shell.workspace'), render: (_, e) => e.workspace || '–' },
    { title: t('audit.request'), render: (_, e) => <code className="muted">{e.request_id}</code> },
  ]
  return (
    <Page title={t('nav.audit')} about={t('audit.about')}>
      <Panel className="flush" label={t('nav.audit')} extra={
        <>
          <Input allowClear style={{ width: 200 }} aria-label={t('audit.who')} placeholder={t('audit.who')} defaultValue={actor} onPressEnter={(e) => set({ actor: e.currentTarget.value, page: undefined })} onClear={() => set({ actor: undefined, page: undefined })} />
          <Select aria-label={t('audit.kind')} style={{ width: 160 }} value={kind} onChange={(v) => set({ kind: v, page: undefined })} options={[{ value: '', label: t('audit.allKinds') }, ...['LogMonitor', 'AlarmRule', 'Channel', 'User', 'Workspace', 'Session'].map((k) => ({ value: k, label: k }))]} />
        </>
      }>
        <ListTable
          list={list} columns={columns} rowKey={(e) => String(e.id)} label={t('nav.audit')} filtered={kind !== '' || actor !== ''} empty={<Teach title={t('audit.empty')} text={t('audit.about')} />}
          expandable={{
            rowExpandable: (e) => !!e.before || !!e.after,
            expandedRowRender: (e) => (
              <div className="grid-2">
                <div><div className="muted">{t('audit.before')}</div><pre className="secret">{pretty(e.before)}</pre></div>
                <div><div className="muted">{t('audit.after')}</div><pre className="secret">{pretty(e.after)}</pre></div>
              </div>
            ),
          }}
        />
      </Panel>
    </Page>
  )
}
