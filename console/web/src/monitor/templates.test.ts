import { expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import type { Template } from '../api/types'
import { does, outcomes, templateText } from './templates'

const template = { items: [{ apiVersion: 'pharos/v1', kind: 'Folder', metadata: { name: 'a' }, spec: { title: 'A: b' } }, { apiVersion: 'pharos/v1', kind: 'LogMonitor', metadata: { name: 'm', folder: 'a' }, spec: { paths: ['/x'] } }] } as unknown as Template

test('a template reads back as it was, in both forms', () => {
  expect(JSON.parse(templateText(template, 'json'))).toEqual(template)
  expect(parseAllDocuments(templateText(template, 'yaml')).map((d) => parse(String(d)) as unknown)).toEqual(template.items)
})

test('an import is summed up', () => {
  const items = [{ outcome: 'skipped' as const }, { outcome: 'created' as const }, { outcome: 'created' as const }]
  expect(outcomes(items)).toEqual([{ outcome: 'created', n: 2 }, { outcome: 'skipped', n: 1 }])
  expect(does(items)).toBe(true)
  expect(does([{ outcome: 'unchanged' }])).toBe(false)
})
