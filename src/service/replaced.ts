/**
 * Is a source still the file that its path names? Guests' files are replaced by a rename, or deleted and made anew;
 * whoever has one open sees the old one for ever.
 */
import fs from 'node:fs'
import { promisify } from 'node:util'

/** How often it is looked, in ms. */
export const lookInterval = 1000

/**
 * What has become of a source: the same file; nothing at its path; another one that was not seen twice alike, as it
 * may still be written; another one.
 */
export type Fate = 'same' | 'gone' | 'unsettled' | 'replaced'

const statSoon = promisify(fs.stat)

export class Place {
  /** The file that was there when it was attached. */
  #attached: string
  /** Another one, as it was at the last look. */
  #other = ''

  /** @param path is looked at now: before it is attached */
  constructor(readonly path: string) {
    this.#attached = inodeOf(statOf(path))
  }

  look(): Fate {
    return this.#judge(statOf(this.path))
  }

  /** The same, where nobody may wait. */
  async lookSoon(): Promise<Fate> {
    return this.#judge(await statSoon(this.path).catch(fateOf))
  }

  #judge(stat: fs.Stats | 'gone' | 'unknown'): Fate {
    const inode = inodeOf(stat)
    if (stat === 'unknown' || inode === this.#attached) return 'same'
    if (stat === 'gone') {
      this.#other = ''
      return 'gone'
    }
    const other = `${inode}:${stat.size}`
    const isSettled = other === this.#other
    this.#other = other
    return isSettled ? 'replaced' : 'unsettled'
  }
}

/** Only this says that nothing is there; who may not look, or is interrupted, knows nothing. */
const fateOf = (error: NodeJS.ErrnoException): 'gone' | 'unknown' =>
  error.code === 'ENOENT' || error.code === 'ENOTDIR' ? 'gone' : 'unknown'

const statOf = (path: string): fs.Stats | 'gone' | 'unknown' => {
  try {
    return fs.statSync(path)
  } catch (error) {
    return fateOf(error as NodeJS.ErrnoException)
  }
}

const inodeOf = (stat: ReturnType<typeof statOf>): string =>
  typeof stat === 'string' ? stat : `${stat.dev}:${stat.ino}`
