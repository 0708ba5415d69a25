/** Templates: monitors with their folders and rules as one document. */
import { stringify } from 'yaml'
import type { ImportedItem, Template } from '../api/types'

export type Form = 'yaml' | 'json'

/** templateText is what a template looks like in a file; `pharos apply` reads both forms. */
export function templateText(t: Pick<Template, 'items'>, form: Form): string {
  if (form === 'json') return JSON.stringify({ items: t.items }, null, 2) + '\n'
  return t.items.map((item) => stringify(item, { lineWidth: 0 })).join('---\n')
}

/** outcomes counts what an import does, in the order people care about. */
export function outcomes(items: Pick<ImportedItem, 'outcome'>[]): { outcome: ImportedItem['outcome']; n: number }[] {
  return (['created', 'updated', 'unchanged', 'skipped'] as const).map((outcome) => ({ outcome, n: items.filter((i) => i.outcome === outcome).length })).filter((o) => o.n > 0)
}

/** does reports whether an import would do anything. */
export function does(items: Pick<ImportedItem, 'outcome'>[]): boolean {
  return items.some((i) => i.outcome === 'created' || i.outcome === 'updated')
}
