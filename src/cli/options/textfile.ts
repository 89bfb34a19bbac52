/** `archive --textfile`: an archive's numbers in a file for node_exporter. */
import { guarded } from '../../archive/entries.js'
import { Folder } from '../../native/folder.js'
import { StoreError } from '../../pstore/errors.js'
import {
  countArchive,
  numbersOf,
  writeNumbers,
  type ArchiveNumbers,
  type BackendNumbers,
} from '../../ship/numbers.js'

/** @throws StoreError where the archive cannot be read */
const numbersIn = (dir: string): ArchiveNumbers => {
  const archive = guarded(dir, () => Folder.any(dir))
  try {
    return countArchive(archive)
  } finally {
    archive.close()
  }
}

const write = (file: string, numbers: ArchiveNumbers, backends: BackendNumbers): void =>
  writeNumbers(file, numbersOf(numbers, backends, Math.floor(Date.now() / 1000)))

/**
 * Write an archive's numbers, once.
 *
 * @throws StoreError where the archive cannot be read, or the file not be written
 */
export const writeTextfile = (file: string, dir: string, backends: BackendNumbers): void =>
  write(file, numbersIn(dir), backends)

/** How long changes are gathered, in ms. */
const moment = 1000
/** How often it is written where nothing changes, so that it tells of a watch that hangs, in ms. */
const heartbeat = 60_000

/** The numbers of an archive that is kept by itself, which are read where something changed. */
export class LiveTextfile {
  #numbers: ArchiveNumbers | null = null
  #backends: BackendNumbers = { waiting: new Map(), unattached: [] }
  #isDue = false

  /** @param told the same line may come again and again */
  constructor(
    readonly file: string,
    readonly dir: string,
    readonly told: (line: string) => void,
  ) {
    setInterval(() => this.#soon(), heartbeat).unref()
  }

  /** The archive has changed. */
  changed(): void {
    this.#numbers = null
    this.#soon()
  }

  /** How many records each store has, by its backend's name; null: it is not attached. */
  states(records: ReadonlyMap<string, number | null>): void {
    const waiting = new Map<string, number>()
    const unattached: string[] = []
    for (const [name, count] of records)
      if (count === null) unattached.push(name)
      else waiting.set(name, count)
    this.#backends = { waiting, unattached }
    this.#soon()
  }

  #soon(): void {
    if (this.#isDue) return
    this.#isDue = true
    setTimeout(() => this.#write(), moment).unref()
  }

  #write(): void {
    this.#isDue = false
    try {
      this.#numbers ??= numbersIn(this.dir)
      write(this.file, this.#numbers, this.#backends)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.told(error.message)
    }
  }
}
