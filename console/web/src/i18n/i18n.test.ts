import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { texts } from './texts'

const slots = (s: string) => [...s.matchAll(/\{\{(\w+)\}\}/g)].map((m) => m[1]).sort()

describe('texts', () => {
  it('have the same values in both languages', () => {
    for (const [key, [en, zh]] of Object.entries(texts)) {
      expect(en, key).not.toBe('')
      expect(zh, key).not.toBe('')
      expect(slots(zh), key).toEqual(slots(en))
    }
  })
  it('are all used', () => {
    const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((f) => /\.tsx?$/.test(f) && !f.includes('texts.')).map((f) => readFileSync(join('src', f), 'utf8')).join('\n')
    const unused = Object.keys(texts).filter((key) => !sources.includes(`'${key}'`) && !sources.includes('`' + key.replace(/[^.]*$/, '') + '${') && !/^role\..*\.hint$/.test(key))
    expect(unused).toEqual([])
  })
})
