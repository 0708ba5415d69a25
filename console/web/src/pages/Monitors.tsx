/** All log monitors of the workspace. */
import { FileSearchOutlined, ImportOutlined, PlusOutlined } from '@ant-design/icons'
import { App, Button, Select } from 'antd'
import { useState } from 'react'
import { Link } from 'react-router'
import { inWorkspace, post } from '../api/client'
import type { Monitor } from '../api/types'
import { useRights } from '../app/session'
import { useUrlStates, useWorkspace } from '../app/url'
import { useConfirm } from '../components/confirm'
import { errorText, Teach } from '../components/feedback'
import { ListTable, SearchField, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { State } from '../components/state'
import { Ago } from '../components/time'
import { share } from '../format/numbers'
import { useT } from '../i18n'
import { FolderPanel, MoveDialog, useFolders, useOrganised } from '../monitor/FolderTree'
import { pathTo, top } from '../monitor/folders'
import { ExportDialog, ImportDialog } from '../monitor/TemplateDialogs'
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
  const folder = params.get('folder') ?? ''
  const folders = useFolders()
  const [importing, setImporting] = useState(false)
  const [chosen, setChosen] = useState<string[]>([])
  const list = useList<Monitor>(inWorkspace(workspace, 'monitors'), { enabled, type, folder })
  const base = `/w/${encodeURIComponent(workspace)}/monitors`
  const create = edit && <Link to={folder && folder !== top ? `${base}/new?folder=${encodeURIComponent(folder)}` : `${base}/new`}><Button type="primary" icon={<PlusOutlined />}>{t('monitors.create')}</Button></Link>
  const columns: Column<Monitor>[] = [
    { title: t('monitor.state'), render: (_, m) => <MonitorState monitor={m} /> },
    { title: t('monitor.title'), field: 'title', render: (_, m) => <Link to={`${base}/${m.name}`}>{m.spec.title}</Link> },
    { title: t('monitor.name'), field: 'name', render: (_, m) => <code>{m.name}</code> },
    { title: t('monitor.type'), field: 'type', render: (_, m) => t(`type.${m.spec.type}`) },
    { title: t('monitor.folder'), render: (_, m) => pathTo(folders.data?.items ?? [], m.folder).map((f) => f.spec.title).join(' / ') || '–' },
    { title: t('monitor.files'), render: (_, m) => <code className="ellipsis" style={{ maxWidth: 260 }} title={m.spec.paths.join('\n')}>{m.spec.paths[0]}{m.spec.paths.length > 1 ? ` +${m.spec.paths.length - 1}` : ''}</code> },
    { title: t('monitor.groupBy'), render: (_, m) => m.spec.group_by?.join(', ') || '–' },
    { title: t('monitor.figures'), render: (_, m) => figuresOf(m.spec).map(figureName).join(', ') },
    { title: t('monitor.window'), align: 'right', render: (_, m) => m.spec.window ?? '1m' },
    { title: t('monitor.completeness'), align: 'right', render: (_, m) => share(m.status?.last_window_ms ? m.status.completeness : null) },
    { title: t('monitor.lastWindow'), render: (_, m) => <Ago at={m.status?.last_window_ms} /> },
    { title: t('list.updated'), field: 'updated_at', render: (_, m) => <Ago at={m.updated_at} /> },
  ]
  return (
    <Page title={t('nav.monitors')} about={t('monitors.about')} actions={<>{edit && <Button icon={<ImportOutlined />} onClick={() => setImporting(true)}>{t('template.import')}</Button>}{create}</>}>
      {importing && <ImportDialog onClose={() => setImporting(false)} />}
      <div className="with-folders">
        <FolderPanel />
        <Panel className="flush" label={t('nav.monitors')} extra={
          <>
            <SearchField />
            <Select aria-label={t('monitor.state')} value={enabled} style={{ width: 140 }} onChange={(v) => set({ enabled: v, page: undefined })}
              options={[{ value: '', label: t('monitors.all') }, { value: 'true', label: t('monitors.enabled') }, { value: 'false', label: t('monitor.disabled') }]} />
            <Select aria-label={t('monitor.type')} value={type} style={{ width: 160 }} onChange={(v) => set({ type: v, page: undefined })}
              options={[{ value: '', label: t('monitors.allTypes') }, ...types.map((v) => ({ value: v, label: t(`type.${v}`) }))]} />
          </>
        }>
          {edit && <Bulk names={chosen} clear={() => setChosen([])} />}
          <ListTable list={list} columns={columns} rowKey="name" label={t('nav.monitors')} filtered={enabled !== '' || type !== '' || folder !== ''} selection={edit ? { keys: chosen, onChange: setChosen } : undefined}
            empty={<Teach title={t('monitors.empty')} text={t('monitors.empty.text')} image={<FileSearchOutlined style={{ fontSize: 48 }} />} action={create} command="pharos apply -f examples/shop/pharos/monitors.yaml" />} />
        </Panel>
      </div>
    </Page>
  )
}

/** Bulk is what can be done with all chosen monitors at once. */
function Bulk({ names, clear }: { names: string[]; clear: () => void }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const confirm = useConfirm()
  const organised = useOrganised()
  const [moving, setMoving] = useState(false)
  const [exporting, setExporting] = useState(false)
  if (names.length === 0) return null
  const set = async (what: 'enable' | 'disable') => {
    const { changed } = await post<{ changed: number }>(inWorkspace(workspace, 'monitors:' + what), { names })
    await organised()
    clear()
    void message.success(t('bulk.changed', { n: changed }))
  }
  return (
    <div className="bulk" role="toolbar" aria-label={t('bulk.chosen', { n: names.length })}>
      <strong>{t('bulk.chosen', { n: names.length })}</strong>
      <Button size="small" onClick={() => setMoving(true)}>{t('bulk.move')}</Button>
      <Button size="small" onClick={() => void set('enable').catch((e: unknown) => message.error(errorText(e, t)))}>{t('action.enable')}</Button>
      <Button size="small" onClick={() => confirm({ title: t('bulk.disable.title', { n: names.length }), what: t('monitor.disable.what'), ok: t('action.disable'), run: () => set('disable') })}>{t('action.disable')}</Button>
      <Button size="small" onClick={() => setExporting(true)}>{t('bulk.export')}</Button>
      <Button size="small" type="text" onClick={clear}>{t('bulk.clear')}</Button>
      {exporting && <ExportDialog names={names} onClose={() => setExporting(false)} />}
      {moving && <MoveDialog names={names} onClose={() => setMoving(false)} onMoved={clear} />}
    </div>
  )
}
