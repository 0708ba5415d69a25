/** Conditions of alarm rules in words, and what goes with what in them. */
import type { JudgedCondition, Method, MonitorType, Op, PackageRule, RuleCondition, RuleSpec } from '../api/types'
import { exact, short } from '../format/numbers'
import { useT, type Translate } from '../i18n'

const absolute: Op[] = ['gt', 'ge', 'lt', 'le', 'eq', 'ne', 'between', 'outside']
const changes: Op[] = ['rise_pct_gt', 'rise_pct_ge', 'fall_pct_gt', 'fall_pct_ge', 'change_pct_gt', 'change_pct_ge', 'rise_gt', 'rise_ge', 'fall_gt', 'fall_ge', 'change_gt', 'change_ge']

export const signs: Record<Op, string> = {
  gt: '>', ge: '≥', lt: '<', le: '≤', eq: '=', ne: '≠', between: '∈', outside: '∉', rise_pct_gt: '↑% >', rise_pct_ge: '↑% ≥', fall_pct_gt: '↓% >', fall_pct_ge: '↓% ≥',
  change_pct_gt: '±% >', change_pct_ge: '±% ≥', rise_gt: '↑ >', rise_ge: '↑ ≥', fall_gt: '↓ >', fall_ge: '↓ ≥', change_gt: '± >', change_ge: '± ≥',
}

export const classes = ['chat', 'sms', 'phone', 'email', 'webhook'] as const

const methods: Method[] = ['current', 'ring', 'hour', 'day', 'week', 'sum_n', 'avg_n', 'max_n', 'min_n', 'absent_n', 'sum_n_ring', 'sum_n_day', 'sum_n_week', 'avg_n_ring', 'avg_n_day', 'avg_n_week', 'deviation', 'burn_rate', 'silence']

/** methodsFor are those that fit where the number comes from. */
export function methodsFor(c: RuleCondition, type?: MonitorType): Method[] {
  if (c.expr !== undefined) return ['current', 'ring', 'hour', 'day', 'week', 'deviation']
  if (type === 'minute_top') return ['items', 'silence']
  if (type === 'row_top') return ['items', ...methods]
  if (c.figure === 'completeness') return ['current', 'avg_n', 'min_n', 'max_n']
  return methods
}

/** compares tells whether a method has a base: then operators are of changes. */
export function compares(m: Method): boolean {
  return ['ring', 'hour', 'day', 'week', 'deviation'].includes(m) || /_n_(ring|day|week)$/.test(m)
}

export function needsN(m: Method): boolean {
  return m.includes('_n') || m === 'burn_rate'
}

export function opsOf(m: Method): Op[] {
  return m === 'deviation' ? ['change_gt', 'rise_gt', 'fall_gt', 'change_ge', 'rise_ge', 'fall_ge'] : compares(m) ? changes : absolute
}

/** limitsOf are what a condition is compared with, to keep when the rest changes. */
export function limitsOf(c: RuleCondition): Pick<RuleCondition, 'threshold' | 'thresholds'> {
  return c.thresholds ? { thresholds: c.thresholds } : { threshold: c.threshold ?? 0 }
}

/** partsOf are the rules of a package; the one rule of most has no name. */
export function partsOf(s: RuleSpec): PackageRule[] {
  return s.rules?.length ? s.rules : [{ name: '', join: s.join, conditions: s.conditions ?? [], for: s.for, of: s.of }]
}

/** withParts puts rules into a package: one without a name stands in the spec itself. */
export function withParts(s: RuleSpec, parts: PackageRule[]): RuleSpec {
  const [only] = parts
  if (parts.length === 1 && only && only.name === '') return { ...s, rules: undefined, join: only.join, conditions: only.conditions, for: only.for, of: only.of }
  return { ...s, rules: parts, join: undefined, conditions: undefined, for: undefined, of: undefined }
}

export function conditionsOf(s: RuleSpec): RuleCondition[] {
  return partsOf(s).flatMap((p) => p.conditions)
}

function limitWords(c: Pick<RuleCondition, 'op' | 'upper' | 'threshold' | 'thresholds'>, t: Translate): string {
  if (c.upper !== undefined && c.upper !== null) return `[${c.threshold}, ${c.upper}]`
  const each = classes.filter((k) => c.thresholds?.[k] !== undefined).map((k) => `${t(`class.${k}`)} ${c.thresholds![k]}`)
  return each.length > 0 ? each.join(' / ') : String(c.threshold)
}

export function conditionWords(c: RuleCondition, t: Translate): string {
  const what = c.expr ?? `${c.monitor}${c.figure ? ':' + c.figure : ''}${c.total ? ' (' + t('monitor.total') + ')' : ''}`
  const filter = (keys: RuleCondition['keys'], sign: string) => Object.entries(keys ?? {}).map(([k, v]) => `${k}${sign}${v.join('|')}`)
  const keys = [...filter(c.keys, '='), ...filter(c.exclude_keys, '≠')].join(', ')
  const how = c.method && c.method !== 'current' ? ` · ${t(`method.${c.method}`)}${needsN(c.method) ? ` n=${c.n}` : ''}` : ''
  return `${what}${keys ? ` {${keys}}` : ''}${how} ${signs[c.op]} ${limitWords(c, t)}`
}

/** ruleAt is where a rule of an alert is shown: rules that a monitor carries itself are on its page. */
export function ruleAt(rule: string): string {
  return rule.startsWith('match:') ? `/monitors/${rule.slice('match:'.length)}` : `/rules/${rule}`
}

export function ConditionText({ conditions }: { conditions: JudgedCondition[] }) {
  const t = useT()
  return (
    <>
      {conditions.map((c, i) => (
        <div key={i} className={c.result === 'true' ? '' : 'muted'} title={c.source}>
          <JudgedWords condition={c} />
          {c.completeness < 1 && <span className="state-warn"> · {t('alert.incomplete')}</span>}
          {c.lines?.map((l, j) => <div key={j} className="mono ellipsis" style={{ maxWidth: 480 }} title={`${l.instance} ${l.file}\n${l.text}`}>{l.text}</div>)}
        </div>
      ))}
    </>
  )
}

/** JudgedWords says what a condition found: the number, what it was compared with, and how. */
export function JudgedWords({ condition: c }: { condition: JudgedCondition }) {
  const t = useT()
  const op = c.op as Op
  const changed = op.startsWith('rise') || op.startsWith('fall') || op.startsWith('change')
  const unit = op.includes('_pct_') ? '%' : c.method === 'deviation' ? 'σ' : c.unit
  const now = changed ? c.current : c.value
  return (
    <>
      <strong title={exact(now, c.unit)}>{now === null || now === undefined ? t('alert.noValue') : short(now, c.unit)}</strong>
      {changed && c.base !== undefined && c.base !== null && <span className="muted"> {t('alert.against', { base: short(c.base, c.unit) })}</span>}
      {changed && c.value !== null && c.value !== undefined && <> {short(c.value, unit)}</>}
      {c.method && <span className="muted"> ({t(`method.${c.method as Method}`)}{c.n ? `, n=${c.n}` : ''})</span>} {signs[op] ?? c.op} {c.thresholds || c.upper !== undefined ? limitWords({ op, threshold: c.threshold, thresholds: c.thresholds, upper: c.upper ?? undefined }, t) : short(c.threshold, changed ? unit : c.unit)}
      {(c.low !== undefined || c.high !== undefined) && <span className="muted"> [{c.low === undefined ? '…' : short(c.low, c.unit)} – {c.high === undefined ? '…' : short(c.high, c.unit)}]</span>}
    </>
  )
}
