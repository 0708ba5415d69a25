/** A report as a table: keys, times, grouped headings, coloured numbers with their links. */
import { CaretUpFilled, ExclamationCircleFilled, QuestionCircleOutlined, WarningFilled } from '@ant-design/icons'
import { Table } from 'antd'
import type { ColumnsType } from 'antd/es/table'
import type { Report, ReportCell, ReportData, ReportHead, ReportRow } from '../api/types'
import { usePrefs } from '../app/prefs'
import { share } from '../format/numbers'
import { full } from '../format/times'
import { useT } from '../i18n'
import { diagnosisLink, exactText, periodText, timeText, valueText } from './data'

/** Value is a number with its colour, which an icon tells too, and the way to its diagnosis. */
export function Value({ head, row, cell, data }: { head: ReportHead; row: ReportRow; cell: ReportCell | undefined; data: ReportData }) {
  const t = useT()
  const { language } = usePrefs()
  if (cell?.value === undefined) return <span className="muted">–</span>
  const link = diagnosisLink(head, row, cell, data)
  return (
    <span className={cell.level === 'red' ? 'state-error' : cell.level === 'orange' ? 'state-warn' : undefined} title={exactText(head, cell.value, language)}>
      {cell.level === 'red' && <ExclamationCircleFilled aria-label={t('report.red')} />} {cell.level === 'orange' && <WarningFilled aria-label={t('report.orange')} />}
      {valueText(head, cell.value, language)}
      {link && <a href={link} target="_blank" rel="noreferrer" aria-label={t('report.diagnose', { name: head.name })} style={{ marginInlineStart: 4 }}><QuestionCircleOutlined /></a>}
    </span>
  )
}

/** Trust marks a row whose windows lack agents or may still grow. */
function Trust({ row }: { row: ReportRow }) {
  const t = useT()
  if (row.settled && row.completeness !== undefined && row.completeness < 1) return <span className="state-warn nowrap"><WarningFilled aria-hidden /> {share(row.completeness)}</span>
  if (!row.settled) return <span className="muted nowrap">{t('report.open')}</span>
  return null
}

export function ReportTable({ data, height, report }: { data: ReportData; height?: number; report: Report }) {
  const t = useT()
  const { zone } = usePrefs()
  const now = data.end_ms
  // Times in every row have a column of their own where the report has none for them.
  const timed = data.rows.some((r) => r.start_ms) && !data.columns.some((c) => c.function === 'time') && (data.keys.length === 0 || data.rows.some((r) => r.text))
  const across = data.columns.some((c) => c.key)
  const rows = data.rest ? [...data.rows, data.rest] : data.rows
  const when = (r: ReportRow) => (r.start_ms ? <span className="nowrap"><time dateTime={new Date(r.start_ms).toISOString()} title={full(r.start_ms, zone)}>{report.period ? periodText(r.start_ms, report.period, report.time_zone ?? 'UTC') : timeText(r.start_ms, data.step_ms, now, zone)}</time> <Trust row={r} /></span> : null)
  const value = (h: ReportHead, i: number) => ({
    key: 'c' + i, align: h.function === 'time' ? ('left' as const) : ('right' as const),
    title: title(h),
    sorter: h.function !== 'time' && data.keys.length > 0 && !across ? (a: ReportRow, b: ReportRow) => (a.cells[i]?.value ?? -Infinity) - (b.cells[i]?.value ?? -Infinity) : undefined,
    render: (_: unknown, r: ReportRow) => (h.function === 'time' ? when(r) : <Value head={h} row={r} cell={r.cells[i]} data={data} />),
  })
  const title = (h: ReportHead) => {
    const text = h.start_ms ? timeText(h.start_ms, data.step_ms, now, zone) : h.name
    return h.largest ? <span title={t('report.largest', { names: h.name })}>{text} <CaretUpFilled aria-hidden /></span> : text
  }
  const group = (h: ReportHead) => (across ? (h.key ?? []).join(' · ') : h.start_ms ? (several(data) ? timeText(h.start_ms, data.step_ms, now, zone) : undefined) : h.header_group)
  const columns: ColumnsType<ReportRow> = [
    ...(timed || across ? [{ key: 'time', title: t('report.time'), render: (_: unknown, r: ReportRow) => when(r) }] : []),
    ...(across ? [] : data.keys.map((k, i) => ({
      key: 'k' + i, title: k, sorter: (a: ReportRow, b: ReportRow) => (a.key?.[i] ?? '').localeCompare(b.key?.[i] ?? ''),
      render: (_: unknown, r: ReportRow) => (r === data.rest ? (i === 0 ? <em>{t('report.rest')}</em> : '') : (r.key?.[i] || '-')),
    }))),
  ]
  data.columns.forEach((h, i) => {
    const g = group(h)
    const last = columns.at(-1)
    const own = value(h.start_ms && several(data) ? { ...h, start_ms: undefined } : h, i)
    if (g === undefined || g === '') columns.push(own)
    else if (last && 'children' in last && last.title === g) last.children.push(own)
    else if (across && !several(data)) columns.push({ ...own, title: g })
    else columns.push({ key: 'g' + i, title: g, children: [own] })
  })
  if (data.rows.some((r) => r.text)) {
    columns.push({ key: 'line', title: t('report.line'), render: (_: unknown, r: ReportRow) => <div className="mono ellipsis" style={{ maxWidth: 420 }} title={r.text}>{r.text}</div> })
  }
  const many = rows.length > 200
  return (
    <Table<ReportRow>
      size="small" className="report-table" rowKey={(r) => JSON.stringify([r.key ?? null, r.start_ms ?? 0, r.text ?? '', r === data.rest])} dataSource={rows} columns={columns} showSorterTooltip={false} locale={{ emptyText: t('report.none') }}
      virtual={many} scroll={many ? { x: Math.max(600, columns.length * 110), y: Math.max(200, (height ?? 480) - 48) } : { x: 'max-content', y: height ? height - 48 : undefined }} pagination={false}
    />
  )
}

/** several tells whether each time or key has more than one value. */
function several(d: ReportData): boolean {
  const first = d.columns[0]
  return d.columns.filter((c) => c.start_ms === first?.start_ms && JSON.stringify(c.key) === JSON.stringify(first?.key)).length > 1
}
