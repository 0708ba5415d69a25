/** The PromQL of a monitor's figures. */
import type { Statistic } from '../api/types'
import { parseDuration, promDuration } from '../format/numbers'
import type { Span } from '../time/range'
import { figureName } from './spec'

export interface FigureQuery {
  expr: string
  total?: string
  start: number
  end: number
  step: number
  /** back is what a result's times have to be moved back by to stand at the start of what they cover. */
  back: number
}

/** windowMs is a window's length. */
export function windowMs(text: string | undefined): number {
  return parseDuration(text ?? '1m') ?? 60_000
}

/** stepOf is the distance of points: a window, or several when the range is long. */
export function stepOf(window: number, span: Span): number {
  let step = window
  for (const n of [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1440]) {
    step = window * n
    if ((span.end - span.start) / step <= 720) return step
  }
  return step
}

/** isMergeable reports whether the figure over several windows follows from those of each; of others the largest is told. */
export function isMergeable(s: Statistic): boolean {
  return s.kind !== 'distinct' && !/^p\d+$/.test(s.kind)
}

/** over merges several windows of a figure into one point, by what the figure is. */
function over(name: string, s: Statistic, range: string): string {
  switch (s.kind) {
    case 'min':
      return `min_over_time(${name}[${range}])`
    case 'max':
    case 'p50':
    case 'p75':
    case 'p90':
    case 'p95':
    case 'p99':
    case 'p999':
    case 'distinct':
      return `max_over_time(${name}[${range}])`
    case 'avg':
      return `sum_over_time(${name}_sum[${range}]) / sum_over_time(${name}_count[${range}])`
    case 'ratio':
      return `sum_over_time(${name}_dividend[${range}]) / (sum_over_time(${name}_divisor[${range}]) != 0)`
    case 'success_rate':
      return `100 * sum_over_time(${name}_success[${range}]) / (sum_over_time(${name}_total[${range}]) != 0)`
    default:
      return `sum_over_time(${name}[${range}])`
  }
}

/**
 * figureQuery asks for a figure over a span, of the `top` keys that are
 * largest over the whole span. A point covers the windows that start within
 * (t-step, t], so the first is asked for a step later and moved back.
 */
export function figureQuery(monitor: string, s: Statistic, grouped: boolean, window: number, span: Span, top: number): FigureQuery {
  const name = `${monitor}:${figureName(s)}`
  const step = stepOf(window, span)
  const start = Math.floor(span.start / step) * step
  const range = promDuration(step)
  const value = over(name, s, range)
  const whole = promDuration(Math.max(step, Math.ceil((span.end - span.start) / 1000) * 1000))
  const rank = s.kind === 'avg' ? `avg_over_time(${name}[${whole}] @ end())` : over(name, s, `${whole}] @ end()`).replace('@ end()])', '@ end())')
  return {
    expr: grouped ? `${value} and topk(${top}, ${rank})` : value,
    total: grouped ? over(`${name}:total`, s, range) : undefined,
    start: start + step - window, end: span.end + step - window, step, back: step - window,
  }
}
