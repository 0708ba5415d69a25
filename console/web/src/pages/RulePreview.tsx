/** A rule's conditions against the data, with their thresholds as lines. */
import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { get, inWorkspace } from '../api/client'
import { labelText, queryRange, quote } from '../api/prom'
import type { Monitor, RuleCondition, RuleSpec } from '../api/types'
import { useWorkspace } from '../app/url'
import { ChartLoading, TimeChart, type Threshold } from '../charts'
import { ErrorNote } from '../components/feedback'
import { useT, type Translate } from '../i18n'
import { windowMs } from '../monitor/series'
import { figureName, groupLabel } from '../monitor/spec'
import { stepFor, type Span } from '../time/range'
import { classes, conditionsOf, conditionWords, signs } from './conditions'

/** conditionExpr is the PromQL a condition looks at. */
export function conditionExpr(c: RuleCondition, firstFigure: string): string {
  if (c.expr) return c.expr
  if (!c.monitor) return ''
  if (c.method === 'silence') return `${c.monitor}:completeness`
  const name = `${c.monitor}:${c.figure || firstFigure}${c.total ? ':total' : ''}`
  const escape = (v: string) => v.split('\\*').map((x) => x.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')).join('\\*')
  const filter = (keys: RuleCondition['keys'], op: string) => Object.entries(keys ?? {}).filter(([, v]) => v.length > 0).map(([k, v]) => `${groupLabel(k)}${op}${quote(v.map(escape).join('|'))}`)
  const keys = [...filter(c.keys, '=~'), ...filter(c.exclude_keys, '!~')]
  return keys.length > 0 ? `${name}{${keys.join(',')}}` : name
}

export function RulePreview({ spec, span, onZoom }: { spec: RuleSpec; span: Span; onZoom?: (s: Span) => void }) {
  return (
    <div className="stack">
      {conditionsOf(spec).map((c, i) => <ConditionPreview key={i} condition={c} span={span} onZoom={onZoom} />)}
    </div>
  )
}

/** thresholdLines are the limits of the values in the chart: those of what is drawn itself, not of changes or of sums. */
function thresholdLines(c: RuleCondition, t: Translate): Threshold[] {
  if (c.method && !['current', 'max_n', 'min_n', 'avg_n'].includes(c.method)) return []
  const line = (value: number | undefined, label: string) => (value !== undefined && Number.isFinite(value) ? [{ value, label }] : [])
  if (c.thresholds) return classes.flatMap((k) => line(c.thresholds?.[k], `${signs[c.op]} ${c.thresholds?.[k]} ${t(`class.${k}`)}`))
  return [...line(c.threshold, `${signs[c.op]} ${c.threshold}`), ...line(c.upper ?? undefined, String(c.upper))]
}

function ConditionPreview({ condition: c, span, onZoom }: { condition: RuleCondition; span: Span; onZoom?: (s: Span) => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const monitor = useQuery({
    queryKey: ['monitor', workspace, c.monitor], enabled: !!c.monitor, queryFn: ({ signal }) => get<Monitor>(inWorkspace(workspace, 'monitors', c.monitor!), undefined, signal),
  })
  const stats = monitor.data?.spec.statistics?.length ? monitor.data.spec.statistics : [{ kind: 'count' as const }]
  const expr = conditionExpr(c, figureName(stats[0]!))
  const unit = c.monitor ? stats.find((s) => figureName(s) === (c.figure || figureName(stats[0]!)))?.unit : undefined
  const win = windowMs(monitor.data?.spec.window)
  const step = stepFor(span, c.monitor ? win : 15_000, 240)
  const start = Math.floor(span.start / step) * step
  const [data] = useQueries({ queries: [{
    queryKey: ['rule-preview', workspace, expr, start, span.end, step], enabled: expr !== '' && (!c.monitor || monitor.data !== undefined), retry: false,
    queryFn: ({ signal }: { signal: AbortSignal }) => queryRange(workspace, { expr, start, end: span.end, step }, signal), placeholderData: keepPreviousData,
  }] })
  const series = useMemo(() => (data.data?.series ?? []).slice(0, 50).map((s) => ({ name: labelText(s.labels, ['workspace', 'app']), points: s.points })), [data.data])
  const thresholds = useMemo(() => thresholdLines(c, t), [c, t])
  if (expr === '') return <p className="muted">{t('rule.preview.none')}</p>
  if (data.isError) return <ErrorNote error={data.error} onRetry={() => void data.refetch()} />
  if (!data.data) return <ChartLoading height={200} />
  return <TimeChart title={conditionWords(c, t)} series={series} span={span} unit={unit} thresholds={thresholds} height={200} openFrom={c.monitor ? Math.floor(span.end / win) * win : undefined} group="rule" onZoom={onZoom} />
}
