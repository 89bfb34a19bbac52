/**
 * What was kept of a store's last life, on disk: a file for each store, replaced as a whole and synced
 * before the store is changed, so that what a kill or a power cut leaves is the old one or the new.
 *
 * The file: a line of JSON, then the bytes that it gives the lengths of, one after the other.
 */
import path from 'node:path'
import { Folder } from '../native/folder.js'
import { inWords } from '../native/words.js'
import { assertStoreError, StoreError } from '../pstore/errors.js'
import { Shape } from '../pstore/shape.js'
import { isLifeRing, ringTypes, type EccState, type RingType } from '../pstore/types.js'
import { SourceLock } from '../region/lock.js'
import { steps, type Step } from './cut.js'

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

/** The rings of a life: no other is kept. */
const lifeRings = ringTypes.filter(isLifeRing)

/** A ring but for its bytes, of which there are lengths. Throws a StoreError where it is none. */
const decodeRing = (shape: Shape): Header['rings'][number] => {
  const length = (of: Shape): number => of.count()
  return {
    type: shape.member('type').one(lifeRings),
    name: shape.member('name').text(),
    size: shape.member('size').count(),
    ecc: shape.member('ecc').orNull(ecc => ({
      corrected: ecc.member('corrected').count(),
      bad: ecc.member('bad').count(),
    })),
    damaged: shape.member('damaged').flag(),
    step: shape.member('step').one(steps),
    notice: shape.member('notice').count(),
    shown: shape.member('shown').orNull(length),
    raw: shape.member('raw').orNull(length),
  }
}

/** Make sense of a file, all of it, before anything of it is used. Throws a StoreError where it is no such file. */
const decode = (bytes: Buffer): KeptLife => {
  const end = bytes.indexOf(newline)
  const shape = Shape.parse(bytes.toString('utf8', 0, end), 'its first line')
  shape.member('format').one([format])
  const text = (name: string): string => shape.member(name).text()
  const life = {
    boot: text('boot'),
    source: text('source'),
    id: text('id'),
    served: shape.member('served').flag(),
    done: shape.member('done').flag(),
  }
  const rings = shape.member('rings').items().map(decodeRing)
  let at = end + 1
  const take = (length: number | null): Buffer | null => {
    if (length === null) return null
    if (at + length > bytes.length) throw new StoreError('it is cut short', 'EIO')
    return bytes.subarray(at, (at += length))
  }
  return {
    ...life,
    rings: rings.map(ring => ({ ...ring, shown: take(ring.shown), raw: take(ring.raw) })),
  }
}

export class StateFile {
  readonly path: string
  /** Open while something is done in it. */
  #open: Folder | null = null

  /**
   * @param folder is made when something is kept
   * @param name the file's
   */
  constructor(
    readonly folder: string,
    readonly name: string,
  ) {
    this.path = path.join(folder, name)
  }

  /**
   * Do something while no other process does anything here.
   *
   * @throws StoreError where the folder cannot be made, others could change it, or it is not let go of
   */
  exclusively<T>(work: () => T): T {
    return this.#within('all', ({ fd }) => {
      const lock = SourceLock.of(this.folder, fd, false)
      try {
        return lock.exclusively(work)
      } finally {
        lock.close()
      }
    })
  }

  /** Do something in the folder, by one descriptor of it. */
  #within<T>(making: 'nothing' | 'all', work: (folder: Folder) => T): T {
    if (this.#open) return work(this.#open)
    const folder = this.#openFolder(making)
    try {
      this.#open = folder
      return work(folder)
    } finally {
      this.#open = null
      folder.close()
    }
  }

  #openFolder(making: 'nothing' | 'all'): Folder {
    try {
      return Folder.ours(this.folder, making)
    } catch (error) {
      if (error instanceof StoreError && error.code !== 'ENOTDIR') throw error
      throw new StoreError(
        `${this.folder}: cannot be used: ${inWords(error)}: what attach=boot keeps goes there, or to state=DIR`,
        'EIO',
      )
    }
  }

  /**
   * What was kept; null where nothing was.
   *
   * @throws StoreError where there is something else, it cannot be read, or others could have put it there
   */
  load(): KeptLife | null {
    let bytes: Buffer
    try {
      bytes = this.#within('nothing', folder => folder.read(this.name, largestState))
    } catch (error) {
      if (error instanceof StoreError && error.code === 'ENOENT') return null
      throw error
    }
    try {
      return decode(bytes)
    } catch (error) {
      assertStoreError(error)
      throw new StoreError(
        `${this.path}: is damaged: ${error.message} (remove it, and what it kept is gone)`,
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
    try {
      this.#within('nothing', folder => folder.replace(this.name, [encode(life)]))
    } catch (error) {
      throw new StoreError(`${this.path}: cannot be written: ${inWords(error)}`, 'EIO')
    }
  }
}
