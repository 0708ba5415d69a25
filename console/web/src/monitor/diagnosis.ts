/** Texts of a diagnosis: codes and causes are stable names, the words are here. */
import type { DiagnosisCheck } from '../api/types'
import { share, short } from '../format/numbers'
import type { TextKey, Translate } from '../i18n'
import { diagnosisTexts } from '../i18n/texts.diagnosis'

function has(key: string): key is TextKey {
  return Object.hasOwn(diagnosisTexts, key)
}

/** valuesOf writes the numbers of a cause as people read them. */
export function valuesOf(values: Record<string, number>): Record<string, string> {
  const out: Record<string, string> = {}
  for (const [name, v] of Object.entries(values)) {
    if (name === 'share') out[name] = share(v)
    else if (name === 'bytes') out[name] = short(v, 'bytes')
    else if (name === 'seconds') {
      out.seconds = short(v)
      out.minutes = String(Math.round(v / 60))
    } else out[name] = short(v)
  }
  return out
}

/** causeText says why a check is as it is; a cause of a newer server is shown by its name. */
export function causeText(c: Pick<DiagnosisCheck, 'cause' | 'values'>, t: Translate): string {
  const key = `cause.${c.cause}`
  return c.cause === '' ? '' : has(key) ? t(key, valuesOf(c.values)) : c.cause
}

/** adviceOf says what to do, if there is something to do. */
export function adviceOf(c: Pick<DiagnosisCheck, 'cause' | 'values' | 'state'>, t: Translate): string {
  const key = `advice.${c.cause}`
  return (c.state === 'problem' || c.state === 'warning') && has(key) ? t(key, valuesOf(c.values)) : ''
}

/** judge counts what is wrong. */
export function judge(checks: Pick<DiagnosisCheck, 'state'>[]): { problems: number; warnings: number } {
  return { problems: checks.filter((c) => c.state === 'problem').length, warnings: checks.filter((c) => c.state === 'warning').length }
}
