/** A tree asked by paths, as tests like it: every answer is there at once, since its backends are attached here. */
import { type Backend } from '#src/index.js'
import { recordsOf, type Records } from '#src/pstore/records.js'
import {
  Tree,
  type Attributes,
  type Changes,
  type OpenFile,
  type TreeOptions,
} from '#src/tree/tree.js'
import type { Soon } from '#src/pstore/soon.js'

/** An answer that must be there. */
export const atOnce = <T>(answer: Soon<T>): T => {
  if (answer instanceof Promise) throw new Error('not answered at once')
  return answer
}

export class ByPath {
  readonly tree: Tree
  readonly #records = new Map<Backend, Records>()

  constructor(backends: readonly Backend[], options: TreeOptions = {}) {
    this.tree = new Tree(this.#of(backends), options)
  }

  #of(backends: readonly Backend[]): Records[] {
    return backends.map(backend => {
      const records = this.#records.get(backend) ?? recordsOf(backend)
      this.#records.set(backend, records)
      return records
    })
  }

  replace(backends: readonly Backend[], subdirs: 'visible' | 'hidden' | 'off'): void {
    this.tree.replace(this.#of(backends), subdirs)
  }

  #find(path: string): Attributes {
    let found = atOnce(this.tree.attributes(Tree.root))
    for (const name of path.split('/').filter(Boolean))
      found = atOnce(this.tree.lookup(found.ino, name))
    return found
  }

  #parent(path: string): [number, string] {
    const at = path.lastIndexOf('/')
    return [this.#find(path.slice(0, at)).ino, path.slice(at + 1)]
  }

  getattr(path: string): Attributes {
    return this.#find(path)
  }

  readdir(path: string): string[] {
    return atOnce(this.tree.list(this.#find(path).ino)).map(({ name }) => name)
  }

  open(path: string): OpenFile {
    return atOnce(this.tree.open(this.#find(path).ino))
  }

  unlink(path: string): void {
    atOnce(this.tree.unlink(...this.#parent(path)))
  }

  change(path: string, changes: Changes): Attributes {
    return atOnce(this.tree.change(this.#find(path).ino, changes))
  }
}
