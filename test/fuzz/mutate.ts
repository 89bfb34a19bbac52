/** Changes to an input that parsers of binary formats and of text find hard. */
import type { Random } from '../random.js'

const numbers = [
  0n,
  1n,
  2n,
  12n,
  127n,
  128n,
  255n,
  256n,
  4095n,
  4096n,
  32767n,
  32768n,
  65535n,
  65536n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  2n ** 32n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
]
/** What begins a zone, a dump, a compressed one; and their like in other byte orders. */
const words = ['DBGC', 'CGBD', '====', '====1.2-C\n', '====1.2-D\n', '\0', '\n', '-', '.']

type Change = (random: Random, bytes: Buffer, other: Buffer, words: readonly Buffer[]) => Buffer

const at = (random: Random, bytes: Buffer): number => random.below(bytes.length + 1)

/** A piece of some bytes: usually a short one. */
const piece = (random: Random, bytes: Buffer): Buffer => {
  const start = at(random, bytes)
  const most = random.pick([4, 16, 256, bytes.length])
  return bytes.subarray(start, start + random.between(1, Math.max(1, most)))
}

const splice = (bytes: Buffer, start: number, length: number, by: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, start), by, bytes.subarray(start + length)])

const overwrite = (bytes: Buffer, start: number, by: Buffer): Buffer => {
  by.copy(bytes, Math.min(start, bytes.length))
  return bytes
}

/** A number of 1, 2, 4 or 8 bytes, in either order. */
const encode = (value: bigint, width: number, big: boolean): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
  const cut = bytes.subarray(0, width)
  return big ? cut.reverse() : cut
}

const changes: readonly Change[] = [
  // A bit, a byte.
  (random, bytes) => {
    if (bytes.length > 0) bytes[random.below(bytes.length)] ^= 1 << random.below(8)
    return bytes
  },
  (random, bytes) => overwrite(bytes, at(random, bytes), random.bytes(1)),
  // A number: one that is a limit somewhere, the input's own length, or one near what is there.
  (random, bytes) => {
    const value = random.below(4) ? random.pick(numbers) : BigInt(bytes.length - random.below(64))
    const number = encode(value, random.pick([1, 2, 4, 4, 8]), random.below(4) === 0)
    return overwrite(bytes, at(random, bytes) & ~random.pick([0, 1, 3]), number)
  },
  (random, bytes) => {
    const start = at(random, bytes)
    if (start + 4 > bytes.length) return bytes
    const big = random.below(4) === 0
    const value = big ? bytes.readUInt32BE(start) : bytes.readUInt32LE(start)
    return overwrite(bytes, start, encode(BigInt(value + random.between(-32, 32)), 4, big))
  },
  // A word, over what is there or before it.
  (random, bytes, _, words) => overwrite(bytes, at(random, bytes), random.pick(words)),
  (random, bytes, _, words) => splice(bytes, at(random, bytes), 0, random.pick(words)),
  // A decimal number in text.
  (random, bytes) => {
    const start = at(random, bytes)
    const found = /\d+/.exec(bytes.toString('latin1', start, start + 256))
    if (!found) return bytes
    const value = random.below(3)
      ? String(random.pick(numbers) - BigInt(random.below(3)))
      : random.pick(['', '-1', '00000', '9'.repeat(random.between(1, 40)), '1e9', '0x10', '1.5'])
    return splice(bytes, start + found.index, found[0].length, Buffer.from(value))
  },
  // Pieces: gone, twice, moved over others, from another input, of one byte, of noise.
  (random, bytes) => splice(bytes, at(random, bytes), piece(random, bytes).length, Buffer.alloc(0)),
  (random, bytes) => splice(bytes, at(random, bytes), 0, piece(random, bytes)),
  (random, bytes) => overwrite(bytes, at(random, bytes), Buffer.from(piece(random, bytes))),
  (random, bytes, other) => splice(bytes, at(random, bytes), 0, piece(random, other)),
  (random, bytes, other) => overwrite(bytes, at(random, bytes), piece(random, other)),
  (random, bytes, other) =>
    Buffer.concat([bytes.subarray(0, at(random, bytes)), other.subarray(at(random, other))]),
  (random, bytes) =>
    overwrite(
      bytes,
      at(random, bytes),
      Buffer.alloc(random.between(1, 64), random.pick([0, 0xff, 0x20, 0x41])),
    ),
  (random, bytes) => overwrite(bytes, at(random, bytes), random.bytes(random.between(1, 32))),
]

/**
 * Change an input, in one way or in several.
 *
 * @param other another input, to take pieces from
 * @param own words of the format at hand
 * @param longest bytes that the result may have
 */
export const mutate = (
  random: Random,
  input: Buffer,
  other: Buffer,
  own: readonly string[],
  longest: number,
): Buffer => {
  const all = [...words, ...own].map(word => Buffer.from(word, 'latin1'))
  let bytes: Buffer = Buffer.from(input)
  for (let left = random.pick([1, 1, 2, 3, 8]); left > 0; left--)
    bytes = random.pick(changes)(random, bytes, other, all).subarray(0, longest)
  return bytes
}
