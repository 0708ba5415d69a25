/** Short and exact texts of numbers. A short text keeps three significant digits. */

const dash = '–'

const steps: readonly [number, string][] = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
]

const byteSteps: readonly [number, string][] = [
  [2 ** 40, 'TiB'],
  [2 ** 30, 'GiB'],
  [2 ** 20, 'MiB'],
  [2 ** 10, 'KiB'],
]

const timeStepsMs: readonly [number, string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
]

function digits(v: number): string {
  const a = Math.abs(v)
  if (a === 0) return '0'
  if (Number.isInteger(v) && a < 1000) return String(v)
  if (a < 0.001) return v.toExponential(1)
  const places = a >= 100 ? 0 : a >= 10 ? 1 : a >= 1 ? 2 : 3
  return String(Number(v.toFixed(places)))
}

function scaled(v: number, table: readonly [number, string][], base: string, gap: string): string {
  for (const [size, name] of table) {
    if (Math.abs(v) >= size) return digits(v / size) + gap + name
  }
  return digits(v) + (base === '' ? '' : gap + base)
}

/** short writes a number for people: 12 345 as "12.3 k", with its unit. */
export function short(v: number | null | undefined, unit = ''): string {
  if (v === null || v === undefined || !Number.isFinite(v)) return dash
  switch (unit) {
    case 'bytes':
      return scaled(v, byteSteps, 'B', ' ')
    case 'bytes/s':
      return scaled(v, byteSteps, 'B', ' ') + '/s'
    case 'ms':
      return Math.abs(v) >= 1000 ? scaled(v, timeStepsMs, 'ms', ' ') : digits(v) + ' ms'
    case '%':
      return digits(v) + ' %'
    case '1/s':
      return scaled(v, steps, '', ' ') + '/s'
  }
  if (unit.startsWith('/')) return scaled(v, steps, '', ' ') + unit
  return scaled(v, steps, '', ' ') + (unit === '' ? '' : ' ' + unit)
}

/** exact writes all digits of a number, grouped, with its unit. */
export function exact(v: number | null | undefined, unit = '', locale = 'en'): string {
  if (v === null || v === undefined || !Number.isFinite(v)) return dash
  const text = v.toLocaleString(locale, { maximumFractionDigits: 6 })
  switch (unit) {
    case '':
      return text
    case '1/s':
      return text + ' /s'
    case 'bytes':
      return text + ' B'
    case 'bytes/s':
      return text + ' B/s'
  }
  return text + ' ' + unit
}

/** share writes 0 to 1 as a percentage that says 100 % only for the whole. */
export function share(v: number | null | undefined): string {
  if (v === null || v === undefined || !Number.isFinite(v)) return dash
  if (v >= 1) return '100 %'
  return (Math.floor(v * 1000) / 10).toFixed(1) + ' %'
}

/** parseDuration reads Go's texts such as 90s, 1m30s or 1h; null when it is none. Result in ms. */
export function parseDuration(text: string): number | null {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return null
  const size: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  let total = 0
  for (const [, n, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) total += Number(n) * size[unit!]!
  return total
}

/** promDuration writes ms as PromQL reads it. */
export function promDuration(ms: number): string {
  for (const [unit, size] of [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1000]] as const) {
    if (ms >= size && ms % size === 0) return ms / size + unit
  }
  return Math.round(ms) + 'ms'
}
