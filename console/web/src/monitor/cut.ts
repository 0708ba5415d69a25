/**
 * What a column rule cuts out of a line, for proposals while the pointer is
 * down. The agent's dry run decides what is shown and saved; this only has to
 * agree with it on rules that it proposes itself.
 */
import type { Column } from '../api/types'
import { jsonMembers, kvMembers } from './members'

/** unescape turns the written form of a delimiter (\t, \x1b, char(1,2)) into its text. */
export function unescape(s: string): string {
  const codes = /^char\(([\d, ]+)\)$/.exec(s)
  if (codes) return String.fromCharCode(...codes[1]!.split(',').map((c) => Number(c.trim())))
  return s.replace(/\\(t|n|\\|x[0-9a-fA-F]{2})/g, (_, e: string) =>
    e === 't' ? '\t' : e === 'n' ? '\n' : e === '\\' ? '\\' : String.fromCharCode(parseInt(e.slice(1), 16)))
}

/** escape writes a delimiter so that it can be read and typed. */
export function escape(s: string): string {
  let out = ''
  for (const c of s) {
    const code = c.charCodeAt(0)
    if (c === '\\') out += '\\\\'
    else if (c === '\t') out += '\\t'
    else if (code < 32 || code === 127) out += '\\x' + code.toString(16).padStart(2, '0')
    else out += c
  }
  return out
}

/** A space in a rule's text is shown as this sign, since an input with only a space looks empty. */
const spaceSign = '␣'

export function showSpaces(s: string): string {
  return s.replaceAll(' ', spaceSign)
}

export function readSpaces(s: string): string {
  return s.replaceAll(spaceSign, ' ')
}

export interface Piece {
  start: number
  end: number
}

function trimmed(line: string, start: number, end: number): Piece {
  while (start < end && /\s/.test(line[start]!)) start++
  while (end > start && /\s/.test(line[end - 1]!)) end--
  return { start, end }
}

/** fields splits a line. */
export function fields(line: string, delimiter: string): Piece[] {
  const out: Piece[] = []
  let from = 0
  for (;;) {
    const at = delimiter === '' ? -1 : line.indexOf(delimiter, from)
    if (at < 0) {
      out.push({ start: from, end: line.length })
      return out
    }
    out.push({ start: from, end: at })
    from = at + delimiter.length
  }
}

/** cut gives where the column's value stands in the line, null when it is missing. What is never proposed is left to the agent. */
export function cut(line: string, column: Column): Piece | null {
  if (column.json) return jsonMembers(line).find((m) => m.path === column.json!.path)?.piece ?? null
  if (column.kv) return kvMembers(line).find((m) => m.path === column.kv!.key)?.piece ?? null
  if (column.line) return trimmed(line, 0, line.length)
  if (column.split) {
    const all = fields(line, unescape(column.split.delimiter))
    const i = column.split.index < 0 ? all.length + column.split.index : column.split.index
    const f = all[i]
    return f ? trimmed(line, f.start, f.end) : null
  }
  if (column.between) {
    const left = unescape(column.between.left ?? '')
    const right = unescape(column.between.right ?? '')
    let start = 0
    if (left !== '') {
      for (let n = column.between.left_index || 1; n > 0; n--) {
        const at = line.indexOf(left, start)
        if (at < 0) return null
        start = at + left.length
      }
    }
    let end = line.length
    if (right !== '') {
      end = start
      for (let n = column.between.right_index || 1; n > 0; n--) {
        const at = line.indexOf(right, n === (column.between.right_index || 1) ? end : end + right.length)
        if (at < 0) return null
        end = at
      }
    }
    return trimmed(line, start, end)
  }
  return null
}
