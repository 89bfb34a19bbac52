/** A stream's text, made as it is read: of a long text no more is in memory than a piece and its stream. */
import { joined, type SizedContent } from '../content.js'

const none = Buffer.alloc(0)

export class Unpacked implements SizedContent {
  #next: (() => Buffer) | null = null
  /** The piece that was made last, and where in the text it is. */
  #text: Buffer = none
  #start = 0

  /**
   * @param length bytes of text that are known to come out
   * @param begin goes to the stream's start; what it gives makes a piece each time it is called, which is never
   *   empty before the text's end
   */
  constructor(
    readonly stream: Buffer,
    readonly length: number,
    readonly begin: () => () => Buffer,
  ) {}

  slice(offset: number, length: number): Buffer {
    if (offset >= this.length) return none
    if (offset < this.#start) {
      this.#next = null
      this.#start = 0
      this.#text = none
    }
    this.#next ??= this.begin()
    while (offset >= this.#start + this.#text.length) {
      this.#start += this.#text.length
      this.#text = this.#next()
    }
    return this.#text.subarray(offset - this.#start, offset - this.#start + length)
  }

  all(): Buffer {
    return joined(this)
  }

  get held(): readonly Buffer[] {
    return [this.stream]
  }
}
