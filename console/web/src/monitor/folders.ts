/** The tree of folders that the server sends as a list, each folder before those that stand in it. */
import type { Folder } from '../api/types'

/** top stands for no folder where one is asked for. */
export const top = '/'

export const maxDepth = 5

export interface FolderNode {
  folder: Folder
  children: FolderNode[]
}

const key = (name: string) => name.toLowerCase()

/** treeOf nests the folders. */
export function treeOf(items: Folder[]): FolderNode[] {
  const nodes = new Map(items.map((f) => [key(f.name), { folder: f, children: [] as FolderNode[] }]))
  const roots: FolderNode[] = []
  for (const f of items) {
    const parent = f.spec.parent ? nodes.get(key(f.spec.parent)) : undefined
    ;(parent ? parent.children : roots).push(nodes.get(key(f.name))!)
  }
  return roots
}

/** pathTo is the way from the top to a folder, the folder last. */
export function pathTo(items: Folder[], name: string | undefined): Folder[] {
  const path: Folder[] = []
  for (let at = name; at && path.length < maxDepth; ) {
    const f = items.find((x) => key(x.name) === key(at!))
    if (!f) break
    path.unshift(f)
    at = f.spec.parent
  }
  return path
}

/** without is the tree without a folder and all below it: where that folder may go. */
export function without(nodes: FolderNode[], name: string | undefined): FolderNode[] {
  if (!name) return nodes
  return nodes.filter((n) => key(n.folder.name) !== key(name)).map((n) => ({ ...n, children: without(n.children, name) }))
}

export interface Option {
  value: string
  title: string
  children?: Option[]
}

/** optionsOf are the choices of a TreeSelect, down to so many levels. */
export function optionsOf(nodes: FolderNode[], levels = maxDepth): Option[] {
  if (levels <= 0) return []
  return nodes.map((n) => ({ value: n.folder.name, title: n.folder.spec.title, children: optionsOf(n.children, levels - 1) }))
}
