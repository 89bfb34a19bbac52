/**
 * Where a device tree's node is once its overlay is applied: what is above it, and what phandles and labels name.
 *
 * Source: Documentation/devicetree/overlay-notes.rst; dtc's dt-object-internal.txt (__fixups__, __symbols__). No
 * overlay is applied to another: one step leads from a node to its target, so nothing goes in circles.
 */
import type { Node } from './flat-tree.js'

/** What an overlay's fragment has its nodes in. */
const overlay = '__overlay__'

const childOf = (node: Node | undefined, name: string): Node | undefined =>
  node?.children.find(child => child.name === name)

/** A property that is a string. */
const textIn = (node: Node | undefined, name: string): string | null =>
  node?.properties.get(name)?.toString('latin1').split('\0')[0] ?? null

/** The node at a path: names without their unit addresses do, too. */
const nodeAt = (root: Node, path: string): Node | null => {
  let node: Node | undefined = root
  for (const name of path.split('/').filter(Boolean))
    node = childOf(node, name) ?? node?.children.find(child => child.name.split('@')[0] === name)
  return node ?? null
}

const rootOf = (node: Node): Node => {
  let root = node
  while (root.parent) root = root.parent
  return root
}

/** The phandles of a tree. */
const phandlesOf = (root: Node): Map<number, Node> => {
  const found = new Map<number, Node>()
  const nodes = [root]
  for (const node of nodes) {
    for (const name of ['phandle', 'linux,phandle']) {
      const value = node.properties.get(name)
      if (value?.length === 4) found.set(value.readUInt32BE(0), node)
    }
    for (const child of node.children) nodes.push(child)
  }
  return found
}

/** Trees of one source: those that are overlays may be for another of them. */
export class Overlays {
  readonly #phandles = new Map<Node, Map<number, Node>>()

  constructor(readonly roots: readonly Node[]) {}

  /** Is the node one that an overlay adds? */
  isIn(node: Node): boolean {
    return this.#fragmentOf(node) !== null
  }

  /** The node that has this one as its child once an overlay is applied; null where that is not known. */
  parentOf({ parent }: Node): Node | null {
    if (parent?.name !== overlay) return parent
    return parent.parent && this.#target(parent.parent)
  }

  /** What the nodes above a node say, up to the first that says it; null where none does. */
  nearest(node: Node, look: (node: Node) => number | null): number | null {
    let isBase = !this.isIn(node)
    for (let at = node.parent; at;) {
      const found = look(at)
      if (found !== null) return found
      const isTop = !isBase && at.name === overlay
      at = isTop && at.parent ? this.#target(at.parent) : at.parent
      isBase ||= isTop
    }
    return null
  }

  /** What an overlay's node is for, in words. */
  targetOf(node: Node): string {
    const fragment = this.#fragmentOf(node)!
    const name = textIn(fragment, 'target-path') ?? this.#labelOf(fragment)
    return name === null
      ? 'a target that it does not name'
      : name.slice(0, 256).replaceAll(/[^\w,.+@/-]/g, '?')
  }

  /** The node that a phandle names in a node's tree; null where there is none. */
  nodeOf(node: Node, phandle: Buffer): Node | null {
    if (phandle.length < 4) return null
    const root = rootOf(node)
    const known = this.#phandles.get(root) ?? phandlesOf(root)
    this.#phandles.set(root, known)
    return known.get(phandle.readUInt32BE(0)) ?? null
  }

  /** The fragment of the overlay that a node is in. */
  #fragmentOf(node: Node): Node | null {
    for (let at = node.parent; at; at = at.parent) if (at.name === overlay) return at.parent
    return null
  }

  /** The label that an overlay's fragment is for: `__fixups__ { LABEL = "/fragment@0:target:0"; }`. */
  #labelOf(fragment: Node): string | null {
    const place = `/${fragment.name}:target:0`
    const fixups = childOf(rootOf(fragment), '__fixups__')
    for (const [label, places] of fixups?.properties ?? [])
      if (places.toString('latin1').split('\0').includes(place)) return label
    return null
  }

  /** The node that a fragment is for, in the trees that are at hand. */
  #target(fragment: Node): Node | null {
    const bases = this.roots.filter(root => root !== rootOf(fragment))
    const path = textIn(fragment, 'target-path')
    const label = this.#labelOf(fragment)
    for (const base of bases) {
      const at = path ?? (label === null ? null : textIn(childOf(base, '__symbols__'), label))
      const found = at === null ? null : nodeAt(base, at)
      if (found) return found
    }
    const phandle = fragment.properties.get('target')
    if (path === null && label === null && phandle) return this.nodeOf(fragment, phandle)
    // Of a path its name is known, though not what that node says.
    return path === null
      ? null
      : { name: nameIn(path), parent: null, properties: new Map(), children: [] }
  }
}

/** The last name of a path; the root's is empty. */
const nameIn = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
