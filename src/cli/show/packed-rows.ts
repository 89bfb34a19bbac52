/** Half a million rows that are known before they can be laid out. */
import zlib from 'node:zlib'

/** How much text is gathered before it is packed, in characters. */
const batch = 65536

/** A list whose members are kept as compressed JSON: as objects they would take a hundred times as much. */
export class PackedRows<T> {
  readonly #packed: Buffer[] = []
  #lines: string[] = []
  #length = 0

  add(member: T): void {
    const line = JSON.stringify(member)
    this.#lines.push(line)
    this.#length += line.length
    if (this.#length >= batch) this.#pack()
  }

  #pack(): void {
    if (this.#lines.length > 0)
      this.#packed.push(zlib.deflateRawSync(this.#lines.join('\n'), { level: 1 }))
    this.#lines = []
    this.#length = 0
  }

  /** All of them, the first first. */
  *[Symbol.iterator](): Generator<T, void, void> {
    this.#pack()
    for (const bytes of this.#packed)
      for (const line of zlib.inflateRawSync(bytes).toString().split('\n'))
        yield JSON.parse(line) as T
  }
}
