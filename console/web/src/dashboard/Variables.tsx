/** The choices at the top of a dashboard; they are in the URL, so that a link shows the same. */
import { useQuery } from '@tanstack/react-query'
import { Select } from 'antd'
import { labelValues } from '../api/prom'
import type { DashboardSpec, DashboardVariable } from '../api/types'
import { useUrlStates, useWorkspace } from '../app/url'
import { useT } from '../i18n'
import { groupLabel } from '../monitor/spec'
import { chosenOf, choiceText } from './data'

export function Variables({ spec }: { spec: DashboardSpec }) {
  const monitors = [...new Set((spec.reports ?? []).flatMap((r) => (r.sources ?? []).flatMap((s) => (s.monitor ? [s.monitor] : []))))]
  if (!spec.variables?.length) return null
  return <div className="row variables">{spec.variables.map((v) => <Choice key={v.name} variable={v} monitors={monitors} />)}</div>
}

function Choice({ variable, monitors }: { variable: DashboardVariable; monitors: string[] }) {
  const t = useT()
  const workspace = useWorkspace()
  const [params, set] = useUrlStates()
  const column = variable.label || variable.name
  const label = column === 'app' ? 'app' : groupLabel(column)
  const values = useQuery({
    queryKey: ['variable', workspace, label, monitors],
    queryFn: ({ signal }) => labelValues(workspace, label, monitors.length === 0 ? undefined : `{__name__=~"(${monitors.join('|')}):.+"}`, signal),
    staleTime: 30_000,
  })
  const chosen = chosenOf(params, [variable.name])[variable.name] ?? []
  const title = variable.title || variable.name
  return (
    <label className="row">
      <span className="muted">{title}</span>
      <Select
        mode="multiple" allowClear maxTagCount="responsive" style={{ minWidth: 180 }} aria-label={title} placeholder={t('dashboard.all')} value={chosen} loading={values.isPending} status={values.isError ? 'error' : undefined}
        options={[...new Set([...chosen, ...(values.data ?? [])])].map((v) => ({ value: v, label: v === '' ? '-' : v }))} onChange={(v) => set({ ['v.' + variable.name]: v.length === 0 ? undefined : choiceText(v) })}
      />
    </label>
  )
}
