/**
 * The bytes of open files: each file keeps those of its open(2). One unchanged record's are there once, however
 * often it is open, and all together are bounded: whoever may only read must not fill this process.
 */
import type { RecordFacts } from '../pstore/backend.js'
import type { Content } from '../pstore/content.js'
import { StoreError } from '../pstore/errors.js'
import type { Snapshot } from '../pstore/records.js'

/** Bytes that all open files of a mount keep together at most; one alone may have more. */
const mostBytes = 64 << 20

/** A snapshot that some open files share. */
export interface SharedSnapshot extends Snapshot {
  /** How many files have it open. */
  opens: number
}

const bytesOf = ({ held }: Content): number => held.reduce((sum, { length }) => sum + length, 0)

/**
 * Do two snapshots show the same? Their versions alone do not tell: a ring that was written around exactly once
 * has the header that it had before.
 */
const isSame = (a: Snapshot, b: Snapshot): boolean =>
  a.record.version === b.record.version &&
  a.content.held.length === b.content.held.length &&
  a.content.held.every((bytes, i) => bytes.equals(b.content.held[i]!))

export class Snapshots {
  /** By the inode number of their file. */
  readonly #open = new Map<number, SharedSnapshot[]>()
  #bytes = 0

  /** @param onDrop told how many bytes nobody needs any more, once the caller is done */
  constructor(readonly onDrop: (bytes: number) => void = () => {}) {}

  /**
   * Keep a snapshot for one more open file.
   *
   * @returns it, or the same one that is there already
   * @throws StoreError (EMFILE) where open files keep too much
   */
  keep(ino: number, snapshot: Snapshot): SharedSnapshot {
    const all = this.#open.get(ino) ?? []
    const same = all.find(each => isSame(each, snapshot))
    const bytes = bytesOf(snapshot.content)
    if (same) {
      same.opens++
      if (same !== snapshot) this.onDrop(bytes)
      return same
    }
    if (this.#bytes > 0 && this.#bytes + bytes > mostBytes) {
      this.onDrop(bytes)
      throw tooMuch(snapshot.record)
    }
    this.#bytes += bytes
    const kept = { ...snapshot, opens: 1 }
    this.#open.set(ino, [...all, kept])
    return kept
  }

  /** One of a file's, where it is open; the last one that was opened. */
  last(ino: number): SharedSnapshot | undefined {
    return this.#open.get(ino)?.at(-1)
  }

  /** A file that had a snapshot open was closed. */
  release(ino: number, snapshot: SharedSnapshot): void {
    if (--snapshot.opens > 0) return
    const bytes = bytesOf(snapshot.content)
    this.#bytes -= bytes
    this.onDrop(bytes)
    const rest = this.#open.get(ino)!.filter(each => each !== snapshot)
    if (rest.length > 0) this.#open.set(ino, rest)
    else this.#open.delete(ino)
  }
}

const tooMuch = ({ name }: RecordFacts): StoreError =>
  new StoreError(
    `${name}: not opened: the mount's open files keep ${mostBytes >> 20} MiB already; close some`,
    'EMFILE',
  )
