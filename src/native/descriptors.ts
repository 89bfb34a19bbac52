/** Descriptors: a process has only so many, and without one it can neither log nor unmount. */
import fs from 'node:fs'
import { StoreError } from '../pstore/errors.js'

/** What a mount needs once its sources are open: a device, pipes of programs that it starts, its config file. */
const spare = 32

/** Did something fail because this process may have no more descriptors? */
export const isOutOfFiles = (error: unknown): boolean =>
  error instanceof StoreError
    ? error.code === 'EMFILE'
    : error instanceof Error && /\bEMFILE\b/.test(error.message)

/** The error that says so, and what to do. */
export const outOfFiles = (limit = limitOfFiles()): StoreError =>
  new StoreError(
    `too many open files: raise the limit (ulimit -n, LimitNOFILE=)${limit ? ` above ${limit}` : ''}`,
    'EMFILE',
  )

/** As the kernel says it; null where there is no /proc, or no descriptor to ask with. */
const limitOfFiles = (): string | null => {
  try {
    const limits = fs.readFileSync('/proc/self/limits', 'latin1')
    return /^Max open files +(\d+)/m.exec(limits)?.[1] ?? null
  } catch {
    return null
  }
}

/** How many descriptors this process may have; Infinity where nobody says. */
export const mostFiles = (): number => Number(limitOfFiles() ?? Infinity) || Infinity

/** Descriptors that are kept free while sources are opened. */
export class Reserve {
  readonly #held: number[] = []
  /** To ask takes a descriptor, which another thread may have taken when there are none left. */
  readonly #limit = limitOfFiles()

  /** @throws StoreError (EMFILE) where there are too few already */
  constructor() {
    try {
      this.#hold(spare)
    } catch (error) {
      this.release()
      throw isOutOfFiles(error) ? outOfFiles() : error
    }
  }

  #hold(count: number): void {
    for (let i = 0; i < count; i++) this.#held.push(fs.openSync('/dev/null', fs.constants.O_RDONLY))
  }

  #letGo(count: number): void {
    for (const fd of this.#held.splice(this.#held.length - count)) fs.closeSync(fd)
  }

  /**
   * Before one more source is opened: keep one more free, as its lock has a descriptor of its own later.
   *
   * @throws StoreError (EMFILE) where there is none
   */
  grow(): void {
    try {
      this.#hold(1)
    } catch (error) {
      throw this.#explain(error)
    }
  }

  /** After one could not be opened. Gives the error, in words where descriptors were too few. */
  shrink(error: unknown): unknown {
    this.#letGo(1)
    return this.#explain(error)
  }

  #explain(error: unknown): unknown {
    return isOutOfFiles(error) ? outOfFiles(this.#limit) : error
  }

  /** All may be used now. */
  release(): void {
    this.#letGo(this.#held.length)
  }
}
