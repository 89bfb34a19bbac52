/**
 * A list that is found anew only when it may have changed, for lists that cost something to find.
 *
 * A change that stat(2) tells of is seen at once. What it does not tell of (stores through a mapping,
 * two writes within one tick of the file system's clock) is seen a moment later: the list is kept
 * for some times as long as it took to find, so that a hostile source, which is slow to walk, cannot
 * take more than a fixed part of the time.
 */

/** A list is kept for so many times the time that it took: finding takes up to a twentieth of the time. */
const keptFor = 19

export class Remembered<T> {
  #last: { value: T; fingerprint: string; until: number } | null = null

  /**
   * @param fingerprint what is cheap to know of the source; another one means that it has changed
   */
  get(fingerprint: string, find: () => T): T {
    const start = performance.now()
    if (this.#last?.fingerprint === fingerprint && start < this.#last.until) return this.#last.value
    const value = find()
    const end = performance.now()
    this.#last = { value, fingerprint, until: end + (end - start) * keptFor }
    return value
  }

  /** Something was changed by ourselves. */
  forget(): void {
    this.#last = null
  }
}
