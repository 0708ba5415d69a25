/** The form of one report. What it offers follows from its type and its sources. */
import { DeleteOutlined, PlusOutlined, ThunderboltOutlined } from '@ant-design/icons'
import { AutoComplete, Button, Collapse, Input, InputNumber, Select, Slider } from 'antd'
import { lazy, Suspense } from 'react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { labelValues } from '../api/prom'
import type { Monitor, Report, ReportColumn, ReportData, ReportSource, ReportType } from '../api/types'
import { usePrefs } from '../app/prefs'
import { useWorkspace } from '../app/url'
import { Field } from '../components/Field'
import type { FieldErrors } from '../components/fieldErrors'
import { useT } from '../i18n'
import { figureName, figuresOf, groupLabel } from '../monitor/spec'
import { ColumnForm } from './ColumnForm'
import { fits, freeColumns, generated, hasTime, ofApps, takesExpr } from './data'

const PromEditor = lazy(() => import('../components/PromEditor'))

export const reportTypes = ['trend', 'table_10m', 'keys_now', 'keys_minutes', 'minutes_keys', 'key_map', 'spm_table', 'top_list', 'app_error_top', 'app_report', 'archive_table', 'table_second', 'keys_second', 'single_value', 'bar', 'pie', 'promql', 'text'] as const satisfies readonly ReportType[]

const keyTypes: readonly ReportType[] = ['keys_now', 'keys_minutes', 'minutes_keys', 'key_map', 'keys_second', 'top_list', 'archive_table']

interface Props {
  report: Report
  monitors: Monitor[]
  data: ReportData | undefined
  errors: FieldErrors
  onChange: (r: Report) => void
}

/** nameOfSource is what columns call a source, as the server names it. */
function nameOfSource(s: ReportSource, i: number): string {
  return s.name || s.monitor || (i === 0 ? 'expr' : `expr${i + 1}`)
}

/** AppFields ask which figure of which app a report shows. */
function AppFields({ report: r, at, change }: { report: Report; at: (field: string) => string | undefined; change: (part: Partial<Report>) => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const names = useQuery({ queryKey: ['system-figures', workspace], queryFn: ({ signal }) => labelValues(workspace, '__name__', '{__name__=~"sys_.+"}', signal), staleTime: 60_000 })
  const apps = useQuery({ queryKey: ['host-apps', workspace], queryFn: ({ signal }) => labelValues(workspace, 'app', '{__name__="sys_cpu_util"}', signal), staleTime: 60_000 })
  const known = ['default', ...new Set((apps.data ?? []).flatMap((v) => v.split(',').map((a) => a.trim())).filter((a) => a !== '' && a !== 'default'))]
  return (
    <div className="fields">
      <Field label={t('report.app')} hint={t('report.app.hint')} bad={at('app')}>{(a) => <AutoComplete {...a} value={r.app ?? ''} options={known.map((v) => ({ value: v }))} onChange={(v: string) => change({ app: v })} />}</Field>
      <Field label={t('report.figure')} bad={at('figure')}>{(a) => <Select {...a} showSearch value={r.figure} loading={names.isPending} options={(names.data ?? []).map((n) => n.replace(/^sys_/, '')).map((n) => ({ value: n, label: n }))} onChange={(v) => change({ figure: v })} />}</Field>
      <Field label={t('report.view')} bad={at('view')}>{(a) => <Select {...a} value={r.view ?? 'instance'} options={(['instance', 'cell', 'az', 'app'] as const).map((v) => ({ value: v, label: t(`view.${v}`) }))} onChange={(v) => change({ view: v })} />}</Field>
    </div>
  )
}

export function ReportForm({ report: r, monitors, data, errors, onChange }: Props) {
  const t = useT()
  const workspace = useWorkspace()
  const { zone } = usePrefs()
  const client = useQueryClient()
  const at = (field: string) => errors.at('spec.reports[0].' + field)
  const change = (part: Partial<Report>) => onChange({ ...r, ...part })
  const sources = r.sources ?? []
  const columns = r.columns ?? []
  const monitorOf = (s: ReportSource) => monitors.find((m) => m.name === s.monitor)
  const first = sources.map(monitorOf).find((m) => (m?.spec.group_by?.length ?? 0) > 0)
  const groups = first?.spec.group_by ?? []
  const setSource = (i: number, part: Partial<ReportSource>) => change({ sources: sources.map((s, j) => (j === i ? { ...s, ...part } : s)) })
  const setColumn = (i: number, c: ReportColumn) => change({ columns: columns.map((o, j) => (j === i ? c : o)) })
  const setType = (type: ReportType) =>
    change({
      type, period: type === 'archive_table' ? (r.period ?? 'day') : undefined, time_zone: type === 'archive_table' ? (r.time_zone ?? zone) : undefined, text: type === 'text' ? (r.text ?? '') : undefined, columns: freeColumns(type) ? r.columns : undefined, hidden_keys: keyTypes.includes(type) ? r.hidden_keys : undefined,
      // What the new type can't show goes.
      ...(type === 'app_report' ? { app: r.app ?? 'default', figure: r.figure ?? 'cpu_util', view: r.view } : { app: undefined, set: undefined, figure: undefined, view: undefined }),
      sources: type === 'text' || ofApps(type) ? undefined : sources.filter((s) => (s.monitor ? fits(type, monitorOf(s)?.spec ?? { type: 'minute' }) : takesExpr(type))),
    })
  const generate = async () => {
    const hidden = r.hidden_keys ?? []
    const given = []
    for (const [i, s] of sources.entries()) {
      const m = monitorOf(s)
      if (!m) continue
      const figures = s.figure ? [s.figure] : figuresOf(m.spec).map(figureName)
      let keys: string[][] = [[]]
      if (r.type === 'key_map') {
        for (const h of hidden) {
          const label = groupLabel(m.spec.group_by?.[h] ?? '')
          const values = await client.fetchQuery({ queryKey: ['variable', workspace, label, [m.name]], queryFn: ({ signal }) => labelValues(workspace, label, `{__name__=~"(${m.name}):.+"}`, signal), staleTime: 30_000 })
          keys = keys.flatMap((k) => values.map((v) => [...k, v]))
        }
      }
      given.push({ name: nameOfSource(s, i), spec: m.spec, figures, keys })
    }
    change({ columns: generated(r.type, given, hidden, t('report.time')) })
  }
  return (
    <div className="stack" style={{ gap: 16 }}>
      <div className="fields">
        <Field label={t('report.name')} bad={at('name')}>{(a) => <Input {...a} maxLength={64} value={r.name} onChange={(e) => change({ name: e.target.value })} />}</Field>
        <Field label={t('report.type')} hint={t(`reportHint.${r.type}`)} bad={at('type')}>{(a) => <Select {...a} virtual={false} listHeight={480} value={r.type} onChange={setType} options={reportTypes.map((v) => ({ value: v, label: t(`reportType.${v}`) }))} />}</Field>
        <Field label={t('report.width')} hint={t('report.width.hint')} bad={at('width')}>{(a) => <Slider id={a.id} ariaLabelForHandle={t('report.width')} min={1} max={12} value={r.width || 12} onChange={(v) => change({ width: v })} />}</Field>
        <Field label={t('report.height')} hint={t('report.height.hint')} bad={at('height')}>{(a) => <InputNumber {...a} min={80} max={2000} value={r.height || null} onChange={(v) => change({ height: v ?? undefined })} />}</Field>
        <Field label={t('report.link')} bad={at('link')} wide>{(a) => <Input {...a} placeholder="https://" value={r.link ?? ''} onChange={(e) => change({ link: e.target.value || undefined })} />}</Field>
      </div>
      {r.type === 'text' ? (
        <Field label={t('report.text')} bad={at('text')} wide>{(a) => <Input.TextArea {...a} rows={6} maxLength={4000} value={r.text ?? ''} onChange={(e) => change({ text: e.target.value })} />}</Field>
      ) : (
        <>
          {r.type === 'app_report' && <AppFields report={r} at={at} change={change} />}
          {!ofApps(r.type) && <section aria-label={t('report.sources')}>
            <h3>{t('report.sources')}</h3>
            {sources.map((s, i) => (
              <div key={i} className="row source">
                {s.monitor !== undefined ? (
                  <>
                    <Select
                      aria-label={t('report.source', { n: i + 1 })} style={{ flex: 1, minWidth: 180 }} showSearch={{ optionFilterProp: 'label' }} value={s.monitor || undefined} placeholder={t('report.chooseMonitor')}
                      options={monitors.filter((m) => fits(r.type, m.spec)).map((m) => ({ value: m.name, label: m.spec.title }))} onChange={(v) => setSource(i, { monitor: v, figure: undefined })}
                    />
                    <Select
                      aria-label={t('report.figure')} style={{ width: 140 }} allowClear placeholder={t('report.allFigures')} value={s.figure || undefined} onChange={(v?: string) => setSource(i, { figure: v })}
                      options={figuresOf(monitorOf(s)?.spec ?? { title: '', type: 'minute', paths: [], time: { format: 'receive' } }).map(figureName).map((f) => ({ value: f, label: f }))}
                    />
                  </>
                ) : (
                  <div style={{ flex: 1 }}><Suspense fallback={<Input disabled />}><PromEditor value={s.expr ?? ''} workspace={workspace} label={t('report.source', { n: i + 1 })} onChange={(v) => setSource(i, { expr: v })} onRun={(v) => setSource(i, { expr: v })} /></Suspense></div>
                )}
                <Button icon={<DeleteOutlined />} aria-label={t('report.removeSource', { n: i + 1 })} onClick={() => change({ sources: sources.filter((_, j) => j !== i) })} />
              </div>
            ))}
            {errors.below('spec.reports[0].sources') && <div className="bad" role="alert">{errors.below('spec.reports[0].sources')}</div>}
            <div className="row">
              {r.type !== 'promql' && <Button size="small" icon={<PlusOutlined />} onClick={() => change({ sources: [...sources, { monitor: '' }] })}>{t('report.addMonitor')}</Button>}
              {takesExpr(r.type) && <Button size="small" icon={<PlusOutlined />} onClick={() => change({ sources: [...sources, { name: `q${sources.length + 1}`, expr: '' }] })}>{t('report.addExpr')}</Button>}
            </div>
          </section>}
          {keyTypes.includes(r.type) && groups.length > 0 && (
            <div className="fields">
              {groups.map((g, i) => (
                <Field key={g} label={t('report.keyTitle', { name: g })}>{(a) => <Input {...a} placeholder={g} value={r.key_titles?.[i] ?? ''} onChange={(e) => change({ key_titles: groups.map((_, j) => (j === i ? e.target.value : (r.key_titles?.[j] ?? ''))) })} />}</Field>
              ))}
              <Field label={t('report.hidden')} hint={r.type === 'key_map' ? t('report.hidden.map') : t('report.hidden.hint')} bad={errors.below('spec.reports[0].hidden_keys')}>
                {(a) => <Select {...a} mode="multiple" value={r.hidden_keys ?? []} options={groups.map((g, i) => ({ value: i, label: g }))} onChange={(v: number[]) => change({ hidden_keys: v.length === 0 ? undefined : v })} />}
              </Field>
            </div>
          )}
          <div className="fields">
            {(r.type === 'trend' || r.type === 'pie' || r.type === 'bar' || r.type === 'app_error_top' || keyTypes.includes(r.type)) && <Field label={t('report.top')} hint={r.type === 'trend' ? t('report.top.trend') : r.type === 'archive_table' ? t('report.top.archive') : t('report.top.hint')} bad={at('top')}>{(a) => <InputNumber {...a} min={1} max={1000} value={r.top || null} onChange={(v) => change({ top: v ?? undefined })} />}</Field>}
            {r.type === 'archive_table' && (
              <>
                <Field label={t('report.period')} bad={at('period')}>{(a) => <Select {...a} value={r.period ?? 'day'} options={(['hour', 'day', 'week', 'month'] as const).map((v) => ({ value: v, label: t(`period.${v}`) }))} onChange={(v) => change({ period: v })} />}</Field>
                <Field label={t('report.zone')} hint={t('report.zone.hint')} bad={at('time_zone')}>{(a) => <Input {...a} value={r.time_zone ?? ''} placeholder="UTC" onChange={(e) => change({ time_zone: e.target.value || undefined })} />}</Field>
              </>
            )}
            <Field label={t('report.span')} hint={t('report.span.hint')} bad={at('span_s')}>{(a) => <InputNumber {...a} min={1} max={2678400} value={r.span_s || null} onChange={(v) => change({ span_s: v ?? undefined })} suffix="s" />}</Field>
            {r.type !== 'archive_table' && r.type !== 'top_list' && r.type !== 'app_error_top' && <Field label={t('report.step')} hint={t('report.step.hint')} bad={at('step_s')}>{(a) => <InputNumber {...a} min={1} max={86400} value={r.step_s || null} onChange={(v) => change({ step_s: v ?? undefined })} suffix="s" />}</Field>}
          </div>
          {freeColumns(r.type) && (
            <section aria-label={t('report.columns')}>
              <h3>{t('report.columns')}</h3>
              <p className="muted">{columns.length === 0 ? t('report.columns.auto') : ''}</p>
              <Collapse
                size="small" items={columns.map((c, i) => ({
                  key: i, label: <>{c.header_group && <span className="muted">{c.header_group} / </span>}{c.name || '-'} <span className="muted">{c.function && c.function !== 'value' ? t(`function.${c.function}`) : (c.figure ?? '')}</span></>,
                  extra: <Button size="small" type="text" icon={<DeleteOutlined />} aria-label={t('report.removeColumn', { name: c.name })} onClick={(e) => { e.stopPropagation(); change({ columns: columns.filter((_, j) => j !== i) }) }} />,
                  children: <ColumnForm column={c} report={r} sources={sources.map((s, j) => ({ name: nameOfSource(s, j), figures: monitorOf(s) ? figuresOf(monitorOf(s)!.spec).map(figureName) : [] }))} keys={data?.rows.map((x) => x.key ?? []) ?? []} errors={errors} path={`spec.reports[0].columns[${i}]`} onChange={(next) => setColumn(i, next)} />,
                }))}
              />
              {errors.at('spec.reports[0].columns') && <div className="bad" role="alert">{errors.at('spec.reports[0].columns')}</div>}
              <div className="row" style={{ marginTop: 8 }}>
                <Button size="small" icon={<PlusOutlined />} onClick={() => change({ columns: [...columns, hasTime(r.type) && !columns.some((c) => c.function === 'time') ? { name: t('report.time'), function: 'time' } : { name: t('report.newColumn', { n: columns.length + 1 }) }] })}>{t('report.addColumn')}</Button>
                <Button size="small" icon={<ThunderboltOutlined />} disabled={!sources.some((s) => monitorOf(s))} onClick={() => void generate()}>{t('report.generate')}</Button>
              </div>
            </section>
          )}
        </>
      )}
    </div>
  )
}
