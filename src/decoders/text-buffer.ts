/** A buffer for text, line by line: numbers are written digit by digit, without a string for each. */

const hexDigits = Buffer.from('0123456789abcdef')
const decimals = new Uint8Array(10)
const zero = 0x30
const blank = 0x20
const newline = 0x0a

export class TextBuffer {
  #bytes = Buffer.allocUnsafe(1 << 16)
  #length = 0

  /** The text so far; writes after the next {@link cut} overwrite it. */
  get bytes(): Buffer {
    if (this.#length > this.#bytes.length) throw new RangeError('a line is longer than its room')
    return this.#bytes.subarray(0, this.#length)
  }

  get length(): number {
    return this.#length
  }

  /** Drop the text beyond a length. */
  cut(length: number): void {
    this.#length = Math.min(this.#length, length)
  }

  /** Make room for so many bytes. No other method does. */
  reserve(room: number): void {
    if (this.#bytes.length - this.#length < room)
      this.#bytes = Buffer.concat([this.bytes], 2 * this.#bytes.length + room)
  }

  text(bytes: Uint8Array, from = 0, to = bytes.length): void {
    for (let i = from; i < to; i++) this.#bytes[this.#length++] = bytes[i]!
  }

  /** Append a copy of the text from an offset on. */
  again(from: number, length: number): void {
    this.#bytes.copyWithin(this.#length, from, from + length)
    this.#length += length
  }

  end(): void {
    this.#bytes[this.#length++] = newline
  }

  blanks(count: number): void {
    for (let i = 0; i < count; i++) this.#bytes[this.#length++] = blank
  }

  /** `%d` of a number below 2^31, with zeros in front up to so many digits. */
  decimal(n: number, digits = 1): void {
    let count = 0
    for (; n > 0 || count < digits; n = (n / 10) | 0) decimals[count++] = n % 10
    while (count > 0) this.#bytes[this.#length++] = zero + decimals[--count]!
  }

  /** `%0*lx` of a number in halves of 32 bits: at least so many digits. */
  hex(hi: number, lo: number, digits: number): void {
    const used = hi ? 16 - (Math.clz32(hi) >> 2) : 8 - (Math.clz32(lo) >> 2)
    for (let i = Math.max(used, digits); i > 0; i--) {
      const half = i > 8 ? hi : lo
      this.#bytes[this.#length++] = hexDigits[(half >>> (((i - 1) & 7) * 4)) & 15]!
    }
  }
}
