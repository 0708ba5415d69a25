/** The Prometheus HTTP API, scoped to a workspace. */
import { ApiError } from './client'

export interface Series {
  labels: Record<string, string>
  points: [number, number | null][]
}

export interface PromResult {
  type: 'scalar' | 'vector' | 'matrix' | 'string'
  series: Series[]
  warnings: string[]
}

interface PromBody {
  status: 'success' | 'error'
  errorType?: string
  error?: string
  warnings?: string[]
  data?: { resultType: PromResult['type']; result: unknown }
}

type RawPoint = [number, string]

function value(text: string): number | null {
  if (text === '+Inf' || text === 'Inf') return Infinity
  if (text === '-Inf') return -Infinity
  const v = Number(text)
  return Number.isNaN(v) ? null : v
}

const point = ([t, v]: RawPoint): [number, number | null] => [Math.round(t * 1000), value(v)]

export async function prom(workspace: string, path: string, params: Record<string, string>, signal?: AbortSignal): Promise<PromResult> {
  const body = new URLSearchParams(params)
  const res = await fetch('/prometheus/api/v1/' + path, {
    method: 'POST', body, signal, credentials: 'same-origin',
    headers: { 'X-Pharos-Workspace': workspace, 'X-Pharos-Csrf': '1', Accept: 'application/json' },
  })
  let json: PromBody
  try {
    json = (await res.json()) as PromBody
  } catch {
    throw new ApiError(res.status, 'http_' + res.status, res.statusText)
  }
  if (json.status !== 'success' || !json.data) {
    throw new ApiError(res.status, json.errorType ?? 'query_failed', json.error ?? (json as { message?: string }).message ?? res.statusText)
  }
  const { resultType, result } = json.data
  let series: Series[]
  if (resultType === 'matrix') {
    series = (result as { metric: Record<string, string>; values: RawPoint[] }[]).map((s) => ({ labels: s.metric, points: s.values.map(point) }))
  } else if (resultType === 'vector') {
    series = (result as { metric: Record<string, string>; value: RawPoint }[]).map((s) => ({ labels: s.metric, points: [point(s.value)] }))
  } else {
    series = [{ labels: {}, points: [point(result as RawPoint)] }]
  }
  return { type: resultType, series, warnings: json.warnings ?? [] }
}

export interface RangeQuery {
  expr: string
  start: number
  end: number
  step: number
}

/** queryRange evaluates at every step from start to end; gaps stay gaps as null points. */
export async function queryRange(workspace: string, q: RangeQuery, signal?: AbortSignal): Promise<PromResult> {
  const r = await prom(workspace, 'query_range', {
    query: q.expr, start: String(q.start / 1000), end: String(q.end / 1000), step: String(q.step / 1000),
  }, signal)
  return { ...r, series: r.series.map((s) => ({ ...s, points: withGaps(s.points, q.step) })) }
}

/** withGaps puts a null point where the distance of two points is more than a step, so that a line breaks there. */
export function withGaps(points: [number, number | null][], step: number): [number, number | null][] {
  const out: [number, number | null][] = []
  let before: number | undefined
  for (const p of points) {
    if (before !== undefined && p[0] - before > step * 1.5) out.push([before + step, null])
    out.push(p)
    before = p[0]
  }
  return out
}

export async function queryInstant(workspace: string, expr: string, time: number, signal?: AbortSignal): Promise<PromResult> {
  return prom(workspace, 'query', { query: expr, time: String(time / 1000) }, signal)
}

/** labelValues lists the values of a label, of the series that match. */
export async function labelValues(workspace: string, label: string, match: string | undefined, signal?: AbortSignal): Promise<string[]> {
  const query = match === undefined ? '' : '?' + new URLSearchParams({ 'match[]': match }).toString()
  const res = await fetch(`/prometheus/api/v1/label/${encodeURIComponent(label)}/values${query}`, { signal, credentials: 'same-origin', headers: { 'X-Pharos-Workspace': workspace, Accept: 'application/json' } })
  const json = (await res.json()) as { status: string; errorType?: string; error?: string; data?: string[] }
  if (json.status !== 'success') throw new ApiError(res.status, json.errorType ?? 'query_failed', json.error ?? res.statusText)
  return json.data ?? []
}

/** labelText writes a label set without its name, or the name when there are no labels. */
export function labelText(labels: Record<string, string>, hide: readonly string[] = []): string {
  const rest = Object.entries(labels).filter(([k]) => k !== '__name__' && !hide.includes(k))
  if (rest.length === 0) return labels.__name__ ?? '{}'
  return rest.map(([k, v]) => `${k}=${v}`).join(', ')
}

/** quote writes a PromQL string. */
export function quote(s: string): string {
  return '"' + s.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') + '"'
}

/** matcher writes a selector. */
export function selector(name: string, labels: Record<string, string>): string {
  const inner = Object.entries(labels).map(([k, v]) => `${k}=${quote(v)}`).join(',')
  return inner === '' ? name : `${name}{${inner}}`
}
