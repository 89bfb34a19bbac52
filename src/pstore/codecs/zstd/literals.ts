/** The first section of a zstd block: its literals (RFC 8878, 3.1.1.3.1). */
import { decodeLiterals, describedTree, type Tree } from './huffman.js'

/** Bytes that a block makes, and so literals that it has, at most. */
export const mostInBlock = 1 << 17

/** Fewer literals leave nothing for the last of four streams. */
const leastInFour = 6

const rawLiterals = 0
const repeatedLiteral = 1
const treelessLiterals = 3

export interface Literals {
  readonly bytes: Buffer
  /** Those before the first that a broken stream of them should have given. */
  readonly sound: number
  /** The tree for the next block. */
  readonly tree: Tree | null
  /** The byte behind the section. */
  readonly next: number
}

/** An unsigned number of so many bytes, at most 5. */
const numberAt = (bytes: Buffer, at: number, length: number): number => bytes.readUIntLE(at, length)

/** The literals that are there as they are, or one that is repeated. */
const plainLiterals = (
  bytes: Buffer,
  start: number,
  end: number,
  tree: Tree | null,
): Literals | null => {
  const first = bytes[start]!
  const form = (first >> 2) & 3
  const header = form === 3 ? 3 : form === 1 ? 2 : 1
  const at = start + header
  if (at > end) return null
  const length = numberAt(bytes, start, header) >> (form & 1 ? 4 : 3)
  const isRepeated = (first & 3) === repeatedLiteral
  const next = at + (isRepeated ? 1 : length)
  if (length > mostInBlock || next > end) return null
  const literals = isRepeated ? Buffer.alloc(length, bytes[at]) : bytes.subarray(at, next)
  return { bytes: literals, sound: length, tree, next }
}

/**
 * Read the literals' section.
 *
 * @param end the byte before which it must end
 * @param before the last tree; null where there is none
 * @returns null where there is no sense in it
 */
export const readLiterals = (
  bytes: Buffer,
  start: number,
  end: number,
  before: Tree | null,
): Literals | null => {
  if (start >= end) return null
  const first = bytes[start]!
  const type = first & 3
  if (type === rawLiterals || type === repeatedLiteral)
    return plainLiterals(bytes, start, end, before)
  const form = (first >> 2) & 3
  const width = form < 2 ? 10 : form === 2 ? 14 : 18
  const at = start + (form < 2 ? 3 : form === 2 ? 4 : 5)
  if (at > end) return null
  const sizes = Math.floor(numberAt(bytes, start, at - start) / 16)
  const length = sizes % 2 ** width
  const next = at + Math.floor(sizes / 2 ** width)
  if (length > mostInBlock || next > end) return null
  const described =
    type === treelessLiterals
      ? before && { tree: before, next: at }
      : describedTree(bytes, at, next)
  if (!described) return null
  const { tree } = described
  const literals = Buffer.alloc(length)
  const sound =
    form === 0
      ? Number(decodeLiterals(tree, bytes, described.next, next, literals)) * length
      : fourStreams(tree, bytes, described.next, next, literals)
  return sound === null ? null : { bytes: literals, sound, tree, next }
}

/**
 * Decode literals in four streams, of which the first three have their lengths before them.
 *
 * @returns how many are sound; null where the streams do not fit
 */
const fourStreams = (
  tree: Tree,
  bytes: Buffer,
  start: number,
  end: number,
  literals: Buffer,
): number | null => {
  const table = 6
  if (start + table > end || literals.length < leastInFour) return null
  const quarter = (literals.length + 3) >> 2
  let at = start + table
  for (let i = 0; i < 4; i++) {
    const next = i === 3 ? end : at + numberAt(bytes, start + 2 * i, 2)
    if (next > end) return null
    const from = i * quarter
    const part = literals.subarray(from, i === 3 ? literals.length : from + quarter)
    if (!decodeLiterals(tree, bytes, at, next, part)) return from
    at = next
  }
  return literals.length
}
