/** Asks the server what reports show: all of a page at once, so that they share what they have in common. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { inWorkspace, post } from '../api/client'
import type { DashboardSpec, ReportAnswers } from '../api/types'
import type { Span } from '../time/range'

export function useReports(workspace: string, spec: DashboardSpec, chosen: Record<string, string[]>, span: Span, compare: string[]) {
  const reports = spec.reports ?? []
  const body = { reports, variables: spec.variables ?? [], chosen, start: Math.floor(span.start), end: Math.floor(span.end), compare }
  return useQuery({
    queryKey: ['reports', workspace, body],
    queryFn: ({ signal }) => post<ReportAnswers>(inWorkspace(workspace, 'dashboards:query'), body, signal),
    enabled: reports.length > 0, placeholderData: keepPreviousData, retry: false, gcTime: 60_000,
  })
}
