/** Which of some files have the same bytes. Each is read once or twice for that, however many there are. */
import { crc32 } from 'node:zlib'

/** What is cheap to know of a file. */
interface Look {
  /** Two that have this in common are one file. */
  readonly inode: string
  /** Two that have not this in common have other bytes. */
  readonly length: string
}

/** Those of one length: a file is read only where there is another of its length. */
interface OfLength {
  readonly unread: string[]
  readonly bySum: Map<number, string[]>
}

export class Twins {
  /** Added, and not looked at yet: most names are there once. */
  readonly #added: string[] = []
  readonly #inodes = new Set<string>()
  readonly #byLength = new Map<string, OfLength>()

  /** @param read gives null for what cannot be read: it has no twin */
  constructor(
    readonly look: (file: string) => Look,
    readonly read: (file: string) => Buffer | null,
  ) {}

  add(file: string): void {
    this.#added.push(file)
  }

  /** Was this one added, or one of the same bytes? */
  has(file: string): boolean {
    for (const added of this.#added.splice(0)) {
      const { inode, length } = this.look(added)
      this.#inodes.add(inode)
      this.#ofLength(length).unread.push(added)
    }
    const { inode, length } = this.look(file)
    if (this.#inodes.has(inode)) return true
    const { unread, bySum } = this.#ofLength(length)
    if (unread.length + bySum.size === 0) return false
    for (const other of unread.splice(0)) {
      const bytes = this.read(other)
      if (!bytes) continue
      const sum = crc32(bytes)
      bySum.set(sum, [...(bySum.get(sum) ?? []), other])
    }
    const bytes = this.read(file)
    if (!bytes) return false
    const others = bySum.get(crc32(bytes)) ?? []
    return others.some(other => this.read(other)?.equals(bytes))
  }

  #ofLength(length: string): OfLength {
    let found = this.#byLength.get(length)
    if (!found) this.#byLength.set(length, (found = { unread: [], bySum: new Map() }))
    return found
  }
}
