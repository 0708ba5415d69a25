/** The completeness of each window, under a chart with the same edges. */
import { useId } from 'react'
import type { WindowState } from '../api/types'
import { share } from '../format/numbers'
import { full } from '../format/times'
import { usePrefs } from '../app/prefs'
import { useT } from '../i18n'
import type { Span } from '../time/range'

type Kind = 'whole' | 'part' | 'open'

function kindOf(w: WindowState): Kind {
  if (w.completeness < 1) return w.settled ? 'part' : 'open'
  return w.settled ? 'whole' : 'open'
}

interface Stretch {
  kind: Kind
  start: number
  end: number
  least: number
}

/** stretches joins neighbours that are alike. */
export function stretches(windows: readonly WindowState[]): Stretch[] {
  const out: Stretch[] = []
  for (const w of windows) {
    const kind = kindOf(w)
    const end = w.window_start_ms + w.window_ms
    const last = out.at(-1)
    if (last && last.kind === kind && last.end === w.window_start_ms && (kind !== 'part' || last.least === w.completeness)) {
      last.end = end
      last.least = Math.min(last.least, w.completeness)
    } else out.push({ kind, start: w.window_start_ms, end, least: w.completeness })
  }
  return out
}

/** incompleteSpans are the settled stretches that lack agents. */
export function incompleteSpans(windows: readonly WindowState[]): Span[] {
  const out: Span[] = []
  for (const s of stretches(windows)) {
    if (s.kind !== 'part') continue
    const last = out.at(-1)
    if (last?.end === s.start) last.end = s.end
    else out.push({ start: s.start, end: s.end })
  }
  return out
}

export function CompletenessBand({ windows, span }: { windows: readonly WindowState[]; span: Span }) {
  const t = useT()
  const { zone } = usePrefs()
  const id = useId()
  const width = span.end - span.start
  const all = stretches(windows)
  const parts = all.filter((s) => s.kind === 'part').length
  const x = (ms: number) => (Math.max(0, Math.min(1, (ms - span.start) / width)) * 1000)
  const words = { whole: t('band.whole'), part: t('band.part'), open: t('band.open') }
  const patterns = (suffix: string) => (
    <defs>
      <pattern id={`${id}part${suffix}`} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="var(--warn)" opacity=".25" /><rect width="3" height="6" fill="var(--warn)" /></pattern>
      <pattern id={`${id}open${suffix}`} width="4" height="4" patternUnits="userSpaceOnUse"><rect width="4" height="4" fill="var(--line)" /><circle cx="2" cy="2" r="1" fill="var(--none)" /></pattern>
    </defs>
  )
  const fill = (k: Kind, suffix: string) => (k === 'whole' ? 'var(--ok)' : `url(#${id}${k}${suffix})`)
  return (
    <div>
      <svg className="band" viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label={t('band.label', { n: parts })}>
        {patterns('')}
        <rect width="1000" height="14" fill="var(--ground)" />
        {all.map((s) => (
          <rect key={s.start} x={x(s.start)} width={Math.max(0, x(s.end) - x(s.start))} y="0" height="14" fill={fill(s.kind, '')} fillOpacity={s.kind === 'whole' ? 0.75 : 1}>
            <title>{`${full(s.start, zone)} – ${full(s.end, zone).slice(11)}: ${words[s.kind]} (${share(s.least)})`}</title>
          </rect>
        ))}
      </svg>
      <div className="band-legend">
        {(['whole', 'part', 'open'] as const).map((k) => (
          <span key={k}><svg width="16" height="10" aria-hidden>{patterns(k)}<rect width="16" height="10" fill={fill(k, k)} fillOpacity={k === 'whole' ? 0.75 : 1} /></svg>{words[k]}</span>
        ))}
        <span><svg width="16" height="10" aria-hidden><rect x=".5" y=".5" width="15" height="9" fill="var(--ground)" stroke="var(--line)" /></svg>{t('band.none')}</span>
      </div>
    </div>
  )
}
