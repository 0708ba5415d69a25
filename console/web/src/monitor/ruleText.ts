import type { Column } from '../api/types'
import type { Translate } from '../i18n'

/** visible writes a delimiter so that spaces can be seen. */
export function visible(s: string): string {
  return s.replaceAll(' ', '␣')
}

/** ruleText says in words what a column rule takes. */
export function ruleText(c: Column, t: Translate): string {
  if (c.json) return t('rule.json', { path: c.json.path })
  if (c.kv) return t('rule.kv', { key: c.kv.key })
  if (c.fixed) return t('rule.fixed', { from: (c.fixed.offset ?? 0) + 1, to: (c.fixed.offset ?? 0) + c.fixed.length })
  if (c.split) {
    const n = c.split.index
    return n < 0 ? t('rule.splitEnd', { n: -n, delimiter: visible(c.split.delimiter) }) : t('rule.split', { n: n + 1, delimiter: visible(c.split.delimiter) })
  }
  if (c.between) {
    const left = c.between.left ? t('rule.after', { text: visible(c.between.left), n: (c.between.left_index ?? 1) > 1 ? ` (${c.between.left_index})` : '' }) : t('rule.lineStart')
    const right = c.between.right ? t('rule.before', { text: visible(c.between.right), n: (c.between.right_index ?? 1) > 1 ? ` (${c.between.right_index})` : '' }) : t('rule.lineEnd')
    return t('rule.between', { left, right })
  }
  if (c.regex) return t('rule.regex', { group: c.regex.group ?? 0, pattern: c.regex.pattern })
  return c.formula !== undefined ? '= ' + c.formula : t('rule.line')
}
