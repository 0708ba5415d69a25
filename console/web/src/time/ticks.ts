/** Axis ticks that stand on round times of the user's zone. */
import { clock, zoneOffsetMs } from '../format/times'
import type { Span } from './range'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const sizes = [1000, 2000, 5000, 10_000, 15_000, 30_000, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
  hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day, 14 * day, 30 * day]

/** ticks returns at most `most` moments within span. */
export function ticks(span: Span, zone: string, most: number): number[] {
  const size = sizes.find((s) => (span.end - span.start) / s <= most) ?? 30 * day
  const offset = zoneOffsetMs(span.start, zone)
  const out: number[] = []
  for (let local = Math.ceil((span.start + offset) / size) * size; ; local += size) {
    // A change to or from summer time within the span moves what follows.
    let at = local - offset
    const there = zoneOffsetMs(at, zone)
    if (there !== offset) at = local - there
    if (at > span.end) return out
    if (at >= span.start) out.push(at)
  }
}

/** tickText is the shortest text that tells ticks of this span apart. */
export function tickText(ms: number, span: Span, zone: string): string {
  const c = clock(ms, zone)
  const width = span.end - span.start
  const midnight = c.hour === '00' && c.minute === '00' && c.second === '00'
  if (midnight && width > 6 * hour) return `${c.month}-${c.day}`
  if (width > 3 * day) return `${c.month}-${c.day} ${c.hour}:${c.minute}`
  if (width <= 10 * minute) return `${c.hour}:${c.minute}:${c.second}`
  return `${c.hour}:${c.minute}`
}
