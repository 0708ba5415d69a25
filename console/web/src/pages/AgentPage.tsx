/** One agent: what it reads, how far it is, what it costs, what went wrong. */
import { useQuery } from '@tanstack/react-query'
import { Alert, Button, Table } from 'antd'
import { Link, useNavigate, useParams } from 'react-router'
import { del, get } from '../api/client'
import { quote } from '../api/prom'
import type { AgentDetail, AgentTask } from '../api/types'
import { Star } from '../app/favourites'
import { useSession } from '../app/session'
import { useTime, useWorkspace } from '../app/url'
import { PromChart } from '../charts'
import { useConfirm } from '../components/confirm'
import { Loaded } from '../components/feedback'
import { Labels } from '../components/ListTable'
import { Facts, Figure, Page, Panel } from '../components/page'
import { HealthState, State } from '../components/state'
import { Ago, Moment, TimeBar, useNow } from '../components/time'
import { short } from '../format/numbers'
import { useT } from '../i18n'
import { Clock } from './Agents'

export default function AgentPage() {
  const { id = '' } = useParams()
  const t = useT()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const confirm = useConfirm()
  const { user } = useSession()
  const time = useTime()
  const agent = useQuery({ queryKey: ['agent', id], queryFn: ({ signal }) => get<AgentDetail>(`/api/v1/agents/${encodeURIComponent(id)}`, undefined, signal), refetchInterval: 5000 })
  const a = agent.data
  const base = `/w/${encodeURIComponent(workspace)}`
  const sel = `{agent=${quote(id)}}`
  const zoom = (s: { start: number; end: number }) => time.setRange({ from: String(s.start), to: String(s.end) })
  return (
    <Page
      title={a?.host.hostname || id} extra={a && <><Star kind="agent" name={a.agent_id} /><HealthState health={a.health} reason={a.reason} /></>}
      actions={
        <>
          <TimeBar time={time} loading={agent.isFetching} />
          {a && <Link to={`${base}/hosts/${encodeURIComponent(a.host.hostname)}`}><Button>{t('agent.hostCharts')}</Button></Link>}
          {user.installation_admin && a && (
            <Button danger onClick={() => confirm({
              title: t('agent.forget.title', { name: a.host.hostname || id }), what: t('agent.forget.what'), ok: t('agent.forget'),
              run: async () => { await del(`/api/v1/agents/${encodeURIComponent(id)}`); await navigate(`${base}/agents`) },
            })}>{t('agent.forget')}</Button>
          )}
        </>
      }
    >
      <Loaded query={agent}>
        {(d) => (
          <>
            {d.reason && d.health !== 'healthy' && <Alert style={{ marginBottom: 16 }} showIcon type={d.health === 'clock_skew' ? 'warning' : 'error'} title={d.reason} />}
            {(d.problems ?? []).map((p) => <Alert key={p} style={{ marginBottom: 16 }} showIcon type="error" title={p} />)}
            <div className="figures">
              <Figure name={t('agent.cpu')} value={d.load ? short(d.load.cpu_cores * 100, '%') : '–'} hint={t('agent.cpu.hint')} />
              <Figure name={t('agent.memory')} value={short(d.load?.rss_bytes, 'bytes')} />
              <Figure name={t('agent.linesRead')} value={short(d.load?.lines_total)} hint={t('agent.sinceStart')} />
              <Figure name={t('agent.unacked')} value={short(d.load?.unacked_revisions)} hint={short(d.load?.unacked_bytes, 'bytes')} />
              <Figure name={t('agent.dropped')} value={short(d.load?.dropped_windows)} state={d.load && d.load.dropped_windows > 0 ? 'error' : undefined} />
              <Figure name={t('agent.clock')} value={<Clock ms={d.clock_offset_ms} />} />
            </div>
            <Panel title={t('agent.about')}>
              <Facts items={[
                ['IP', d.host.ip], [t('agent.system'), [d.host.os, d.host.kernel, d.host.arch].filter(Boolean).join(' ')], [t('agent.cpus'), d.host.cpus], [t('agent.ram'), short(d.host.memory_bytes, 'bytes')],
                [t('agent.zone'), d.host.timezone], [t('agent.version'), d.version], [t('agent.vessel'), d.vessel], [t('agent.plan'), `${d.plan_revision ?? 0} / ${d.wanted_plan_revision ?? 0}`],
                [t('agent.started'), <Ago key="s" at={d.started_ms} />], [t('agent.lastSeen'), <Ago key="l" at={d.last_seen_ms} />], ['ID', <code key="i">{d.agent_id}</code>], [t('agent.labels'), <Labels key="b" labels={d.labels} />],
              ]} />
            </Panel>
            <Panel title={t('agent.tasks')} className="flush">
              <Tasks tasks={d.task_list} />
            </Panel>
            <div className="grid-2">
              <Panel title={t('agent.chart.cpu')}><PromChart title={t('agent.chart.cpu')} group={id} span={time.span} onZoom={zoom} unit="%" height={180} lines={[{ expr: `100 * self_agent_cpu_cores${sel}`, name: t('agent.cpu'), area: true }]} /></Panel>
              <Panel title={t('agent.chart.lines')}><PromChart title={t('agent.chart.lines')} group={id} span={time.span} onZoom={zoom} unit="1/s" height={180} lines={[{ expr: `rate(self_agent_lines_total${sel}[1m])`, name: t('agent.linesRead'), area: true }]} /></Panel>
            </div>
          </>
        )}
      </Loaded>
    </Page>
  )
}

function Tasks({ tasks }: { tasks: AgentTask[] }) {
  const t = useT()
  const now = useNow(5000)
  return (
    <Table<AgentTask>
      size="small" rowKey="task_id" dataSource={tasks} pagination={tasks.length > 20 ? { pageSize: 20 } : false} scroll={{ x: 'max-content' }} locale={{ emptyText: t('agent.noTasks') }}
      expandable={{
        rowExpandable: (x) => x.files.length + x.file_errors.length > 0,
        expandedRowRender: (x) => (
          <ul style={{ margin: 0, paddingInlineStart: 20 }}>
            {x.files.map((f) => <li key={f}><code>{f}</code></li>)}
            {x.file_errors.map((e) => <li key={e} className="state-error">{e}</li>)}
          </ul>
        ),
      }}
      columns={[
        { title: t('task.state'), render: (_, x) => (x.error ? <State kind="error">{t('task.failed')}</State> : <State kind="ok">{t('task.running')}</State>) },
        { title: t('task.monitor'), render: (_, x) => (x.monitor ? <Link to={`/w/${encodeURIComponent(x.workspace)}/monitors/${encodeURIComponent(x.monitor)}`}>{x.monitor}</Link> : x.monitor_id || t('task.host')) },
        { title: t('task.revision'), align: 'right', dataIndex: 'definition_revision' },
        { title: t('task.lag'), align: 'right', render: (_, x) => (x.watermark_ms ? <span title={t('task.lag.hint')}>{short(Math.max(0, now - x.watermark_ms), 'ms')}</span> : '–') },
        { title: t('task.read'), align: 'right', render: (_, x) => short(x.lines_read) },
        { title: t('task.matched'), align: 'right', render: (_, x) => short(x.lines_matched) },
        { title: t('task.files'), align: 'right', render: (_, x) => x.files.length },
        { title: t('task.watermark'), render: (_, x) => <Moment at={x.watermark_ms} /> },
        { title: t('task.error'), render: (_, x) => x.error || '–' },
      ]}
    />
  )
}
