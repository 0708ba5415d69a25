/** What reports show, as texts: numbers by their format, times, links, trust. */
import type { MonitorSpec, Report, ReportCell, ReportColumn, ReportData, ReportHead, ReportRow, ReportType } from '../api/types'
import { exact, share, short } from '../format/numbers'
import { full } from '../format/times'
import type { Translate } from '../i18n'
import { isGrouped } from '../monitor/spec'

/** valueText writes a value as its column says; without a format it is short for people. */
export function valueText(head: ReportHead, v: number | null | undefined, language: string): string {
  const f = head.format ?? {}
  const unit = f.unit ?? head.unit ?? ''
  if (v === null || v === undefined || !Number.isFinite(v)) return '–'
  const grouped = (digits: number) => v.toLocaleString(language, { minimumFractionDigits: f.decimals ?? 0, maximumFractionDigits: f.decimals ?? digits })
  switch (f.style) {
    case 'percent':
      return grouped(2) + ' %'
    case 'bytes':
      return short(v, 'bytes')
    case 'ms':
      return short(v, 'ms')
    case 'thousands':
      return short(v, f.unit ?? '')
  }
  if (unit === 'bytes' || unit === 'bytes/s') return short(v, unit)
  return grouped(3) + (unit === '' ? '' : ' ' + unit)
}

/** exactText writes all digits of a value. */
export function exactText(head: ReportHead, v: number | null | undefined, language: string): string {
  return exact(v, head.format?.unit ?? head.unit, language)
}

/** timeText is the time of a row or column: with seconds below a minute, with the date on another day. */
export function timeText(ms: number, stepMs: number, now: number, zone: string): string {
  const text = full(ms, zone)
  const clock = stepMs < 60_000 || ms % 60_000 !== 0 ? text.slice(11, 19) : text.slice(11, 16)
  if (stepMs >= 86_400_000 && clock === '00:00') return text.slice(0, 10)
  return text.slice(0, 10) === full(now, zone).slice(0, 10) ? clock : text.slice(5, 10) + ' ' + clock
}

/** periodText names a calendar period by its start, in its own zone. */
export function periodText(ms: number, period: NonNullable<Report['period']>, zone: string): string {
  const text = full(ms, zone)
  switch (period) {
    case 'hour':
      return text.slice(0, 13) + ':00'
    case 'month':
      return text.slice(0, 7)
    case 'week':
      // The last day by the calendar, whatever the clocks do in between.
      return `${text.slice(0, 10)} – ${new Date(Date.parse(text.slice(0, 10)) + 6 * 86_400_000).toISOString().slice(5, 10)}`
  }
  return text.slice(0, 10)
}

/** diagnosisLink fills the placeholders of a column's link, URL-encoded. */
export function diagnosisLink(head: ReportHead, row: ReportRow, cell: ReportCell, data: ReportData): string | null {
  if (!head.diagnosis_link || cell.value === undefined) return null
  const values: Record<string, string> = {
    key: (row.key ?? head.key ?? []).join(','), time: String(row.start_ms ?? head.start_ms ?? data.start_ms), app: data.sources.find((s) => s.name === head.source)?.app ?? '', value: String(cell.value),
  }
  return head.diagnosis_link.replaceAll(/\$\{(key|time|app|value)\}/g, (_, name: string) => encodeURIComponent(values[name]!))
}

/** doubts are the reasons why a report's numbers are not perfect. */
export function doubts(d: ReportData, t: Translate): string[] {
  const out: string[] = []
  for (const s of d.sources) {
    const of = d.sources.length > 1 ? `${s.title || s.name}: ` : ''
    if (s.unknown) out.push(of + t('report.unknown', { why: s.unknown }))
    if (s.completeness !== undefined && s.completeness < 1) out.push(of + t('report.part', { share: share(s.completeness) }))
    for (const [key, n] of [['late', s.lines_late], ['bad', s.lines_bad], ['badNumbers', s.bad_numbers], ['keysDropped', s.keys_dropped]] as const) {
      if (n > 0) out.push(of + t(`report.${key}`, { n: short(n) }))
    }
    if (s.lost_bytes + s.throttled_bytes > 0) out.push(of + t('report.lost', { size: short(s.lost_bytes + s.throttled_bytes, 'bytes') }))
  }
  if (d.columns.some((c) => c.largest)) out.push(t('report.largest', { names: d.columns.filter((c) => c.largest).map((c) => c.name).filter((n, i, all) => all.indexOf(n) === i).join(', ') }))
  if (d.top && !d.top.exact) out.push(d.top.missed === undefined ? t('rows.noBound') : t('report.inexact', { missed: short(d.top.missed), keys: short(d.top.keys) }))
  if (d.unfiltered.length > 0) out.push(t('report.unfiltered', { names: d.unfiltered.join(', ') }))
  return out.concat(d.warnings)
}

/** lineName is what a line of a chart is called. */
export function lineName(d: ReportData, line: ReportData['lines'][number], t: Translate): string {
  const name = d.columns[line.column]?.name ?? ''
  const key = (line.key ?? []).join(' · ')
  const several = d.lines.some((l) => l.column !== line.column)
  const text = key === '' ? name : several ? `${name} · ${key}` : key
  return line.shift ? `${text} · ${t(`report.shift.${line.shift}`)}` : text
}

const keyed: readonly ReportType[] = ['keys_now', 'keys_minutes', 'minutes_keys', 'key_map']

/** fits reports whether a report of a type can show a monitor, as the server judges it. */
export function fits(type: ReportType, m: Pick<MonitorSpec, 'type' | 'group_by'>): boolean {
  if (m.type === 'row_top' || m.type === 'minute_top' || type === 'top_list') return (m.type === 'row_top' || m.type === 'minute_top') && type === 'top_list'
  if (m.type === 'match') return false
  const second = m.type === 'second' || m.type === 'second_multi'
  const grouped = (m.group_by?.length ?? 0) > 0
  if (keyed.includes(type)) return grouped && !second
  switch (type) {
    case 'table_10m':
      return !second
    case 'table_second':
      return m.type === 'second'
    case 'keys_second':
      return m.type === 'second_multi'
    case 'spm_table':
      return m.type === 'spm' && !grouped
    case 'trend':
    case 'single_value':
    case 'bar':
    case 'archive_table':
      return true
    case 'pie':
      return grouped
  }
  return false
}

/** ofApps reports whether reports of a type find their own sources. */
export function ofApps(type: ReportType): boolean {
  return type === 'app_error_top' || type === 'app_report'
}

/** takesExpr reports whether a report of a type can show PromQL. */
export function takesExpr(type: ReportType): boolean {
  return type === 'promql' || type === 'single_value' || type === 'trend' || type === 'bar' || type === 'pie'
}

/** hasTime reports whether a report of a type has its times in a column. */
export function hasTime(type: ReportType): boolean {
  return type === 'table_10m' || type === 'table_second' || type === 'spm_table' || type === 'archive_table'
}

/** freeColumns reports whether the columns of a type are a person's to choose. */
export function freeColumns(type: ReportType): boolean {
  return type !== 'text' && type !== 'spm_table' && type !== 'promql' && !ofApps(type)
}

/** generated are columns for every figure of the sources; for a map one per key of the hidden columns. */
export function generated(type: ReportType, sources: { name: string; spec: MonitorSpec; figures: string[]; keys?: string[][] }[], hidden: readonly number[], timeName: string): ReportColumn[] {
  const out: ReportColumn[] = hasTime(type) ? [{ name: timeName, function: 'time' }] : []
  for (const s of sources) {
    for (const figure of s.figures) {
      if (type === 'key_map' && isGrouped(s.spec)) {
        for (const key of s.keys ?? []) {
          const parts = s.spec.group_by!.map((_, i) => (hidden.includes(i) ? key[hidden.indexOf(i)] ?? '.' : '.'))
          out.push({ header_group: s.figures.length > 1 ? figure : undefined, name: key.join(' · ') || '-', source: s.name, figure, key_supplement: parts.join(',') })
        }
      } else out.push({ header_group: sources.length > 1 ? s.spec.title : undefined, name: figure, source: s.name, figure })
    }
  }
  return out.slice(0, 50)
}

/** chosenOf reads the choices of variables from the URL; choiceText writes one. */
export function chosenOf(params: URLSearchParams, names: readonly string[]): Record<string, string[]> {
  const out: Record<string, string[]> = {}
  for (const name of names) {
    const text = params.get('v.' + name)
    if (text) out[name] = text.split(',').map(decodeURIComponent)
  }
  return out
}

export function choiceText(values: readonly string[]): string {
  return values.map(encodeURIComponent).join(',')
}

/** choosesKeys reports whether columns of a type may be narrowed to some keys. */
export function choosesKeys(type: ReportType): boolean {
  return type === 'key_map' || type === 'trend' || type === 'single_value' || type === 'table_10m' || type === 'table_second' || type === 'archive_table'
}

/** nameOf makes a resource's name from what people call it; a title without any usable letter gives none. */
export function nameOf(title: string): string {
  return title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '').slice(0, 63)
}
