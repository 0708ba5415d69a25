import { describe, expect, it } from 'vitest'
import type { DryRunLine, MonitorSpec } from '../api/types'
import { cut, unescape, readSpaces, showSpaces } from './cut'
import { jsonMembers } from './members'
import { propose, wordAt } from './propose'
import { figureQuery } from './series'
import { figuresOf, isGrouped, mayHaveRules, withMeasure, cleanSpec, emptySpec, nameFrom, removeColumn, renameColumn, seriesLabel, indexOf, indexTexts } from './spec'
import { segments } from './Lines'

const lines = ['2026-11-23 06:00:01,beijing,OK,￥50.5,23ms', '2026-11-23 06:00:02,上海,FAIL,￥7,140ms', 'noise']

function mark(line: string, text: string) {
  const start = line.indexOf(text)
  return { start, end: start + text.length }
}

describe('cutting', () => {
  const text = (line: string, column: Parameters<typeof cut>[1]) => {
    const p = cut(line, column)
    return p && line.slice(p.start, p.end)
  }
  it('splits, from both ends', () => {
    expect(text(lines[0]!, { name: 'a', split: { delimiter: ',', index: 1 } })).toBe('beijing')
    expect(text(lines[0]!, { name: 'a', split: { delimiter: ',', index: -1 } })).toBe('23ms')
    expect(text(lines[2]!, { name: 'a', split: { delimiter: ',', index: 1 } })).toBeNull()
  })
  it('cuts the manual’s examples (COL-6)', () => {
    expect(text('x,￥50', { name: 'a', between: { left: '￥' } })).toBe('50')
    expect(text('cost 2340ms', { name: 'a', between: { left: 'cost ', right: 'ms' } })).toBe('2340')
    expect(text('(0,1,79,80,)', { name: 'a', between: { left: ',', left_index: 2, right: ',' } })).toBe('79')
  })
  it('knows escapes (COL-3)', () => {
    expect(unescape('\\t')).toBe('\t')
    expect(unescape('\\x1b')).toBe('\x1b')
    expect(unescape('char(1,2)')).toBe('\x01\x02')
  })
})

describe('proposals', () => {
  it('prefer the detected delimiter and give the word at the same place of each line (COL-5)', () => {
    const [first] = propose(lines, lines[0]!, mark(lines[0]!, 'beijing'), ',', 'c1')
    expect(first?.column).toEqual({ name: 'c1', split: { delimiter: ',', index: 1 } })
    expect(first?.values).toEqual(['beijing', '上海'])
    expect(first?.found).toBe(2)
  })
  it('find markers around a part of a field', () => {
    const [first] = propose(lines, lines[0]!, mark(lines[0]!, '23'.concat('ms')), ',', 'c1')
    expect(first?.column.split?.index).toBe(4)
    const number = propose(lines, lines[0]!, { start: lines[0]!.indexOf('23ms'), end: lines[0]!.indexOf('ms') }, ',', 'c1')
    expect(number[0]?.column.between?.right).toBe('ms')
    expect(number[0]?.values).toContain('140')
  })
  it('name the key of a pair, and keep the name before another sign', () => {
    const line = 'level=info cost=25 user="li wei" took:7ms'
    const [p, q] = propose([line, 'level=warn cost=7 user="an"'], line, mark(line, '25'), '', 'cost')
    expect([p?.column.kv, p?.values]).toEqual([{ key: 'cost' }, ['25', '7']])
    expect(q?.column.between).toEqual({ left: 'cost=', left_index: 1, right: ' ', right_index: 1 })
    expect(propose([line], line, mark(line, 'li wei'), '', 'u')[0]?.column.kv).toEqual({ key: 'user' })
    expect(propose([line], line, mark(line, '7'), '', 't')[0]?.column.between).toEqual({ left: 'took:', left_index: 1, right: 'ms', right_index: 1 })
  })
  it('give the path of a JSON member', () => {
    const line = '{"order":{"items":[{"price":7.5}],"a b":"x\\"y"},"ok":true,"none":null}'
    expect(jsonMembers(line).map((m) => [m.path, line.slice(m.piece.start, m.piece.end)])).toEqual([['order.items[0].price', '7.5'], ['order.a b', 'x\\"y'], ['ok', 'true']])
    expect(propose([line, '{"ok":false}'], line, wordAt(line, line.indexOf('true') + 1, ','), ',', 'ok')[0]).toMatchObject({ column: { json: { path: 'ok' } }, found: 2, values: ['true', 'false'] })
    expect(jsonMembers('[1] not JSON')).toEqual([])
    expect(jsonMembers('[1]')).toEqual([{ path: '[0]', piece: { start: 1, end: 2 } }])
    expect(jsonMembers('{"a":1,')).toEqual([])
    expect(jsonMembers('2026-11-23,x')).toEqual([])
  })
  it('take the field or word that was clicked', () => {
    const w = wordAt(lines[0]!, lines[0]!.indexOf('beijing') + 2, ',')
    expect(lines[0]!.slice(w.start, w.end)).toBe('beijing')
    const v = wordAt('a cost=25 b', 8, '')
    expect('a cost=25 b'.slice(v.start, v.end)).toBe('25')
  })
})

describe('segments', () => {
  it('colour the bytes the agent cut, also behind characters of several bytes', () => {
    const text = '上海,￥7'
    const line: DryRunLine = { text, outcome: 'matched', detail: '', time_ms: 0, time_start: 0, time_end: 0, columns: [{ name: 'amount', value: '7', start: 10, end: 11, missing: false }] }
    const s = segments(line, ['amount'], null)
    expect(s.map((x) => [text.slice(x.start, x.end), x.column])).toEqual([['上海,￥', -1], ['7', 0]])
  })
})

describe('spec', () => {
  const spec: MonitorSpec = {
    ...emptySpec(), title: ' T ', paths: ['/a.log', ' '], columns: [{ name: 'shop', line: true }], group_by: ['shop', 'host'],
    statistics: [{ kind: 'sum', column: 'shop' }], filters: { white: [{ column: 'shop', values: ['x'] }] }, key_limit: 1000,
  }
  it('says only what was decided', () => {
    const c = cleanSpec(spec)
    expect(c).toMatchObject({ title: 'T', type: 'minute_multi', paths: ['/a.log'] })
    expect(c).not.toHaveProperty('key_limit')
    expect(cleanSpec(emptySpec()).type).toBe('minute')
  })
  it('keeps of types with lines what they have a use for', () => {
    const top = cleanSpec({ ...spec, ...withMeasure(spec, 'top'), sort_column: 'shop', masking: { without: ['email'], replace: [] } })
    expect(top).toMatchObject({ type: 'row_top', sort_column: 'shop', group_by: ['shop', 'host'], masking: { without: ['email'] } })
    for (const f of ['statistics', 'top_n', 'match']) expect(top).not.toHaveProperty(f)
    expect(isGrouped(top)).toBe(false)
    expect(figuresOf(top).map((f) => f.name)).toEqual(['count', 'max'])
    expect([renameColumn(top, 0, 'store').sort_column, removeColumn(top, 0).sort_column]).toEqual(['store', undefined])
    const match = cleanSpec({ ...top, ...withMeasure(top, 'match'), match: { title: ' seen ', level: 'P1', min_lines_chat: 2, channels: ['ops'], sms_channels: ['x'], max_lines: 0, text_pattern: 'x', masking: undefined } as never })
    expect(match).toMatchObject({ type: 'match', match: { title: 'seen', level: 'P1', min_lines_chat: 2, channels: ['ops'], max_lines: 0 } })
    for (const f of ['group_by', 'statistics', 'sort_column', 'top_n']) expect(match).not.toHaveProperty(f)
    for (const f of ['sms_channels', 'text_pattern', 'text_mode']) expect(match.match).not.toHaveProperty(f)
    expect(cleanSpec({ ...match, ...withMeasure(match, 'figures') })).not.toHaveProperty('masking')
    expect([mayHaveRules('row_top'), mayHaveRules('match'), figuresOf(match).length]).toEqual([true, false, 0])
  })
  it('renames and removes a column everywhere', () => {
    const r = renameColumn(spec, 0, 'store')
    expect([r.group_by, r.statistics?.[0]?.column, r.filters?.white?.[0]?.column]).toEqual([['store', 'host'], 'store', 'store'])
    const d = removeColumn(spec, 0)
    expect([d.group_by, d.filters?.white, d.columns]).toEqual([['host'], [], []])
  })
  it('renames columns in formulas, and keeps the weight where it counts', () => {
    const f: MonitorSpec = { ...spec, columns: [{ name: 'n', line: true }, { name: 'price', formula: 'amount / n + "n" - n2' }], weight_column: 'n' }
    expect(renameColumn(f, 0, '数量').columns?.[1]?.formula).toBe('amount / 数量 + 数量 - n2')
    expect(renameColumn(f, 0, 'how many').columns?.[1]?.formula).toBe('amount / "how many" + "how many" - n2')
    expect(renameColumn(f, 0, 'calls').weight_column).toBe('calls')
    expect([cleanSpec(f).weight_column, cleanSpec({ ...f, ...withMeasure(f, 'top') }).weight_column, removeColumn(f, 0).weight_column]).toEqual(['n', undefined, undefined])
  })
  it('reads an index as it writes it', () => {
    expect(indexOf(['team=payments', 'nonsense', 'tier: 1'])).toEqual({ team: 'payments', tier: '1' })
    expect([indexTexts({ team: 'payments' }), indexOf([])]).toEqual([['team=payments'], undefined])
  })
  it('makes a monitor of the largest keys', () => {
    const keys = cleanSpec({ ...spec, ...withMeasure({ ...spec, statistics: [{ kind: 'p99', column: 'shop' }, { kind: 'max', column: 'shop' }] }, 'keys') })
    expect(keys).toMatchObject({ type: 'minute_top', group_by: ['shop', 'host'], statistics: [{ kind: 'max', column: 'shop' }] })
    expect([isGrouped(keys), mayHaveRules('minute_top')]).toEqual([false, true])
  })
  it('names series as the server does', () => {
    expect(seriesLabel('host')).toBe('c_host')
    expect(seriesLabel('http status')).toBe('http_status')
    expect(seriesLabel('1st')).toBe('c_1st')
    expect(seriesLabel('店')).toBe('u5e97_')
    expect(nameFrom('Orders by shop', '/x/y.log')).toBe('orders_by_shop')
    expect(nameFrom('订单', '/var/log/order-2.log')).toBe('order_2')
  })
})

describe('figureQuery', () => {
  const hour = { start: 1_700_000_000_000, end: 1_700_003_600_000 }
  it('asks for each window of a short range, starting on a window', () => {
    const q = figureQuery('orders', { kind: 'count', name: 'count' }, true, 60_000, hour, 10)
    expect([q.step, q.back, q.start % 60_000]).toEqual([60_000, 0, 0])
    expect(q.expr).toBe('sum_over_time(orders:count[1m]) and topk(10, sum_over_time(orders:count[1h] @ end()))')
    expect(q.total).toBe('sum_over_time(orders:count:total[1m])')
  })
  it('makes averages of longer steps from sums and counts', () => {
    const day = { start: 1_700_000_000_000, end: 1_700_086_400_000 }
    const q = figureQuery('orders', { kind: 'avg', name: 'avg_cost', column: 'cost' }, false, 60_000, day, 10)
    expect(q.expr).toBe('sum_over_time(orders:avg_cost_sum[2m]) / sum_over_time(orders:avg_cost_count[2m])')
    expect([q.step, q.back]).toEqual([120_000, 60_000])
  })
})

describe('a space in a rule', () => {
  it('is shown as a sign and read back as itself', () => {
    expect(showSpaces('] "GET ')).toBe(']␣"GET␣')
    expect(readSpaces(showSpaces(' || \\t'))).toBe(' || \\t')
    expect(readSpaces('␣')).toBe(' ')
  })
})
