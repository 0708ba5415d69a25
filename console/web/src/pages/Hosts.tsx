/** All hosts with their most telling numbers, from host metrics. */
import { CloudServerOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Table } from 'antd'
import { Link } from 'react-router'
import { queryInstant } from '../api/prom'
import { useUrlState, useWorkspace } from '../app/url'
import { Loaded, Teach } from '../components/feedback'
import { SearchField } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { State } from '../components/state'
import { exact, short } from '../format/numbers'
import { useT } from '../i18n'

interface HostRow {
  host: string
  ip: string
  az: string
  values: Record<string, number | null>
}

const numbers = {
  cpu: 'max by (host, ip, az) (sys_cpu_util)',
  load: 'max by (host, ip, az) (sys_load_load1)',
  memory: 'max by (host, ip, az) (sys_mem_util)',
  disk: 'max by (host, ip, az) (sys_partition_util)',
  in: 'max by (host, ip, az) (sys_traffic_bytin)',
  out: 'max by (host, ip, az) (sys_traffic_bytout)',
} as const

export default function Hosts() {
  const t = useT()
  const workspace = useWorkspace()
  const [q] = useUrlState('q')
  const hosts = useQuery({
    queryKey: ['hosts', workspace],
    queryFn: async ({ signal }) => {
      const keys = Object.keys(numbers) as (keyof typeof numbers)[]
      const all = await Promise.all(keys.map((k) => queryInstant(workspace, numbers[k], Date.now(), signal)))
      const rows = new Map<string, HostRow>()
      all.forEach((r, i) => {
        for (const s of r.series) {
          const host = s.labels.host ?? ''
          const row = rows.get(host) ?? { host, ip: s.labels.ip ?? '', az: s.labels.az ?? '', values: {} }
          row.values[keys[i]!] = s.points[0]?.[1] ?? null
          rows.set(host, row)
        }
      })
      return [...rows.values()].sort((a, b) => a.host.localeCompare(b.host))
    },
    refetchInterval: 15_000,
  })
  const base = `/w/${encodeURIComponent(workspace)}/hosts`
  const percent = (name: 'cpu' | 'memory' | 'disk', high: number) => ({
    align: 'right' as const, sorter: (a: HostRow, b: HostRow) => (a.values[name] ?? -1) - (b.values[name] ?? -1),
    render: (_: unknown, h: HostRow) => {
      const v = h.values[name]
      const text = <span title={exact(v, '%')}>{short(v, '%')}</span>
      return v !== null && v !== undefined && v >= high ? <State kind="warn">{text}</State> : text
    },
  })
  const plain = (name: string, unit: string) => ({
    align: 'right' as const, sorter: (a: HostRow, b: HostRow) => (a.values[name] ?? -1) - (b.values[name] ?? -1),
    render: (_: unknown, h: HostRow) => <span title={exact(h.values[name], unit)}>{short(h.values[name], unit)}</span>,
  })
  return (
    <Page title={t('nav.hosts')} about={t('hosts.about')}>
      <Loaded query={hosts}>
        {(all) => {
          if (all.length === 0) return <Panel><Teach title={t('hosts.empty')} text={t('hosts.empty.text')} image={<CloudServerOutlined style={{ fontSize: 48 }} />} command="pharos query 'sys_cpu_util'" /></Panel>
          const rows = all.filter((h) => `${h.host} ${h.ip} ${h.az}`.toLowerCase().includes(q.toLowerCase()))
          return (
            <Panel className="flush" label={t('nav.hosts')} extra={<SearchField />}>
              <Table<HostRow>
                size="small" rowKey="host" dataSource={rows} virtual={rows.length > 200} scroll={rows.length > 200 ? { y: 640, x: 900 } : { x: 'max-content' }} pagination={false} locale={{ emptyText: t('list.noMatch') }} showSorterTooltip={false}
                columns={[
                  { title: t('agent.host'), sorter: (a, b) => a.host.localeCompare(b.host), render: (_, h) => <Link to={`${base}/${encodeURIComponent(h.host)}`}>{h.host}</Link> },
                  { title: 'IP', render: (_, h) => <code>{h.ip || '–'}</code> },
                  { title: t('agent.az'), render: (_, h) => h.az || '–' },
                  { title: t('host.cpu'), ...percent('cpu', 90) },
                  { title: t('host.load1'), ...plain('load', '') },
                  { title: t('host.memory'), ...percent('memory', 90) },
                  { title: t('host.fullest'), ...percent('disk', 85) },
                  { title: t('host.in'), ...plain('in', 'bytes/s') },
                  { title: t('host.out'), ...plain('out', 'bytes/s') },
                ]}
              />
            </Panel>
          )
        }}
      </Loaded>
    </Page>
  )
}
