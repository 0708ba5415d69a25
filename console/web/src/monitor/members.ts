/** The members of JSON lines and the pairs of key and value, and where they stand: for proposals while the pointer is down. */
import type { Piece } from './cut'

export interface Member {
  /** path is the JSON path, or the key. */
  path: string
  piece: Piece
}

const plainName = /^[^.[\]"$][^.[\]"]*$/

/** jsonMembers lists the strings, numbers and literals of a line that is a JSON object or array; none if it is no JSON. */
export function jsonMembers(line: string): Member[] {
  const out: Member[] = []
  let at = 0
  const space = () => {
    while (at < line.length && line[at]! <= ' ') at++
  }
  const text = (): string | null => {
    const from = at
    for (at++; at < line.length && line[at] !== '"'; at++) if (line[at] === '\\') at++
    at++
    try {
      return JSON.parse(line.slice(from, at)) as string
    } catch {
      return null
    }
  }
  const value = (path: string, depth: number): boolean => {
    space()
    const from = at
    if (depth > 50) return false
    switch (line[at]) {
      case '"':
        if (text() === null) return false
        out.push({ path, piece: { start: from + 1, end: at - 1 } })
        return true
      case '{':
      case '[': {
        const close = line[at] === '{' ? '}' : ']'
        at++
        space()
        for (let place = 0; at < line.length && line[at] !== close; place++) {
          let below = `${path}[${place}]`
          if (close === '}') {
            const name = line[at] === '"' ? text() : null
            space()
            if (name === null || line[at] !== ':') return false
            at++
            below = plainName.test(name) ? (path === '' ? name : `${path}.${name}`) : `${path}[${JSON.stringify(name)}]`
          }
          if (!value(below, depth + 1)) return false
          space()
          if (line[at] === ',') at++
          else if (line[at] !== close) return false
          space()
        }
        if (line[at] !== close) return false
        at++
        return true
      }
    }
    while (at < line.length && !/[\s,}\]]/.test(line[at]!)) at++
    const literal = line.slice(from, at)
    if (!/^(-?\d[\d.eE+-]*|true|false|null)$/.test(literal)) return false
    if (literal !== 'null') out.push({ path, piece: { start: from, end: at } })
    return true
  }
  space()
  const whole = (line[at] === '{' || line[at] === '[') && value('', 0) && line.slice(at).trim() === ''
  return whole ? out : []
}

/** kvMembers lists the pairs of a line in logfmt. The first of equal keys counts. */
export function kvMembers(line: string): Member[] {
  const out: Member[] = []
  const pair = /(?<=^|\s)([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))/gd
  for (const m of line.matchAll(pair)) {
    const at = m.indices?.[2] ?? m.indices?.[3]
    if (at && !out.some((x) => x.path === m[1])) out.push({ path: m[1]!, piece: { start: at[0], end: at[1] } })
  }
  return out
}
