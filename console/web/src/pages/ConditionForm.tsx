/** One condition of an alarm rule: where its number comes from, how it is made, and what it is compared with. */
import { DeleteOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button, InputNumber, Segmented, Select, Skeleton, Switch } from 'antd'
import { lazy, Suspense, useState } from 'react'
import { get, inWorkspace } from '../api/client'
import type { KeyTable, List, Method, Monitor, Op, RuleCondition } from '../api/types'
import { useWorkspace } from '../app/url'
import { Field } from '../components/Field'
import type { FieldErrors } from '../components/fieldErrors'
import { useT } from '../i18n'
import { figureName, figuresOf, isGrouped, mayHaveRules } from '../monitor/spec'
import { classes, compares, limitsOf, methodsFor, needsN, opsOf, signs } from './conditions'

const PromEditor = lazy(() => import('../components/PromEditor'))

interface Props {
  n: number
  path: string
  condition: RuleCondition
  errors: FieldErrors
  onChange: (c: RuleCondition) => void
  onRemove?: () => void
}

export function ConditionForm({ n, path, condition: c, errors, onChange, onRemove }: Props) {
  const t = useT()
  const workspace = useWorkspace()
  const label = t('rule.conditionN', { n: n + 1 })
  const monitors = useQuery({ queryKey: ['monitors', 'choices', workspace], queryFn: ({ signal }) => get<List<Monitor>>(inWorkspace(workspace, 'monitors'), { page_size: 100, sort: 'name' }, signal) })
  const monitor = monitors.data?.items.find((m) => m.name === c.monitor)
  const limits = limitsOf(c)
  return (
    <section style={{ borderBottom: '1px solid var(--line)', paddingBottom: 12, marginBottom: 12 }} aria-label={label}>
      <div className="row" style={{ marginBottom: 8 }}>
        <Segmented
          aria-label={t('rule.source')} value={c.expr !== undefined ? 'expr' : 'monitor'} options={[{ value: 'monitor', label: t('rule.fromMonitor') }, { value: 'expr', label: 'PromQL' }]}
          onChange={(v) => onChange(v === 'expr' ? { expr: '', op: 'gt', ...limits } : { op: 'gt', ...limits })}
        />
        <span className="spacer" />
        {onRemove && <Button type="text" icon={<DeleteOutlined />} aria-label={t('rule.removeCondition', { n: n + 1 })} onClick={onRemove} />}
      </div>
      {c.expr !== undefined ? (
        <div style={{ marginBottom: 8 }}>
          <Suspense fallback={<Skeleton.Input active block />}><PromEditor value={c.expr} workspace={workspace} label={`${label}: PromQL`} onChange={(expr) => onChange({ ...c, expr })} /></Suspense>
          {errors.at(path + '.expr') && <div className="field"><div className="bad" role="alert">{errors.at(path + '.expr')}</div></div>}
        </div>
      ) : (
        <Source path={path} condition={c} monitor={monitor} monitors={monitors.data?.items ?? []} errors={errors} onChange={onChange} />
      )}
      <Comparison path={path} condition={c} monitor={monitor} errors={errors} onChange={onChange} />
      {errors.at(path) && <div className="field"><div className="bad" role="alert">{errors.at(path)}</div></div>}
    </section>
  )
}

function Source({ path, condition: c, monitor, monitors, errors, onChange }: Omit<Props, 'n'> & { monitor?: Monitor; monitors: Monitor[] }) {
  const t = useT()
  const workspace = useWorkspace()
  const [range] = useState(() => ({ end: Date.now(), start: Date.now() - 3_600_000 }))
  const grouped = monitor !== undefined && isGrouped(monitor.spec) && monitor.spec.type !== 'minute_top'
  const keys = useQuery({ queryKey: ['keys', 'choices', workspace, c.monitor, range], enabled: grouped, queryFn: ({ signal }) => get<KeyTable>(inWorkspace(workspace, 'monitors', c.monitor!) + '/keys', { ...range, page_size: 100 }, signal) })
  const stats = monitor ? figuresOf(monitor.spec) : [{ kind: 'count' as const }]
  const whole = c.method === 'silence' || c.method === 'items' || c.figure === 'completeness'
  const choose = (name: string) => {
    const type = monitors.find((m) => m.name === name)?.spec.type
    const method: Method | undefined = type === 'row_top' || type === 'minute_top' ? 'items' : undefined
    onChange({ monitor: name, method, op: 'gt', ...limitsOf(c) })
  }
  const known = (i: number) => [...new Set((keys.data?.items ?? []).map((k) => k.key[i] ?? ''))].filter((v) => v !== '').map((v) => ({ value: v, label: v }))
  return (
    <div className="fields" style={{ marginBottom: 8 }}>
      <Field label={t('rule.monitor')} bad={errors.at(path + '.monitor')}>
        {(a) => <Select {...a} showSearch={{ optionFilterProp: 'label' }} style={{ width: '100%' }} value={c.monitor} placeholder={t('rule.chooseMonitor')} onChange={choose} options={monitors.filter((m) => mayHaveRules(m.spec.type)).map((m) => ({ value: m.name, label: `${m.spec.title} (${m.name})` }))} />}
      </Field>
      {c.method !== 'items' && c.method !== 'silence' && (
        <Field label={t('rule.figure')} bad={errors.at(path + '.figure')}>
          {(a) => <Select {...a} style={{ width: '100%' }} value={c.figure || figureName(stats[0]!)} onChange={(f) => onChange({ ...c, figure: f, ...(f === 'completeness' ? { total: undefined, keys: undefined, exclude_keys: undefined } : {}) })} options={[...stats.map((s) => ({ value: figureName(s), label: figureName(s) + (s.unit ? ` (${s.unit})` : '') })), { value: 'completeness', label: t('rule.completeness') }]} />}
        </Field>
      )}
      {grouped && !whole && (
        <Field label={t('rule.total')} hint={c.total ? t('rule.total.on') : t('rule.total.off')}>{(a) => <Switch id={a.id} checked={c.total ?? false} onChange={(total) => onChange({ ...c, total, keys: undefined, exclude_keys: undefined })} />}</Field>
      )}
      {grouped && !whole && !c.total && (monitor.spec.group_by ?? []).flatMap((g, i) => [
        <Field key={g} label={t('rule.keys', { column: g })} hint={t('rule.keys.hint')} bad={errors.at(`${path}.keys.${g}`)}>
          {(a) => <Select {...a} mode="tags" style={{ width: '100%' }} placeholder={t('rule.allKeys')} value={c.keys?.[g] ?? []} onChange={(v: string[]) => onChange({ ...c, keys: { ...c.keys, [g]: v } })} options={known(i)} />}
        </Field>,
        <Field key={g + '-not'} label={t('rule.excludeKeys', { column: g })} bad={errors.at(`${path}.exclude_keys.${g}`)}>
          {(a) => <Select {...a} mode="tags" style={{ width: '100%' }} value={c.exclude_keys?.[g] ?? []} onChange={(v: string[]) => onChange({ ...c, exclude_keys: { ...c.exclude_keys, [g]: v } })} options={known(i)} />}
        </Field>,
      ])}
    </div>
  )
}

/** Comparison is how the number is made, and what it is compared with. */
function Comparison({ path, condition: c, monitor, errors, onChange }: Omit<Props, 'n' | 'onRemove'> & { monitor?: Monitor }) {
  const t = useT()
  const method = c.method ?? 'current'
  const choose = (next: Method) => {
    const same = compares(next) === compares(method)
    onChange({
      ...c, method: next, op: same && !(next === 'burn_rate' || next === 'items' || next === 'silence') ? c.op : opsOf(next)[0]!, n: needsN(next) ? c.n : undefined, upper: same ? c.upper : undefined, min_base: undefined, zero_base: undefined,
      objective: next === 'burn_rate' ? 99.9 : undefined, short_n: undefined, days: undefined, weekly: undefined, above: next === 'items' ? (c.above ?? 0) : undefined, figure: next === 'silence' || next === 'items' ? undefined : c.figure,
    })
  }
  const number = (field: 'n' | 'short_n' | 'objective' | 'days' | 'above' | 'min_current' | 'min_base' | 'upper', label: string, hint?: string, placeholder?: string) => (
    <Field label={label} hint={hint} bad={errors.at(`${path}.${field}`)}>{(a) => <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} placeholder={placeholder} value={c[field] ?? null} onChange={(v) => onChange({ ...c, [field]: v ?? undefined })} />}</Field>
  )
  const ranges = c.op === 'between' || c.op === 'outside'
  return (
    <div className="fields">
      <Field label={t('rule.method')} hint={t(`methodHint.${method}`)} bad={errors.at(path + '.method')}>
        {(a) => <Select {...a} style={{ width: '100%' }} value={method} onChange={choose} options={methodsFor(c, monitor?.spec.type).map((m) => ({ value: m, label: t(`method.${m}`) }))} />}
      </Field>
      {needsN(method) && number('n', t('rule.n'), undefined, method === 'burn_rate' ? '60' : '5')}
      {method === 'burn_rate' && number('objective', t('rule.objective'), t('rule.objective.hint'))}
      {method === 'burn_rate' && number('short_n', t('rule.shortN'), t('rule.shortN.hint'))}
      {method === 'deviation' && number('days', t('rule.days'), t('rule.days.hint'), '14')}
      {method === 'deviation' && <Field label={t('rule.weekly')} hint={t('rule.weekly.hint')}>{(a) => <Switch id={a.id} checked={c.weekly ?? false} onChange={(weekly) => onChange({ ...c, weekly: weekly || undefined, days: weekly ? 28 : undefined })} />}</Field>}
      {method === 'items' && number('above', t('rule.above'), t('rule.above.hint'))}
      <Field label={t('rule.op')} bad={errors.at(path + '.op')}>{(a) => <Select {...a} style={{ width: '100%' }} value={c.op} onChange={(op: Op) => onChange({ ...c, op, ...(op === 'between' || op === 'outside' ? { threshold: limitsOf(c).threshold ?? 0, thresholds: undefined } : { upper: undefined }) })} options={opsOf(method).map((o) => ({ value: o, label: `${signs[o]} ${t(`op.${o}`)}` }))} />}</Field>
      {c.thresholds
        ? classes.map((k) => (
          <Field key={k} label={t('rule.thresholdOf', { class: t(`class.${k}`) })} bad={errors.at(`${path}.thresholds.${k}`)} hint={k === 'phone' || k === 'email' || k === 'webhook' ? t(`follows.${k}`) : undefined}>
            {(a) => <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} value={c.thresholds?.[k] ?? null} onChange={(v) => onChange({ ...c, thresholds: { ...c.thresholds, [k]: v ?? undefined } })} />}
          </Field>
        ))
        : <Field label={ranges ? t('rule.lower') : t('rule.threshold')} bad={errors.at(path + '.threshold')}>{(a) => <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} value={c.threshold ?? null} onChange={(v) => onChange({ ...c, threshold: v ?? undefined })} />}</Field>}
      {ranges && number('upper', t('rule.upper'))}
      {!ranges && <Field label={t('rule.byClass')} hint={t('rule.byClass.hint')} bad={errors.at(path + '.thresholds')}>{(a) => <Switch id={a.id} checked={!!c.thresholds} onChange={(on) => onChange(on ? { ...c, threshold: undefined, thresholds: { chat: c.threshold, sms: c.threshold } } : { ...c, threshold: c.thresholds?.chat ?? c.thresholds?.sms, thresholds: undefined })} />}</Field>}
      {compares(method) && number('min_current', t('rule.minCurrent'), t('rule.guard.hint'))}
      {compares(method) && number('min_base', t('rule.minBase'), t('rule.guard.hint'))}
    </div>
  )
}
