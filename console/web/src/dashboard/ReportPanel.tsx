/** One report: its heading with how far its numbers can be trusted, and what it shows. */
import { InfoCircleOutlined, LinkOutlined, WarningFilled } from '@ant-design/icons'
import { Alert, Popover, Skeleton } from 'antd'
import { lazy, Suspense, type ReactNode } from 'react'
import { ApiError } from '../api/client'
import type { Report, ReportAnswer, ReportData, ReportHead, ReportRow } from '../api/types'
import { usePrefs } from '../app/prefs'
import { ChartLoading, TimeChart } from '../charts'
import { seriesColor, stateColors } from '../charts/palette'
import { ErrorNote } from '../components/feedback'
import { share } from '../format/numbers'
import { full } from '../format/times'
import { useT } from '../i18n'
import type { Span } from '../time/range'
import { doubts, lineName, ofApps, timeText, valueText } from './data'
import { ReportTable, Value } from './ReportTable'

const Pie = lazy(() => import('./Pie'))

interface Props {
  report: Report
  answer: ReportAnswer | undefined
  /** failed is set when nothing could be asked at all. */
  failed?: unknown
  /** span is the whole of the time axis. */
  span: Span
  onZoom?: (s: Span) => void
  /** tools stand at the end of the heading. */
  tools?: ReactNode
  onDrop?: (from: number) => void
  index: number
}

export function ReportPanel({ report, answer, failed, span, onZoom, tools, onDrop, index }: Props) {
  const t = useT()
  const data = answer?.data
  const error = answer?.error ? new ApiError(422, answer.error.code, answer.error.message, answer.error.details, answer.error.request_id) : failed
  return (
    <section
      className="panel report" aria-label={report.name} style={{ gridColumn: `span ${report.width || 12}` }} data-report={report.name}
      onDragOver={onDrop && ((e) => e.preventDefault())} onDrop={onDrop && ((e) => { e.preventDefault(); onDrop(Number(e.dataTransfer.getData('text/plain'))) })}
    >
      <div className="panel-head" draggable={!!onDrop} onDragStart={onDrop && ((e) => e.dataTransfer.setData('text/plain', String(index)))}>
        <h2>
          {report.name} {report.link && <a href={report.link} target="_blank" rel="noreferrer" aria-label={report.link} title={report.link}><LinkOutlined /></a>}
        </h2>
        <div className="panel-extra">{data && <About data={data} />}{tools}</div>
      </div>
      <div className="panel-body">
        {report.type !== 'text' && !ofApps(report.type) && !report.sources?.some((s) => s.monitor || s.expr) ? <p className="muted">{t('report.chooseSource')}</p> : error ? <ErrorNote error={error} /> : !data ? (report.type === 'text' ? <Text report={report} /> : <Skeleton active paragraph={{ rows: 4 }} />) : <Body report={report} data={data} span={span} onZoom={onZoom} />}
      </div>
    </section>
  )
}

/** About tells what time the numbers are of, and every reason to doubt them. */
function About({ data }: { data: ReportData }) {
  const t = useT()
  const { zone } = usePrefs()
  const list = doubts(data, t)
  const least = Math.min(1, ...data.sources.map((s) => s.completeness ?? 1))
  if (data.end_ms === 0) return null
  const one = data.end_ms - data.start_ms <= data.step_ms
  return (
    <>
      {one && <span className="muted">{timeText(data.start_ms, data.step_ms, Date.now(), zone)}{data.step_ms > 60_000 ? ` – ${timeText(data.end_ms, data.step_ms, Date.now(), zone)}` : ''}</span>}
      <Popover
        trigger="click" title={t('report.trust')} content={
          <div style={{ maxWidth: 360 }}>
            <div className="muted">{t('report.covers', { from: full(data.start_ms, zone), to: full(data.end_ms, zone) })}</div>
            {list.length === 0 ? <div>{t('report.perfect')}</div> : <ul style={{ margin: '4px 0', paddingInlineStart: 18 }}>{list.map((x) => <li key={x}>{x}</li>)}</ul>}
          </div>
        }
      >
        <button type="button" className={'trust' + (list.length > 0 ? ' state-warn' : ' muted')} aria-label={list.length > 0 ? t('report.doubts', { n: list.length }) : t('report.perfect')}>
          {list.length > 0 ? <><WarningFilled aria-hidden /> {least < 1 ? share(least) : t('report.doubts', { n: list.length })}</> : <InfoCircleOutlined aria-hidden />}
        </button>
      </Popover>
    </>
  )
}

function Body({ report, data, span, onZoom }: { report: Report; data: ReportData; span: Span; onZoom?: (s: Span) => void }) {
  const t = useT()
  const shown = Math.max(data.rows.length, new Set(data.lines.map((l) => JSON.stringify(l.key ?? []))).size)
  const more = data.keys_total > shown && report.type !== 'minutes_keys' && <p className="muted report-more">{t('report.more', { shown, total: data.keys_total })}</p>
  switch (report.type) {
    case 'text':
      return <Text report={report} />
    case 'trend':
    case 'app_report':
    case 'promql': {
      const units = [...new Set(data.columns.filter((c) => c.function !== 'time').map((c) => c.format?.unit ?? c.unit ?? ''))]
      const end = Math.max(span.end, data.end_ms)
      return (
        <>
          <TimeChart
            title={report.name} height={report.height || 240} group="dashboard" unit={units.length === 1 ? units[0] : ''} onZoom={onZoom}
            span={report.span_s ? { start: data.start_ms, end: data.end_ms } : { start: span.start, end }}
            series={data.lines.map((l) => ({ name: lineName(data, l, t), dashed: l.shift !== undefined, points: l.values.map((v, i) => [data.start_ms + i * data.step_ms, v ?? null] as [number, number | null]) }))}
            incomplete={data.incomplete.map((s) => ({ start: s.start_ms, end: s.end_ms }))} openFrom={data.open_from_ms}
            thresholds={data.columns.flatMap((c) => [...(c.orange_threshold === undefined ? [] : [{ value: c.orange_threshold, label: `${c.name} ${t('report.orange')}` }]), ...(c.red_threshold === undefined ? [] : [{ value: c.red_threshold, label: `${c.name} ${t('report.red')}` }])])}
          />
          {more}
        </>
      )
    }
    case 'single_value':
      return <Singles data={data} />
    case 'pie':
    case 'bar':
    case 'app_error_top':
      return <><Shares report={report} data={data} />{more}</>
  }
  return (
    <>
      <ReportTable report={report} data={report.type === 'spm_table' ? { ...data, columns: data.columns.map((c) => ({ ...c, name: serviceName(c, t) })) } : data} height={report.height || undefined} />
      {more}
    </>
  )
}

const serviceNames = ['time', 'total', 'success', 'fail', 'success_rate', 'avg_ms'] as const

function serviceName(h: ReportHead, t: ReturnType<typeof useT>): string {
  const name = serviceNames.find((n) => n === (h.function === 'time' ? 'time' : h.figure))
  return name ? t(`spm.${name}`) : h.name
}

function Text({ report }: { report: Report }) {
  return <p className="report-text">{report.text}</p>
}

/** Singles are numbers to be read from afar. */
function Singles({ data }: { data: ReportData }) {
  const t = useT()
  return (
    <div className="singles">
      {data.rows.length === 0 && <Alert type="info" title={t('report.none')} />}
      {data.rows.map((r, j) => {
        const i = r.cells.findIndex((c) => c.value !== undefined)
        const head = data.columns[Math.max(0, i)]!
        return (
          <div key={j} className="single">
            <div className="figure-name">{[data.columns.length > 1 || !r.key?.length ? head.name : '', ...(r.key ?? [])].filter((x) => x !== '').join(' · ')}</div>
            <div className="single-value"><Value head={head} row={r} cell={r.cells[i]} data={data} /></div>
            {!r.settled && <div className="muted">{t('report.open')}</div>}
            {r.settled && r.completeness !== undefined && r.completeness < 1 && <div className="state-warn"><WarningFilled aria-hidden /> {t('report.part', { share: share(r.completeness) })}</div>}
          </div>
        )
      })}
    </div>
  )
}

/** Shares shows keys by their size: bars, or a ring beside them. */
function Shares({ report, data }: { report: Report; data: ReportData }) {
  const t = useT()
  const { language, dark } = usePrefs()
  const at = Math.max(0, data.columns.findIndex((c) => c.function !== 'time'))
  const head = data.columns[at]
  const rows = data.rest ? [...data.rows, data.rest] : data.rows
  if (!head || rows.length === 0) return <Alert type="info" title={t('report.none')} />
  const value = (r: ReportRow) => r.cells[at]?.value ?? r.cells.find((c) => c.value !== undefined)?.value ?? 0
  const sum = rows.reduce((n, r) => n + Math.max(0, value(r)), 0)
  const most = Math.max(...rows.map(value), 0)
  const name = (r: ReportRow, i: number) => (r === data.rest ? t('report.rest') : (r.key ?? []).join(' · ') || data.columns[i]?.name || head.name)
  const pie = report.type === 'pie'
  const slices = rows.map((r, i) => ({ name: name(r, i), value: value(r), text: `${name(r, i)}: ${valueText(head, value(r), language)}`, rest: r === data.rest }))
  return (
    <div className={pie ? 'shares with-pie' : 'shares'}>
      {pie && <Suspense fallback={<ChartLoading height={report.height || 180} />}><Pie slices={slices} label={report.name} height={report.height || 180} /></Suspense>}
      <ol className="share-list">
        {slices.map((s, i) => (
          <li key={s.name + i}>
            <span className="name" title={s.name}>{pie && <span className="dot" style={{ background: s.rest ? stateColors[dark ? 'dark' : 'light'].none : seriesColor(i, dark ? 'dark' : 'light') }} />}{s.name}</span>
            <span className="bar-track"><span className="bar" style={{ width: `${most > 0 ? (Math.max(0, s.value) / most) * 100 : 0}%` }} /></span>
            <span className="num"><Value head={head} row={rows[i]!} cell={rows[i]!.cells[at]?.value === undefined ? rows[i]!.cells.find((c) => c.value !== undefined) : rows[i]!.cells[at]} data={data} /></span>
            {pie && <span className="num muted">{sum > 0 ? share(Math.max(0, s.value) / sum) : '–'}</span>}
          </li>
        ))}
      </ol>
    </div>
  )
}
