/** Rows that have to be measured before they can be drawn. A hostile store has half a million of them. */

/** The most rows that are kept in memory. */
export const mostKept = 4096

export class Rows<T> {
  #kept: T[] = []
  #count = 0

  add(row: T): void {
    this.#count++
    if (this.#count <= mostKept) this.#kept.push(row)
    else this.#kept.length = 0
  }

  /**
   * All rows, in their order.
   *
   * @param again makes them once more, where they are too many to be kept
   */
  all(again: () => Iterable<T>): Iterable<T> {
    return this.#count <= mostKept ? this.#kept : again()
  }
}
