/** The second section of a zstd block: sequences of literals and matches (RFC 8878, 3.1.1.3.2, 3.1.1.4, 3.1.1.5). */
import type { Output } from '../output.js'
import { BackwardBits } from './bits.js'
import { describedTable, State, tableOf, tableOfOne, type Table } from './fse.js'
import { mostInBlock, type Literals } from './literals.js'

/** What a kind of code stands for: by code a number, and how many bits are added to it. */
interface Code {
  readonly bases: readonly number[]
  readonly extra: readonly number[]
  readonly mostLog: number
  readonly usual: Table
}

/** Codes up to `single` are the number itself, from `least` on; then each begins where the one before it ends. */
const codeOf = (
  least: number,
  single: number,
  extra: readonly number[],
  mostLog: number,
  usual: Table,
): Code => {
  const all = [...Array.from({ length: single }, () => 0), ...extra]
  let base = least
  const bases = all.map(bits => {
    const from = base
    base += 2 ** bits
    return from
  })
  return { bases, extra: all, mostLog, usual }
}

const literalLengths = codeOf(
  0,
  16,
  [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
  9,
  tableOf(
    [
      4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1,
      1, -1, -1, -1, -1,
    ],
    6,
  ),
)
const matchLengths = codeOf(
  3,
  32,
  [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
  9,
  tableOf(
    [
      1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
      1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    6,
  ),
)
/** An offset's code is how many bits are added: code n begins at 2^n. */
const offsets = codeOf(
  1,
  0,
  Array.from({ length: 32 }, (_, code) => code),
  8,
  tableOf(
    [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
    5,
  ),
)

const usualTable = 0
const singleTable = 1
const describedOne = 2

/** What a frame's blocks hand on to the next. */
export interface Handed {
  /** Tables of literals' lengths, offsets and matches' lengths; null where none was said yet. */
  tables: [Table | null, Table | null, Table | null]
  /** The last three offsets. */
  readonly offsets: [number, number, number]
}

const kinds = [literalLengths, offsets, matchLengths] as const

/** How many sequences there are, and the byte behind that; null where the block ends before. */
const readCount = (
  bytes: Buffer,
  at: number,
  end: number,
): { count: number; next: number } | null => {
  const [first = 0, second = 0, third = 0] = bytes.subarray(at, end)
  const width = first < 128 ? 1 : first < 255 ? 2 : 3
  if (at + width > end) return null
  const count =
    width === 1
      ? first
      : width === 2
        ? ((first - 128) << 8) + second
        : second + (third << 8) + 0x7f00
  return { count, next: at + width }
}

/** Read the three tables. Null where there is no sense in them; else the byte behind them. */
const readTables = (bytes: Buffer, at: number, end: number, handed: Handed): number | null => {
  const modes = bytes[at]!
  if (at >= end || (modes & 3) !== 0) return null
  let next = at + 1
  for (const [i, { mostLog, extra, usual }] of kinds.entries()) {
    const mode = (modes >> (6 - 2 * i)) & 3
    if (mode === usualTable) handed.tables[i] = usual
    else if (mode === singleTable) {
      const symbol = bytes[next]!
      if (next >= end || symbol >= extra.length) return null
      handed.tables[i] = tableOfOne(symbol)
      next++
    } else if (mode === describedOne) {
      const described = describedTable(bytes, next, end, mostLog, extra.length - 1)
      if (!described) return null
      handed.tables[i] = described.table
      next = described.next
    }
  }
  return next
}

/** More bits than are read at once: those of a far offset. */
const readMany = (bits: BackwardBits, n: number): number => {
  const high = n > 16 ? bits.read(n - 16) * 65536 : 0
  return high + bits.read(Math.min(n, 16))
}

/** What is added to a code's number is read. */
const numberOf = ({ bases, extra }: Code, symbol: number, bits: BackwardBits): number =>
  bases[symbol]! + readMany(bits, extra[symbol]!)

/** The offset that a value stands for: itself, or one of the last three. 0 where it is none. */
const offsetOf = (value: number, last: [number, number, number], hasLiterals: boolean): number => {
  const which = value > 3 ? 3 : value - (hasLiterals ? 1 : 0)
  const offset = value > 3 ? value - 3 : which === 3 ? last[0] - 1 : last[which as 0 | 1 | 2]
  if (which > 1) last[2] = last[1]
  if (which > 0) last[1] = last[0]
  last[0] = offset
  return offset
}

/**
 * Make a block's text of its literals and sequences.
 *
 * @returns false where it breaks
 */
export function* runSequences(
  bytes: Buffer,
  start: number,
  end: number,
  { bytes: literals, sound }: Literals,
  handed: Handed,
  out: Output,
): Generator<Buffer, boolean, void> {
  let at = 0
  let left = mostInBlock
  /** Literals that are sound, up to so many; false where there are fewer. */
  function* run(length: number): Generator<Buffer, boolean, void> {
    const there = Math.min(length, sound - at)
    out.literals(literals, at, there)
    at += there
    if (out.left > 0 && (yield* out.drain())) return false
    return there === length
  }
  const counted = readCount(bytes, start, end)
  if (!counted) return false
  if (counted.count > 0) {
    const next = readTables(bytes, counted.next, end, handed)
    if (next === null) return false
    const [literalTable, offsetTable, matchTable] = handed.tables
    if (!literalTable || !offsetTable || !matchTable) return false
    const bits = new BackwardBits(bytes, next, end)
    const literalState = new State(literalTable, bits)
    const offsetState = new State(offsetTable, bits)
    const matchState = new State(matchTable, bits)
    for (let i = counted.count; i > 0; i--) {
      const value = numberOf(offsets, offsetState.symbol, bits)
      const length = numberOf(matchLengths, matchState.symbol, bits)
      const before = numberOf(literalLengths, literalState.symbol, bits)
      if (i > 1) {
        literalState.goOn()
        matchState.goOn()
        offsetState.goOn()
      }
      if (bits.left < 0) return false
      left -= before + length
      if (left < 0) return false
      if (before > 0 && !(yield* run(before))) return false
      const offset = offsetOf(value, handed.offsets, before > 0)
      if (offset === 0 || offset > out.reach) return false
      out.match(offset, length)
      if (out.left > 0 && (yield* out.drain())) return false
    }
    if (bits.left !== 0) return false
  } else if (counted.next !== end) return false
  const rest = literals.length - at
  return rest <= left && (yield* run(rest))
}
