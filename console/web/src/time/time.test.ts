import { describe, expect, it } from 'vitest'
import { incompleteSpans } from '../charts/Band'
import { niceScale } from '../charts/scale'
import { withGaps } from '../api/prom'
import { defaultRange, readRange, resolve, shift, stepFor } from './range'
import { tickText, ticks } from './ticks'

const hour = 3_600_000
const now = Date.UTC(2026, 10, 23, 6, 10)

describe('range', () => {
  it('reads what the URL says and falls back on nonsense', () => {
    expect(readRange('now-15m', 'now')).toEqual({ from: 'now-15m', to: 'now' })
    expect(readRange('x', null)).toEqual(defaultRange)
    expect(readRange('1700003600000', '1700000000000')).toEqual(defaultRange)
    expect(resolve({ from: 'now-1h', to: 'now' }, now)).toEqual({ start: now - hour, end: now })
  })
  it('steps by multiples of a window', () => {
    expect(stepFor({ start: 0, end: hour }, 1000)).toBe(10_000)
    expect(stepFor({ start: 0, end: 24 * hour }, 60_000)).toBe(300_000)
  })
  it('moves but not into the future', () => {
    expect(shift({ start: now - hour, end: now }, 'forward', now)).toEqual({ from: String(now - hour), to: String(now) })
    expect(shift({ start: now - 3 * hour, end: now - hour }, 'back', now)).toEqual({ from: String(now - 4 * hour), to: String(now - 2 * hour) })
  })
})

describe('ticks', () => {
  it('stand on round times of the zone', () => {
    const span = { start: now, end: now + 48 * hour }
    const at = ticks(span, 'Asia/Kolkata', 8)
    expect(at.length).toBeGreaterThan(2)
    for (const t of at) expect((t + 5.5 * hour) % (6 * hour)).toBe(0)
    expect(at.map((t) => tickText(t, span, 'Asia/Kolkata'))).toContain('11-24')
  })
  it('stay on local hours when summer time ends', () => {
    const change = Date.UTC(2026, 9, 25, 1)
    const at = ticks({ start: change - 12 * hour, end: change + 24 * hour }, 'Europe/Berlin', 8)
    const texts = at.map((t) => tickText(t, { start: change - 12 * hour, end: change + 24 * hour }, 'Europe/Berlin'))
    expect(texts.every((x) => /:00$|^\d\d-\d\d$/.test(x))).toBe(true)
  })
})

describe('charts', () => {
  it('break a line where points are missing', () => {
    expect(withGaps([[0, 1], [10, 2], [40, 3]], 10)).toEqual([[0, 1], [10, 2], [20, null], [40, 3]])
  })
  it('choose round scales', () => {
    expect(niceScale(137, 4)).toEqual({ max: 150, step: 50 })
    expect(niceScale(3 * 2 ** 20, 3, true)).toEqual({ max: 3 * 2 ** 20, step: 2 ** 20 })
  })
  it('hatch settled windows that lack agents, joined', () => {
    const w = (start: number, completeness: number, settled = true) => ({
      window_start_ms: start, window_ms: 10, settled, completeness, lines: 0, lines_bad: 0, lines_late: 0, lines_unmatched: 0, lines_filtered: 0, bad_numbers: 0, throttled_bytes: 0, lost_bytes: 0, keys_dropped: 0, revision: 1,
    })
    expect(incompleteSpans([w(0, 1), w(10, 0.5), w(20, 0.6), w(30, 1), w(40, 0, false)])).toEqual([{ start: 10, end: 30 }])
  })
})
