import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { i18n, type Translate } from '../i18n'
import { diagnosisTexts } from '../i18n/texts.diagnosis'
import { adviceOf, causeText, judge, valuesOf } from './diagnosis'

const t = i18n.t.bind(i18n) as unknown as Translate

test('numbers are written as people read them', () => {
  expect(valuesOf({ share: 0.5, bytes: 2048, seconds: 125, n: 3 })).toEqual({ share: '50.0 %', bytes: '2 KiB', seconds: '125', minutes: '2', n: '3' })
})

test('a cause has its text, and advice only where something is to be done', () => {
  const denied = { cause: 'denied', state: 'problem' as const, values: { n: 1, total: 2 } }
  expect(causeText(denied, t)).toBe('1 of 2 files may not be read by the agent.')
  expect(adviceOf(denied, t)).toContain('group')
  expect(adviceOf({ ...denied, state: 'ok' }, t)).toBe('')
  expect(causeText({ cause: 'made_tomorrow', values: {} }, t)).toBe('made_tomorrow')
  expect(judge([denied, { state: 'warning' }, { state: 'ok' }])).toEqual({ problems: 1, warnings: 1 })
})

test('every cause and check that the server knows has a text, and every problem advice', () => {
  const go = readFileSync(new URL('../../../monitors/checks.go', import.meta.url), 'utf8')
  const known = Object.keys(diagnosisTexts)
  const causes = [...go.matchAll(/(?:cause: |unknown\(|finding\{(?:Problem|Warning), |judged\((?:Problem|Warning), |share\([^"]*?|f\.cause = (?:Problem|Warning|OK), )"(\w+)"/g)].map((m) => m[1]!)
  expect(causes.length).toBeGreaterThan(30)
  expect(causes.filter((c) => !known.includes('cause.' + c))).toEqual([])
  const bad = [...go.matchAll(/(?:state: (?:Problem|Warning), cause: |finding\{(?:Problem|Warning), |judged\((?:Problem|Warning), )"(\w+)"/g)].map((m) => m[1]!)
  expect(bad.filter((c) => !known.includes('advice.' + c))).toEqual([])
  const asked = readFileSync(new URL('../../../monitors/diagnosis.go', import.meta.url), 'utf8')
  const codes = [...asked.matchAll(/\{"(\w+)", "\w*", s\.\w+\}/g)].map((m) => m[1]!)
  expect(codes).toHaveLength(20)
  expect(codes.filter((c) => !known.includes('check.' + c))).toEqual([])
})
