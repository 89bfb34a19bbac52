/** Taking the oldest crashes out of an archive, so that it stays within bounds. */
import path from 'node:path'
import type { Folder } from '../native/folder.js'
import { StoreError } from '../pstore/errors.js'
import { guarded, partial, pending, readManifest } from './entries.js'
import type { ArchiveFolder } from './folder.js'

/** What an archive may have; undefined: any number. */
export interface Bounds {
  /** Crashes. */
  readonly keepLast: number | undefined
  /** Bytes in their files. The newest crash stays, whatever it has. */
  readonly maxSize: number | undefined
  /** For how long after it was archived a crash stays, in ms. */
  readonly maxAge: number | undefined
}

/** What has to be known of a crash. */
interface Facts {
  readonly name: string
  /** As of Manifest; of an earlier version's crash when it was archived. */
  readonly order: number
  /** When it was archived, by this machine's clock: a guest may say what it likes. In ms since 1970. */
  readonly archived: number
  readonly size: number
  /** Its store may still have some of it, and would have it archived again. */
  readonly isUnfinished: boolean
}

const sizeOf = (archive: Folder, name: string): number =>
  guarded(`${archive.path}/${name}`, () => {
    const crash = archive.folder(name)
    try {
      return crash.size()
    } finally {
      crash.close()
    }
  })

export class Pruner {
  /** Of crashes that are all in the archive: they do not change any more. */
  #known = new Map<string, Facts>()

  /**
   * @param mayGo whether a crash that is out of bounds can be missed: not before it was sent
   */
  constructor(
    readonly bounds: Bounds,
    readonly mayGo: (archive: Folder, crash: Folder) => boolean,
  ) {}

  /**
   * Take out what is out of bounds, the oldest first. A kill leaves a crash whole, or what the next run removes.
   *
   * @param most so many crashes at a time
   * @param told is told, in a line, of crashes that have to stay
   * @returns whether there are more to go
   * @throws StoreError where the archive cannot be read or written
   */
  prune(
    archive: ArchiveFolder,
    say: (folder: string, what: string) => void,
    told: (line: string) => void,
    most = Infinity,
  ): boolean {
    const out = this.#outOfBounds(archive.root)
    let gone = 0
    let staying = 0
    for (const { name, why } of out.toReversed()) {
      if (gone === most) return true
      if (!this.#isFree(archive.root, name)) {
        staying++
        continue
      }
      archive.discard(name)
      this.#known.delete(name)
      say(path.join(archive.folder, name), `pruned: ${why}`)
      gone++
    }
    if (staying > 0)
      told(
        `${archive.folder}: ${staying} out of bounds ${staying === 1 ? 'stays' : 'stay'}: not sent yet` +
          ` (to send none any more, remove ${path.join(archive.folder, '.sends-*')})`,
      )
    return false
  }

  #isFree(archive: Folder, name: string): boolean {
    const crash = guarded(archive.path, () => archive.folder(name))
    try {
      return this.mayGo(archive, crash)
    } finally {
      crash.close()
    }
  }

  /** The crashes that are out of bounds and not needed any more, and why, the newest first. */
  #outOfBounds(archive: Folder): { name: string; why: string }[] {
    const { keepLast = Infinity, maxSize = Infinity, maxAge = Infinity } = this.bounds
    const now = Date.now()
    const oldest = now - maxAge
    let size = 0
    return this.#look(archive).flatMap(
      ({ name, order, archived, size: own, isUnfinished }, rank) => {
        size += own
        // A clock that was behind says too early a time, one that was ahead gives all behind it too late an order.
        const since = order > now ? archived : order
        const why =
          rank >= keepLast
            ? `there are ${keepLast} newer ones`
            : size > maxSize && rank > 0
              ? `with it, there are more than ${maxSize} bytes`
              : since < oldest
                ? `it was archived before ${new Date(oldest).toISOString()}`
                : null
        return why === null || isUnfinished ? [] : [{ name, why }]
      },
    )
  }

  /** All crashes, the one that was archived last first. */
  #look(archive: Folder): Facts[] {
    const known = new Map<string, Facts>()
    const found: Facts[] = []
    for (const entry of guarded(archive.path, () => archive.entries())) {
      const { name } = entry
      if (name.startsWith(partial) || !entry.isDirectory()) continue
      const facts = this.#known.get(name) ?? this.#factsOf(archive, name)
      if (!facts) continue
      found.push(facts)
      if (!facts.isUnfinished) known.set(name, facts)
    }
    this.#known = known
    return found.toSorted((a, b) => b.order - a.order || (a.name < b.name ? 1 : -1))
  }

  /** Null of what is no crash of ours. */
  #factsOf(archive: Folder, name: string): Facts | null {
    try {
      const manifest = readManifest(archive, name)
      const archived = Number(manifest?.archived) * 1000
      return (
        manifest && {
          name,
          order: manifest.order ?? archived,
          archived,
          size: this.bounds.maxSize === undefined ? 0 : sizeOf(archive, name),
          isUnfinished: manifest.kept || name.startsWith(pending),
        }
      )
    } catch (error) {
      // What is wrong with it, `list` tells.
      if (error instanceof StoreError) return null
      throw error
    }
  }
}
