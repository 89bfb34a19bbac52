/** What was looked at last, of what there may be any number of: a hostile store is not to fill the memory. */
export class Recent<Key, Value> {
  readonly #values = new Map<Key, Value>()

  /** @param most how many are kept; the oldest go */
  constructor(readonly most: number) {}

  /** The value that is kept for a key; else a new one, which is kept from now on. */
  get(key: Key, make: () => Value): Value {
    const kept = this.#values.get(key)
    if (kept !== undefined) return kept
    const value = make()
    if (this.#values.size >= this.most) this.#values.delete(this.#values.keys().next().value!)
    this.#values.set(key, value)
    return value
  }
}
