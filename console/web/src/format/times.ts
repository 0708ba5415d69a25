/** Texts of moments in the user's time zone; all moments are Unix milliseconds. */

const formatters = new Map<string, Intl.DateTimeFormat>()

function formatter(zone: string): Intl.DateTimeFormat {
  let f = formatters.get(zone)
  if (!f) {
    f = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit',
      hour: '2-digit', minute: '2-digit', second: '2-digit',
    })
    formatters.set(zone, f)
  }
  return f
}

export interface Clock {
  year: string
  month: string
  day: string
  hour: string
  minute: string
  second: string
}

/** clock splits a moment into its parts in zone. */
export function clock(ms: number, zone: string): Clock {
  const out: Record<string, string> = {}
  for (const p of formatter(zone).formatToParts(ms)) out[p.type] = p.value
  return out as unknown as Clock
}

/** full writes 2026-11-23 06:09:27. */
export function full(ms: number, zone: string): string {
  const c = clock(ms, zone)
  return `${c.year}-${c.month}-${c.day} ${c.hour}:${c.minute}:${c.second}`
}

/** zoneOffsetMs is local time minus UTC at a moment. */
export function zoneOffsetMs(ms: number, zone: string): number {
  const c = clock(ms, zone)
  const local = Date.UTC(+c.year, +c.month - 1, +c.day, +c.hour, +c.minute, +c.second)
  return local - Math.floor(ms / 1000) * 1000
}

/** localZone is the browser's zone. */
export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC'
}

/** relative writes how long ago, or ahead, a moment is, in the words of locale. */
export function relative(ms: number, now: number, locale: string): string {
  const f = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' })
  const s = Math.round((ms - now) / 1000)
  const a = Math.abs(s)
  if (a < 60) return f.format(s, 'second')
  if (a < 3600) return f.format(Math.trunc(s / 60), 'minute')
  if (a < 86_400) return f.format(Math.trunc(s / 3600), 'hour')
  return f.format(Math.trunc(s / 86_400), 'day')
}

/** toMs reads RFC 3339 text or a number of milliseconds; null when there is none. */
export function toMs(v: string | number | null | undefined): number | null {
  if (v === null || v === undefined || v === '' || v === 0) return null
  const ms = typeof v === 'number' ? v : Date.parse(v)
  return Number.isFinite(ms) && ms > 0 ? ms : null
}

const units: Record<string, [string, string]> = { s: [' s', ' 秒'], m: [' min', ' 分钟'], h: [' h', ' 小时'], d: [' d', ' 天'] }

/** spoken writes a duration such as 15m as people say it: 15 min, 15 分钟. */
export function spoken(text: string, locale: string): string {
  return text.replaceAll(/(\d+)([smhd])/g, (_, n: string, u: string) => n + units[u]![locale.startsWith('zh') ? 1 : 0] + ' ').trim()
}
