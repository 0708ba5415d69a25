/** All log monitors of the workspace. */
import { FileSearchOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Select } from 'antd'
import { Link } from 'react-router'
import { inWorkspace } from '../api/client'
import type { Monitor } from '../api/types'
import { useRights } from '../app/session'
import { useUrlStates, useWorkspace } from '../app/url'
import { Teach } from '../components/feedback'
import { ListTable, SearchField, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { State } from '../components/state'
import { Ago } from '../components/time'
import { share } from '../format/numbers'
import { useT } from '../i18n'
import { figureName, figuresOf } from '../monitor/spec'

const types = ['minute', 'minute_multi', 'spm', 'second', 'second_multi'] as const

export function MonitorState({ monitor }: { monitor: Monitor }) {
  const t = useT()
  const s = monitor.status
  if (monitor.spec.disabled) return <State kind="paused">{t('monitor.disabled')}</State>
  if (!s || s.unknown) return <State kind="unknown" title={s?.unknown}>{t('monitor.unknown')}</State>
  if (s.agents_expected === 0) return <State kind="none">{t('monitor.noAgents')}</State>
  if (s.errors.length > 0) return <State kind="error" title={s.errors.map((e) => `${e.host}: ${e.error}`).join('\n')}>{t('monitor.errors', { n: s.errors.length })}</State>
  if (s.agents_active < s.agents_expected) return <State kind="clock">{t('monitor.starting', { n: s.agents_active, total: s.agents_expected })}</State>
  return <State kind="ok">{t('monitor.running')}</State>
}

export default function Monitors() {
  const t = useT()
  const workspace = useWorkspace()
  const { edit } = useRights()
  const [params, set] = useUrlStates()
  const enabled = params.get('enabled') ?? ''
  const type = params.get('type') ?? ''
  const list = useList<Monitor>(inWorkspace(workspace, 'monitors'), { enabled, type })
  const base = `/w/${encodeURIComponent(workspace)}/monitors`
  const create = edit && <Link to={`${base}/new`}><Button type="primary" icon={<PlusOutlined />}>{t('monitors.create')}</Button></Link>
  const columns: Column<Monitor>[] = [
    { title: t('monitor.state'), render: (_, m) => <MonitorState monitor={m} /> },
    { title: t('monitor.title'), field: 'title', render: (_, m) => <Link to={`${base}/${m.name}`}>{m.spec.title}</Link> },
    { title: t('monitor.name'), field: 'name', render: (_, m) => <code>{m.name}</code> },
    { title: t('monitor.type'), render: (_, m) => t(`type.${m.spec.type}`) },
    { title: t('monitor.files'), render: (_, m) => <code className="ellipsis" style={{ maxWidth: 260 }} title={m.spec.paths.join('\n')}>{m.spec.paths[0]}{m.spec.paths.length > 1 ? ` +${m.spec.paths.length - 1}` : ''}</code> },
    { title: t('monitor.groupBy'), render: (_, m) => m.spec.group_by?.join(', ') || '–' },
    { title: t('monitor.figures'), render: (_, m) => figuresOf(m.spec).map(figureName).join(', ') },
    { title: t('monitor.window'), align: 'right', render: (_, m) => m.spec.window ?? '1m' },
    { title: t('monitor.completeness'), align: 'right', render: (_, m) => share(m.status?.last_window_ms ? m.status.completeness : null) },
    { title: t('monitor.lastWindow'), render: (_, m) => <Ago at={m.status?.last_window_ms} /> },
    { title: t('list.updated'), field: 'updated_at', render: (_, m) => <Ago at={m.updated_at} /> },
  ]
  return (
    <Page title={t('nav.monitors')} about={t('monitors.about')} actions={create}>
      <Panel className="flush" label={t('nav.monitors')} extra={
        <>
          <SearchField />
          <Select aria-label={t('monitor.state')} value={enabled} style={{ width: 140 }} onChange={(v) => set({ enabled: v, page: undefined })}
            options={[{ value: '', label: t('monitors.all') }, { value: 'true', label: t('monitors.enabled') }, { value: 'false', label: t('monitor.disabled') }]} />
          <Select aria-label={t('monitor.type')} value={type} style={{ width: 160 }} onChange={(v) => set({ type: v, page: undefined })}
            options={[{ value: '', label: t('monitors.allTypes') }, ...types.map((v) => ({ value: v, label: t(`type.${v}`) }))]} />
        </>
      }>
        <ListTable list={list} columns={columns} rowKey="id" label={t('nav.monitors')} filtered={enabled !== '' || type !== ''}
          empty={<Teach title={t('monitors.empty')} text={t('monitors.empty.text')} image={<FileSearchOutlined style={{ fontSize: 48 }} />} action={create} command="pharos apply -f examples/shop/pharos/monitors.yaml" />} />
      </Panel>
    </Page>
  )
}
