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
  /** The same as {@link identityOf} has it. */
  readonly file: string
  /** Another one, as it was at the last look. */
  #other = ''

  /** @param found what is at the path now: before it is attached */
  constructor(
    readonly path: string,
    found = statOf(path),
  ) {
    this.#attached = inodeOf(found)
    this.file = typeof found === 'string' ? '' : identityOf(found)
  }

  /** The same, where nobody may wait. */
  static async soon(path: string): Promise<Place> {
    return new Place(path, await statSoon(path).catch(fateOf))
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

/** What tells a file from one that has taken its place, or has another size. */
export const identityOf = (stat: fs.Stats): string =>
  // A folder's size changes with its entries, while the folder stays the same.
  `${stat.dev}:${stat.ino}:${stat.isFile() ? stat.size : ''}`

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
