/** What was looked at last, of what there may be any number of: a hostile store is not to fill the memory. */
export class Recent<Key, Value> {
  readonly #values = new Map<Key, Value>()

  /** @param most how many are kept; the oldest go */
  constructor(readonly most: number) {}

  get(key: Key): Value | undefined {
    return this.#values.get(key)
  }

  /** @returns the value, which is kept from now on */
  keep(key: Key, value: Value): Value {
    if (this.#values.size >= this.most && !this.#values.has(key))
      this.#values.delete(this.#values.keys().next().value!)
    this.#values.set(key, value)
    return value
  }
}
