/**
 * Where the pages of a guest's memory lie in a file: 8 bytes for each page that has any, in leaves of 64 pages, so
 * that what is zero costs next to nothing, and what a hostile file names costs an eighth of its own length at most.
 */

/** Pages in a leaf. */
const leafPages = 64
/** Leaves that are made at a time. */
const batch = 1024

export class PageTable {
  /** For 64 pages each: their leaf's number, from 1 on; 0 where all of them are zero. */
  readonly #directory: Uint32Array
  readonly #leaves: Float64Array[] = []
  #count = 0

  /** @param pages how many there are */
  constructor(readonly pages: number) {
    this.#directory = new Uint32Array(Math.ceil(pages / leafPages))
  }

  /** Leaves that hold something: 512 bytes each. */
  get leaves(): number {
    return this.#count
  }

  /** What was last said of a page; 0, which is a page of zeros, where nothing was. */
  get(page: number): number {
    const leaf = this.#directory[Math.floor(page / leafPages)] ?? 0
    return leaf === 0 ? 0 : this.#batchOf(leaf)[this.#at(leaf, page)]!
  }

  /** Say where a page lies, or another number that is not 0; 0 makes it a page of zeros. */
  set(page: number, where: number): void {
    const at = Math.floor(page / leafPages)
    if (this.#directory[at] === 0) {
      if (where === 0) return
      if (this.#count % batch === 0) this.#leaves.push(new Float64Array(batch * leafPages))
      this.#directory[at] = ++this.#count
    }
    const leaf = this.#directory[at]!
    this.#batchOf(leaf)[this.#at(leaf, page)] = where
  }

  /** The first page from one on that is not zero, or is (`zero`); the number of all pages where there is none. */
  next(page: number, zero: boolean): number {
    while (page < this.pages) {
      if (this.#directory[Math.floor(page / leafPages)] === 0) {
        if (zero) return page
        page = (Math.floor(page / leafPages) + 1) * leafPages
      } else if ((this.get(page) === 0) === zero) return page
      else page++
    }
    return this.pages
  }

  #batchOf(leaf: number): Float64Array {
    return this.#leaves[Math.floor((leaf - 1) / batch)]!
  }

  #at(leaf: number, page: number): number {
    return ((leaf - 1) % batch) * leafPages + (page % leafPages)
  }
}
