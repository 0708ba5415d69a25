/**
 * Real lines of the file with the columns coloured as the rule cuts them. A
 * click on a word, or marking one, proposes a column.
 */
import { CheckOutlined, CloseOutlined, FilterOutlined, HistoryOutlined, WarningOutlined } from '@ant-design/icons'
import { Tooltip } from 'antd'
import { memo, useMemo, type ReactNode } from 'react'
import type { DryRunLine } from '../api/types'
import { seriesColors, type Mode } from '../charts/palette'
import { usePrefs } from '../app/prefs'
import { indices } from '../format/bytes'
import { useT } from '../i18n'
import type { Piece } from './cut'
import { wordAt } from './propose'

export interface Picked {
  line: string
  piece: Piece
  /** x and y of the mark on the screen. */
  rect: DOMRect
}

export function columnColor(i: number, mode: Mode): { background: string; color: string } {
  const c = seriesColors[mode]
  return { background: `color-mix(in srgb, ${c[i % c.length]!} ${mode === 'dark' ? 36 : 22}%, transparent)`, color: 'var(--ink)' }
}

interface Segment {
  start: number
  end: number
  column: number
  time: boolean
  mark: boolean
}

/** segments cuts a line where a column, the time or the mark begins or ends. Where columns overlap the shorter one shows. */
export function segments(line: DryRunLine, names: readonly string[], mark: Piece | null): Segment[] {
  const at = indices(line.text)
  const pieces = (line.columns ?? [])
    .filter((c) => !c.missing && c.end > c.start)
    .map((c) => ({ start: at(c.start), end: at(c.end), column: names.indexOf(c.name) }))
    .sort((a, b) => a.end - a.start - (b.end - b.start))
  const time = (line.time_end ?? 0) > (line.time_start ?? 0) ? { start: at(line.time_start ?? 0), end: at(line.time_end ?? 0) } : null
  const cuts = new Set([0, line.text.length])
  for (const p of [...pieces, ...(time ? [time] : []), ...(mark ? [mark] : [])]) cuts.add(p.start).add(p.end)
  const edges = [...cuts].sort((a, b) => a - b)
  const inside = (p: Piece | null, i: number) => p !== null && i >= p.start && i < p.end
  const out: Segment[] = []
  for (let i = 0; i + 1 < edges.length; i++) {
    const start = edges[i]!
    out.push({ start, end: edges[i + 1]!, column: pieces.find((p) => inside(p, start))?.column ?? -1, time: inside(time, start), mark: inside(mark, start) })
  }
  return out
}

function Outcome({ line }: { line: DryRunLine }): ReactNode {
  const t = useT()
  const text = t(`outcome.${line.outcome}`) + (line.detail ? ': ' + line.detail : '')
  const icon = {
    matched: <CheckOutlined className="state-ok" />, filtered: <FilterOutlined className="state-none" />, unmatched: <CloseOutlined className="state-warn" />,
    bad: <WarningOutlined className="state-error" />, late: <HistoryOutlined className="state-warn" />,
  }[line.outcome]
  return (
    <Tooltip title={text} placement="right">
      <span className="outcome" role="img" aria-label={text}>{icon}</span>
    </Tooltip>
  )
}

interface LinesProps {
  lines: DryRunLine[]
  columns: string[]
  delimiter: string
  picked: Picked | null
  /** judged tells that outcomes are known. */
  judged: boolean
  onPick: (p: Picked) => void
}

export const Lines = memo(function Lines({ lines, columns, delimiter, picked, judged, onPick }: LinesProps) {
  const t = useT()
  const { dark } = usePrefs()
  const mode: Mode = dark ? 'dark' : 'light'
  const cut = useMemo(() => lines.map((l) => segments(l, columns, picked && picked.line === l.text ? picked.piece : null)), [lines, columns, picked])

  const pick = (el: HTMLElement, text: string) => {
    const s = getSelection()
    if (!s || s.rangeCount === 0) return
    const r = s.getRangeAt(0)
    if (!el.contains(r.startContainer) || !el.contains(r.endContainer)) return
    const before = document.createRange()
    before.selectNodeContents(el)
    before.setEnd(r.startContainer, r.startOffset)
    const start = before.toString().length
    const length = r.toString().length
    const piece = length > 0 ? { start, end: start + length } : wordAt(text, start, delimiter)
    if (piece.end <= piece.start) return
    const rect = length > 0 ? r.getBoundingClientRect() : el.getBoundingClientRect()
    onPick({ line: text, piece, rect })
    s.removeAllRanges()
  }

  return (
    <div className="lines" tabIndex={0} role="region" aria-label={t('editor.lines.label')}>
      <ol>
        {lines.map((l, i) => (
          <li key={i} className={judged && l.outcome !== 'matched' ? 'dropped' : ''} data-outcome={judged ? l.outcome : undefined}>
            {judged ? <Outcome line={l} /> : <span className="outcome muted">{i + 1}</span>}
            <span className="text" onMouseUp={(e) => pick(e.currentTarget, l.text)}>
              {cut[i]!.map((s) => {
                const name = columns[s.column]
                return (
                  <span
                    key={s.start} title={name} style={s.column >= 0 && !s.mark ? columnColor(s.column, mode) : undefined}
                    className={[s.column >= 0 ? 'cut' : '', s.time ? 'when' : '', s.mark ? 'mark' : ''].join(' ').trim() || undefined} data-column={name}
                  >
                    {l.text.slice(s.start, s.end)}
                  </span>
                )
              })}
            </span>
            {judged && l.outcome !== 'matched' && l.detail && <span className="detail">{l.detail}</span>}
          </li>
        ))}
      </ol>
    </div>
  )
})
