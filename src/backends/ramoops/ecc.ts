/**
 * A zone's parity: a systematic Reed–Solomon code over GF(256), in shortened blocks.
 *
 * Source: doc/formats.md 1.6; fs/pstore/ram_core.c (persistent_ram_init_ecc: field polynomial 0x11d,
 * first root 0, primitive element 1), lib/reed_solomon. What is correctable, and how many symbols
 * count as corrected, is what Linux's decoder says, also beyond half the parity.
 */

/** Data bytes that one parity covers; a zone's last block, and the header's, are shorter. */
export const blockSize = 128
/** A block and its parity must fit into the 255 symbols of a word. */
export const maxEccSize = 255 - blockSize

const fieldPolynomial = 0x11d
/** Nonzero elements of the field: its generator's powers repeat after so many. */
const order = 255
/** The logarithm of 0: with any other it makes a sum beyond those of two powers. */
const logZero = 2 * order
/** The generator's powers, twice, so that a sum of two logarithms needs no modulo; beyond that, zeros. */
const exp = new Uint8Array(2 * logZero + 1)
/** The power that each element is. */
const log = new Uint16Array(256).fill(logZero, 0, 1)
for (let power = 0, x = 1; power < order; power++) {
  exp[power] = exp[power + order] = x
  log[x] = power
  x <<= 1
  if (x > 255) x ^= fieldPolynomial
}

const multiply = (a: number, b: number): number => exp[log[a] + log[b]]

/** The generator polynomial, (x − 1)(x − α)(x − α²)…, highest power first, without its leading 1. */
const generator = (roots: number): Uint8Array => {
  const g = new Uint8Array(roots + 1)
  g[0] = 1
  for (let root = 0; root < roots; root++)
    for (let i = root + 1; i > 0; i--) g[i] ^= multiply(g[i - 1], exp[root])
  return g.subarray(1)
}

/**
 * What makes the parity of a few bytes, of any size that makes a word with them. For headers: a
 * {@link Codec} is made for many blocks.
 */
export const parityMaker = (eccSize: number): ((data: Uint8Array) => Buffer) => {
  const g = generator(eccSize)
  return data => {
    const rest = Buffer.alloc(eccSize)
    for (const byte of data) {
      const top = rest[0] ^ byte
      rest.copyWithin(0, 1)
      rest[eccSize - 1] = 0
      for (let i = 0; i < eccSize; i++) rest[i] ^= multiply(top, g[i])
    }
    return rest
  }
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
  rowsAt[eccSize + 1] = rowsAt[eccSize] + rowCount * wordsOf(eccSize)

/**
 * What each data byte adds to the remainder, for every parity size.
 *
 * One array that is there when the code is compiled, because V8 then puts its address into the
 * code: a third faster than an array in each codec. It is 10 MB of zeros, but takes memory only
 * where it is written to: 16 KiB for ecc 16.
 */
const rows = new Int32Array(rowsAt[maxEccSize + 1])

const fillRows = (eccSize: number): void => {
  const g = generator(eccSize)
  const words = wordsOf(eccSize)
  // x^eccSize modulo the generator, then times x for each byte more that follows.
  let one = g
  for (let row = 0; row < rowCount; row++) {
    const value = row & 255
    const at = rowsAt[eccSize] + row * words
    rows.fill(0, at, at + words)
    for (let i = 0; i < eccSize; i++)
      rows[at + (i >> 2)] |= multiply(one[i], value) << (24 - 8 * (i & 3))
    if (value === 255) {
      const [top] = one
      one = g.map((gi, i) => multiply(top, gi) ^ (i + 1 < eccSize ? one[i + 1] : 0))
    }
  }
}

// Scratch for the block at hand, so that nothing is allocated for it. Nothing here gives way to
// another call, so all codecs share it.

/** The remainder while it is made, and a word that stays 0 after its last. */
const state = new Int32Array(wordsOf(maxEccSize) + 1)
/** The difference between a block's remainder and its parity, highest power first. */
const rest = new Uint8Array(maxEccSize)
/** Polynomials, by the logarithms of their coefficients; lowest power first. */
const syndromes = new Uint16Array(maxEccSize)
const locator = new Uint16Array(maxEccSize + 1)
const before = new Uint16Array(maxEccSize + 1)
const previous = new Uint16Array(maxEccSize + 1)
const evaluator = new Uint16Array(maxEccSize)
const derivative = new Uint16Array(maxEccSize)
/** A polynomial's values at many places: four in a word, the first in its lowest byte. */
const sums = new Int32Array(2 * Math.ceil(order / 8))
/** The powers of x where errors are, and what is wrong there. */
const powers = new Uint8Array(maxEccSize)
const values = new Uint8Array(maxEccSize)

/**
 * Divide by a generator of up to 16 bytes, whose rows begin at `base`. Four data bytes at a time,
 * since their rows do not wait for one another; in the first of them, 0x300 stands for the three
 * bytes that follow it.
 */
const divideNarrow = (base: number, data: Uint8Array, at: number, end: number): void => {
  let a = state[0]
  let b = state[1]
  let c = state[2]
  let d = state[3]
  for (; at < end; at += 4) {
    const top = a
    let row = base + ((0x300 | ((top >>> 24) ^ data[at])) << 2)
    a = b ^ rows[row]
    b = c ^ rows[row + 1]
    c = d ^ rows[row + 2]
    d = rows[row + 3]
    row = base + ((0x200 | (((top >>> 16) & 255) ^ data[at + 1])) << 2)
    a ^= rows[row]
    b ^= rows[row + 1]
    c ^= rows[row + 2]
    d ^= rows[row + 3]
    row = base + ((0x100 | (((top >>> 8) & 255) ^ data[at + 2])) << 2)
    a ^= rows[row]
    b ^= rows[row + 1]
    c ^= rows[row + 2]
    d ^= rows[row + 3]
    row = base + (((top & 255) ^ data[at + 3]) << 2)
    a ^= rows[row]
    b ^= rows[row + 1]
    c ^= rows[row + 2]
    d ^= rows[row + 3]
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
    const top = sum[0]
    let i = base + (0x300 | ((top >>> 24) ^ data[at])) * words
    let j = base + (0x200 | (((top >>> 16) & 255) ^ data[at + 1])) * words
    let k = base + (0x100 | (((top >>> 8) & 255) ^ data[at + 2])) * words
    let l = base + ((top & 255) ^ data[at + 3]) * words
    for (let w = 0; w < words; w += 8, i += 8, j += 8, k += 8, l += 8) {
      sum[w] = sum[w + 1] ^ table[i] ^ table[j] ^ table[k] ^ table[l]
      sum[w + 1] = sum[w + 2] ^ table[i + 1] ^ table[j + 1] ^ table[k + 1] ^ table[l + 1]
      sum[w + 2] = sum[w + 3] ^ table[i + 2] ^ table[j + 2] ^ table[k + 2] ^ table[l + 2]
      sum[w + 3] = sum[w + 4] ^ table[i + 3] ^ table[j + 3] ^ table[k + 3] ^ table[l + 3]
      sum[w + 4] = sum[w + 5] ^ table[i + 4] ^ table[j + 4] ^ table[k + 4] ^ table[l + 4]
      sum[w + 5] = sum[w + 6] ^ table[i + 5] ^ table[j + 5] ^ table[k + 5] ^ table[l + 5]
      sum[w + 6] = sum[w + 7] ^ table[i + 6] ^ table[j + 6] ^ table[k + 6] ^ table[l + 6]
      sum[w + 7] = sum[w + 8] ^ table[i + 7] ^ table[j + 7] ^ table[k + 7] ^ table[l + 7]
    }
  }
}

/** A byte of the remainder, highest power first. */
const remainderByte = (i: number): number => (state[i >> 2] >>> (24 - 8 * (i & 3))) & 255

/**
 * Four elements in a word, each α^step times the one before, for every step and for every power that
 * the first may be. Made when the first wrong block is met.
 */
const strides = new Int32Array(order * order)

const fillStrides = (): void => {
  for (let step = 0, at = 0; step < order; step++)
    for (let power = 0; power < order; power++, at++)
      strides[at] =
        exp[power] |
        (exp[(power + step) % order] << 8) |
        (exp[(power + 2 * step) % order] << 16) |
        (exp[(power + 3 * step) % order] << 24)
}

/**
 * Add α^(power + step · n) to the sum of each n, both being 0 … 254: one term of a polynomial, at many
 * places at once, because sums that do not wait for one another are made faster.
 */
const addTerm = (words: number, power: number, step: number): void => {
  const row = step * order
  const turn = (8 * step) % order
  let even = power
  let odd = (power + 4 * step) % order
  for (let w = 0; w < words; w += 2) {
    sums[w] ^= strides[row + even]
    sums[w + 1] ^= strides[row + odd]
    // Modulo, without a branch that nothing could foretell.
    even += turn
    even -= order & ((order - 1 - even) >> 31)
    odd += turn
    odd -= order & ((order - 1 - odd) >> 31)
  }
}

/** Make the sums those of 1/α^n in a polynomial, for each n below `places`. */
const evaluate = (polynomial: Uint16Array, terms: number, places: number): void => {
  const words = (places + 3) >> 2
  sums.fill(0, 0, words + 1)
  for (let i = 0; i < terms; i++)
    if (polynomial[i] !== logZero) addTerm(words, polynomial[i], (order - i) % order)
}

/** The sum of place n. */
const sumAt = (n: number): number => (sums[n >> 2] >>> (8 * (n & 3))) & 255

/**
 * The received word at each of the generator's roots. The generator is 0 there, so the word's
 * remainder has the same values as the word.
 */
const findSyndromes = (eccSize: number): void => {
  const words = (eccSize + 3) >> 2
  sums.fill(0, 0, words + 1)
  for (let i = 0; i < eccSize; i++) if (rest[i] !== 0) addTerm(words, log[rest[i]], eccSize - 1 - i)
  for (let i = 0; i < eccSize; i++) syndromes[i] = log[sumAt(i)]
}

/** By what a recurrence of this length fails to make the syndrome of a step. */
const missOf = (length: number, step: number): number => {
  let miss = 0
  for (let i = 0, j = step | 0; i <= length; i++, j--) miss ^= exp[locator[i] + syndromes[j]]
  return miss
}

/** Add the previous locator, times x^age and a factor. */
const amend = (length: number, age: number, factor: number): void => {
  const f = factor | 0
  for (let i = 0, j = age | 0; i <= length; i++, j++)
    locator[j] = log[exp[locator[j]] ^ exp[f + previous[i]]]
}

/**
 * The shortest recurrence that makes the syndromes (Berlekamp–Massey).
 *
 * It may be longer than half the parity: Linux tries it all the same, and so may correct more than
 * the code promises.
 *
 * @returns the recurrence's length: how many errors there are, if errors are the reason
 */
const findLocator = (eccSize: number): number => {
  locator.fill(logZero)
  locator[0] = previous[0] = 0
  let length = 0
  // The recurrence before the last one that grew: its length, by what it failed, and when.
  let previousLength = 0
  let previousMiss = 0
  let age = 1
  for (let step = 0; step < eccSize; step++, age++) {
    const miss = missOf(length, step)
    if (miss === 0) continue
    const grows = 2 * length <= step
    if (grows) for (let i = 0; i <= length; i++) before[i] = locator[i]
    // previousLength + age + length is step + 1: this stays within the locator.
    amend(previousLength, age, (log[miss] + order - previousMiss) % order)
    if (!grows) continue
    for (let i = 0; i <= length; i++) previous[i] = before[i]
    previousLength = length
    previousMiss = log[miss]
    age = 0
    length = step + 1 - length
  }
  return length
}

/**
 * Where the locator says that errors are, as powers of x in a word of so many symbols.
 *
 * So many places as the recurrence is long always explain the syndromes, with an error at each of
 * them. Linux instead takes as many as the locator's degree, and looks at the end whether the errors
 * there make the syndromes, which fewer never do.
 *
 * @returns false where there are not so many. One before the word, where a shortened block has no
 *   bytes, is none.
 */
const findPowers = (errors: number, symbols: number): boolean => {
  evaluate(locator, errors + 1, symbols)
  let found = 0
  for (let power = 0; power < symbols; power++) if (sumAt(power) === 0) powers[found++] = power
  return found === errors
}

/** What is wrong at each of these places X (Forney): X · evaluator(1/X) / locator′(1/X). */
const findValues = (errors: number, symbols: number): void => {
  for (let i = 0; i < errors; i++) {
    let sum = 0
    for (let j = 0; j <= i; j++) sum ^= exp[syndromes[i - j] + locator[j]]
    evaluator[i] = log[sum]
    // In this field only the odd powers have a derivative.
    derivative[i] = i & 1 ? logZero : locator[i + 1]
  }
  evaluate(evaluator, errors, symbols)
  for (let i = 0; i < errors; i++) values[i] = multiply(exp[powers[i]], sumAt(powers[i]))
  evaluate(derivative, errors, symbols)
  // Neither is 0: there are as many roots as the degree, so none is double, and no error is 0.
  for (let i = 0; i < errors; i++) values[i] = exp[log[values[i]] + order - log[sumAt(powers[i])]]
}

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
    this.#base = rowsAt[eccSize]
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
    let difference = 0
    for (let i = 0; i < this.eccSize; i++) {
      rest[i] = remainderByte(i) ^ parity[parityOffset + i]
      difference |= rest[i]
    }
    return difference === 0
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
    const { eccSize } = this
    const symbols = length + eccSize
    if (strides[0] === 0) fillStrides()
    findSyndromes(eccSize)
    const errors = findLocator(eccSize)
    if (!findPowers(errors, symbols)) return -1
    findValues(errors, symbols)
    for (let i = 0; i < errors; i++) {
      const at = symbols - 1 - powers[i]
      if (at < length) data[offset + at] ^= values[i]
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
      const row = base + ((follow << 8) | data[at]) * words
      for (let w = 0; w < words; w++) state[w] ^= rows[row + w]
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
