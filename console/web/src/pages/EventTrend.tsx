/** How many alarm events of each level there were over time. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { get, inWorkspace } from '../api/client'
import type { AlarmEvent, List } from '../api/types'
import { useWorkspace } from '../app/url'
import { ChartLoading, TimeChart, type ChartSeries } from '../charts'
import { ErrorNote } from '../components/feedback'
import { useT } from '../i18n'
import { stepFor, type Span } from '../time/range'

const most = 1000

export function EventTrend({ rule, level, span, onZoom }: { rule?: string; level?: string; span: Span; onZoom?: (s: Span) => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const q = useQuery({
    queryKey: ['alarm_events', 'trend', workspace, rule, level, span],
    queryFn: async ({ signal }) => {
      const out: AlarmEvent[] = []
      for (let page = 1; out.length < most; page++) {
        const r = await get<List<AlarmEvent>>(inWorkspace(workspace, 'alarm_events'), { rule, level, start: Math.round(span.start), end: Math.round(span.end), page, page_size: 100 }, signal)
        out.push(...r.items)
        if (out.length >= r.total || r.items.length === 0) break
      }
      return out
    },
    placeholderData: keepPreviousData,
  })
  const series = useMemo<ChartSeries[]>(() => {
    const step = stepFor(span, 60_000, 60)
    const levels = new Map<string, Map<number, number>>()
    for (const e of q.data ?? []) {
      if (e.type !== 'firing' && e.type !== 'repeat') continue
      const at = (Math.floor(e.time_ms / step) + 0.5) * step // a bar stands in the middle of its step
      const one = levels.get(e.level) ?? new Map<number, number>()
      one.set(at, (one.get(at) ?? 0) + 1)
      levels.set(e.level, one)
    }
    return [...levels].sort(([a], [b]) => a.localeCompare(b)).map(([name, points]) => ({ name, points: [...points].sort((a, b) => a[0] - b[0]) }))
  }, [q.data, span])
  if (q.isError) return <ErrorNote error={q.error} onRetry={() => void q.refetch()} />
  if (!q.data) return <ChartLoading height={150} />
  return (
    <>
      <TimeChart title={t('history.trend')} bars height={150} series={series} span={span} onZoom={onZoom} />
      {q.data.length >= most && <p className="muted">{t('history.cut', { n: most })}</p>}
    </>
  )
}
