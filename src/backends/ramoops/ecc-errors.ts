/**
 * The errors in a block and its parity: the decoder of the Reed–Solomon code in ecc.ts.
 *
 * Source: lib/reed_solomon/decode_rs.c. What is correctable, and how many symbols count as corrected, is
 * what Linux's decoder says, also beyond half the parity.
 */
import * as field from './galois.js'

// Constants of this module: V8 puts their addresses into the code, where it would load imported ones
// each time, and a correction take a third longer at least.
const { exp, log, logZero, multiply, order } = field

// Scratch for the block at hand, so that nothing is allocated for it. Nothing here gives way to
// another call.

/** Polynomials, by the logarithms of their coefficients; lowest power first. */
const syndromes = new Uint16Array(order)
const locator = new Uint16Array(order + 1)
const before = new Uint16Array(order + 1)
const previous = new Uint16Array(order + 1)
const evaluator = new Uint16Array(order)
const derivative = new Uint16Array(order)
/** A polynomial's values at many places: four in a word, the first in its lowest byte. */
const sums = new Int32Array(2 * Math.ceil(order / 8))
/** The errors that {@link findErrors} found: at which power of x, and the difference to add there. */
export const powers = new Uint8Array(order)
export const values = new Uint8Array(order)

/**
 * Four elements in a word, each α^step times the one before, for every step and for every power that
 * the first may be. Made when the first wrong block is met.
 */
const strides = new Int32Array(order * order)

const fillStrides = (): void => {
  for (let step = 0, at = 0; step < order; step++)
    for (let power = 0; power < order; power++, at++)
      strides[at] =
        exp[power]! |
        (exp[(power + step) % order]! << 8) |
        (exp[(power + 2 * step) % order]! << 16) |
        (exp[(power + 3 * step) % order]! << 24)
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
    sums[w]! ^= strides[row + even]!
    sums[w + 1]! ^= strides[row + odd]!
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
    if (polynomial[i] !== logZero) addTerm(words, polynomial[i]!, (order - i) % order)
}

/** The sum of place n. */
const sumAt = (n: number): number => (sums[n >> 2]! >>> (8 * (n & 3))) & 255

/**
 * The received word at each of the generator's roots. The generator is 0 there, so the word's
 * remainder has the same values as the word.
 */
const findSyndromes = (difference: Uint8Array, eccSize: number): void => {
  const words = (eccSize + 3) >> 2
  sums.fill(0, 0, words + 1)
  for (let i = 0; i < eccSize; i++)
    if (difference[i] !== 0) addTerm(words, log[difference[i]!]!, eccSize - 1 - i)
  for (let i = 0; i < eccSize; i++) syndromes[i] = log[sumAt(i)]!
}

/** By what a recurrence of this length fails to make the syndrome of a step. */
const missOf = (length: number, step: number): number => {
  let miss = 0
  for (let i = 0, j = step | 0; i <= length; i++, j--) miss ^= exp[locator[i]! + syndromes[j]!]!
  return miss
}

/** Add the previous locator, times x^age and a factor. */
const amend = (length: number, age: number, factor: number): void => {
  const f = factor | 0
  for (let i = 0, j = age | 0; i <= length; i++, j++)
    locator[j] = log[exp[locator[j]!]! ^ exp[f + previous[i]!]!]!
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
    if (grows) for (let i = 0; i <= length; i++) before[i] = locator[i]!
    // previousLength + age + length is step + 1: this stays within the locator.
    amend(previousLength, age, (log[miss]! + order - previousMiss) % order)
    if (!grows) continue
    for (let i = 0; i <= length; i++) previous[i] = before[i]!
    previousLength = length
    previousMiss = log[miss]!
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
    for (let j = 0; j <= i; j++) sum ^= exp[syndromes[i - j]! + locator[j]!]!
    evaluator[i] = log[sum]!
    // In this field only the odd powers have a derivative.
    derivative[i] = i & 1 ? logZero : locator[i + 1]!
  }
  evaluate(evaluator, errors, symbols)
  for (let i = 0; i < errors; i++) values[i] = multiply(exp[powers[i]!]!, sumAt(powers[i]!))
  evaluate(derivative, errors, symbols)
  // Neither is 0: there are as many roots as the degree, so none is double, and no error is 0.
  for (let i = 0; i < errors; i++)
    values[i] = exp[log[values[i]!]! + order - log[sumAt(powers[i]!)]!]!
}

/**
 * Find the errors in a block and its parity, into {@link powers} and {@link values}.
 *
 * @param difference of the block's remainder and its parity, highest power first; not all zeros
 * @param symbols bytes of the block and its parity
 * @returns the number of errors; −1 where the block cannot be corrected
 */
export const findErrors = (difference: Uint8Array, eccSize: number, symbols: number): number => {
  if (strides[0] === 0) fillStrides()
  findSyndromes(difference, eccSize)
  const errors = findLocator(eccSize)
  if (!findPowers(errors, symbols)) return -1
  findValues(errors, symbols)
  return errors
}
