import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { chineseDetails, localDetail } from './details'

/** codes are those that the server gives to bad fields, as its sources name them. */
function codes(): string[] {
  const found = new Set<string>()
  for (const folder of ['../../internal', '..']) {
    for (const f of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!f.endsWith('.go') || f.endsWith('_test.go') || f.startsWith('web/')) continue
      for (const line of readFileSync(join(folder, f), 'utf8').split('\n')) {
        if (!/\.Add\(|BadField\(|fielderr\.Error\{/.test(line)) continue
        for (const m of line.matchAll(/, "([a-z]+(?:_[a-z]+)*)", (?:"|err)|Code: "([a-z_]+)"/g)) found.add((m[1] ?? m[2])!)
      }
    }
  }
  // These point to other objects: they are no mistakes.
  return [...found].filter((c) => c !== 'referrer').sort()
}

describe('what is wrong with a field', () => {
  it('has a Chinese text for every code of the server', () => {
    expect(codes().length).toBeGreaterThan(40)
    expect(codes().filter((c) => !(c in chineseDetails))).toEqual([])
  })
  it('keeps what only the server knows, and the text itself where there is no other', () => {
    expect(localDetail('bad_regex', 'missing ) in $&', 'zh-CN')).toBe('正则表达式无效：missing ) in $&')
    expect(localDetail('bad_title', 'has 0 characters; give 1 to 64', 'en')).toBe('has 0 characters; give 1 to 64')
    expect(localDetail('of_another_version', 'text', 'zh-CN')).toBe('text')
  })
})
