/** Which agents have a monitor's newest definition, what they read, what they could not use. */
import { useQuery } from '@tanstack/react-query'
import { Table } from 'antd'
import { Link } from 'react-router'
import { get, inWorkspace } from '../api/client'
import type { Monitor, MonitorAgent } from '../api/types'
import { useWorkspace } from '../app/url'
import { Loaded } from '../components/feedback'
import { State } from '../components/state'
import { useNow } from '../components/time'
import { short } from '../format/numbers'
import { useT } from '../i18n'
import { BadSamples, Files } from './files'

/** useMonitorAgents follows what each agent does for a monitor. */
export function useMonitorAgents(monitor: Monitor) {
  const workspace = useWorkspace()
  return useQuery({
    queryKey: ['monitor-agents', workspace, monitor.name],
    queryFn: ({ signal }) => get<{ items: MonitorAgent[] }>(inWorkspace(workspace, 'monitors', monitor.name) + '/agents', undefined, signal),
    refetchInterval: 5000,
  })
}

export function AgentsTab({ monitor }: { monitor: Monitor }) {
  const t = useT()
  const workspace = useWorkspace()
  const now = useNow(5000)
  const agents = useMonitorAgents(monitor)
  return (
    <Loaded query={agents}>
      {({ items: rows }) => {
        const newest = Math.max(monitor.version, ...rows.map((a) => a.definition_revision))
        const have = rows.filter((a) => a.definition_revision === newest && !a.error).length
        return (
          <>
            <p style={{ marginTop: 0 }}>{t('agentsTab.have', { n: have, total: rows.length, revision: newest })}</p>
            <Table<MonitorAgent>
              size="small" rowKey="agent_id" dataSource={rows} pagination={rows.length > 20 ? { pageSize: 20 } : false} scroll={{ x: 'max-content' }} locale={{ emptyText: t('agentsTab.none') }}
              expandable={{ defaultExpandAllRows: rows.length <= 3, expandedRowRender: (a) => <><Files files={a.files ?? []} /><BadSamples samples={a.bad_samples ?? []} /></> }}
              columns={[
                { title: t('task.state'), render: (_, a) => (a.error ? <State kind="error">{t('task.failed')}</State> : a.active ? <State kind="ok">{t('task.running')}</State> : <State kind="clock">{t('task.waiting')}</State>) },
                { title: t('agent.host'), render: (_, a) => <Link to={`/w/${encodeURIComponent(workspace)}/agents/${a.agent_id}`}>{a.host || a.agent_id}</Link> },
                { title: t('task.revision'), align: 'right', dataIndex: 'definition_revision' },
                { title: t('task.lag'), align: 'right', render: (_, a) => (a.watermark_ms ? short(Math.max(0, now - a.watermark_ms), 'ms') : '–') },
                { title: t('task.read'), align: 'right', render: (_, a) => short(a.lines?.read) },
                { title: t('task.matched'), align: 'right', render: (_, a) => short(a.lines?.matched) },
                { title: t('task.unmatched'), align: 'right', render: (_, a) => short(a.lines?.unmatched) },
                { title: t('task.bad'), align: 'right', render: (_, a) => short(a.lines?.bad) },
                { title: t('task.late'), align: 'right', render: (_, a) => short(a.lines?.late) },
                { title: t('task.files'), align: 'right', render: (_, a) => a.files?.length ?? 0 },
                { title: t('task.error'), render: (_, a) => a.error || '–' },
              ]}
            />
          </>
        )
      }}
    </Loaded>
  )
}
