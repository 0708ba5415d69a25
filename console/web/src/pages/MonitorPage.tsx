/** A monitor's data: figures over time, how complete they are, keys, agents. */
import { BellOutlined, CopyOutlined, DeleteOutlined, EditOutlined, ExportOutlined, FolderOutlined, MoreOutlined, PauseCircleOutlined, PlayCircleOutlined } from '@ant-design/icons'
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, App, Button, Dropdown, Segmented, Select, Tabs } from 'antd'
import { lazy, Suspense, useMemo, useState } from 'react'
import { Link, useNavigate, useParams } from 'react-router'
import { del, get, inWorkspace, post } from '../api/client'
import { queryRange } from '../api/prom'
import type { Monitor, MonitorWindows, WindowState } from '../api/types'
import { Star } from '../app/favourites'
import { usePrefs } from '../app/prefs'
import { useRights } from '../app/session'
import { useTime, useUrlState, useWorkspace } from '../app/url'
import { ChartLoading, TimeChart, type ChartSeries } from '../charts'
import { CompletenessBand, incompleteSpans } from '../charts/Band'
import { useConfirm } from '../components/confirm'
import { ErrorNote, errorText, Loaded } from '../components/feedback'
import { Figure, Page, Panel } from '../components/page'
import { TimeBar } from '../components/time'
import { promDuration, share, short } from '../format/numbers'
import { spoken } from '../format/times'
import { useT } from '../i18n'
import { DiagnosisTab } from '../monitor/DiagnosisTab'
import { AgentsTab, useMonitorAgents } from '../monitor/AgentsTab'
import { MoveDialog, useFolders } from '../monitor/FolderTree'
import { pathTo } from '../monitor/folders'
import { ExportDialog } from '../monitor/TemplateDialogs'
import { KeysTable } from '../monitor/KeysTable'
import { figureQuery, isMergeable, stepOf, windowMs } from '../monitor/series'
import { RowsTab } from '../monitor/RowsTab'
import { figureName, figuresOf, groupLabel, hasList, isGrouped, mayHaveRules } from '../monitor/spec'
import { MonitorState } from './Monitors'

const YamlTab = lazy(() => import('../monitor/YamlTab'))

const noWindows: WindowState[] = []

export default function MonitorPage() {
  const { name = '' } = useParams()
  const t = useT()
  const workspace = useWorkspace()
  const time = useTime()
  const [tab, setTab] = useUrlState('tab', 'keys')
  const path = inWorkspace(workspace, 'monitors', name)
  const monitor = useQuery({ queryKey: ['monitor', workspace, name], queryFn: ({ signal }) => get<Monitor>(path, undefined, signal), refetchInterval: 10_000 })
  const m = monitor.data
  const windows = useQuery({
    queryKey: ['windows', workspace, name, time.span],
    queryFn: ({ signal }) => get<MonitorWindows>(path + '/windows', { start: Math.round(time.span.start), end: Math.round(time.span.end) }, signal),
    placeholderData: keepPreviousData,
  })
  const w = windows.data?.windows ?? noWindows
  const sum = (f: (x: WindowState) => number) => w.reduce((n, x) => n + f(x), 0)
  const settled = w.filter((x) => x.settled)
  const whole = settled.length === 0 ? null : settled.reduce((n, x) => n + x.completeness, 0) / settled.length
  return (
    <Page
      title={m?.spec.title ?? name} about={m?.spec.description}
      extra={m && <><Star kind="monitor" name={m.name} /><MonitorState monitor={m} /> <code className="muted">{m.name}</code><Place folder={m.folder} /></>}
      actions={<><TimeBar time={time} loading={windows.isFetching} />{m && <Actions monitor={m} />}</>}
    >
      <Loaded query={monitor}>
        {(d) => (
          <>
            {windows.data && !d.spec.disabled && (settled.at(-1)?.completeness ?? 1) < 1 && <Missing monitor={d} ids={windows.data.missing_agents} />}
            {d.spec.type === 'match' ? <MatchChart monitor={d} windows={w} time={time} /> : <Chart monitor={d} windows={w} time={time} />}
            {windows.isError && <div style={{ marginBottom: 16 }}><ErrorNote error={windows.error} onRetry={() => void windows.refetch()} /></div>}
            <div className="figures">
              <Figure name={t('monitor.completeness')} value={share(whole)} hint={t('monitor.completeness.hint', { n: windows.data?.expected_agents ?? d.status?.agents_expected ?? 0 })} state={whole !== null && whole < 0.95 ? 'warn' : undefined} />
              <Figure name={t('monitor.lines')} value={short(sum((x) => x.lines))} hint={t('monitor.filtered', { n: short(sum((x) => x.lines_filtered)) })} />
              <Count name={t('monitor.late')} n={sum((x) => x.lines_late)} hint={t('monitor.late.hint')} />
              <Count name={t('monitor.bad')} n={sum((x) => x.lines_bad)} hint={t('monitor.bad.hint')} />
              <Count name={t('monitor.unmatched')} n={sum((x) => x.lines_unmatched)} hint={t('monitor.unmatched.hint')} />
              <Count name={t('monitor.badNumbers')} n={sum((x) => x.bad_numbers)} hint={t('monitor.badNumbers.hint')} />
              <Count name={t('monitor.lost')} n={sum((x) => x.lost_bytes + x.throttled_bytes)} unit="bytes" hint={t('monitor.lost.hint')} />
              <Count name={t('monitor.keysDropped')} n={sum((x) => x.keys_dropped)} hint={windows.data && !hasList(d.spec.type) ? t('monitor.keys.hint', { n: windows.data.keys, limit: windows.data.key_limit }) : undefined} />
            </div>
            <Panel label={t('monitor.details')}>
              <Tabs activeKey={tab} onChange={setTab} items={[
                hasList(d.spec.type)
                  ? { key: 'keys', label: d.spec.type === 'match' ? t('tab.lines') : d.spec.type === 'minute_top' ? t('tab.topKeys') : t('tab.records'), children: <RowsTab monitor={d} span={time.span} /> }
                  : { key: 'keys', label: t('tab.keys'), children: <KeysTable monitor={d} span={time.span} /> },
                { key: 'agents', label: t('tab.agents'), children: <AgentsTab monitor={d} /> },
                { key: 'diagnosis', label: t('tab.diagnosis'), children: <DiagnosisTab monitor={d} /> },
                { key: 'yaml', label: 'YAML', children: <Suspense fallback={<ChartLoading />}><YamlTab name={d.name} workspace={workspace} spec={d.spec} folder={d.folder} /></Suspense> },
              ]} />
            </Panel>
          </>
        )}
      </Loaded>
    </Page>
  )
}

/** Place is the folder of the monitor, to see its neighbours. */
function Place({ folder }: { folder?: string }) {
  const workspace = useWorkspace()
  const folders = useFolders()
  if (!folder) return null
  return <Link to={`/w/${encodeURIComponent(workspace)}/monitors?folder=${encodeURIComponent(folder)}`}><FolderOutlined /> {pathTo(folders.data?.items ?? [], folder).map((f) => f.spec.title).join(' / ') || folder}</Link>
}

/** Missing names the agents that the newest windows lack. */
function Missing({ monitor, ids }: { monitor: Monitor; ids: string[] }) {
  const t = useT()
  const agents = useMonitorAgents(monitor)
  if (ids.length === 0) return null
  const names = ids.slice(0, 5).map((id) => agents.data?.items.find((a) => a.agent_id === id)?.host || id)
  return <Alert style={{ marginBottom: 16 }} type="warning" showIcon title={t('monitor.missing', { n: ids.length, agents: names.join(', ') })} />
}

function Count({ name, n, hint, unit }: { name: string; n: number; hint?: string; unit?: string }) {
  return <Figure name={name} value={short(n, unit)} hint={hint} state={n > 0 ? 'warn' : undefined} />
}

function Chart({ monitor, windows, time }: { monitor: Monitor; windows: WindowState[]; time: ReturnType<typeof useTime> }) {
  const t = useT()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const stats = figuresOf(monitor.spec)
  const [figure, setFigure] = useUrlState('figure', figureName(stats[0]!))
  const [top, setTop] = useUrlState('top', '10')
  const [withTotal, setTotal] = useUrlState('total', 'yes')
  const stat = stats.find((s) => figureName(s) === figure) ?? stats[0]!
  const grouped = isGrouped(monitor.spec)
  const win = windowMs(monitor.spec.window)
  const q = figureQuery(monitor.name, stat, grouped, win, time.span, Number(top) || 10)
  const data = useQuery({
    queryKey: ['monitor-chart', workspace, q.expr, q.total, q.start, q.end, q.step, withTotal],
    queryFn: async ({ signal }) => {
      const [keys, total] = await Promise.all([
        queryRange(workspace, { expr: q.expr, start: q.start, end: q.end, step: q.step }, signal),
        q.total && withTotal === 'yes' ? queryRange(workspace, { expr: q.total, start: q.start, end: q.end, step: q.step }, signal) : undefined,
      ])
      return { keys: keys.series, total: total?.series ?? [], back: q.back }
    },
    placeholderData: keepPreviousData,
  })
  const labels = useMemo(() => (monitor.spec.group_by ?? []).map(groupLabel), [monitor.spec.group_by])
  const totalName = t('monitor.total')
  const title = monitor.spec.title
  const series = useMemo<ChartSeries[]>(() => {
    if (!data.data) return []
    const { back } = data.data
    const points = (p: [number, number | null][]): [number, number | null][] => p.map(([at, v]) => [at - back, v])
    const size = (p: [number, number | null][]) => p.reduce((n, [, v]) => n + (v ?? 0), 0)
    return [
      ...data.data.total.map((s) => ({ name: totalName, points: points(s.points), total: true })),
      ...data.data.keys
        .map((s) => ({ name: grouped ? labels.map((l) => s.labels[l] ?? '-').join(' · ') : title, points: points(s.points), area: !grouped }))
        .sort((a, b) => size(b.points) - size(a.points)),
    ]
  }, [data.data, grouped, labels, totalName, title])
  const gaps = useMemo(() => incompleteSpans(windows), [windows])
  const step = stepOf(win, time.span)
  const { language } = usePrefs()
  return (
    <Panel
      title={`${figureName(stat)} ${t('monitor.per', { step: spoken(promDuration(step), language) })}${step > win && !isMergeable(stat) ? ` · ${t('monitor.largest')}` : ''}`} label={t('monitor.chart')}
      extra={
        <>
          {stats.length > 1 && <Segmented aria-label={t('monitor.figure')} value={figureName(stat)} onChange={(v) => setFigure(String(v))} options={stats.map((s) => figureName(s))} />}
          {grouped && (
            <>
              <Select aria-label={t('monitor.top')} value={top} onChange={setTop} options={['5', '10', '20'].map((n) => ({ value: n, label: t('monitor.topN', { n }) }))} />
              <Select aria-label={t('monitor.totalLine')} value={withTotal} onChange={setTotal} options={[{ value: 'yes', label: t('monitor.withTotal') }, { value: 'no', label: t('monitor.withoutTotal') }]} />
            </>
          )}
        </>
      }
    >
      {data.isError ? <ErrorNote error={data.error} onRetry={() => void data.refetch()} /> : !data.data ? <ChartLoading height={280} /> : (
        <TimeChart
          title={t('monitor.chart.label', { title: monitor.spec.title, figure: figureName(stat) })} series={series} span={time.span} unit={stat.unit ?? ''} height={280} group="monitor"
          incomplete={gaps} openFrom={windows.find((w) => !w.settled)?.window_start_ms} onZoom={(s) => time.setRange({ from: String(s.start), to: String(s.end) })}
          onPoint={(_, at) => void navigate(`/w/${encodeURIComponent(workspace)}/explore?q=${encodeURIComponent(`${monitor.name}:${figureName(stat)}`)}&from=${at - 1_800_000}&to=${at + 1_800_000}`)}
          below={<CompletenessBand windows={windows} span={time.span} />}
        />
      )}
    </Panel>
  )
}

/** MatchChart shows how many lines matched in each minute; a monitor of type match has no series. */
function MatchChart({ monitor, windows, time }: { monitor: Monitor; windows: WindowState[]; time: ReturnType<typeof useTime> }) {
  const t = useT()
  const title = monitor.spec.title
  const series = useMemo<ChartSeries[]>(() => [{ name: title, points: windows.map((w) => [w.window_start_ms, w.lines]), area: true }], [windows, title])
  const gaps = useMemo(() => incompleteSpans(windows), [windows])
  return (
    <Panel title={t('match.perMinute')} label={t('monitor.chart')}>
      <TimeChart
        title={t('monitor.chart.label', { title, figure: t('match.perMinute') })} series={series} span={time.span} unit="" height={200} group="monitor"
        incomplete={gaps} openFrom={windows.find((w) => !w.settled)?.window_start_ms} onZoom={(s) => time.setRange({ from: String(s.start), to: String(s.end) })}
        below={<CompletenessBand windows={windows} span={time.span} />}
      />
    </Panel>
  )
}

function Actions({ monitor }: { monitor: Monitor }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const client = useQueryClient()
  const confirm = useConfirm()
  const { edit } = useRights()
  const [moving, setMoving] = useState(false)
  const [exporting, setExporting] = useState(false)
  const path = inWorkspace(workspace, 'monitors', monitor.name)
  const base = `/w/${encodeURIComponent(workspace)}`
  const refresh = () => {
    void client.invalidateQueries({ queryKey: ['monitors'] })
    return client.invalidateQueries({ queryKey: ['monitor', workspace, monitor.name] })
  }
  const enable = useMutation({ mutationFn: () => post(path + ':enable'), onSuccess: refresh, onError: (e) => void message.error(errorText(e, t)) })
  if (!edit) return null
  return (
    <>
      <Link to={`${base}/monitors/${monitor.name}/edit`}><Button icon={<EditOutlined />}>{t('action.edit')}</Button></Link>
      {mayHaveRules(monitor.spec.type) && <Link to={`${base}/rules/new?monitor=${encodeURIComponent(monitor.name)}`}><Button icon={<BellOutlined />}>{t('monitor.createRule')}</Button></Link>}
      <Dropdown trigger={['click']} menu={{
        items: [
          monitor.spec.disabled
            ? { key: 'enable', icon: <PlayCircleOutlined />, label: t('action.enable'), onClick: () => enable.mutate() }
            : { key: 'disable', icon: <PauseCircleOutlined />, label: t('action.disable'), onClick: () => confirm({ title: t('monitor.disable.title', { name: monitor.spec.title }), what: t('monitor.disable.what'), ok: t('action.disable'), run: async () => { await post(path + ':disable'); await refresh() } }) },
          { key: 'copy', icon: <CopyOutlined />, label: t('monitor.copy'), onClick: () => void navigate(`${base}/monitors/new?copy=${encodeURIComponent(monitor.name)}`) },
          { key: 'export', icon: <ExportOutlined />, label: t('bulk.export'), onClick: () => setExporting(true) },
          { key: 'move', icon: <FolderOutlined />, label: t('folder.move'), onClick: () => setMoving(true) },
          { type: 'divider' },
          { key: 'delete', danger: true, icon: <DeleteOutlined />, label: t('action.delete'), onClick: () => confirm({ title: t('monitor.delete.title', { name: monitor.spec.title }), what: t('monitor.delete.what', { name: monitor.name }), ok: t('action.delete'), run: async () => { await del(path); void client.invalidateQueries({ queryKey: ['monitors'] }); await navigate(`${base}/monitors`) }, done: t('done.deleted', { name: monitor.name }) }) },
        ],
      }}>
        <Button icon={<MoreOutlined />} aria-label={t('action.more')} title={t('action.more')} />
      </Dropdown>
      {exporting && <ExportDialog names={[monitor.name]} onClose={() => setExporting(false)} />}
      {moving && <MoveDialog names={[monitor.name]} at={monitor.folder} onClose={() => setMoving(false)} />}
    </>
  )
}
