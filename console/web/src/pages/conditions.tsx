/** Conditions of alarm rules in words. */
import type { JudgedCondition, RuleCondition } from '../api/types'
import { exact, short } from '../format/numbers'
import { useT, type Translate } from '../i18n'

export const ops = ['gt', 'ge', 'lt', 'le', 'eq', 'ne'] as const

export const signs: Record<string, string> = { gt: '>', ge: '≥', lt: '<', le: '≤', eq: '=', ne: '≠' }

export function conditionWords(c: RuleCondition, t: Translate): string {
  const what = c.expr ?? `${c.monitor}${c.figure ? ':' + c.figure : ''}${c.total ? ' (' + t('monitor.total') + ')' : ''}`
  const keys = Object.entries(c.keys ?? {}).map(([k, v]) => `${k}=${v.join('|')}`).join(', ')
  return `${what}${keys ? ` {${keys}}` : ''} ${signs[c.op]} ${c.threshold}`
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
          <strong title={exact(c.value, c.unit)}>{c.value === null || c.value === undefined ? t('alert.noValue') : short(c.value, c.unit)}</strong> {signs[c.op] ?? c.op} {short(c.threshold, c.unit)}
          {c.completeness < 1 && <span className="state-warn"> · {t('alert.incomplete')}</span>}
          {c.lines?.map((l, j) => <div key={j} className="mono ellipsis" style={{ maxWidth: 480 }} title={`${l.instance} ${l.file}\n${l.text}`}>{l.text}</div>)}
        </div>
      ))}
    </>
  )
}
