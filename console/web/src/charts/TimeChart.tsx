/**
 * The one chart over time. Axis and texts are in the person's zone; charts of
 * a page share the cursor by their group; dragging over the chart zooms.
 */
import type { EChartsCoreOption } from 'echarts/core'
import { useEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { exact, short } from '../format/numbers'
import { full } from '../format/times'
import { usePrefs } from '../app/prefs'
import { useT } from '../i18n'
import { tickText, ticks } from '../time/ticks'
import type { Span } from '../time/range'
import { connect, init, type ECharts } from './echarts'
import { seriesColor, stateColors } from './palette'
import { niceScale } from './scale'
import { useElementWidth } from './width'

export interface ChartSeries {
  name: string
  points: [number, number | null][]
  /** total is drawn as a dashed neutral line beside the keys. */
  total?: boolean
  area?: boolean
  /** dashed is a line to compare with, in its own colour. */
  dashed?: boolean
}

export interface Threshold {
  value: number
  label: string
}

export interface TimeChartProps {
  title: string
  series: ChartSeries[]
  span: Span
  unit?: string
  height?: number
  group?: string
  /** incomplete stretches are hatched. */
  incomplete?: Span[]
  thresholds?: Threshold[]
  marks?: { at: number; label: string }[]
  onZoom?: (s: Span) => void
  onPoint?: (series: ChartSeries, at: number) => void
  legend?: boolean
  bars?: boolean
  /** below is drawn under the plot with the same left and right edges. */
  below?: ReactNode
  max?: number
  /** openFrom is where windows begin that have not settled; their points are dotted. */
  openFrom?: number
}

/** The plot's left and right edges in px from the chart's. */
export const plotLeft = 56
export const plotRight = 16

function hatch(color: string): HTMLCanvasElement {
  const c = document.createElement('canvas')
  c.width = c.height = 8
  const g = c.getContext('2d')!
  g.strokeStyle = color
  g.globalAlpha = 0.45
  g.lineWidth = 1.5
  for (const x of [-8, 0, 8]) {
    g.beginPath()
    g.moveTo(x, 8)
    g.lineTo(x + 8, 0)
    g.stroke()
  }
  return c
}

const escapeHtml = (s: string) => s.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!)

export default function TimeChart(p: TimeChartProps) {
  const { dark, zone, language } = usePrefs()
  const t = useT()
  const mode = dark ? 'dark' : 'light'
  const box = useRef<HTMLDivElement>(null)
  const chart = useRef<ECharts>(undefined)
  const [only, setOnly] = useState<string | null>(null)
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null)
  const width = useElementWidth(box)
  const height = p.height ?? 220
  const latest = useRef(p)
  useEffect(() => {
    latest.current = p
  })

  useEffect(() => {
    const c = init(box.current!)
    chart.current = c
    if (p.group) {
      c.group = p.group
      connect(p.group)
    }
    return () => c.dispose()
  }, [p.group])

  // Dragging zooms. It is done on the plot itself because ECharts' own brush takes the tooltip away.
  useEffect(() => {
    const c = chart.current!
    const el = box.current!
    let from: number | null = null
    const x = (e: PointerEvent) => e.clientX - el.getBoundingClientRect().left
    const at = (px: number) => {
      const s = latest.current.span
      const share = (px - plotLeft) / (el.clientWidth - plotLeft - plotRight)
      return s.start + Math.max(0, Math.min(1, share)) * (s.end - s.start)
    }
    const down = (e: PointerEvent) => {
      if (e.button === 0 && latest.current.onZoom) from = x(e)
    }
    const move = (e: PointerEvent) => {
      if (from !== null && Math.abs(x(e) - from) > 4) setDrag({ from, to: x(e) })
    }
    const up = (e: PointerEvent) => {
      if (from !== null && Math.abs(x(e) - from) > 8) {
        const [a, b] = [at(from), at(x(e))].sort((m, n) => m - n)
        if (b! - a! >= 1000) latest.current.onZoom?.({ start: Math.round(a!), end: Math.round(b!) })
      }
      from = null
      setDrag(null)
    }
    el.addEventListener('pointerdown', down)
    window.addEventListener('pointermove', move)
    window.addEventListener('pointerup', up)
    c.on('click', (e) => {
      const s = latest.current.series.find((one) => one.name === e.seriesName)
      const v = e.value as [number, number] | undefined
      if (s && v) latest.current.onPoint?.(s, v[0])
    })
    return () => {
      el.removeEventListener('pointerdown', down)
      window.removeEventListener('pointermove', move)
      window.removeEventListener('pointerup', up)
      if (!c.isDisposed()) c.off('click')
    }
  }, [p.group])

  const colors = useMemo(() => {
    let n = 0
    return new Map(p.series.map((s) => [s.name, s.total ? stateColors[mode].none : seriesColor(n++, mode)]))
  }, [p.series, mode])

  useEffect(() => {
    const c = chart.current
    if (!c || width === 0) return
    c.resize({ width, height })
    const ink = dark ? '#aab4c0' : '#57606a'
    const line = dark ? '#2b3440' : '#e4e8ec'
    const at = ticks(p.span, zone, Math.max(2, Math.floor((width - plotLeft) / 84)))
    const unit = p.unit ?? ''
    const thresholds = p.thresholds ?? []
    const top = Math.max(...thresholds.map((x) => x.value), p.max ?? -Infinity)
    const low = Math.min(...thresholds.map((x) => x.value), 0)
    const binary = unit.startsWith('bytes')
    const scale = (top === -Infinity && !binary) || low < 0 ? undefined : niceScale(Math.max(top, ...p.series.flatMap((s) => s.points.map(([, v]) => v ?? 0))), Math.max(2, Math.round(height / 60)), binary)
    const shown = p.series.filter((s) => only === null || s.name === only)
    const parts = shown.flatMap((s) => {
      const cut = p.openFrom === undefined ? -1 : s.points.findIndex(([t]) => t >= p.openFrom!)
      if (cut < 0) return [{ s, points: s.points, open: false }]
      return [{ s, points: s.points.slice(0, cut), open: false }, { s, points: s.points.slice(Math.max(0, cut - 1)), open: true }]
    })
    const option: EChartsCoreOption = {
      animation: false,
      aria: { enabled: true, label: { description: p.title } },
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: ink },
      grid: { left: plotLeft, right: plotRight, top: 12, bottom: 24 },
      xAxis: {
        type: 'time', min: p.span.start, max: p.span.end, containShape: false,
        axisLine: { lineStyle: { color: line } },
        axisTick: { customValues: at, lineStyle: { color: line } },
        axisLabel: { customValues: at, color: ink, fontSize: 12, hideOverlap: true, formatter: (v: number) => tickText(v, p.span, zone) },
        splitLine: { show: false },
        axisPointer: { show: true, type: 'line', snap: false, label: { show: false }, lineStyle: { color: ink, type: 'dashed' }, triggerTooltip: false },
      },
      yAxis: {
        type: 'value',
        min: low < 0 ? undefined : (v: { min: number }) => Math.min(0, v.min),
        max: scale?.max, interval: scale?.step, minInterval: p.bars ? 1 : undefined,
        splitNumber: Math.max(2, Math.round(height / 60)),
        axisLabel: { color: ink, fontSize: 12, formatter: (v: number) => short(v, unit) },
        splitLine: { lineStyle: { color: line } },
      },
      tooltip: {
        trigger: 'axis', confine: false, appendTo: 'body', transitionDuration: 0,
        backgroundColor: dark ? '#1d2530' : '#ffffff', borderColor: line,
        textStyle: { color: dark ? '#e6edf3' : '#1f2933', fontSize: 12 },
        order: 'valueDesc',
        formatter: (raw: unknown) => {
          const all = (Array.isArray(raw) ? raw : [raw]) as { seriesName: string; value: [number, number | null] }[]
          // The dotted part of a line begins with the last point of the solid one.
          const rows = all.filter((r, i) => all.findIndex((x) => x.seriesName === r.seriesName) === i)
          if (rows.length === 0) return ''
          const body = rows.filter((r) => r.value[1] !== null).slice(0, 20).map((r) =>
            `<tr><td><span style="display:inline-block;width:10px;height:3px;vertical-align:middle;background:${colors.get(r.seriesName)}"></span> ${escapeHtml(r.seriesName)}</td>` +
            `<td style="text-align:right;padding-left:16px;font-variant-numeric:tabular-nums">${escapeHtml(exact(r.value[1], unit, language))}</td></tr>`)
          return `<div>${full(rows[0]!.value[0], zone)}</div><table>${body.join('')}</table>`
        },
      },
      series: [
        ...parts.map(({ s, points, open }) => ({
          type: p.bars ? 'bar' : 'line', name: s.name, data: points, showSymbol: isSparse(points), symbol: 'circle', symbolSize: 5,
          connectNulls: false, sampling: p.bars ? undefined : 'lttb', barMaxWidth: 18,
          color: colors.get(s.name), lineStyle: { width: 1.75, type: open ? 'dotted' : s.total || s.dashed ? 'dashed' : 'solid' },
          areaStyle: s.area && !open ? { opacity: 0.14 } : undefined,
          emphasis: { disabled: true },
        })),
        {
          type: 'line', name: '\u0000marks', data: [], silent: true,
          markLine: {
            silent: true, symbol: 'none', animation: false,
            data: [
              ...thresholds.map((x) => ({ yAxis: x.value, label: { formatter: x.label, position: 'insideEndTop', color: stateColors[mode].error, fontSize: 12 }, lineStyle: { color: stateColors[mode].error, type: 'solid', width: 1.5 } })),
              ...(p.marks ?? []).map((m) => ({ xAxis: m.at, label: { formatter: m.label, color: ink, fontSize: 12 }, lineStyle: { color: ink, type: 'dotted' } })),
            ],
          },
          markArea: {
            silent: true, animation: false,
            itemStyle: { color: { image: hatch(stateColors[mode].warn), repeat: 'repeat' } },
            data: (p.incomplete ?? []).map((s) => [{ xAxis: Math.max(s.start, p.span.start) }, { xAxis: Math.min(s.end, p.span.end) }]),
          },
        },
      ],
    }
    c.setOption(option, { notMerge: true, lazyUpdate: true })
  }, [p, width, height, dark, mode, zone, language, only, colors])

  return (
    <figure className="time-chart" aria-label={p.title}>
      <div className="time-chart-plot" style={{ height }}>
        <div ref={box} style={{ position: 'absolute', inset: 0 }} role="img" aria-label={p.title} />
        {drag && (
          <div className="time-chart-drag" style={{ left: Math.min(drag.from, drag.to), width: Math.abs(drag.to - drag.from) }} aria-hidden />
        )}
        {p.series.every((s) => s.points.length === 0) && <div className="time-chart-empty">{t('chart.empty')}</div>}
      </div>
      {p.below && <div style={{ marginLeft: plotLeft, marginRight: plotRight }}>{p.below}</div>}
      {p.legend !== false && p.series.length > 0 && (
        <ul className="time-chart-legend" aria-label={t('chart.legend')}>
          {p.series.map((s) => {
            const last = s.points.findLast((x) => x[1] !== null)?.[1]
            return (
              <li key={s.name}>
                <button type="button" aria-pressed={only === s.name} className={only !== null && only !== s.name ? 'off' : ''}
                  onClick={() => setOnly(only === s.name ? null : s.name)} title={exact(last, p.unit, language)}>
                  <span className={s.total || s.dashed ? 'swatch total' : 'swatch'} style={{ color: colors.get(s.name) }} aria-hidden />
                  <span className="name">{s.name}</span> <span className="value">{short(last, p.unit)}</span>
                </button>
              </li>
            )
          })}
        </ul>
      )}
    </figure>
  )
}

/** isSparse tells whether points stand alone, so that a line without symbols would not show them. */
function isSparse(points: [number, number | null][]): boolean {
  if (points.length < 3) return true
  for (let i = 0; i < points.length; i++) {
    if (points[i]![1] !== null && (points[i - 1]?.[1] ?? null) === null && (points[i + 1]?.[1] ?? null) === null) return points.length < 400
  }
  return false
}
