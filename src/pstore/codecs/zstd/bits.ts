/** Bits of a zstd stream, the lowest of each byte first (RFC 8878, 4). A read takes 24 of them at most. */

/** So many bits from a place on, those behind the bytes' end 0. */
const bitsAt = (bytes: Buffer, at: number, n: number): number => {
  const byte = at >>> 3
  const word =
    bytes[byte]! | (bytes[byte + 1]! << 8) | (bytes[byte + 2]! << 16) | (bytes[byte + 3]! << 24)
  return (word >>> (at & 7)) & ((1 << n) - 1)
}

/** The number of the highest bit that is set. */
export const highBit = (n: number): number => 31 - Math.clz32(n)

/** From the first bit on: a table's probabilities. */
export class ForwardBits {
  #at: number

  /** @param end the byte before which they end */
  constructor(
    readonly bytes: Buffer,
    start: number,
    readonly end: number,
  ) {
    this.#at = 8 * start
  }

  read(n: number): number {
    const bits = bitsAt(this.bytes, this.#at, n)
    this.#at += n
    return bits
  }

  /** Give the last one back. */
  rewind(): void {
    this.#at--
  }

  /** More was read than there is. */
  get isOver(): boolean {
    return this.#at > 8 * this.end
  }

  /** The next whole byte. */
  get next(): number {
    return (this.#at + 7) >>> 3
  }
}

/** From the last bit on, which is the highest that is set in the last byte: codes and states. */
export class BackwardBits {
  readonly #start: number
  /** Bits that are left; less than 0 where more was read. */
  left: number

  /**
   * @param start the first byte
   * @param end the byte behind the last. A last byte of 0 has no bit that is set: more is read than there is
   */
  constructor(
    readonly bytes: Buffer,
    start: number,
    end: number,
  ) {
    this.#start = 8 * start
    const last = end > start ? bytes[end - 1]! : 0
    this.left = last === 0 ? -1 : 8 * (end - 1 - start) + highBit(last)
  }

  /** The next bits, to be read again. Bits before the first are 0. */
  peek(n: number): number {
    const from = this.left - n
    if (from >= 0) return bitsAt(this.bytes, this.#start + from, n)
    return this.left > 0 ? bitsAt(this.bytes, this.#start, this.left) << -from : 0
  }

  read(n: number): number {
    const bits = this.peek(n)
    this.left -= n
    return bits
  }
}
