/**
 * The second half of a record's move into an archive: it is erased in its store, once a file with its name and its
 * sum is found in its crash's folder. What a guest appends to a ring until then, and while it is emptied, goes into
 * a file beside the copy.
 */
import crypto from 'node:crypto'
import type { Folder } from '../native/folder.js'
import type { Backend } from '../pstore/backend.js'
import { chunksOf } from '../pstore/content.js'
import { assertStoreError, StoreError } from '../pstore/errors.js'
import { advance, type Ring } from '../pstore/ring.js'
import {
  Aftermath,
  appendedSince,
  decodeIntent,
  encodeIntent,
  isStill,
  lookAt,
  type Intent,
} from './emptied.js'
import type { ArchivedRecord } from './manifest.js'

/** What became of a crash's records. */
export interface Moved {
  /** The records whose copies are in the folder, and what was appended to them. */
  readonly records: ArchivedRecord[]
  /** Records that the store still has, as they changed since they were copied. */
  readonly left: string[]
  /** Records of which the folder has no copy, so that they were not erased. */
  readonly missing: string[]
  /** Rings to which something was appended meanwhile, and how many bytes of that are in the archive. */
  readonly appended: { name: string; size: number }[]
  /** Rings of which something that was appended while they were emptied may be lost. */
  readonly doubtful: string[]
  /** Records that the store would not let be looked at or erased, and why: the next run goes on with those. */
  readonly failed: { name: string; error: StoreError }[]
}

/** How often a ring is tried to be emptied whose guest goes on, or undoes it. */
const mostTries = 8
/** How often it is tried to erase just the version that was looked at last, before whatever is there is erased. */
const mostMatches = 20
/** How long a guest may take to store the bytes that its header announced, in ms. */
const aMoment = 10
const nobody = new Int32Array(new SharedArrayBuffer(4))

/** Bytes in an intent beside the ring's: its first line, and the window. */
const intentOverhead = 2 ** 18

/** The length and checksum of bytes that come in pieces. */
export const measure = (pieces: Iterable<Uint8Array>): { size: number; sha256: string } => {
  const hash = crypto.createHash('sha256')
  let size = 0
  for (const piece of pieces) {
    hash.update(piece)
    size += piece.length
  }
  return { size, sha256: hash.digest('hex') }
}

export const appendedName = (name: string): string => `${name}.appended`
/** What a kill leaves of a ring that is being emptied; its name ends as no record's does. */
export const intentName = (name: string): string => `.${name}.before`

/** Is there a file of a record's name that has its sum? */
const hasCopy = (crash: Folder, { name, size, sha256 }: ArchivedRecord): boolean => {
  try {
    const found = measure(crash.pieces(name))
    return found.size === size && found.sha256 === sha256
  } catch (error) {
    assertStoreError(error)
    return false
  }
}

const isGone = (error: unknown): boolean => error instanceof StoreError && error.code === 'ENOENT'

/** The line about parity that is behind a ring's text (pstore/store.ts). */
const notice = '\nECC: '

const textOf = (copy: Buffer, { ecc }: ArchivedRecord): Buffer =>
  ecc ? copy.subarray(0, copy.lastIndexOf(notice)) : copy

/** What became of one record: it has gone, it is another by now, or it is a ring that is not the copy's. */
type Fate = 'gone' | 'left' | 'other'

class Mover {
  readonly left: string[] = []
  readonly missing: string[] = []
  readonly appended: Moved['appended'] = []
  readonly doubtful: string[] = []
  readonly failed: Moved['failed'] = []
  /** By name, as what was appended is in the manifest already where a run was killed late. */
  readonly #records = new Map<string, ArchivedRecord>()
  readonly #rings: ReadonlyMap<string, Ring>

  /** @param mayGrow what was appended since the copy was made goes into the archive, too */
  constructor(
    readonly crash: Folder,
    readonly backend: Backend,
    readonly mayGrow: boolean,
  ) {
    this.#rings = new Map(backend.rings().map(ring => [ring.name, ring]))
  }

  move(record: ArchivedRecord): void {
    const { name } = record
    if (!hasCopy(this.crash, record)) {
      this.missing.push(name)
      return
    }
    this.#records.set(name, record)
    try {
      if (this.#takeOut(record) === 'left') this.left.push(name)
    } catch (error) {
      assertStoreError(error)
      this.failed.push({ name, error })
    }
  }

  #takeOut(record: ArchivedRecord): Fate {
    const ring = this.#rings.get(record.name)
    const fate = ring ? this.#empty(ring, record) : 'other'
    return fate === 'other' ? this.#erase(record) : fate
  }

  get moved(): Moved {
    const { left, missing, appended, doubtful, failed } = this
    return { records: [...this.#records.values()], left, missing, appended, doubtful, failed }
  }

  /** Erase a record that is the same as its copy. */
  #erase({ name, sha256 }: ArchivedRecord): Fate {
    const opened = this.backend.open(name)
    if (!opened) return 'gone'
    if (measure(chunksOf(opened.content)).sha256 !== sha256) return 'left'
    try {
      return opened.record.erase(true) ? 'gone' : 'left'
    } catch (error) {
      if (isGone(error)) return 'gone'
      throw error
    }
  }

  /** Empty a ring that still has the text of its copy, and keep what follows that. */
  #empty(ring: Ring, record: ArchivedRecord): Fate {
    const { crash } = this
    const { name, size } = record
    if (crash.has(intentName(name))) {
      // It was emptied, and what followed kept: a run was killed just after.
      if (crash.has(appendedName(name))) {
        this.#list(record)
        return 'gone'
      }
      const intent = this.#intent(ring, size)
      if (!isStill(ring, intent) && this.#follow(ring, record, intent, 0)) return 'gone'
    }
    const copy = textOf(crash.read(name, size), record)
    for (let n = 0; n < mostTries; n++) {
      const look = lookAt(ring)
      if (!look) return 'other'
      const { at, window, text } = look
      const count = appendedSince(copy, text, at.size === ring.length)
      if (count === null || at.size === 0) return 'other'
      if (count > 0 && !this.mayGrow) return 'left'
      const tail = text.subarray(text.length - count)
      const intent = { at, window, tail }
      crash.replace(intentName(name), encodeIntent(intent))
      const known = this.#eraseNow(ring, intent)
      if (known !== null && this.#follow(ring, record, intent, known)) return 'gone'
    }
    return 'left'
  }

  /**
   * See what follows an emptying, and keep it.
   *
   * @param known as of {@link Aftermath}
   * @returns false where a guest undid the emptying
   */
  #follow(ring: Ring, record: ArchivedRecord, intent: Intent, known: number): boolean {
    const aftermath = new Aftermath(ring, intent, known)
    aftermath.look()
    for (let n = 0, wasWhole = true; n < mostTries; n++) {
      Atomics.wait(nobody, 0, 0, aMoment)
      aftermath.look()
      // Every append is in its midst for an instant: not at two looks in a row.
      const { whole } = ring.position()
      if (whole) break
      if (!wasWhole) aftermath.mend()
      wasWhole = !wasWhole
    }
    if (isStill(ring, intent)) return false
    this.#keep(record, intent.tail, aftermath)
    return true
  }

  #intent(ring: Ring, size: number): Intent {
    const { crash } = this
    const name = intentName(ring.name)
    try {
      return decodeIntent(crash.read(name, size + ring.length + intentOverhead), ring)
    } catch (error) {
      assertStoreError(error)
      throw new StoreError(`${crash.path}/${name}: ${error.message}: remove it`, 'EIO')
    }
  }

  /**
   * Erase a ring that has just been looked at.
   *
   * @returns how many bytes came since that look, by the header of the moment before; null where the ring is
   *   another by now
   */
  #eraseNow(ring: Ring, intent: Intent): number | null {
    for (let n = 1; ; n++) {
      const found = this.backend.find(ring.name)
      if (!found || !isStill(ring, intent)) return null
      const known = advance(intent.at, ring.position(), ring.length)
      try {
        if (found.erase(n < mostMatches)) return Math.max(0, known)
      } catch (error) {
        if (isGone(error)) return null
        throw error
      }
    }
  }

  /** Store what followed a copy. */
  #keep(record: ArchivedRecord, tail: Buffer, { between }: Aftermath): void {
    if (between.more) this.doubtful.push(record.name)
    if (tail.length + between.bytes.length === 0) return
    this.crash.replace(appendedName(record.name), [tail, between.bytes])
    this.appended.push({ name: record.name, size: this.#list(record) })
  }

  /** Put what followed a copy into the manifest, and say how much it is. */
  #list(record: ArchivedRecord): number {
    const name = appendedName(record.name)
    const facts = measure(this.crash.pieces(name))
    this.#records.set(name, { ...record, name, ...facts, ecc: null })
    return facts.size
  }
}

/**
 * Erase a crash's records in their store.
 *
 * @param crash its folder
 * @param mayGrow what was appended to a ring since its copy was made goes into the archive, and the ring is emptied;
 *   else it is left then
 * @throws the system's error where the archive cannot be written; then the next try goes on with it
 */
export const moveOut = (
  crash: Folder,
  records: readonly ArchivedRecord[],
  backend: Backend,
  mayGrow: boolean,
): Moved => {
  const mover = new Mover(crash, backend, mayGrow)
  for (const record of records) mover.move(record)
  return mover.moved
}
