/** Charts, loaded when the first one is shown, and a chart of one PromQL expression. */
import { useQuery } from '@tanstack/react-query'
import { Skeleton } from 'antd'
import { lazy, Suspense, useMemo } from 'react'
import { labelText, queryRange } from '../api/prom'
import { useWorkspace } from '../app/url'
import { ErrorNote } from '../components/feedback'
import { stepFor, type Span } from '../time/range'
import type { ChartSeries, TimeChartProps } from './TimeChart'

const Lazy = lazy(() => import('./TimeChart'))

export type { ChartSeries, Threshold } from './TimeChart'

export function TimeChart(p: TimeChartProps) {
  return (
    <Suspense fallback={<ChartLoading height={p.height} />}>
      <Lazy {...p} />
    </Suspense>
  )
}

export function ChartLoading({ height = 220 }: { height?: number }) {
  return <Skeleton.Node active style={{ width: '100%', height }} styles={{ root: { width: '100%' } }}><span /></Skeleton.Node>
}

export interface PromLine {
  expr: string
  /** name of the line; a function makes it from the labels. */
  name?: string | ((labels: Record<string, string>) => string)
  area?: boolean
}

export interface PromChartProps extends Omit<TimeChartProps, 'series' | 'span'> {
  lines: PromLine[]
  span: Span
  least?: number
}

/** PromChart draws the series of a few expressions. */
export function PromChart({ lines, span, least = 10_000, ...rest }: PromChartProps) {
  const workspace = useWorkspace()
  const step = stepFor(span, least)
  const start = Math.floor(span.start / step) * step
  const q = useQuery({
    queryKey: ['prom-chart', workspace, lines.map((l) => l.expr), start, span.end - (span.end % 1000), step],
    queryFn: async ({ signal }) => Promise.all(lines.map((l) => queryRange(workspace, { expr: l.expr, start, end: span.end, step }, signal))),
    placeholderData: (old) => old,
  })
  const series = useMemo<ChartSeries[]>(
    () =>
      (q.data ?? []).flatMap((r, i) => {
        const line = lines[i]
        return r.series.map((s) => ({
          name: typeof line?.name === 'function' ? line.name(s.labels) : (line?.name ?? labelText(s.labels)),
          points: s.points, area: line?.area,
        }))
      }),
    [q.data, lines],
  )
  if (q.isError) return <ErrorNote error={q.error} onRetry={() => void q.refetch()} />
  if (!q.data) return <ChartLoading height={rest.height} />
  return <TimeChart {...rest} series={series} span={span} />
}
