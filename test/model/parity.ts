/**
 * ECC the slow way, from doc/formats.md 1.6: a Reed–Solomon code over GF(256), without logarithms. A second
 * reading for tests, which shares nothing with the one in src/.
 */

/** A product in the field: polynomials over GF(2), modulo 0x11d. */
const multiply = (a: number, b: number): number => {
  let product = 0
  for (; b; b >>= 1, a = a & 0x80 ? (a << 1) ^ 0x11d : a << 1) if (b & 1) product ^= a
  return product
}

/** All of them: tests multiply millions of times. */
const products = Uint8Array.from({ length: 65536 }, (_, i) => multiply(i >> 8, i & 0xff))
const times = (a: number, b: number): number => products[(a << 8) | b]

const power = (n: number): number => {
  let value = 1
  for (let i = 0; i < n; i++) value = times(value, 2)
  return value
}

/** a^254 is 1/a: the field has 255 elements that are not 0. */
const inverses = Array.from({ length: 256 }, (_, a) => {
  for (let b = 1; b < 256; b++) if (times(a, b) === 1) return b
  return 0
})

const powers = Array.from({ length: 255 }, (_, n) => power(n))

/** (x − 1)(x − 2)(x − 4)…, highest power first. */
const generators = [[1]]
for (let i = 1; i <= 255 - 12; i++)
  generators.push(
    [...generators[i - 1], 0].map(
      (c, j) => c ^ times(j ? generators[i - 1][j - 1] : 0, power(i - 1)),
    ),
  )

/** The parity of a block: what remains when it is divided by the generator. */
export const parityOf = (data: Uint8Array, ecc: number): Buffer => {
  const word = [...data, ...Buffer.alloc(ecc)]
  for (let i = 0; i < data.length; i++) {
    const top = word[i]
    if (top) generators[ecc].forEach((c, j) => (word[i + j] ^= times(top, c)))
  }
  return Buffer.from(word.slice(data.length))
}

/** A polynomial's value, lowest power first. */
const valueAt = (polynomial: number[], x: number): number =>
  polynomial.reduceRight((sum, c) => times(sum, x) ^ c, 0)

/**
 * The shortest recurrence that makes the syndromes (Massey 1969), as a polynomial whose roots are
 * 1/X for every place X with an error; and its length.
 */
const recurrence = (syndromes: number[]): { locator: number[]; length: number } => {
  let locator = [1]
  let before = [1]
  let length = 0
  let shift = 1
  let beforeMiss = 1
  for (let n = 0; n < syndromes.length; n++) {
    const miss = locator.reduce((sum, c, i) => (i <= n ? sum ^ times(c, syndromes[n - i]) : sum), 0)
    if (miss === 0) {
      shift++
      continue
    }
    const factor = times(miss, inverses[beforeMiss])
    const moved = [...Array.from({ length: shift }, () => 0), ...before.map(c => times(c, factor))]
    const next = Array.from(
      { length: Math.max(locator.length, moved.length) },
      (_, i) => (locator[i] ?? 0) ^ (moved[i] ?? 0),
    )
    if (2 * length <= n) {
      before = locator
      beforeMiss = miss
      length = n + 1 - length
      shift = 1
    } else shift++
    locator = next
  }
  return { locator, length }
}

/** Solve Σ values[j] · places[j]^i = syndromes[i] by elimination. */
const solve = (places: number[], syndromes: number[]): number[] => {
  const n = places.length
  const rows = Array.from({ length: n }, (_, i) => [
    ...places.map(place => Array.from({ length: i }, () => place).reduce(times, 1)),
    syndromes[i],
  ])
  for (let column = 0; column < n; column++) {
    const pivot = rows.findIndex((row, i) => i >= column && row[column] !== 0)
    ;[rows[column], rows[pivot]] = [rows[pivot], rows[column]]
    const inverse = inverses[rows[column][column]]
    rows[column] = rows[column].map(c => times(c, inverse))
    for (let other = 0; other < n; other++) {
      const factor = rows[other][column]
      if (other === column || factor === 0) continue
      rows[other] = rows[other].map((c, i) => c ^ times(factor, rows[column][i]))
    }
  }
  return rows.map(row => row[n])
}

/**
 * What a block and its parity say.
 *
 * @returns the corrected block and how many bytes of block and parity were wrong; −1, and the block
 *   as it is, where it cannot be corrected
 */
export const correct = (
  data: Uint8Array,
  parity: Uint8Array,
): { data: Uint8Array; errors: number } => {
  const word = [...data, ...parity]
  const backwards = word.toReversed()
  const syndromes = Array.from(parity, (_, i) => valueAt(backwards, powers[i]))
  if (syndromes.every(s => s === 0)) return { data, errors: 0 }
  const { locator, length } = recurrence(syndromes)
  const wrong = word.flatMap((_, at) => {
    const place = powers[word.length - 1 - at]
    return valueAt(locator, inverses[place]) === 0 ? [{ at, place }] : []
  })
  if (wrong.length !== length) return { data, errors: -1 }
  const values = solve(
    wrong.map(({ place }) => place),
    syndromes,
  )
  wrong.forEach(({ at }, i) => (word[at] ^= values[i]))
  return { data: Buffer.from(word.slice(0, data.length)), errors: length }
}
