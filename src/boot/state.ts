/**
 * What was kept of a store's last life, on disk: a file for each store, replaced as a whole and synced
 * before the store is changed, so that what a kill or a power cut leaves is the old one or the new.
 *
 * The file: a line of JSON, then the bytes that it gives the lengths of, one after the other.
 */
import fs from 'node:fs'
import path from 'node:path'
import { readWhole } from '../native/open.js'
import { assertStoreError, StoreError } from '../pstore/errors.js'
import { isRingType, recordTypes, type EccState, type RingType } from '../pstore/types.js'
import { SourceLock } from '../region/lock.js'
import type { Step } from './cut.js'

/** Where the files are, unless somebody says otherwise. */
export const defaultStateFolder = '/var/lib/pstorefs'

/** A ring as it was kept. */
export interface KeptRing {
  readonly type: RingType
  /** Its file's name. */
  readonly name: string
  /** `st_size` of that file. */
  readonly size: number
  readonly ecc: EccState | null
  /** True where something in it is lost: then the ring's bytes stay beside what it shows. */
  damaged: boolean
  step: Step
  /** How much of what its file shows the kernel adds to the ring's bytes, at their end. */
  notice: number
  /** What its file shows; null where it shows none, or was unlinked. */
  shown: Buffer | null
  /** The ring's bytes, oldest first: until it is emptied, and where it is damaged. Else null. */
  raw: Buffer | null
}

/** What was kept of a store's last life. */
export interface KeptLife {
  /** The boot in which it was kept: /proc/sys/kernel/random/boot_id. */
  readonly boot: string
  /** Whose it is. */
  readonly source: string
  /** What the marks in its rings end in. */
  readonly id: string
  /** True once a daemon got so far as to show it: until then it is as if none had been started. */
  served: boolean
  /** True once its rings are all this life's. */
  done: boolean
  readonly rings: KeptRing[]
}

const format = 'pstorefs kept 1'
/** Bytes: rings lie in memory that a machine can spare. */
const largestState = 2 ** 30
const newline = 0x0a

/** The first line: what follows stands for itself. */
type Header = Omit<KeptLife, 'rings'> & {
  format: typeof format
  rings: (Omit<KeptRing, 'shown' | 'raw'> & { shown: number | null; raw: number | null })[]
}

const encode = ({ rings, ...life }: KeptLife): Buffer => {
  const header: Header = {
    format,
    ...life,
    rings: rings.map(ring => ({
      ...ring,
      shown: ring.shown && ring.shown.length,
      raw: ring.raw && ring.raw.length,
    })),
  }
  const bytes = rings.flatMap(({ shown, raw }) => [shown, raw]).filter(piece => piece !== null)
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), ...bytes])
}

/** Throws where this is no such file. */
const decode = (bytes: Buffer): KeptLife => {
  const end = bytes.indexOf(newline)
  const { format: says, rings, ...life } = JSON.parse(bytes.toString('utf8', 0, end)) as Header
  if (says !== format) throw new Error(`is not of the form '${format}'`)
  let at = end + 1
  const take = (length: number | null): Buffer | null => {
    if (length === null) return null
    if (!(length >= 0 && at + length <= bytes.length)) throw new Error('is cut short')
    return bytes.subarray(at, (at += length))
  }
  return {
    ...life,
    rings: rings.map(ring => {
      if (!recordTypes.includes(ring.type) || !isRingType(ring.type))
        throw new Error(`'${String(ring.type)}' is no ring`)
      return { ...ring, shown: take(ring.shown), raw: take(ring.raw) }
    }),
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

export class StateFile {
  readonly path: string

  /**
   * @param folder is made when something is kept
   * @param name the file's
   */
  constructor(
    readonly folder: string,
    name: string,
  ) {
    this.path = path.join(folder, name)
  }

  /**
   * Do something while no other process does anything here.
   *
   * @throws StoreError where the folder cannot be made, or is not let go of
   */
  exclusively<T>(work: () => T): T {
    const fd = this.#open()
    try {
      const lock = SourceLock.of(this.folder, fd, false)
      try {
        return lock.exclusively(work)
      } finally {
        lock.close()
      }
    } finally {
      fs.closeSync(fd)
    }
  }

  /** Open the folder; make it where it is not there. */
  #open(): number {
    try {
      const made = fs.mkdirSync(this.folder, { recursive: true, mode: 0o700 })
      if (made !== undefined) syncFolder(path.dirname(made))
      return fs.openSync(this.folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
    } catch (error) {
      throw new StoreError(
        `${this.folder}: cannot be used: ${codeOf(error)}: what attach=boot keeps goes there, or to state=DIR`,
        'EIO',
      )
    }
  }

  /**
   * What was kept; null where nothing was.
   *
   * @throws StoreError where there is something else, or it cannot be read
   */
  load(): KeptLife | null {
    let bytes: Buffer
    try {
      bytes = readWhole(this.path, largestState)
    } catch (error) {
      assertStoreError(error)
      if (error.errno === 'ENOENT') return null
      throw error
    }
    try {
      return decode(bytes)
    } catch (error) {
      throw new StoreError(
        `${this.path}: is damaged: ${(error as Error).message} (remove it, and what it kept is gone)`,
        'EIO',
      )
    }
  }

  /**
   * Replace what was kept; it is on disk when this returns.
   *
   * @throws StoreError where it cannot be; then the old one is still there
   */
  save(life: KeptLife): void {
    const made = path.join(this.folder, `.${path.basename(this.path)}.new`)
    try {
      // What lies there may be a FIFO, or a link to something else: a file of our own.
      fs.rmSync(made, { force: true })
      const fd = fs.openSync(made, 'wx', 0o600)
      try {
        fs.writeFileSync(fd, encode(life))
        fs.fsyncSync(fd)
      } finally {
        fs.closeSync(fd)
      }
      fs.renameSync(made, this.path)
      syncFolder(this.folder)
    } catch (error) {
      throw new StoreError(`${this.path}: cannot be written: ${codeOf(error)}`, 'EIO')
    }
  }
}

/** Let the names in a folder reach the disk. */
const syncFolder = (folder: string): void => {
  const fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
