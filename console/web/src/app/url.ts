/** State that lives in the URL: time range, refresh, workspace, filters, selection. */
import { useCallback, useEffect, useMemo, useState } from 'react'
import { useParams, useSearchParams } from 'react-router'
import { parseDuration } from '../format/numbers'
import { defaultRange, isRelative, readRange, resolve, type Range, type Span } from '../time/range'

/** useWorkspace is the workspace in the path. */
export function useWorkspace(): string {
  return useParams().workspace ?? 'default'
}

/** useUrlState keeps one text in a query parameter; the fallback leaves the URL clean. */
export function useUrlState(name: string, fallback = ''): [string, (v: string) => void] {
  const [params, setParams] = useSearchParams()
  const set = useCallback(
    (v: string) =>
      setParams((old) => {
        const next = new URLSearchParams(old)
        if (v === fallback) next.delete(name)
        else next.set(name, v)
        return next
      }, { replace: true }),
    [setParams, name, fallback],
  )
  return [params.get(name) ?? fallback, set]
}

/** useUrlStates sets several parameters at once; an empty value removes one. */
export function useUrlStates(): [URLSearchParams, (values: Record<string, string | undefined>, push?: boolean) => void] {
  const [params, setParams] = useSearchParams()
  const set = useCallback(
    (values: Record<string, string | undefined>, push = false) =>
      setParams((old) => {
        const next = new URLSearchParams(old)
        for (const [k, v] of Object.entries(values)) {
          if (v === undefined || v === '') next.delete(k)
          else next.set(k, v)
        }
        return next
      }, { replace: !push }),
    [setParams],
  )
  return [params, set]
}

export interface TimeState {
  range: Range
  span: Span
  refreshMs: number | false
  refresh: string
  setRange: (r: Range) => void
  setRefresh: (r: string) => void
  /** now moves span's end to the present moment. */
  now: () => void
}

/** useTime is the page's time range. span stays the same between refreshes, so that charts share their data's limits. */
export function useTime(fallback: Range = defaultRange, fallbackRefresh = '30s'): TimeState {
  const [params, set] = useUrlStates()
  const from = params.get('from')
  const to = params.get('to')
  const range = useMemo(() => readRange(from, to, fallback), [from, to, fallback])
  const refresh = params.get('refresh') ?? fallbackRefresh
  const refreshMs = refresh === 'off' || !isRelative(range) ? false : (parseDuration(refresh) ?? false)
  const [moment, setMoment] = useState(() => Date.now())
  const now = useCallback(() => setMoment(Date.now()), [])
  useEffect(() => {
    if (refreshMs === false) return
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') now()
    }, refreshMs)
    return () => clearInterval(timer)
  }, [refreshMs, now])
  const span = useMemo(() => resolve(range, moment), [range, moment])
  return {
    range, span, refresh, refreshMs, now,
    setRange: (r) => {
      now()
      set(r.from === fallback.from && r.to === fallback.to ? { from: undefined, to: undefined } : { from: r.from, to: r.to }, true)
    },
    setRefresh: (r) => set({ refresh: r === fallbackRefresh ? undefined : r }),
  }
}
