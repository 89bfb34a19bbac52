/**
 * A zone's parity: a systematic Reed–Solomon code over GF(256), in shortened blocks.
 *
 * Source: doc/formats.md 1.6; fs/pstore/ram_core.c (persistent_ram_init_ecc: first root 0, primitive
 * element 1), lib/reed_solomon/encode_rs.c.
 */
import { findErrors, powers, values } from './ecc-errors.js'
import { exp, multiply } from './galois.js'

/** Data bytes that one parity covers; a zone's last block, and the header's, are shorter. */
export const blockSize = 128
/** A block and its parity must fit into the 255 symbols of a word. */
export const maxEccSize = 255 - blockSize

/** The generator polynomial, (x − 1)(x − α)(x − α²)…, highest power first, without its leading 1. */
const generator = (roots: number): Uint8Array => {
  const g = new Uint8Array(roots + 1)
  g[0] = 1
  for (let root = 0; root < roots; root++)
    for (let i = root + 1; i > 0; i--) g[i]! ^= multiply(g[i - 1]!, exp[root]!)
  return g.subarray(1)
}

/**
 * Do some bytes and their parity, of any size that makes a word with them, belong together? Without a {@link Codec}'s
 * tables: a word is 0 at each of the generator's roots, and of 256 that are none all but one are not at the first.
 */
export const isWord = (
  data: Uint8Array,
  offset: number,
  length: number,
  parity: Uint8Array,
  parityOffset: number,
  eccSize: number,
): boolean => {
  for (let root = 0; root < eccSize; root++) {
    const x = exp[root]!
    let value = 0
    for (let i = 0; i < length; i++) value = multiply(value, x) ^ data[offset + i]!
    for (let i = 0; i < eccSize; i++) value = multiply(value, x) ^ parity[parityOffset + i]!
    if (value !== 0) return false
  }
  return true
}

/** Parity words that fit into local variables. */
const narrowWords = 4
/** Parity words that one turn of the wide loop does. */
const wideStep = 8

/** Big-endian words that a remainder takes, filled up with zeros to what the loops do. */
const wordsOf = (eccSize: number): number =>
  eccSize <= 4 * narrowWords ? narrowWords : Math.ceil(eccSize / (4 * wideStep)) * wideStep

/** A codec's rows: one for each value of a data byte, times the 0 … 3 bytes that follow it. */
const rowCount = 4 * 256

/** Where in {@link rows} those of each parity size begin. */
const rowsAt = new Uint32Array(maxEccSize + 2)
for (let eccSize = 1; eccSize <= maxEccSize; eccSize++)
  rowsAt[eccSize + 1] = rowsAt[eccSize]! + rowCount * wordsOf(eccSize)

/**
 * What each data byte adds to the remainder, for every parity size.
 *
 * One array that is there when the code is compiled, because V8 then puts its address into the
 * code: a third faster than an array in each codec. It is 10 MB of zeros, but takes memory only
 * where it is written to: 16 KiB for ecc 16.
 */
const rows = new Int32Array(rowsAt[maxEccSize + 1]!)

const fillRows = (eccSize: number): void => {
  const g = generator(eccSize)
  const words = wordsOf(eccSize)
  // x^eccSize modulo the generator, then times x for each byte more that follows.
  let one = g
  for (let row = 0; row < rowCount; row++) {
    const value = row & 255
    const at = rowsAt[eccSize]! + row * words
    rows.fill(0, at, at + words)
    for (let i = 0; i < eccSize; i++)
      rows[at + (i >> 2)]! |= multiply(one[i]!, value) << (24 - 8 * (i & 3))
    if (value === 255) {
      const top = one[0]!
      one = g.map((gi, i) => multiply(top, gi) ^ (i + 1 < eccSize ? one[i + 1]! : 0))
    }
  }
}

// Scratch for the block at hand, so that nothing is allocated for it. Nothing here gives way to
// another call, so all codecs share it.

/** The remainder while it is made, and a word that stays 0 after its last. */
const state = new Int32Array(wordsOf(maxEccSize) + 1)
/** The difference between a block's remainder and its parity, highest power first. */
const difference = new Uint8Array(maxEccSize)

/**
 * Divide by a generator of up to 16 bytes, whose rows begin at `base`. Four data bytes at a time,
 * since their rows do not wait for one another; in the first of them, 0x300 stands for the three
 * bytes that follow it.
 */
const divideNarrow = (base: number, data: Uint8Array, at: number, end: number): void => {
  let a = state[0]!
  let b = state[1]!
  let c = state[2]!
  let d = state[3]!
  for (; at < end; at += 4) {
    const top = a
    let row = base + ((0x300 | ((top >>> 24) ^ data[at]!)) << 2)
    a = b ^ rows[row]!
    b = c ^ rows[row + 1]!
    c = d ^ rows[row + 2]!
    d = rows[row + 3]!
    row = base + ((0x200 | (((top >>> 16) & 255) ^ data[at + 1]!)) << 2)
    a ^= rows[row]!
    b ^= rows[row + 1]!
    c ^= rows[row + 2]!
    d ^= rows[row + 3]!
    row = base + ((0x100 | (((top >>> 8) & 255) ^ data[at + 2]!)) << 2)
    a ^= rows[row]!
    b ^= rows[row + 1]!
    c ^= rows[row + 2]!
    d ^= rows[row + 3]!
    row = base + (((top & 255) ^ data[at + 3]!) << 2)
    a ^= rows[row]!
    b ^= rows[row + 1]!
    c ^= rows[row + 2]!
    d ^= rows[row + 3]!
  }
  state[0] = a
  state[1] = b
  state[2] = c
  state[3] = d
}

/**
 * The same for more parity, eight words a turn. Names of its own and `| 0` tell V8 that nothing of
 * this changes under way: a third faster, all in all.
 */
const divideWide = (
  firstRow: number,
  wordCount: number,
  data: Uint8Array,
  at: number,
  end: number,
): void => {
  const base = firstRow | 0
  const words = wordCount | 0
  const table = rows
  const sum = state
  for (; at < end; at += 4) {
    const top = sum[0]!
    let i = base + (0x300 | ((top >>> 24) ^ data[at]!)) * words
    let j = base + (0x200 | (((top >>> 16) & 255) ^ data[at + 1]!)) * words
    let k = base + (0x100 | (((top >>> 8) & 255) ^ data[at + 2]!)) * words
    let l = base + ((top & 255) ^ data[at + 3]!) * words
    for (let w = 0; w < words; w += 8, i += 8, j += 8, k += 8, l += 8) {
      sum[w] = sum[w + 1]! ^ table[i]! ^ table[j]! ^ table[k]! ^ table[l]!
      sum[w + 1] = sum[w + 2]! ^ table[i + 1]! ^ table[j + 1]! ^ table[k + 1]! ^ table[l + 1]!
      sum[w + 2] = sum[w + 3]! ^ table[i + 2]! ^ table[j + 2]! ^ table[k + 2]! ^ table[l + 2]!
      sum[w + 3] = sum[w + 4]! ^ table[i + 3]! ^ table[j + 3]! ^ table[k + 3]! ^ table[l + 3]!
      sum[w + 4] = sum[w + 5]! ^ table[i + 4]! ^ table[j + 4]! ^ table[k + 4]! ^ table[l + 4]!
      sum[w + 5] = sum[w + 6]! ^ table[i + 5]! ^ table[j + 5]! ^ table[k + 5]! ^ table[l + 5]!
      sum[w + 6] = sum[w + 7]! ^ table[i + 6]! ^ table[j + 6]! ^ table[k + 6]! ^ table[l + 6]!
      sum[w + 7] = sum[w + 8]! ^ table[i + 7]! ^ table[j + 7]! ^ table[k + 7]! ^ table[l + 7]!
    }
  }
}

/** A byte of the remainder, highest power first. */
const remainderByte = (i: number): number => (state[i >> 2]! >>> (24 - 8 * (i & 3))) & 255

/**
 * Encoder and decoder for one parity size. Blocks are 1 … {@link blockSize} bytes; neither a block
 * nor its parity is kept.
 */
export class Codec {
  readonly #words: number
  readonly #base: number

  /**
   * Makes tables: {@link codec} does that once.
   *
   * @throws RangeError where no block and parity of this size make a word
   */
  constructor(readonly eccSize: number) {
    if (!Number.isInteger(eccSize) || eccSize < 1 || eccSize > maxEccSize)
      throw new RangeError(`ecc ${eccSize}: must be 1 … ${maxEccSize}`)
    this.#words = wordsOf(eccSize)
    this.#base = rowsAt[eccSize]!
    fillRows(eccSize)
  }

  /** Write the parity of `data[offset, offset + length)` to `parity[parityOffset, + eccSize)`. */
  encode(
    data: Uint8Array,
    offset: number,
    length: number,
    parity: Uint8Array,
    parityOffset: number,
  ): void {
    this.#divide(data, offset, length, parity, parityOffset)
    for (let i = 0; i < this.eccSize; i++) parity[parityOffset + i] = remainderByte(i)
  }

  /** True where a block and its parity belong together. */
  check(
    data: Uint8Array,
    offset: number,
    length: number,
    parity: Uint8Array,
    parityOffset: number,
  ): boolean {
    this.#divide(data, offset, length, parity, parityOffset)
    let bits = 0
    for (let i = 0; i < this.eccSize; i++) {
      difference[i] = remainderByte(i) ^ parity[parityOffset + i]!
      bits |= difference[i]!
    }
    return bits === 0
  }

  /**
   * Correct a block in place. The parity is left alone, as Linux leaves it on the media, but errors
   * in it count.
   *
   * @returns how many bytes were wrong, 0 for a clean block; −1 where the block cannot be corrected,
   *   and is unchanged
   */
  decode(
    data: Uint8Array,
    offset: number,
    length: number,
    parity: Uint8Array,
    parityOffset: number,
  ): number {
    if (this.check(data, offset, length, parity, parityOffset)) return 0
    // From here on only the difference counts. Parity that somebody writes to meanwhile is not
    // looked at twice.
    const symbols = length + this.eccSize
    const errors = findErrors(difference, this.eccSize, symbols)
    for (let i = 0; i < errors; i++) {
      const at = symbols - 1 - powers[i]!
      if (at < length) data[offset + at]! ^= values[i]!
    }
    return errors
  }

  /** Leave in the state what remains of the block, times x^eccSize, modulo the generator. */
  #divide(
    data: Uint8Array,
    offset: number,
    length: number,
    parity: Uint8Array,
    parityOffset: number,
  ): void {
    // Beyond its end an array reads as 0, and that would look like damage.
    if (
      !(length >= 1 && length <= blockSize && offset >= 0 && offset + length <= data.length) ||
      !(parityOffset >= 0 && parityOffset + this.eccSize <= parity.length)
    )
      throw new RangeError(
        `block of ${length} at ${offset}, parity at ${parityOffset}: no such bytes`,
      )
    const words = this.#words
    const base = this.#base
    // One word more: a larger parity's codec may have left something there.
    for (let w = 0; w <= words; w++) state[w] = 0
    // What is not a multiple of four comes first, while the state is 0 and needs no shift.
    let at = offset
    for (let follow = length & 3; follow-- > 0; at++) {
      const row = base + ((follow << 8) | data[at]!) * words
      for (let w = 0; w < words; w++) state[w]! ^= rows[row + w]!
    }
    const end = offset + length
    if (words === narrowWords) divideNarrow(base, data, at, end)
    else divideWide(base, words, data, at, end)
  }
}

const codecs = new Map<number, Codec>()

/**
 * The codec for a parity size.
 *
 * @throws RangeError for sizes other than 1 … {@link maxEccSize}
 */
export const codec = (eccSize: number): Codec => {
  let found = codecs.get(eccSize)
  if (!found) codecs.set(eccSize, (found = new Codec(eccSize)))
  return found
}
