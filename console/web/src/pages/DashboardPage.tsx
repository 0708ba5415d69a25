/** A dashboard: its reports over one time, live or played back. */
import { CopyOutlined, DeleteOutlined, EditOutlined, ExpandOutlined, ExportOutlined, MoreOutlined, PlayCircleOutlined, PushpinFilled, PushpinOutlined, ShareAltOutlined } from '@ant-design/icons'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Dropdown, Modal, Select } from 'antd'
import { lazy, Suspense, useState } from 'react'
import { Link, useNavigate, useParams } from 'react-router'
import { del, get, inWorkspace, put } from '../api/client'
import type { Dashboard } from '../api/types'
import { Star } from '../app/favourites'
import { useRights } from '../app/session'
import { useTime, useUrlStates, useWorkspace } from '../app/url'
import { ChartLoading } from '../charts'
import { useConfirm } from '../components/confirm'
import { copyText } from '../components/copy'
import { ErrorNote, errorText, Loaded, Teach } from '../components/feedback'
import { Page } from '../components/page'
import { TimeBar } from '../components/time'
import { chosenOf } from '../dashboard/data'
import { Playback } from '../dashboard/Playback'
import { ReportPanel } from '../dashboard/ReportPanel'
import { useReports } from '../dashboard/useReports'
import { Variables } from '../dashboard/Variables'
import { useT } from '../i18n'

const ResourceYaml = lazy(() => import('../components/ResourceYaml'))

export default function DashboardPage() {
  const { name = '' } = useParams()
  const workspace = useWorkspace()
  const dashboard = useQuery({ queryKey: ['dashboard', workspace, name], queryFn: ({ signal }) => get<Dashboard>(inWorkspace(workspace, 'dashboards', name), undefined, signal), refetchInterval: 60_000 })
  return <Loaded query={dashboard}>{(d) => <View dashboard={d} />}</Loaded>
}

function View({ dashboard }: { dashboard: Dashboard }) {
  const t = useT()
  const workspace = useWorkspace()
  const time = useTime()
  const [params, set] = useUrlStates()
  const [moment, setMoment] = useState<number | null>(null)
  const spec = dashboard.spec
  const compare = (params.get('compare') ?? '').split(',').filter((c) => c === 'day' || c === 'week')
  const span = moment === null ? time.span : { start: Math.min(time.span.start, moment - 60_000), end: moment }
  const reports = useReports(workspace, spec, chosenOf(params, (spec.variables ?? []).map((v) => v.name)), span, compare)
  const base = `/w/${encodeURIComponent(workspace)}/dashboards`
  const wall = params.get('wall') === '1'
  return (
    <Page
      title={spec.title} about={spec.description} extra={!wall && <><Star kind="dashboard" name={dashboard.name} />{spec.key && <span className="muted"><PushpinFilled aria-hidden /> {t('dashboard.key')}</span>}</>}
      actions={
        <>
          <Select
            mode="multiple" style={{ minWidth: 170 }} aria-label={t('dashboard.compare')} placeholder={t('dashboard.compare')} value={compare} onChange={(v) => set({ compare: v.join(',') })}
            options={(['day', 'week'] as const).map((v) => ({ value: v, label: t(`report.shift.${v}`) }))}
          />
          <TimeBar time={time} loading={reports.isFetching} />
          <Button icon={<PlayCircleOutlined />} aria-pressed={moment !== null} onClick={() => setMoment(moment === null ? time.span.start : null)}>{t('dashboard.playback')}</Button>
          <Button icon={<ExpandOutlined />} aria-label={t('dashboard.wall')} title={t('dashboard.wall')} onClick={() => {
            if (wall) {
              set({ wall: undefined })
              if (document.fullscreenElement) void document.exitFullscreen()
            } else {
              set({ wall: '1' })
              // A browser may refuse; the page stands alone all the same.
              void document.documentElement.requestFullscreen().catch(() => undefined)
            }
          }} />
          {!wall && <Actions dashboard={dashboard} time={time} />}
        </>
      }
    >
      <Variables spec={spec} />
      {moment !== null && <Playback span={time.span} moment={moment} onMoment={setMoment} />}
      {reports.isError && <div style={{ marginBottom: 16 }}><ErrorNote error={reports.error} onRetry={() => void reports.refetch()} /></div>}
      {(spec.reports?.length ?? 0) === 0 ? (
        <section className="panel"><Teach title={t('dashboard.empty')} text={t('dashboard.empty.text')} action={<Link to={`${base}/${dashboard.name}/edit`}><Button type="primary">{t('dashboard.addReport')}</Button></Link>} /></section>
      ) : (
        <div className="report-grid">
          {spec.reports!.map((r, i) => <ReportPanel key={i} index={i} report={r} answer={reports.data?.reports[i]} failed={reports.data ? undefined : reports.error} span={time.span} onZoom={(s) => time.setRange({ from: String(s.start), to: String(s.end) })} />)}
        </div>
      )}
    </Page>
  )
}

function Actions({ dashboard, time }: { dashboard: Dashboard; time: ReturnType<typeof useTime> }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const client = useQueryClient()
  const confirm = useConfirm()
  const { edit } = useRights()
  const [yaml, setYaml] = useState(false)
  const base = `/w/${encodeURIComponent(workspace)}/dashboards`
  const path = inWorkspace(workspace, 'dashboards', dashboard.name)
  const pin = useMutation({
    mutationFn: () => put<Dashboard>(path, { version: dashboard.version, spec: { ...dashboard.spec, key: !dashboard.spec.key } }),
    onSuccess: () => Promise.all([client.invalidateQueries({ queryKey: ['dashboard', workspace, dashboard.name] }), client.invalidateQueries({ queryKey: ['dashboards'] })]),
    onError: (e) => void message.error(errorText(e, t)),
  })
  const share = () => {
    const link = new URL(location.href)
    link.searchParams.set('from', String(Math.round(time.span.start)))
    link.searchParams.set('to', String(Math.round(time.span.end)))
    void copyText(link.toString()).then(() => message.success(t('dashboard.shared')))
  }
  return (
    <>
      {edit && <Link to={`${base}/${dashboard.name}/edit`}><Button type="primary" icon={<EditOutlined />}>{t('action.edit')}</Button></Link>}
      <Dropdown
        trigger={['click']}
        menu={{
          items: [
            { key: 'share', icon: <ShareAltOutlined />, label: t('dashboard.share'), onClick: share },
            { key: 'yaml', icon: <ExportOutlined />, label: 'YAML', onClick: () => setYaml(true) },
            ...(edit ? [
              { key: 'pin', icon: dashboard.spec.key ? <PushpinFilled /> : <PushpinOutlined />, label: dashboard.spec.key ? t('dashboard.unpin') : t('dashboard.pin'), onClick: () => pin.mutate() },
              { key: 'copy', icon: <CopyOutlined />, label: t('action.copy'), onClick: () => void navigate(`${base}/new?copy=${encodeURIComponent(dashboard.name)}`) },
              { type: 'divider' as const },
              {
                key: 'delete', icon: <DeleteOutlined />, danger: true, label: t('action.delete'),
                onClick: () => confirm({
                  title: t('dashboard.delete', { title: dashboard.spec.title }), what: t('dashboard.delete.what'), ok: t('action.delete'),
                  run: async () => {
                    await del(`${path}?version=${dashboard.version}`)
                    void client.invalidateQueries({ queryKey: ['dashboards'] })
                    void navigate(base)
                  },
                }),
              },
            ] : []),
          ],
        }}
      >
        <Button icon={<MoreOutlined />} aria-label={t('action.more')} />
      </Dropdown>
      <Modal open={yaml} onCancel={() => setYaml(false)} footer={null} width={860} title="YAML" destroyOnHidden>
        <Suspense fallback={<ChartLoading />}><ResourceYaml kind="Dashboard" name={dashboard.name} workspace={workspace} spec={dashboard.spec} /></Suspense>
      </Modal>
    </>
  )
}
