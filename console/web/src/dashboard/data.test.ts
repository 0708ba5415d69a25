import { describe, expect, it } from 'vitest'
import type { ReportData, ReportHead, ReportRow } from '../api/types'
import { chosenOf, choiceText, diagnosisLink, doubts, fits, generated, lineName, periodText, timeText, valueText } from './data'

const head = (part: Partial<ReportHead>): ReportHead => ({ name: 'n', ...part })
const data = (part: Partial<ReportData>): ReportData => ({
  start_ms: 0, end_ms: 60_000, step_ms: 60_000, keys: [], columns: [], rows: [], lines: [], keys_total: 0, sources: [], incomplete: [], unfiltered: [], warnings: [], ...part,
})
const t = ((key: string, values?: Record<string, string | number>) => key + (values ? ':' + Object.values(values).join(',') : '')) as never

describe('values', () => {
  it('are written by their format', () => {
    for (const [h, v, want] of [
      [{}, 1234.5678, '1,234.568'], [{}, undefined, '–'], [{}, NaN, '–'], [{ unit: 'ms' }, 12.5, '12.5 ms'], [{ unit: 'bytes' }, 2048, '2 KiB'],
      [{ format: { decimals: 2 } }, 3, '3.00'], [{ format: { style: 'percent', decimals: 1 } }, 99.95, '100.0 %'], [{ format: { style: 'percent' } }, 99.95, '99.95 %'],
      [{ format: { style: 'thousands' } }, 12345, '12.3 k'], [{ format: { style: 'ms' } }, 90_000, '1.5 min'], [{ format: { unit: 'orders' } }, 3, '3 orders'],
    ] as [Partial<ReportHead>, number | undefined, string][]) expect(valueText(head(h), v, 'en')).toBe(want)
  })
  it('have times', () => {
    const now = Date.UTC(2026, 10, 23, 12)
    expect(timeText(now - 60_000, 60_000, now, 'UTC')).toBe('11:59')
    expect(timeText(now - 1000, 1000, now, 'UTC')).toBe('11:59:59')
    expect(timeText(now - 86_400_000, 60_000, now, 'UTC')).toBe('11-22 12:00')
    expect(timeText(Date.UTC(2026, 10, 22), 86_400_000, now, 'UTC')).toBe('2026-11-22')
  })
  it('have calendar periods', () => {
    const monday = Date.UTC(2026, 10, 22, 16)
    expect((['hour', 'day', 'week', 'month'] as const).map((p) => periodText(monday, p, 'Asia/Shanghai'))).toEqual(['2026-11-23 00:00', '2026-11-23', '2026-11-23 – 11-29', '2026-11'])
  })
  it('link to a diagnosis with encoded values', () => {
    const row: ReportRow = { key: ['a&b', 'c'], start_ms: 5, cells: [], settled: true }
    const d = data({ sources: [{ name: 's', app: 'shop', lines_late: 0, lines_bad: 0, bad_numbers: 0, lost_bytes: 0, throttled_bytes: 0, keys_dropped: 0 }] })
    expect(diagnosisLink(head({ source: 's', diagnosis_link: 'https://x/?k=${key}&t=${time}&a=${app}&v=${value}&o=${other}' }), row, { value: 1.5 }, d)).toBe('https://x/?k=a%26b%2Cc&t=5&a=shop&v=1.5&o=${other}')
    expect(diagnosisLink(head({ diagnosis_link: 'https://x' }), row, {}, d)).toBeNull()
  })
})

describe('trust', () => {
  it('is told where it is not perfect', () => {
    const perfect = { name: 's', completeness: 1, lines_late: 0, lines_bad: 0, bad_numbers: 0, lost_bytes: 0, throttled_bytes: 0, keys_dropped: 0 }
    expect(doubts(data({ sources: [perfect] }), t)).toEqual([])
    expect(doubts(data({ sources: [{ ...perfect, completeness: 0.5, lines_late: 3, lost_bytes: 1024, throttled_bytes: 1024 }], unfiltered: ['az'], warnings: ['w'], columns: [head({ name: 'p99', largest: true })] }), t))
      .toEqual(['report.part:50.0 %', 'report.late:3', 'report.lost:2 KiB', 'report.largest:p99', 'report.unfiltered:az', 'w'])
  })
})

describe('names', () => {
  it('of lines have the column only where there are several', () => {
    const one = data({ columns: [head({ name: 'count' })], lines: [{ column: 0, values: [] }, { column: 0, key: ['a', 'b'], values: [] }, { column: 0, shift: 'day', values: [] }] })
    expect(one.lines.map((l) => lineName(one, l, t))).toEqual(['count', 'a · b', 'count · report.shift.day'])
    const two = data({ columns: [head({ name: 'x' }), head({ name: 'y' })], lines: [{ column: 0, key: ['a'], values: [] }, { column: 1, key: ['a'], values: [] }] })
    expect(two.lines.map((l) => lineName(two, l, t))).toEqual(['x · a', 'y · a'])
  })
})

describe('columns', () => {
  it('are generated for every figure', () => {
    const spec = { title: 'Trades', type: 'minute_multi' as const, paths: [], time: { format: 'receive' as const }, group_by: ['goods', 'cloud'] }
    expect(generated('table_10m', [{ name: 's', spec, figures: ['count', 'avg'] }], [], 'Time')).toEqual([
      { name: 'Time', function: 'time' }, { header_group: undefined, name: 'count', source: 's', figure: 'count' }, { header_group: undefined, name: 'avg', source: 's', figure: 'avg' }])
    expect(generated('key_map', [{ name: 's', spec, figures: ['count'], keys: [['east'], ['west']] }], [1], 'Time').map((c) => [c.name, c.key_supplement])).toEqual([['east', '.,east'], ['west', '.,west']])
  })
  it('fit as on the server', () => {
    expect(fits('keys_now', { type: 'minute_multi', group_by: ['a'] })).toBe(true)
    expect(fits('keys_now', { type: 'second_multi', group_by: ['a'] })).toBe(false)
    expect(fits('spm_table', { type: 'spm' })).toBe(true)
    expect(fits('spm_table', { type: 'spm', group_by: ['a'] })).toBe(false)
    expect(fits('pie', { type: 'minute' })).toBe(false)
    expect(fits('trend', { type: 'match' })).toBe(false)
    expect(fits('promql', { type: 'minute' })).toBe(false)
  })
})

describe('choices', () => {
  it('survive the URL', () => {
    const params = new URLSearchParams({ 'v.az': choiceText(['a,b', '北京']) })
    expect(chosenOf(params, ['az', 'app'])).toEqual({ az: ['a,b', '北京'] })
  })
})
