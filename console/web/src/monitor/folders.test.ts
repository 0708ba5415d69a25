import { expect, test } from 'vitest'
import type { Folder } from '../api/types'
import { optionsOf, pathTo, treeOf, without } from './folders'

const folder = (name: string, parent = '') => ({ name, spec: { title: name.toUpperCase(), parent } }) as Folder
const items = [folder('a'), folder('b', 'a'), folder('c', 'B'), folder('d')]
const names = (nodes: ReturnType<typeof treeOf>): string => nodes.map((n) => n.folder.name + (n.children.length > 0 ? `(${names(n.children)})` : '')).join(' ')

test('the tree nests as parents say', () => {
  expect(names(treeOf(items))).toBe('a(b(c)) d')
  // A parent that can't be seen leaves its folders at the top.
  expect(names(treeOf([folder('x', 'gone')]))).toBe('x')
})

test('the way to a folder', () => {
  expect(pathTo(items, 'c').map((f) => f.name)).toEqual(['a', 'b', 'c'])
  expect(pathTo(items, undefined)).toEqual([])
  expect(pathTo([folder('r', 's'), folder('s', 'r')], 'r').length).toBeLessThanOrEqual(5)
})

test('a folder goes neither into itself nor below itself, nor too deep', () => {
  expect(names(without(treeOf(items), 'b'))).toBe('a d')
  expect(optionsOf(treeOf(items), 2)).toEqual([{ value: 'a', title: 'A', children: [{ value: 'b', title: 'B', children: [] }] }, { value: 'd', title: 'D', children: [] }])
})
