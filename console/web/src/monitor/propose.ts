/** Proposes column rules for a word that a person marked in a line (spec 05 §5.1, COL-5). */
import type { Column } from '../api/types'
import { cut, escape, fields, unescape, type Piece } from './cut'
import { jsonMembers, kvMembers, type Member } from './members'

export interface Proposal {
  column: Column
  /** found says in how many of the sample lines the rule finds a value. */
  found: number
  /** values are the first different values it finds. */
  values: string[]
}

const commonDelimiters = [',', '|', '\t', ';', '||', '^', ' ']

/** wordAt is the field or word around an index: between delimiters when there is one, else between spaces and punctuation. */
export function wordAt(line: string, index: number, delimiter: string): Piece {
  const member = memberAt(jsonMembers(line), index)
  if (member) return member.piece
  const d = unescape(delimiter)
  if (d !== '') {
    const f = fields(line, d).find((p) => index >= p.start && index <= p.end)
    if (f && fields(line, d).length > 1) return shrink(line, f)
  }
  const word = /[^\s,;|=:"'()[\]{}<>&?]/
  let start = index
  let end = index
  while (start > 0 && word.test(line[start - 1]!)) start--
  while (end < line.length && word.test(line[end]!)) end++
  return { start, end }
}

function memberAt(members: Member[], index: number): Member | undefined {
  return members.find((m) => index >= m.piece.start && index <= m.piece.end)
}

function shrink(line: string, p: Piece): Piece {
  let { start, end } = p
  while (start < end && line[start] === ' ') start++
  while (end > start && line[end - 1] === ' ') end--
  return { start, end }
}

function same(a: Piece | null, b: Piece): boolean {
  return a !== null && a.start === b.start && a.end === b.end
}

function occurrences(text: string, part: string): number {
  let n = 0
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) n++
  return n
}

/** marker takes the text that stands directly before a value and belongs to it, such as `cost=` or `[`. */
function leftMarker(before: string): string {
  const named = /[\p{L}\p{N}_.-]+\s?[=:]\s?["'[(]?$/u.exec(before)
  if (named) return named[0]
  const sign = /[^\p{L}\p{N}\s]+$/u.exec(before)
  if (sign) return sign[0]
  const space = /\s+$/.exec(before)
  if (space) return space[0]
  return before.slice(-3)
}

function rightMarker(after: string): string {
  if (after === '') return ''
  const letters = /^[\p{L}%]+/u.exec(after)
  if (letters) return letters[0]
  return after[0]!
}

/** propose returns rules that cut exactly the marked piece out of the line, best first. */
export function propose(lines: readonly string[], line: string, piece: Piece, detected: string, name: string): Proposal[] {
  const marked = shrink(line, piece)
  if (marked.start >= marked.end) return []
  const columns: Column[] = []
  const exactly = (members: Member[]) => members.find((m) => same(shrink(line, m.piece), marked))
  const inJSON = exactly(jsonMembers(line))
  if (inJSON) columns.push({ name, json: { path: inJSON.path } })
  const pair = exactly(kvMembers(line))
  if (pair) columns.push({ name, kv: { key: pair.path } })
  const delimiters = [...new Set([unescape(detected), ...commonDelimiters])].filter((d) => d !== '')
  for (const d of delimiters) {
    const parts = fields(line, d)
    if (parts.length < 2) continue
    const index = parts.findIndex((p) => same(shrink(line, p), marked))
    if (index < 0) continue
    columns.push({ name, split: { delimiter: escape(d), index } })
  }
  const before = line.slice(0, marked.start)
  const after = line.slice(marked.end)
  const left = leftMarker(before)
  const right = rightMarker(after)
  columns.push({
    name,
    between: {
      ...(left === '' ? {} : { left: escape(left), left_index: Math.max(1, occurrences(before, left)) }),
      ...(right === '' ? {} : { right: escape(right), right_index: occurrences(line.slice(marked.start, marked.end), right) + 1 }),
    },
  })
  if (marked.start === 0 && marked.end === line.length) columns.push({ name, line: true })
  const out: Proposal[] = []
  for (const column of columns) {
    if (!same(cut(line, column), marked)) continue
    const values = new Set<string>()
    let found = 0
    for (const l of lines) {
      const p = cut(l, column)
      if (!p) continue
      found++
      if (values.size < 6) values.add(l.slice(p.start, p.end))
    }
    out.push({ column, found, values: [...values] })
  }
  // What names the value comes first, then the detected delimiter; among the rest a rule that holds on more lines is better.
  const rank = (p: Proposal) => (p.column.json ? 3 : p.column.kv ? 2 : p.column.split && unescape(p.column.split.delimiter) === unescape(detected) ? 1 : 0)
  return out.sort((a, b) => rank(b) - rank(a) || b.found - a.found).slice(0, 4)
}

/** freeName is base, or base2, base3, …, whichever is not taken. */
export function freeName(base: string, taken: readonly string[]): string {
  if (!taken.includes(base)) return base
  for (let n = 2; ; n++) {
    if (!taken.includes(base + n)) return base + n
  }
}
