/** What is known of zones: a search asks of the same ones again and again. */
import { maxEccSize } from '../ecc.js'

/** What is known of zones, by their offset, for each size and parity. */
export class ZoneCache<T> {
  readonly #byForm = new Map<number, Map<number, T>>()

  with(size: number, ecc: number, old = false): Map<number, T> {
    const key = 2 * (size * (maxEccSize + 1) + ecc) + (old ? 1 : 0)
    let known = this.#byForm.get(key)
    if (!known) this.#byForm.set(key, (known = new Map<number, T>()))
    return known
  }

  clear(): void {
    this.#byForm.clear()
  }
}
