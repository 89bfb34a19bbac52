/**
 * Copies of records, as files: what systemd-pstore, `adb pull`, `cp` or a support bundle made of a pstore. Linux
 * has rendered them already, so they are shown as they are; what it could not inflate goes through the core's codecs.
 *
 * Source: doc/formats.md 2.1.
 */
import type {
  Driver,
  Extent,
  FtraceSlot,
  Glance,
  Inspection,
  Loaded,
  Slot,
  StoreLock,
} from '../../pstore/driver.js'
import { versionOf } from '../../native/open.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import { sampledBytes, type WordSize } from '../../pstore/ftrace.js'
import type { Timespec } from '../../pstore/time.js'
import type { Endian, Identity, RecordType } from '../../pstore/types.js'
import { endianOf, isFtraceText, textLimit, withoutNotice } from './content.js'
import {
  folderVersion,
  isAsListed,
  keyOf,
  listCopies,
  listOne,
  lookAt,
  readCopy,
  type Copy,
  type Listing,
} from './copies.js'

/** How ftrace's records are read, where they are no text yet. */
export interface FtraceReading {
  readonly endian?: Endian
  readonly word_size?: WordSize
}

const gone = { version: '', lengths: [0] } as const

/** A look at the folders in a folder is good for so many times the time that it took. */
const keptFor = 19

const second = 1_000_000_000n

/** When a copy's record was made: its file's time. Null where that is 1970, as the core has it. */
const timeOf = ({ mtimeNs }: { mtimeNs: bigint }): Timespec | null => {
  const nsec = ((mtimeNs % second) + second) % second
  const sec = (mtimeNs - nsec) / second
  return sec === 0n ? null : { sec, nsec: Number(nsec) }
}

export class RecordsDriver implements Driver {
  readonly identity: Identity
  readonly readOnly = true
  readonly whyReadOnly = 'these are copies: rm removes them'
  readonly lock: StoreLock = {
    shared: work => work(true),
    exclusively: () => {
      throw new StoreError(`${this.identity.path}: is read-only: ${this.whyReadOnly}`, 'EROFS')
    },
  }
  /** The folders in the folder may be many: until when, in ms, they need no other look. */
  #listed: { readonly version: string; readonly listing: Listing; until: number } | null = null
  readonly #single: Listing | null

  /**
   * @param path of a folder, or of the file that `single` describes
   * @throws StoreError where the folder cannot be read, or has too many entries
   */
  constructor(
    path: string,
    single: Copy | null,
    readonly ftrace: FtraceReading = {},
  ) {
    this.identity = { driver: 'records', path, offset: 0, hasNames: true }
    this.#single = single && listOne(single)
  }

  /** What is there now: a folder is listed anew where it has changed, or a folder in it. */
  listing(): Listing {
    if (this.#single) return this.#single
    const { path } = this.identity
    const version = folderVersion(path)
    const known = this.#listed
    const start = performance.now()
    if (known?.version === version) {
      if (start < known.until) return known.listing
      if (isAsListed(path, known.listing)) {
        const end = performance.now()
        // A listing asks for each of its copies.
        known.until = end + keptFor * (end - start)
        return known.listing
      }
    }
    const listing = listCopies(path)
    this.#listed = { version, listing, until: 0 }
    return listing
  }

  get facts(): { records: number } {
    return { records: this.listing().copies.length }
  }

  *slots(): Generator<Slot, void, void> {
    for (const copy of this.listing().copies) yield new CopySlot(this, copy)
  }

  slot(label: string, id: bigint, copied: number | null = null): Slot | null {
    const copy = this.listing().byKey.get(keyOf({ label, id, copy: copied }))
    return copy ? new CopySlot(this, copy) : null
  }

  *extents(): Generator<Extent, void, void> {
    for (const copy of this.listing().copies) {
      const { type, label, id } = copy
      const length = Number(lookAt(this.identity.path, copy)?.size ?? 0)
      const inspect = (): Inspection | null => this.#inspect(copy, length)
      const where = { index: 0, offset: null, whole: true, shared: false }
      yield { ...where, type, label, id, copy: copy.copy, length, room: length, inspect }
    }
  }

  #inspect(copy: Copy, room: number): Inspection | null {
    const { type, compressed } = copy
    const sound = { start: 0, findings: [], lost: false, shown: true, parity: null }
    const { bytes, stat } = readCopy(this.identity.path, copy)
    const used = Math.min(bytes.length, room)
    if (used === 0) return { ...sound, state: 'empty', used, shown: false, dump: null }
    const { stream } = withoutNotice(bytes)
    const isDump = type === 'dmesg' || compressed
    const dump = isDump
      ? {
          time: timeOf(stat),
          compressed,
          length: stream.length,
          stream: compressed ? stream : null,
          limit: textLimit(stream.length),
        }
      : null
    return { ...sound, state: 'valid', used, dump }
  }

  dumps(): null {
    return null
  }

  ring(): null {
    return null
  }

  doubts(): string[] {
    return []
  }

  sync(): void {}

  close(): void {}
}

/** A file, which is a record. */
class CopySlot implements Slot {
  readonly type: RecordType
  readonly label: string
  readonly id: bigint
  readonly copy: number | null
  readonly deep: boolean
  #ftrace: FtraceSlot | null | undefined

  constructor(
    readonly driver: RecordsDriver,
    readonly file: Copy,
  ) {
    this.type = file.type
    this.label = file.label
    this.id = file.id
    this.copy = file.copy
    this.deep = file.compressed || file.type === 'ftrace'
  }

  get #path(): string {
    return this.driver.identity.path
  }

  /** Null where it is no ftrace, or a kernel has made text of it. */
  get ftrace(): FtraceSlot | null {
    if (this.type !== 'ftrace') return null
    if (this.#ftrace === undefined) {
      const { bytes } = readCopy(this.#path, this.file)
      const { endian = endianOf(bytes), word_size: wordSize } = this.driver.ftrace
      const sample = () => [{ bytes: bytes.subarray(-sampledBytes), kernel: 0 }]
      this.#ftrace = isFtraceText(bytes) ? null : { endian, merged: false, wordSize, sample }
    }
    return this.#ftrace
  }

  glance(): Glance {
    const stat = lookAt(this.#path, this.file)
    if (!stat) return gone
    const lengths = this.deep ? null : [Number(stat.size)]
    return { version: versionOf(stat), lengths, time: timeOf(stat) }
  }

  /** A name tells whether its copy can be inflated, and a folder goes on listing what has gone. */
  lengths(): null {
    return null
  }

  load(): Loaded {
    const read = this.#read()
    if (!read) return { version: gone.version, raw: null }
    const { bytes, stat } = read
    const version = versionOf(stat)
    if (bytes.length === 0) return { version, raw: null }
    const { compressed } = this.file
    const { stream, ecc } = compressed ? withoutNotice(bytes) : { stream: bytes, ecc: null }
    const limit = textLimit(stream.length)
    const time = timeOf(stat)
    return { version, raw: { parts: [stream], kernels: [0], time, compressed, limit, ecc, cut: 0 } }
  }

  /** Null where it has gone. */
  #read(): ReturnType<typeof readCopy> | null {
    try {
      return readCopy(this.#path, this.file)
    } catch (error) {
      assertStoreError(error)
      if (error.code !== 'ENOENT') throw error
      return null
    }
  }

  get unreadable(): NonNullable<Slot['unreadable']> {
    const stat = lookAt(this.#path, this.file)
    const { compressed } = this.file
    return { time: stat && timeOf(stat), compressed, size: Number(stat?.size ?? 0) }
  }

  raw(): Buffer | null {
    return this.#read()?.bytes ?? null
  }

  erase(): void {
    this.driver.lock.exclusively(() => {})
  }
}
