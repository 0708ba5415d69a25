/** All agents: how they are, and what they cost. */
import { ClusterOutlined } from '@ant-design/icons'
import { Button, Select } from 'antd'
import { Link } from 'react-router'
import type { Agent } from '../api/types'
import { useSession } from '../app/session'
import { useUrlStates, useWorkspace } from '../app/url'
import { Teach } from '../components/feedback'
import { Labels, ListTable, SearchField, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { HealthState, State } from '../components/state'
import { Ago } from '../components/time'
import { short } from '../format/numbers'
import { useT } from '../i18n'

export default function Agents() {
  const t = useT()
  const workspace = useWorkspace()
  const { user } = useSession()
  const [params, set] = useUrlStates()
  const health = params.get('health') ?? ''
  const az = params.get('az') ?? ''
  const list = useList<Agent>('/api/v1/agents', { health, az }, 5000)
  const base = `/w/${encodeURIComponent(workspace)}`
  const columns: Column<Agent>[] = [
    { title: t('agent.state'), field: 'health', render: (_, a) => <HealthState health={a.health} reason={a.reason} />, fixed: 'left' },
    { title: t('agent.host'), field: 'hostname', render: (_, a) => <Link to={`${base}/agents/${a.agent_id}`}>{a.host.hostname || a.agent_id}</Link> },
    { title: 'IP', field: 'ip', render: (_, a) => <code>{a.host.ip}</code> },
    { title: t('agent.az'), render: (_, a) => a.labels.az ?? '–' },
    { title: t('agent.version'), field: 'version', dataIndex: 'version' },
    { title: t('agent.clock'), align: 'right', field: 'clock_offset_ms', render: (_, a) => <Clock ms={a.clock_offset_ms} /> },
    { title: t('agent.tasks'), align: 'right', field: 'tasks', dataIndex: 'tasks' },
    { title: t('agent.errors'), align: 'right', render: (_, a) => <Errors agent={a} /> },
    { title: t('agent.cpu'), align: 'right', field: 'cpu_cores', render: (_, a) => (a.load ? short(a.load.cpu_cores * 100, '%') : '–') },
    { title: t('agent.memory'), align: 'right', field: 'rss_bytes', render: (_, a) => (a.load ? short(a.load.rss_bytes, 'bytes') : '–') },
    { title: t('agent.labels'), render: (_, a) => <Labels labels={a.labels} /> },
    { title: t('agent.lastSeen'), field: 'last_seen_ms', render: (_, a) => <Ago at={a.last_seen_ms} /> },
  ]
  return (
    <Page title={t('nav.agents')} about={t('agents.about')} actions={user.installation_admin && <Link to={`${base}/join`}><Button type="primary">{t('join.add')}</Button></Link>}>
      <Panel className="flush" label={t('nav.agents')} extra={
        <>
          <SearchField />
          <Select aria-label={t('agent.state')} value={health} style={{ width: 150 }} onChange={(v) => set({ health: v, page: undefined })}
            options={[{ value: '', label: t('agents.allStates') }, ...(['healthy', 'abnormal', 'clock_skew'] as const).map((h) => ({ value: h, label: t(`health.${h}`) }))]} />
        </>
      }>
        <ListTable list={list} columns={columns} rowKey="agent_id" label={t('nav.agents')} filtered={health !== '' || az !== ''}
          empty={<Teach title={t('agents.empty')} text={t('agents.empty.text')} image={<ClusterOutlined style={{ fontSize: 48 }} />} command="pharos-agent --register HOST:9090 --join-token TOKEN"
            action={<Link to={`${base}/join`}><Button type="primary">{t('join.add')}</Button></Link>} />} />
      </Panel>
    </Page>
  )
}

/** Clock shows how far an agent's clock is off; beyond 3 s windows of hosts no longer fit together. */
export function Clock({ ms }: { ms: number | undefined }) {
  if (ms === undefined) return <>–</>
  const text = (ms > 0 ? '+' : '') + short(ms, 'ms')
  return Math.abs(ms) > 3000 ? <State kind="clock">{text}</State> : <>{text}</>
}

export function Errors({ agent }: { agent: Agent }) {
  const n = agent.task_errors + agent.problems.length
  return n > 0 ? <State kind="error">{n}</State> : <>0</>
}
