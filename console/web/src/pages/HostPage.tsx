/** One host over time. All charts share cursor and range. */
import { useMemo } from 'react'
import { useParams } from 'react-router'
import { quote } from '../api/prom'
import { Star } from '../app/favourites'
import { useTime } from '../app/url'
import { PromChart, type PromLine } from '../charts'
import { Page, Panel } from '../components/page'
import { TimeBar } from '../components/time'
import { useT, type TextKey } from '../i18n'

interface ChartDef {
  title: TextKey
  unit: string
  lines: (sel: string) => PromLine[]
  max?: number
}

const by = (label: string, prefix = '') => (l: Record<string, string>) => prefix + (l[label] ?? l.__name__ ?? '')

export default function HostPage() {
  const { name = '' } = useParams()
  const t = useT()
  const time = useTime()
  const charts = useMemo<ChartDef[]>(() => [
    { title: 'host.chart.cpu', unit: '%', max: 100, lines: (s) => [{ expr: `sys_cpu_util${s}`, name: t('host.cpu'), area: true }, { expr: `sys_cpu_user${s}`, name: t('host.user') }, { expr: `sys_cpu_sys${s}`, name: t('host.sys') }, { expr: `sys_cpu_wait${s}`, name: t('host.wait') }, { expr: `sys_cpu_steal${s}`, name: t('host.steal') }] },
    { title: 'host.chart.load', unit: '', lines: (s) => [{ expr: `sys_load_load1${s}`, name: '1 min' }, { expr: `sys_load_load5${s}`, name: '5 min' }, { expr: `sys_load_load15${s}`, name: '15 min' }] },
    { title: 'host.chart.memory', unit: 'bytes', lines: (s) => [{ expr: `sys_mem_used${s}`, name: t('host.used'), area: true }, { expr: `sys_mem_total${s}`, name: t('host.total') }] },
    { title: 'host.chart.network', unit: 'bytes/s', lines: (s) => [{ expr: `sum by (host) (sys_traffic_bytin${s})`, name: t('host.in') }, { expr: `sum by (host) (sys_traffic_bytout${s})`, name: t('host.out') }] },
    { title: 'host.chart.packets', unit: '1/s', lines: (s) => [{ expr: `sum by (host) (sys_traffic_pktin${s})`, name: t('host.in') }, { expr: `sum by (host) (sys_traffic_pktout${s})`, name: t('host.out') }, { expr: `sum by (host) (sys_traffic_pktdrp${s})`, name: t('host.dropped') }, { expr: `sum by (host) (sys_traffic_pkterr${s})`, name: t('host.errors') }] },
    { title: 'host.chart.io', unit: 'bytes/s', lines: (s) => [{ expr: `sys_io_rbytes${s}`, name: by('device', t('host.reads') + ' ') }, { expr: `sys_io_wbytes${s}`, name: by('device', t('host.writes') + ' ') }] },
    { title: 'host.chart.await', unit: 'ms', lines: (s) => [{ expr: `sys_io_await${s}`, name: by('device') }] },
    { title: 'host.chart.partition', unit: '%', max: 100, lines: (s) => [{ expr: `sys_partition_util${s}`, name: (l) => l.mount ?? l.partition ?? l.path ?? l.device ?? '' }] },
    { title: 'host.chart.tcp', unit: '', lines: (s) => [{ expr: `sys_tcp_CurrEstab${s}`, name: t('host.established') }] },
    { title: 'host.chart.tcpRates', unit: '1/s', lines: (s) => [{ expr: `sys_tcp_active${s}`, name: t('host.active') }, { expr: `sys_tcp_pasive${s}`, name: t('host.passive') }, { expr: `sys_tcp_AtmpFail${s}`, name: t('host.failed') }] },
  ], [t])
  const sel = `{host=${quote(name)}}`
  const zoom = (s: { start: number; end: number }) => time.setRange({ from: String(s.start), to: String(s.end) })
  return (
    <Page title={name} extra={<Star kind="host" name={name} />} about={t('host.about')} actions={<TimeBar time={time} />}>
      <div className="grid-2">
        {charts.map((c) => (
          <Panel key={c.title} title={t(c.title)}>
            <HostChart def={c} sel={sel} span={time.span} zoom={zoom} />
          </Panel>
        ))}
      </div>
    </Page>
  )
}

function HostChart({ def, sel, span, zoom }: { def: ChartDef; sel: string; span: { start: number; end: number }; zoom: (s: { start: number; end: number }) => void }) {
  const t = useT()
  const lines = useMemo(() => def.lines(sel), [def, sel])
  return <PromChart title={t(def.title)} unit={def.unit} max={def.max} height={190} group="host" span={span} onZoom={zoom} lines={lines} />
}
