/**
 * Creates or edits a log monitor on one page: choose the file, see its lines,
 * cut columns by clicking on words, and watch the agent's own dry run of the
 * rule before saving.
 */
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Input, Select } from 'antd'
import { useEffect, useMemo, useState } from 'react'
import { Link, useBlocker, useNavigate, useParams, useSearchParams } from 'react-router'
import { ApiError, get, inWorkspace, post, put } from '../api/client'
import type { DryRun, Monitor, MonitorSpec, Preview } from '../api/types'
import { useWorkspace } from '../app/url'
import { ErrorNote, errorText, Loaded } from '../components/feedback'
import { Field } from '../components/Field'
import { FieldErrors } from '../components/fieldErrors'
import { Page, Panel } from '../components/page'
import { useT } from '../i18n'
import { AdvancedSection } from './Advanced'
import { ColumnsSection } from './Columns'
import { FileSection, LinesSection, type Sample } from './FileSection'
import { FiguresSection, FilterSection, TimeSection } from './sections'
import { Result } from './Result'
import { cleanSpec, emptySpec, nameFrom, timeFormats, indexOf, indexTexts } from './spec'
import { useDebounced } from './useDebounced'

export default function Editor() {
  const { name } = useParams()
  const workspace = useWorkspace()
  const [params] = useSearchParams()
  const copyOf = params.get('copy')
  const source = name ?? copyOf
  const t = useT()
  const monitor = useQuery({
    queryKey: ['monitor', workspace, source],
    queryFn: ({ signal }) => get<Monitor>(inWorkspace(workspace, 'monitors', source!), undefined, signal),
    enabled: !!source, staleTime: Infinity, gcTime: 0,
  })
  if (!source) return <Form initial={emptySpec()} folder={params.get('folder') ?? undefined} />
  return (
    <Loaded query={monitor}>
      {(m) => (name ? <Form monitor={m} initial={m.spec} /> : <Form folder={m.folder} initial={{ ...m.spec, title: t('editor.copyOf', { title: m.spec.title }).slice(0, 64) }} />)}
    </Loaded>
  )
}

const shownFields = ['title', 'description', 'index', 'paths', 'columns', 'time', 'filters', 'group_by', 'statistics', 'result_column', 'time_column', 'top_n', 'sort_column', 'match', 'masking', 'type', 'window', 'start_at', 'multiline_start', 'encoding', 'symlink_part',
  'key_limit', 'flow_limit_kb_min', 'scope', 'deadline_s'].map((f) => 'spec.' + f).concat('name')

function Form({ monitor, initial, folder }: { monitor?: Monitor; initial: MonitorSpec; folder?: string }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const client = useQueryClient()
  const [spec, setSpec] = useState(initial)
  const [typedName, setTypedName] = useState(monitor?.name ?? '')
  const [agent, setAgent] = useState('')
  const [sample, setSample] = useState<Sample | null>(null)
  const [saved, setSaved] = useState(false)
  const fresh = monitor === undefined
  const base = `/w/${encodeURIComponent(workspace)}/monitors`
  const name = monitor?.name ?? (typedName || nameFrom(spec.title, spec.paths[0] ?? ''))
  const clean = useMemo(() => cleanSpec(spec), [spec])
  const change = (part: Partial<MonitorSpec>) => setSpec((old) => ({ ...old, ...part }))
  const changed = JSON.stringify(clean) !== JSON.stringify(cleanSpec(initial)) && !saved

  const preview = useMutation({
    mutationFn: (a: { path: string; agent: string }) =>
      post<Preview>(inWorkspace(workspace, 'log_files:preview'), { agent_id: a.agent || undefined, path: a.path, lines: 50, encoding: spec.encoding ?? 'auto' }),
    onSuccess: (r, a) => {
      setSample({ path: r.path || a.path, lines: r.lines ?? [], timeFormat: r.time_format ?? '', delimiter: r.delimiter ?? '', encoding: r.encoding ?? '' })
      // What was detected is taken over as long as nobody has decided otherwise.
      const format = timeFormats.find((f) => f === r.time_format)
      if (monitor || !format || spec.columns?.length) return
      // An access log has its time within brackets: a column of its own cuts it out.
      if (r.time_between) change({ time: { ...spec.time, format, column: 'time' }, columns: [{ name: 'time', between: r.time_between }] })
      else change({ time: { ...spec.time, format } })
    },
  })
  const load = (path: string, from = agent) => {
    if (path.trim().startsWith('/')) preview.mutate({ path: path.trim().replaceAll('{app}', spec.app ?? ''), agent: from })
  }
  useEffect(() => {
    if (initial.paths[0]) load(initial.paths[0])
    // Once, for the file of a monitor that exists.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [])

  useEffect(() => {
    // Whoever comes from a diagnosis wants to see the section it names.
    document.getElementById(location.hash.slice(1))?.scrollIntoView({ block: 'start' })
  }, [])

  // The dry run works on the lines that are shown, so that colours and figures belong to what one sees.
  const draft = useMemo(
    () => ({ agent_id: agent || undefined, spec: { ...clean, title: clean.title || 'draft', disabled: undefined, start_at: undefined }, lines: sample?.lines ?? [] }),
    [agent, clean, sample],
  )
  const settled = useDebounced(draft, 350)
  const runnable = settled.lines.length > 0 && settled.spec.paths.length > 0
  const dry = useQuery({
    queryKey: ['dry-run', workspace, settled],
    queryFn: ({ signal }) => post<DryRun>(inWorkspace(workspace, 'monitors:debug'), settled, signal),
    enabled: runnable, retry: false, gcTime: 60_000, placeholderData: keepPreviousData,
  })
  const save = useMutation({
    mutationFn: (force: boolean) => {
      const how = force ? '?force=true' : ''
      return monitor
        ? put<Monitor>(inWorkspace(workspace, 'monitors', monitor.name) + how, { version: monitor.version, spec: clean })
        : post<Monitor>(inWorkspace(workspace, 'monitors') + how, { name, folder, spec: clean })
    },
    onSuccess: (m) => {
      setSaved(true)
      void client.invalidateQueries({ queryKey: ['monitors'] })
      void client.removeQueries({ queryKey: ['monitor', workspace, m?.name ?? name] })
      void message.success(t('editor.saved', { name: m?.name ?? name }))
      for (const w of m?.warnings ?? []) void message.warning(w, 8)
    },
    onError: (e) => void message.error(errorText(e, t)),
  })
  useEffect(() => {
    if (saved) void navigate(`${base}/${encodeURIComponent(name)}${fresh ? '?from=now-15m&to=now&refresh=5s' : ''}`)
  }, [saved, navigate, base, name, fresh])
  const blocker = useBlocker(changed && !save.isPending)
  useEffect(() => {
    if (blocker.state !== 'blocked') return
    if (window.confirm(t('editor.leave'))) blocker.proceed()
    else blocker.reset()
  }, [blocker, t])

  // What the server says about the draft shows at once, about empty fields only after saving was tried.
  const errors = useMemo(() => {
    if (save.error instanceof ApiError && save.error.details.length > 0) return FieldErrors.of(save.error)
    return dry.isFetching ? new FieldErrors() : FieldErrors.of(dry.error)
  }, [save.error, dry.error, dry.isFetching])
  const rest = errors.rest(shownFields)
  const emptyScope = save.error instanceof ApiError && save.error.details.some((d) => d.code === 'scope_empty')
  const ready = clean.paths.length > 0 && clean.title !== '' && name !== ''

  return (
    <Page
      title={monitor ? t('editor.title.edit', { title: monitor.spec.title }) : t('editor.title.new')} about={t('editor.about')}
      actions={
        <>
          <Link to={monitor ? `${base}/${monitor.name}` : base}><Button>{t('action.cancel')}</Button></Link>
          <Button type="primary" loading={save.isPending} disabled={!ready} title={ready ? undefined : t('editor.notReady')} onClick={() => save.mutate(false)}>
            {monitor ? t('action.save') : t('editor.create')}
          </Button>
        </>
      }
    >
      {save.isError && (
        <div style={{ marginBottom: 16 }}>
          {emptyScope && <Button style={{ marginBottom: 8 }} onClick={() => save.mutate(true)}>{t('editor.saveAnyway')}</Button>}
          {emptyScope || rest.length > 0 || !errors.any ? <ErrorNote error={save.error} title={t('editor.saveFailed')} /> : <ErrorNote error={new Error(t('editor.fixFields'))} title={t('editor.saveFailed')} />}
        </div>
      )}
      <Panel id="files" title={<Step n={1} text={t('editor.step.file')} />} label={t('editor.step.file')}>
        <FileSection spec={spec} change={change} errors={errors} agent={agent} loading={preview.isPending}
          onChoose={(c) => {
            setAgent(c.agent)
            change({ paths: [c.path, ...spec.paths.slice(1)] })
            load(c.path, c.agent)
          }}
          onTyped={(p) => load(p)} />
        {preview.isError && <div style={{ marginTop: 12 }}><ErrorNote error={preview.error} title={t('editor.previewFailed')} onRetry={() => load(spec.paths[0] ?? '')} /></div>}
      </Panel>
      <Panel title={<Step n={2} text={t('editor.step.lines')} />} label={t('editor.step.lines')}>
        <LinesSection
          spec={spec} change={change} sample={sample} setSample={setSample} dry={dry.data} judged={runnable && dry.data !== undefined} loading={preview.isPending}
          onReload={() => load(spec.paths[0] ?? '')}
        />
      </Panel>
      <div className="editor">
        <div>
          <Panel id="columns" title={<Step n={3} text={t('editor.step.columns')} />} label={t('editor.step.columns')}>
            <ColumnsSection spec={spec} setSpec={setSpec} errors={errors} sample={sample} dry={dry.data} />
          </Panel>
          <Panel id="time" title={<Step n={4} text={t('editor.step.time')} />} label={t('editor.step.time')}>
            <TimeSection spec={spec} change={change} errors={errors} detected={sample?.timeFormat} dry={dry.data} />
          </Panel>
          <Panel id="filters" title={<Step n={5} text={t('editor.step.filters')} />} label={t('editor.step.filters')}>
            <FilterSection spec={spec} change={change} errors={errors} dry={dry.data} />
          </Panel>
          <Panel id="figures" title={<Step n={6} text={t('editor.step.figures')} />} label={t('editor.step.figures')}>
            <FiguresSection spec={spec} change={change} errors={errors} saved={monitor?.spec} />
          </Panel>
          <Panel title={<Step n={7} text={t('editor.step.name')} />} label={t('editor.step.name')}>
            <div className="fields">
              <Field label={t('editor.field.title')} hint={t('editor.hint.title')} bad={save.isError || spec.title !== '' ? errors.at('spec.title') : undefined}>
                {(a) => <Input {...a} value={spec.title} maxLength={64} onChange={(e) => change({ title: e.target.value })} />}
              </Field>
              <Field label={t('editor.field.name')} hint={monitor ? t('editor.hint.nameFixed') : spec.type === 'match' ? t('editor.hint.nameMatch') : t('editor.hint.name', { series: `${name || '…'}:count` })} bad={errors.at('name') ?? badName(name, t('editor.badName'))}>
                {(a) => <Input {...a} className="mono" value={name} disabled={!!monitor} maxLength={63} onChange={(e) => setTypedName(e.target.value)} />}
              </Field>
              <Field label={t('editor.field.description')} bad={errors.at('spec.description')} wide>
                {(a) => <Input.TextArea {...a} autoSize={{ minRows: 1, maxRows: 4 }} value={spec.description} maxLength={500} onChange={(e) => change({ description: e.target.value })} />}
              </Field>
              <Field label={t('editor.field.index')} hint={t('editor.hint.index')} bad={errors.below('spec.index')} wide>
                {(a) => <Select {...a} mode="tags" style={{ width: '100%' }} open={false} suffixIcon={null} maxCount={3} tokenSeparators={[',', ' ']} placeholder="team=payments" value={indexTexts(spec.index)} onChange={(v: string[]) => change({ index: indexOf(v) })} />}
              </Field>
            </div>
          </Panel>
          <div id="advanced"><AdvancedSection spec={spec} change={change} errors={errors} /></div>
        </div>
        <div className="editor-side">
          <Result name={name} workspace={workspace} spec={clean} dry={dry.data} error={dry.isError && !dry.isFetching ? dry.error : null} running={dry.isFetching || settled !== draft} runnable={runnable} />
        </div>
      </div>
    </Page>
  )
}

function badName(name: string, text: string): string | undefined {
  return name === '' || /^[a-z][a-z0-9_]{0,62}$/.test(name) ? undefined : text
}

function Step({ n, text }: { n: number; text: string }) {
  return <><span className="step-number" aria-hidden>{n}</span>{text}</>
}
