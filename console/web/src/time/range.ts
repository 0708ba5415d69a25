/**
 * A time range as it stands in the URL: `from` and `to` are "now", "now-15m"
 * or Unix milliseconds.
 */
import { parseDuration } from '../format/numbers'

export interface Range {
  from: string
  to: string
}

export interface Span {
  start: number
  end: number
}

export const defaultRange: Range = { from: 'now-1h', to: 'now' }

export const quickRanges = ['15m', '1h', '3h', '6h', '12h', '1d', '2d', '7d', '21d'] as const

export const refreshChoices = ['off', '5s', '10s', '30s', '1m', '5m'] as const

function moment(text: string, now: number): number | null {
  if (text === 'now') return now
  if (text.startsWith('now-')) {
    const ms = parseDuration(text.slice(4))
    return ms === null ? null : now - ms
  }
  return /^\d{10,14}$/.test(text) ? Number(text) : null
}

/** readRange takes a range from the URL; what is unusable becomes the default. */
export function readRange(from: string | null, to: string | null, fallback: Range = defaultRange): Range {
  const now = Date.now()
  const f = from === null ? null : moment(from, now)
  const t = moment(to ?? 'now', now)
  if (f === null || t === null || f >= t) return fallback
  return { from: from!, to: to ?? 'now' }
}

/** resolve turns a range into moments. */
export function resolve(r: Range, now: number): Span {
  const end = moment(r.to, now) ?? now
  const start = moment(r.from, now) ?? end - 3_600_000
  return { start, end }
}

/** isRelative tells whether the range moves with the clock. */
export function isRelative(r: Range): boolean {
  return r.to === 'now'
}

const niceSteps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400]

/** stepFor is the step in ms that puts at most `points` points into a span and is a multiple of least. */
export function stepFor(span: Span, least = 1000, points = 360): number {
  const want = Math.max((span.end - span.start) / points, least)
  for (const s of niceSteps) {
    const ms = s * 1000
    if (ms >= want && ms % least === 0) return ms
  }
  return Math.ceil(want / least) * least
}

/** zoom is the range twice as wide around the same middle, or moved by half its width. */
export function shift(span: Span, by: 'back' | 'forward' | 'wider', now: number): Range {
  const width = span.end - span.start
  if (by === 'wider') {
    const end = Math.min(span.end + width / 2, now)
    return { from: String(Math.round(end - width * 2)), to: end >= now ? 'now' : String(Math.round(end)) }
  }
  const d = by === 'back' ? -width / 2 : width / 2
  const end = Math.min(span.end + d, now)
  return { from: String(Math.round(end - width)), to: String(Math.round(end)) }
}
