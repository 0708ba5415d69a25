/** Edits a dashboard where it is seen: every report live, the chosen one with its form beside it. */
import { ArrowLeftOutlined, ArrowRightOutlined, CopyOutlined, DeleteOutlined, EditOutlined, PlusOutlined } from '@ant-design/icons'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Checkbox, Drawer, Input, Select } from 'antd'
import { useEffect, useMemo, useState } from 'react'
import { Link, useBlocker, useLocation, useNavigate, useParams, useSearchParams } from 'react-router'
import { ApiError, get, inWorkspace, post, put } from '../api/client'
import type { Dashboard, DashboardSpec, List, Monitor, Report } from '../api/types'
import { useTime, useWorkspace } from '../app/url'
import { Field } from '../components/Field'
import { FieldErrors } from '../components/fieldErrors'
import { ErrorNote, errorText, Loaded, Teach } from '../components/feedback'
import { Page, Panel } from '../components/page'
import { TimeBar } from '../components/time'
import { useT } from '../i18n'
import { useDebounced } from '../monitor/useDebounced'
import { chosenOf, nameOf } from './data'
import { ReportForm } from './ReportForm'
import { ReportPanel } from './ReportPanel'
import { useReports } from './useReports'

export default function Editor() {
  const { name } = useParams()
  const workspace = useWorkspace()
  const t = useT()
  const [params] = useSearchParams()
  const given = (useLocation().state as { spec?: DashboardSpec } | null)?.spec
  const source = name ?? params.get('copy')
  const dashboard = useQuery({
    queryKey: ['dashboard', workspace, source, 'edit'], queryFn: ({ signal }) => get<Dashboard>(inWorkspace(workspace, 'dashboards', source!), undefined, signal),
    enabled: !!source, staleTime: Infinity, gcTime: 0,
  })
  if (!source) return <Form initial={given ?? { title: '', reports: [] }} />
  return <Loaded query={dashboard}>{(d) => (name ? <Form dashboard={d} initial={d.spec} /> : <Form initial={{ ...d.spec, key: undefined, title: t('editor.copyOf', { title: d.spec.title }).slice(0, 64) }} />)}</Loaded>
}

/** useMonitors are all monitors of the workspace, for pickers. */
function useMonitors(workspace: string) {
  return useQuery({
    queryKey: ['monitors', workspace, 'all'],
    queryFn: async ({ signal }) => {
      const all: Monitor[] = []
      for (let page = 1; ; page++) {
        const part = await get<List<Monitor>>(inWorkspace(workspace, 'monitors'), { page, page_size: 100, sort: 'title' }, signal)
        all.push(...part.items)
        if (all.length >= part.total || part.items.length === 0) return all
      }
    },
    staleTime: 30_000,
  })
}

function Form({ dashboard, initial }: { dashboard?: Dashboard; initial: DashboardSpec }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const client = useQueryClient()
  const time = useTime()
  const [params] = useSearchParams()
  const [spec, setSpec] = useState(initial)
  const [typedName, setTypedName] = useState('')
  const [open, setOpen] = useState<number | null>(null)
  const [saved, setSaved] = useState(false)
  const monitors = useMonitors(workspace)
  const base = `/w/${encodeURIComponent(workspace)}/dashboards`
  // A title without a Latin letter gives no name.
  const [madeUp] = useState(() => 'dashboard-' + Date.now().toString(36))
  const name = dashboard?.name ?? (typedName || nameOf(spec.title) || (spec.title && madeUp))
  const reports = useMemo(() => spec.reports ?? [], [spec.reports])
  const change = (part: Partial<DashboardSpec>) => setSpec((old) => ({ ...old, ...part }))
  const setReports = (f: (old: Report[]) => Report[]) => setSpec((old) => ({ ...old, reports: f(old.reports ?? []) }))
  const settled = useDebounced(spec, 400)
  const answers = useReports(workspace, settled, chosenOf(params, (settled.variables ?? []).map((v) => v.name)), time.span, [])
  const changed = JSON.stringify(spec) !== JSON.stringify(initial) && !saved
  const save = useMutation({
    mutationFn: () => (dashboard ? put<Dashboard>(inWorkspace(workspace, 'dashboards', dashboard.name), { version: dashboard.version, spec }) : post<Dashboard>(inWorkspace(workspace, 'dashboards'), { name, spec })),
    onSuccess: () => {
      setSaved(true)
      void client.invalidateQueries({ queryKey: ['dashboards'] })
      void client.removeQueries({ queryKey: ['dashboard', workspace, name] })
    },
    onError: (e) => void message.error(errorText(e, t)),
  })
  useEffect(() => {
    if (saved) void navigate(`${base}/${encodeURIComponent(name)}`)
  }, [saved, navigate, base, name])
  const blocker = useBlocker(changed && !save.isPending)
  useEffect(() => {
    if (blocker.state !== 'blocked') return
    if (window.confirm(t('editor.leave'))) blocker.proceed()
    else blocker.reset()
  }, [blocker, t])

  const errors = save.error instanceof ApiError ? FieldErrors.of(save.error) : new FieldErrors()
  const add = () => {
    setReports((old) => [...old, { name: t('report.new', { n: old.length + 1 }), type: 'trend', width: 6, sources: [] }])
    setOpen(reports.length)
  }
  const move = (from: number, to: number) => {
    if (to < 0 || to >= reports.length || from === to || Number.isNaN(from)) return
    setReports((old) => {
      const next = [...old]
      const [one] = next.splice(from, 1)
      next.splice(to, 0, one!)
      return next
    })
    if (open === from) setOpen(to)
  }
  const columns = [...new Set((monitors.data ?? []).filter((m) => reports.some((r) => r.sources?.some((s) => s.monitor === m.name))).flatMap((m) => m.spec.group_by ?? []))]
  return (
    <div className={open === null ? undefined : 'beside-form'}><Page
      title={dashboard ? t('dashboard.edit', { title: dashboard.spec.title }) : t('dashboards.create')} about={t('dashboard.edit.about')}
      actions={
        <>
          <TimeBar time={time} loading={answers.isFetching} />
          <Link to={dashboard ? `${base}/${dashboard.name}` : base}><Button>{t('action.cancel')}</Button></Link>
          <Button type="primary" loading={save.isPending} disabled={spec.title === '' || name === ''} onClick={() => save.mutate()}>{dashboard ? t('action.save') : t('dashboard.create')}</Button>
        </>
      }
    >
      {save.isError && <div style={{ marginBottom: 16 }}><ErrorNote error={save.error} /></div>}
      <Panel label={t('dashboard.general')}>
        <div className="fields">
          <Field label={t('dashboard.title')} bad={errors.at('spec.title')}>{(a) => <Input {...a} autoFocus={!dashboard} maxLength={64} value={spec.title} onChange={(e) => change({ title: e.target.value })} />}</Field>
          {!dashboard && <Field label={t('monitor.name')} hint={t('dashboard.name.hint')} bad={errors.at('name')}>{(a) => <Input {...a} className="mono" value={name} onChange={(e) => setTypedName(e.target.value)} />}</Field>}
          <Field label={t('dashboard.description')} bad={errors.at('spec.description')}>{(a) => <Input {...a} maxLength={500} value={spec.description ?? ''} onChange={(e) => change({ description: e.target.value || undefined })} />}</Field>
          <Field label={t('dashboard.variables')} hint={t('dashboard.variables.hint')} bad={errors.below('spec.variables')}>
            {(a) => (
              <Select
                {...a} mode="tags" style={{ width: '100%' }} value={(spec.variables ?? []).map((v) => v.name)} options={[...new Set(['app', 'az', 'cell', 'host', ...columns])].map((c) => ({ value: c, label: c }))}
                onChange={(names: string[]) => change({ variables: names.length === 0 ? undefined : names.map((n) => spec.variables?.find((v) => v.name === n) ?? { name: n }) })}
              />
            )}
          </Field>
          <div className="field"><div><Checkbox checked={spec.key ?? false} onChange={(e) => change({ key: e.target.checked || undefined })}>{t('dashboard.key.label')}</Checkbox></div></div>
        </div>
      </Panel>
      {reports.length === 0 && <Panel><Teach title={t('dashboard.empty')} text={t('dashboard.empty.text')} action={<Button type="primary" icon={<PlusOutlined />} onClick={add}>{t('dashboard.addReport')}</Button>} /></Panel>}
      <div className="report-grid">
        {reports.map((r, i) => (
          <ReportPanel
            key={i} index={i} report={r} answer={settled.reports?.length === reports.length ? answers.data?.reports[i] : undefined} failed={answers.data ? undefined : answers.error} span={time.span} onDrop={(from) => move(from, i)}
            tools={
              <span className="report-tools">
                <Button size="small" type="text" icon={<ArrowLeftOutlined />} aria-label={t('report.before', { name: r.name })} title={t('report.before', { name: r.name })} disabled={i === 0} onClick={() => move(i, i - 1)} />
                <Button size="small" type="text" icon={<ArrowRightOutlined />} aria-label={t('report.after', { name: r.name })} title={t('report.after', { name: r.name })} disabled={i === reports.length - 1} onClick={() => move(i, i + 1)} />
                <Button size="small" type="text" icon={<CopyOutlined />} aria-label={t('report.copy', { name: r.name })} title={t('report.copy', { name: r.name })} onClick={() => setReports((old) => [...old.slice(0, i + 1), structuredClone(r), ...old.slice(i + 1)])} />
                <Button size="small" type="text" danger icon={<DeleteOutlined />} aria-label={t('report.delete', { name: r.name })} title={t('report.delete', { name: r.name })} onClick={() => { setReports((old) => old.filter((_, j) => j !== i)); setOpen(null) }} />
                <Button size="small" type={open === i ? 'primary' : 'default'} icon={<EditOutlined />} aria-label={t('report.edit', { name: r.name })} onClick={() => setOpen(open === i ? null : i)}>{t('action.edit')}</Button>
              </span>
            }
          />
        ))}
      </div>
      {reports.length > 0 && reports.length < 50 && <Button icon={<PlusOutlined />} onClick={add}>{t('dashboard.addReport')}</Button>}
      <Drawer open={open !== null && open < reports.length} onClose={() => setOpen(null)} mask={false} keyboard={false} size={520} title={open === null ? '' : t('report.edit', { name: reports[open]?.name ?? '' })} destroyOnHidden>
        {open !== null && reports[open] && (
          <ReportForm
            key={open} report={reports[open]} monitors={monitors.data ?? []} data={answers.data?.reports[open]?.data} errors={answers.data?.reports[open]?.error ? new FieldErrors(answers.data.reports[open].error.details) : new FieldErrors()}
            onChange={(r) => setReports((old) => old.map((o, j) => (j === open ? r : o)))}
          />
        )}
      </Drawer>
    </Page></div>
  )
}
