/** Creates or edits an alarm rule, with its thresholds drawn into the data of the last hour. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Input, InputNumber, Segmented, Select, Skeleton, Switch } from 'antd'
import { lazy, Suspense, useMemo, useState } from 'react'
import { Link, useNavigate, useParams, useSearchParams } from 'react-router'
import { ApiError, get, inWorkspace, post, put } from '../api/client'
import type { AlarmLevel, Channel, KeyTable, List, Monitor, Op, Rule, RuleCondition, RuleSpec } from '../api/types'
import { useTime, useWorkspace } from '../app/url'
import { ErrorNote, errorText, Loaded } from '../components/feedback'
import { Field } from '../components/Field'
import { FieldErrors } from '../components/fieldErrors'
import { Page, Panel } from '../components/page'
import { useT } from '../i18n'
import { figureName, figuresOf, isGrouped, mayHaveRules, nameFrom } from '../monitor/spec'
import { useDebounced } from '../monitor/useDebounced'
import { Backtest } from './Backtest'
import { ops, signs } from './conditions'
import { RulePreview } from './RulePreview'

const PromEditor = lazy(() => import('../components/PromEditor'))
const Yaml = lazy(() => import('../components/ResourceYaml'))

const levels: AlarmLevel[] = ['P0', 'P1', 'P2', 'P3', 'P4']

export default function RuleEditor() {
  const { name } = useParams()
  const workspace = useWorkspace()
  const [params] = useSearchParams()
  const rule = useQuery({ queryKey: ['rule', workspace, name], enabled: !!name, queryFn: ({ signal }) => get<Rule>(inWorkspace(workspace, 'alarm_rules', name!), undefined, signal), staleTime: Infinity, gcTime: 0 })
  if (!name) return <Form initial={{ title: '', level: 'P2', conditions: [{ monitor: params.get('monitor') ?? undefined, op: 'gt', threshold: 0 }], channels: [] }} />
  return <Loaded query={rule}>{(r) => <Form rule={r} initial={r.spec} />}</Loaded>
}

function cleanRule(s: RuleSpec): RuleSpec {
  const out: RuleSpec = {
    ...s, title: s.title.trim(), description: s.description || undefined, disabled: s.disabled || undefined,
    conditions: s.conditions.map((c) => {
      const keys = Object.fromEntries(Object.entries(c.keys ?? {}).filter(([, v]) => v.length > 0))
      return c.expr !== undefined ? { expr: c.expr.trim(), op: c.op, threshold: c.threshold } : { monitor: c.monitor, figure: c.figure || undefined, total: c.total || undefined, keys: c.total || Object.keys(keys).length === 0 ? undefined : keys, op: c.op, threshold: c.threshold }
    }),
    channels: s.channels?.length ? s.channels : undefined, emergency_text: s.emergency_text || undefined, emergency_link: s.emergency_link || undefined,
    repeat_every: s.repeat_every && s.repeat_every !== '0s' ? s.repeat_every : undefined,
  }
  return JSON.parse(JSON.stringify(out)) as RuleSpec
}

function Form({ rule, initial }: { rule?: Rule; initial: RuleSpec }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const client = useQueryClient()
  const time = useTime()
  const [spec, setSpec] = useState(initial)
  const [typedName, setName] = useState(rule?.name ?? '')
  const base = `/w/${encodeURIComponent(workspace)}/rules`
  const clean = useMemo(() => cleanRule(spec), [spec])
  const preview = useDebounced(clean, 500)
  const monitor = spec.conditions.find((c) => c.monitor)?.monitor
  const name = rule?.name ?? (typedName || nameFrom(spec.title, (monitor ?? 'rule') + '_alarm'))
  const change = (p: Partial<RuleSpec>) => setSpec((old) => ({ ...old, ...p }))
  const setCondition = (i: number, c: RuleCondition) => change({ conditions: spec.conditions.map((x, j) => (j === i ? c : x)) })
  const channels = useQuery({ queryKey: ['channels', 'all', workspace], queryFn: ({ signal }) => get<List<Channel>>(inWorkspace(workspace, 'channels'), { page_size: 100 }, signal) })
  const save = useMutation({
    mutationFn: () => (rule ? put<Rule>(inWorkspace(workspace, 'alarm_rules', rule.name), { version: rule.version, spec: clean }) : post<Rule>(inWorkspace(workspace, 'alarm_rules'), { name, spec: clean })),
    onSuccess: async () => {
      void client.invalidateQueries({ queryKey: ['alarm_rules'] })
      client.removeQueries({ queryKey: ['rule', workspace, name] })
      void message.success(t('rule.saved', { name }))
      await navigate(`${base}/${encodeURIComponent(name)}`)
    },
    onError: (e) => void message.error(errorText(e, t)),
  })
  const errors = FieldErrors.of(save.error)
  const ready = spec.title.trim() !== '' && clean.conditions.every((c) => c.monitor || c.expr)
  return (
    <Page
      title={rule ? t('rule.edit', { title: rule.spec.title }) : t('rule.new')} about={t('rule.editor.about')}
      actions={
        <>
          <Link to={rule ? `${base}/${rule.name}` : base}><Button>{t('action.cancel')}</Button></Link>
          <Button type="primary" disabled={!ready} loading={save.isPending} onClick={() => save.mutate()}>{rule ? t('action.save') : t('rule.create')}</Button>
        </>
      }
    >
      {save.isError && <div style={{ marginBottom: 16 }}><ErrorNote error={save.error instanceof ApiError && errors.any ? new ApiError(save.error.status, save.error.code, save.error.message, errors.rest(['spec.title', 'spec.conditions', 'name']), save.error.requestId) : save.error} title={t('editor.saveFailed')} /></div>}
      <div className="editor">
        <div>
          <Panel title={t('rule.conditions')} extra={spec.conditions.length > 1 && (
            <Segmented aria-label={t('rule.join')} value={spec.join ?? 'all'} onChange={(v) => change({ join: v as 'all' | 'any' })} options={[{ value: 'all', label: t('rule.all') }, { value: 'any', label: t('rule.any') }]} />
          )}>
            {spec.conditions.map((c, i) => (
              <ConditionForm key={i} n={i} condition={c} errors={errors} onChange={(x) => setCondition(i, x)} onRemove={spec.conditions.length > 1 ? () => change({ conditions: spec.conditions.filter((_, j) => j !== i) }) : undefined} />
            ))}
            {spec.conditions.length < 10 && <Button icon={<PlusOutlined />} onClick={() => change({ conditions: [...spec.conditions, { ...(monitor ? { monitor } : { expr: '' }), op: 'gt', threshold: 0 }] })}>{t('rule.addCondition')}</Button>}
          </Panel>
          <Panel title={t('rule.preview')}>
            <RulePreview spec={preview} span={time.span} onZoom={(s) => time.setRange({ from: String(s.start), to: String(s.end) })} />
          </Panel>
          <Panel title={t('backtest.title')}>
            <Backtest spec={clean} ready={clean.conditions.every((c) => c.monitor || c.expr)} />
          </Panel>
          <Panel title={t('rule.when')}>
            <div className="fields">
              <Duration label={t('rule.every')} hint={t('rule.every.hint')} bad={errors.at('spec.every')} value={spec.every ?? '1m'} choices={['1m', '2m', '5m', '10m', '15m', '30m', '1h', '6h', '24h']} onChange={(every) => change({ every })} />
              <Field label={t('rule.for')} hint={t('rule.for.hint')} bad={errors.at('spec.for')}>{(a) => <InputNumber id={a.id} status={a.status} min={1} max={60} precision={0} style={{ width: '100%' }} value={spec.for || 1} onChange={(v) => change({ for: v ?? 1 })} />}</Field>
              <Field label={t('rule.recoverAfter')} hint={t('rule.recoverAfter.hint')} bad={errors.at('spec.recover_after')}>{(a) => <InputNumber id={a.id} status={a.status} min={1} max={60} precision={0} style={{ width: '100%' }} value={spec.recover_after || 2} onChange={(v) => change({ recover_after: v ?? 2 })} />}</Field>
              <Field label={t('rule.minCompleteness')} hint={t('rule.minCompleteness.hint')} bad={errors.at('spec.min_completeness')}>{(a) => <InputNumber id={a.id} status={a.status} min={1} max={100} suffix="%" style={{ width: '100%' }} value={Math.round((spec.min_completeness || 0.95) * 1000) / 10} onChange={(v) => change({ min_completeness: (v ?? 95) / 100 })} />}</Field>
              <Duration label={t('rule.wait')} hint={t('rule.wait.hint')} bad={errors.at('spec.wait')} value={spec.wait ?? '1m15s'} choices={['15s', '30s', '1m', '1m15s', '2m', '5m', '10m']} onChange={(wait) => change({ wait })} />
              <Duration label={t('rule.repeat')} hint={t('rule.repeat.hint')} bad={errors.at('spec.repeat_every')} value={spec.repeat_every ?? '0s'} choices={['0s', '5m', '10m', '30m', '1h', '6h', '24h']} never={t('rule.never')} onChange={(repeat_every) => change({ repeat_every })} />
            </div>
          </Panel>
        </div>
        <div className="editor-side">
          <Panel title={t('rule.who')}>
            <div className="stack" style={{ gap: 12 }}>
              <Field label={t('rule.title')} bad={errors.at('spec.title')}>{(a) => <Input {...a} maxLength={64} value={spec.title} onChange={(e) => change({ title: e.target.value })} />}</Field>
              <Field label={t('rule.name')} hint={rule ? t('editor.hint.nameFixed') : undefined} bad={errors.at('name')}>{(a) => <Input {...a} className="mono" maxLength={63} disabled={!!rule} value={name} onChange={(e) => setName(e.target.value)} />}</Field>
              <Field label={t('rule.level')} hint={t('rule.level.hint')}>{(a) => <Select {...a} style={{ width: '100%' }} value={spec.level ?? 'P2'} onChange={(level) => change({ level })} options={levels.map((l) => ({ value: l, label: `${l} ${t(`level.${l}`)}` }))} />}</Field>
              <Field label={t('rule.channels')} bad={errors.below('spec.channels')} hint={channels.data?.total === 0 ? <Link to={`/w/${encodeURIComponent(workspace)}/channels`}>{t('rule.makeChannel')}</Link> : t('rule.channels.hint')}>
                {(a) => <Select {...a} mode="multiple" style={{ width: '100%' }} value={spec.channels ?? []} onChange={(v: string[]) => change({ channels: v })} options={(channels.data?.items ?? []).map((c) => ({ value: c.name, label: `${c.spec.title} (${c.name})` }))} />}
              </Field>
              <Field label={t('rule.emergencyText')} hint={t('rule.emergencyText.hint')} bad={errors.at('spec.emergency_text')}>{(a) => <Input.TextArea {...a} maxLength={500} autoSize={{ minRows: 2, maxRows: 5 }} value={spec.emergency_text} onChange={(e) => change({ emergency_text: e.target.value })} />}</Field>
              <Field label={t('rule.emergencyLink')} bad={errors.at('spec.emergency_link')}>{(a) => <Input {...a} maxLength={500} placeholder="https://" value={spec.emergency_link} onChange={(e) => change({ emergency_link: e.target.value })} />}</Field>
            </div>
          </Panel>
          <Panel title="YAML"><Suspense fallback={<Skeleton active />}><Yaml kind="AlarmRule" name={name || 'name'} workspace={workspace} spec={preview} /></Suspense></Panel>
        </div>
      </div>
    </Page>
  )
}

function Duration({ label, hint, bad, value, choices, never, onChange }: { label: string; hint: string; bad?: string; value: string; choices: string[]; never?: string; onChange: (v: string) => void }) {
  const all = choices.includes(value) ? choices : [value, ...choices]
  return <Field label={label} hint={hint} bad={bad}>{(a) => <Select {...a} style={{ width: '100%' }} value={value} onChange={onChange} options={all.map((c) => ({ value: c, label: c === '0s' && never ? never : c }))} />}</Field>
}

function ConditionForm({ n, condition: c, errors, onChange, onRemove }: { n: number; condition: RuleCondition; errors: FieldErrors; onChange: (c: RuleCondition) => void; onRemove?: () => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const [range] = useState(() => ({ end: Date.now(), start: Date.now() - 3_600_000 }))
  const monitors = useQuery({ queryKey: ['monitors', 'choices', workspace], queryFn: ({ signal }) => get<List<Monitor>>(inWorkspace(workspace, 'monitors'), { page_size: 100, sort: 'name' }, signal) })
  const monitor = monitors.data?.items.find((m) => m.name === c.monitor)
  const stats = monitor ? figuresOf(monitor.spec) : [{ kind: 'count' as const }]
  const grouped = monitor !== undefined && isGrouped(monitor.spec)
  const keys = useQuery({ queryKey: ['keys', 'choices', workspace, c.monitor, range], enabled: grouped, queryFn: ({ signal }) => get<KeyTable>(inWorkspace(workspace, 'monitors', c.monitor!) + '/keys', { ...range, page_size: 100 }, signal) })
  const at = `spec.conditions[${n}]`
  const label = t('rule.conditionN', { n: n + 1 })
  return (
    <section style={{ borderBottom: '1px solid var(--line)', paddingBottom: 12, marginBottom: 12 }} aria-label={label}>
      <div className="row" style={{ marginBottom: 8 }}>
        <Segmented
          aria-label={t('rule.source')} value={c.expr !== undefined ? 'expr' : 'monitor'} options={[{ value: 'monitor', label: t('rule.fromMonitor') }, { value: 'expr', label: 'PromQL' }]}
          onChange={(v) => onChange(v === 'expr' ? { expr: '', op: c.op, threshold: c.threshold } : { op: c.op, threshold: c.threshold })}
        />
        <span className="spacer" />
        {onRemove && <Button type="text" icon={<DeleteOutlined />} aria-label={t('rule.removeCondition', { n: n + 1 })} onClick={onRemove} />}
      </div>
      {c.expr !== undefined ? (
        <div style={{ marginBottom: 8 }}>
          <Suspense fallback={<Skeleton.Input active block />}><PromEditor value={c.expr} workspace={workspace} label={`${label}: PromQL`} onChange={(expr) => onChange({ ...c, expr })} /></Suspense>
          {errors.at(at + '.expr') && <div className="field"><div className="bad" role="alert">{errors.at(at + '.expr')}</div></div>}
        </div>
      ) : (
        <div className="fields" style={{ marginBottom: 8 }}>
          <Field label={t('rule.monitor')} bad={errors.at(at + '.monitor')}>
            {(a) => <Select {...a} showSearch={{ optionFilterProp: 'label' }} style={{ width: '100%' }} value={c.monitor} placeholder={t('rule.chooseMonitor')} onChange={(m) => onChange({ monitor: m, op: c.op, threshold: c.threshold })} options={(monitors.data?.items ?? []).filter((m) => mayHaveRules(m.spec.type)).map((m) => ({ value: m.name, label: `${m.spec.title} (${m.name})` }))} />}
          </Field>
          <Field label={t('rule.figure')} bad={errors.at(at + '.figure')}>
            {(a) => <Select {...a} style={{ width: '100%' }} value={c.figure || figureName(stats[0]!)} onChange={(f) => onChange({ ...c, figure: f })} options={stats.map((s) => ({ value: figureName(s), label: figureName(s) + (s.unit ? ` (${s.unit})` : '') }))} />}
          </Field>
          {grouped && (
            <Field label={t('rule.total')} hint={c.total ? t('rule.total.on') : t('rule.total.off')}>{(a) => <Switch id={a.id} checked={c.total ?? false} onChange={(total) => onChange({ ...c, total, keys: undefined })} />}</Field>
          )}
          {grouped && !c.total && (monitor.spec.group_by ?? []).map((g, i) => (
            <Field key={g} label={t('rule.keys', { column: g })} bad={errors.at(`${at}.keys.${g}`)}>
              {(a) => <Select {...a} mode="tags" style={{ width: '100%' }} placeholder={t('rule.allKeys')} value={c.keys?.[g] ?? []} onChange={(v: string[]) => onChange({ ...c, keys: { ...c.keys, [g]: v } })}
                options={[...new Set((keys.data?.items ?? []).map((k) => k.key[i] ?? ''))].filter((v) => v !== '').map((v) => ({ value: v, label: v }))} />}
            </Field>
          ))}
        </div>
      )}
      <div className="fields">
        <Field label={t('rule.op')}>{(a) => <Select {...a} style={{ width: '100%' }} value={c.op} onChange={(op: Op) => onChange({ ...c, op })} options={ops.map((o) => ({ value: o, label: `${signs[o]} ${t(`op.${o}`)}` }))} />}</Field>
        <Field label={t('rule.threshold')} bad={errors.at(at + '.threshold')}>{(a) => <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} value={c.threshold} onChange={(v) => onChange({ ...c, threshold: v ?? 0 })} />}</Field>
      </div>
      {errors.at(at) && <div className="field"><div className="bad" role="alert">{errors.at(at)}</div></div>}
    </section>
  )
}
