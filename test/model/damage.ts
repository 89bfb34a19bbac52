/** Damage to a store, for tests: what a failing medium or a hostile guest makes of one. */
import type { Random } from '../random.js'

/** A number of the format: where it lies, and how many bytes it has. */
export interface Field {
  at: number
  width: 2 | 4 | 8
}

const limits = [
  0n,
  1n,
  12n,
  40n,
  200n,
  2n ** 16n - 1n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 62n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
]

const big = (bytes: Buffer, at: number, width: number): bigint =>
  BigInt(`0x${bytes.toString('hex', at, at + width)}`)
const little = (bytes: Buffer, at: number, width: number): bigint =>
  big(Buffer.from(bytes.subarray(at, at + width)).reverse(), 0, width)

const put = (
  bytes: Buffer,
  { at, width }: Field,
  value: bigint,
  endian: 'little' | 'big',
): void => {
  const hex = BigInt.asUintN(8 * width, value)
    .toString(16)
    .padStart(2 * width, '0')
  const number = Buffer.from(hex, 'hex')
  if (endian === 'little') number.reverse()
  number.copy(bytes, at)
}

type Change = (
  random: Random,
  bytes: Buffer,
  other: Buffer,
  fields: readonly Field[],
  endian: 'little' | 'big',
) => Buffer

/** A field that is there, if any is. */
const fieldIn = (random: Random, bytes: Buffer, fields: readonly Field[]): Field | null => {
  const { at, width } = random.pick(fields)
  return at + width <= bytes.length ? { at, width } : null
}

const changes: readonly Change[] = [
  // A number becomes one that is a limit somewhere.
  (random, bytes, _, fields, endian) => {
    const field = fieldIn(random, bytes, fields)
    if (field) put(bytes, field, random.pick([...limits, BigInt(bytes.length)]), endian)
    return bytes
  },
  // A counter moves, a little or by another number's worth.
  (random, bytes, _, fields, endian) => {
    const field = fieldIn(random, bytes, fields)
    const from = fieldIn(random, bytes, fields)
    if (!field || !from) return bytes
    const read = endian === 'little' ? little : big
    const { at, width } = random.pick([field, field, from])
    put(bytes, field, read(bytes, at, width) + BigInt(random.between(-3, 3)), endian)
    return bytes
  },
  // Bits flip: in one number or near it, or anywhere.
  (random, bytes, _, fields) => {
    const { at } = random.pick([random.pick(fields), { at: random.below(bytes.length) }])
    const span = random.pick([4, 64, 4096])
    for (let left = random.pick([1, 2, 30]); left > 0; left--)
      bytes[(at + random.below(span)) % bytes.length] ^= 1 << random.below(8)
    return bytes
  },
  // A piece of this store or another lies over it: in its own place, at a number's, anywhere.
  (random, bytes, other, fields) => {
    const from = random.pick([bytes, other])
    const start = random.pick([random.below(from.length), random.pick(fields).at])
    const piece = Buffer.from(from.subarray(start, start + random.pick([4, 8, 512, 4096, 65536])))
    piece.copy(
      bytes,
      random.pick([
        Math.min(start, bytes.length),
        random.pick(fields).at,
        random.below(bytes.length),
      ]),
    )
    return bytes
  },
  // The store at a number's place becomes another's from there on.
  (random, bytes, other, fields) => {
    const { at } = random.pick(fields)
    other.subarray(at, at + random.pick([512, 4096, bytes.length])).copy(bytes, at)
    return bytes
  },
]

/**
 * Damage a store: not at all, in one way or in several. Its length stays.
 *
 * @param other another store, of which pieces come
 * @param fields at least one
 */
export const damage = (
  random: Random,
  store: Buffer,
  other: Buffer,
  fields: readonly Field[],
  endian: 'little' | 'big' = 'little',
): Buffer => {
  let bytes: Buffer = Buffer.from(store)
  for (let left = random.pick([0, 1, 1, 2, 3, 8]); left > 0; left--)
    bytes = random.pick(changes)(random, bytes, other, fields, endian)
  return bytes
}

/** Now and then only a store's beginning, in whole pieces of a length. */
export const cut = (random: Random, store: Buffer, piece: number): Buffer =>
  random.below(6)
    ? store
    : store.subarray(0, piece * random.between(1, Math.ceil(store.length / piece)))
