/** Creates or edits an alarm rule, with its thresholds drawn into the data of the last hour. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Input, InputNumber, Segmented, Select, Skeleton, Switch } from 'antd'
import { lazy, Suspense, useMemo, useState } from 'react'
import { Link, useNavigate, useParams, useSearchParams } from 'react-router'
import { ApiError, get, inWorkspace, post, put } from '../api/client'
import type { AlarmLevel, Channel, List, PackageRule, Rule, RuleCondition, RuleSpec } from '../api/types'
import { useTime, useWorkspace } from '../app/url'
import { ErrorNote, errorText, Loaded } from '../components/feedback'
import { Field } from '../components/Field'
import { FieldErrors } from '../components/fieldErrors'
import { Page, Panel } from '../components/page'
import { useT } from '../i18n'
import { nameFrom } from '../monitor/spec'
import { useDebounced } from '../monitor/useDebounced'
import { ActiveForm } from './ActiveForm'
import { Backtest } from './Backtest'
import { ConditionForm } from './ConditionForm'
import { conditionsOf, partsOf, withParts } from './conditions'
import { RulePreview } from './RulePreview'

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

function cleanCondition(c: RuleCondition): RuleCondition {
  const filter = (keys: RuleCondition['keys']) => {
    const kept = Object.fromEntries(Object.entries(keys ?? {}).filter(([, v]) => v.length > 0))
    return c.expr !== undefined || c.total || Object.keys(kept).length === 0 ? undefined : kept
  }
  return {
    ...c, expr: c.expr?.trim(), monitor: c.expr === undefined ? c.monitor : undefined, figure: c.expr === undefined ? c.figure || undefined : undefined,
    total: (c.expr === undefined && c.total) || undefined, keys: filter(c.keys), exclude_keys: filter(c.exclude_keys), method: c.method === 'current' ? undefined : c.method,
  }
}

function cleanRule(s: RuleSpec): RuleSpec {
  const parts = partsOf(s).map((p) => ({ ...p, name: p.name.trim(), of: p.of || undefined, exclusive: p.exclusive || undefined, conditions: p.conditions.map(cleanCondition) }))
  const out: RuleSpec = {
    ...withParts(s, parts), title: s.title.trim(), description: s.description || undefined, disabled: s.disabled || undefined, timezone: s.timezone || undefined,
    channels: s.channels?.length ? s.channels : undefined, emergency_text: s.emergency_text || undefined, emergency_link: s.emergency_link || undefined,
    repeat_every: s.repeat_every && s.repeat_every !== '0s' ? s.repeat_every : undefined, no_data: s.no_data && s.no_data !== '0s' ? s.no_data : undefined,
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
  const parts = partsOf(spec)
  const monitor = conditionsOf(spec).find((c) => c.monitor)?.monitor
  const name = rule?.name ?? (typedName || nameFrom(spec.title, (monitor ?? 'rule') + '_alarm'))
  const change = (p: Partial<RuleSpec>) => setSpec((old) => ({ ...old, ...p }))
  const setParts = (p: PackageRule[]) => setSpec((old) => withParts(old, p))
  const setPart = (i: number, p: Partial<PackageRule>) => setParts(parts.map((x, j) => (j === i ? { ...x, ...p } : x)))
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
  const ready = spec.title.trim() !== '' && conditionsOf(clean).every((c) => c.monitor || c.expr)
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
      {save.isError && <div style={{ marginBottom: 16 }}><ErrorNote error={save.error instanceof ApiError && errors.any ? new ApiError(save.error.status, save.error.code, save.error.message, errors.rest(['spec.title', 'spec.conditions', 'spec.rules', 'name']), save.error.requestId) : save.error} title={t('editor.saveFailed')} /></div>}
      <div className="editor">
        <div>
          {parts.map((p, i) => (
            <PartPanel key={i} part={p} path={spec.rules?.length ? `spec.rules[${i}]` : 'spec'} errors={errors} monitor={monitor} onChange={(x) => setPart(i, x)}
              onRemove={parts.length > 1 ? () => setParts(parts.length === 2 ? [{ ...parts[1 - i]!, name: '', exclusive: undefined, active: undefined }] : parts.filter((_, j) => j !== i)) : undefined} />
          ))}
          {parts.length < 20 && (
            <p><Button icon={<PlusOutlined />} onClick={() => setParts([...parts.map((p, i) => ({ ...p, name: p.name || t('rule.nth', { n: i + 1 }) })), { name: t('rule.nth', { n: parts.length + 1 }), conditions: [{ ...(monitor ? { monitor } : { expr: '' }), op: 'gt', threshold: 0 }] }])}>{t('rule.addRule')}</Button> <span className="muted">{t('rule.addRule.hint')}</span></p>
          )}
          <Panel title={t('rule.preview')}>
            <RulePreview spec={preview} span={time.span} onZoom={(s) => time.setRange({ from: String(s.start), to: String(s.end) })} />
          </Panel>
          <Panel title={t('backtest.title')}>
            <Backtest spec={clean} ready={conditionsOf(clean).every((c) => c.monitor || c.expr)} />
          </Panel>
          <Panel title={t('rule.when')}>
            <div className="fields">
              <Duration label={t('rule.every')} hint={t('rule.every.hint')} bad={errors.at('spec.every')} value={spec.every ?? '1m'} choices={['1m', '2m', '5m', '10m', '15m', '30m', '1h', '6h', '24h']} onChange={(every) => change({ every })} />
              <Field label={t('rule.recoverAfter')} hint={t('rule.recoverAfter.hint')} bad={errors.at('spec.recover_after')}>{(a) => <InputNumber id={a.id} status={a.status} min={1} max={60} precision={0} style={{ width: '100%' }} value={spec.recover_after || 2} onChange={(v) => change({ recover_after: v ?? 2 })} />}</Field>
              <Field label={t('rule.minCompleteness')} hint={t('rule.minCompleteness.hint')} bad={errors.at('spec.min_completeness')}>{(a) => <InputNumber id={a.id} status={a.status} min={1} max={100} suffix="%" style={{ width: '100%' }} value={Math.round((spec.min_completeness || 0.95) * 1000) / 10} onChange={(v) => change({ min_completeness: (v ?? 95) / 100 })} />}</Field>
              <Duration label={t('rule.wait')} hint={t('rule.wait.hint')} bad={errors.at('spec.wait')} value={spec.wait ?? '1m15s'} choices={['15s', '30s', '1m', '1m15s', '2m', '5m', '10m']} onChange={(wait) => change({ wait })} />
              <Duration label={t('rule.repeat')} hint={t('rule.repeat.hint')} bad={errors.at('spec.repeat_every')} value={spec.repeat_every ?? '0s'} choices={['0s', '5m', '10m', '30m', '1h', '6h', '24h']} never={t('rule.never')} onChange={(repeat_every) => change({ repeat_every })} />
              <Duration label={t('rule.noData')} hint={t('rule.noData.hint')} bad={errors.at('spec.no_data')} value={spec.no_data ?? '0s'} choices={['0s', '2m', '5m', '10m', '30m', '1h']} never={t('rule.noData.never')} onChange={(no_data) => change({ no_data })} />
              <Field label={t('rule.timezone')} hint={t('rule.timezone.hint')} bad={errors.at('spec.timezone')}>{(a) => <Select {...a} showSearch allowClear style={{ width: '100%' }} placeholder={t('rule.timezone.server')} value={spec.timezone || undefined} onChange={(timezone?: string) => change({ timezone })} options={Intl.supportedValuesOf('timeZone').map((z) => ({ value: z, label: z }))} />}</Field>
            </div>
            <h3 style={{ margin: '16px 0 8px' }}>{t('active.title')}</h3>
            <ActiveForm active={spec.active} path="spec.active" errors={errors} onChange={(active) => change({ active })} />
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

/** PartPanel edits one rule of the package. */
function PartPanel({ part: p, path, errors, monitor, onChange, onRemove }: { part: PackageRule; path: string; errors: FieldErrors; monitor?: string; onChange: (p: Partial<PackageRule>) => void; onRemove?: () => void }) {
  const t = useT()
  const count = (field: 'for' | 'of', label: string, hint: string, min: number, initial?: number) => (
    <Field label={label} hint={hint} bad={errors.at(`${path}.${field}`)}>{(a) => <InputNumber id={a.id} status={a.status} min={min} max={60} precision={0} style={{ width: '100%' }} value={p[field] || initial} onChange={(v) => onChange({ [field]: v ?? undefined })} />}</Field>
  )
  return (
    <Panel title={p.name ? t('rule.part', { name: p.name }) : t('rule.conditions')} extra={
      <>
        {p.conditions.length > 1 && <Segmented aria-label={t('rule.join')} value={p.join ?? 'all'} onChange={(v) => onChange({ join: v as 'all' | 'any' })} options={[{ value: 'all', label: t('rule.all') }, { value: 'any', label: t('rule.any') }]} />}
        {onRemove && <Button type="text" icon={<DeleteOutlined />} aria-label={t('rule.removeRule', { name: p.name })} onClick={onRemove} />}
      </>
    }>
      {p.name !== '' && (
        <div className="fields" style={{ marginBottom: 12 }}>
          <Field label={t('rule.partName')} bad={errors.at(path + '.name')}>{(a) => <Input {...a} maxLength={40} value={p.name} onChange={(e) => onChange({ name: e.target.value || ' ' })} />}</Field>
          <Field label={t('rule.exclusive')} hint={t('rule.exclusive.hint')}>{(a) => <Switch id={a.id} checked={p.exclusive ?? false} onChange={(exclusive) => onChange({ exclusive })} />}</Field>
        </div>
      )}
      {p.conditions.map((c, i) => (
        <ConditionForm key={i} n={i} path={`${path}.conditions[${i}]`} condition={c} errors={errors} onChange={(x) => onChange({ conditions: p.conditions.map((y, j) => (j === i ? x : y)) })} onRemove={p.conditions.length > 1 ? () => onChange({ conditions: p.conditions.filter((_, j) => j !== i) }) : undefined} />
      ))}
      {p.conditions.length < 10 && <Button icon={<PlusOutlined />} onClick={() => onChange({ conditions: [...p.conditions, { ...(monitor ? { monitor } : { expr: '' }), op: 'gt', threshold: 0 }] })}>{t('rule.addCondition')}</Button>}
      <div className="fields" style={{ marginTop: 12 }}>
        {count('for', t('rule.for'), t('rule.for.hint'), 1, 1)}
        {count('of', t('rule.of'), t('rule.of.hint'), 1)}
      </div>
      {p.name !== '' && (
        <>
          <h3 style={{ margin: '16px 0 8px' }}>{t('active.within')}</h3>
          <ActiveForm active={p.active} path={path + '.active'} errors={errors} onChange={(active) => onChange({ active })} />
        </>
      )}
    </Panel>
  )
}
