/** zstd's Huffman codes: a tree's description, and streams of literals (RFC 8878, 4.2). */
import { BackwardBits, highBit } from './bits.js'
import { describedTable, State } from './fse.js'

const mostBits = 11
const mostWeightLog = 6
/** Symbols whose weights are said; one more follows from them. */
const mostWeights = 255

/** Codes by the bits that are next, as many as the longest has. */
export interface Tree {
  readonly bits: number
  /** Their symbols (8 bits), and the bits that they have (the rest). */
  readonly codes: Uint16Array
}

/** Weights of four bits each. */
const plainWeights = (bytes: Buffer, start: number, count: number): number[] => {
  const weights: number[] = []
  for (let i = 0; i < count; i++) weights.push((bytes[start + (i >> 1)]! >> (i & 1 ? 0 : 4)) & 15)
  return weights
}

/** Weights by two states that take turns, until the bits are used up. Null where they are none. */
const codedWeights = (bytes: Buffer, start: number, end: number): number[] | null => {
  const described = describedTable(bytes, start, end, mostWeightLog, mostBits + 1)
  if (!described) return null
  const bits = new BackwardBits(bytes, described.next, end)
  const states = [new State(described.table, bits), new State(described.table, bits)] as const
  if (bits.left < 0) return null
  const weights: number[] = []
  let [state, other] = states
  while (state.needs <= bits.left && weights.length <= mostWeights) {
    weights.push(state.symbol)
    state.goOn()
    ;[state, other] = [other, state]
  }
  weights.push(state.symbol, other.symbol)
  return weights
}

/** The codes of symbols by their weights: the greater the weight, the shorter the code. Null where they make no tree. */
const treeOf = (weights: number[]): Tree | null => {
  if (weights.length > mostWeights) return null
  let sum = 0
  for (const weight of weights) {
    if (weight > mostBits) return null
    sum += (1 << weight) >> 1
  }
  if (sum === 0) return null
  const bits = highBit(sum) + 1
  const rest = (1 << bits) - sum
  if (bits > mostBits || (rest & (rest - 1)) !== 0) return null
  weights.push(highBit(rest) + 1)
  // The longest codes come in pairs.
  if (!weights.includes(1)) return null
  // Lesser weights come first, and of one weight the lesser symbols.
  const starts = Array<number>(mostBits + 2).fill(0)
  for (const weight of weights) starts[weight + 1]! += (1 << weight) >> 1
  for (let weight = 1; weight < starts.length; weight++) starts[weight]! += starts[weight - 1]!
  const codes = new Uint16Array(1 << bits)
  for (let symbol = 0; symbol < weights.length; symbol++) {
    const weight = weights[symbol]!
    if (weight === 0) continue
    const start = starts[weight]!
    const end = start + (1 << (weight - 1))
    codes.fill(symbol | ((bits + 1 - weight) << 8), start, end)
    starts[weight] = end
  }
  return { bits, codes }
}

/**
 * Read a tree's description.
 *
 * @param end the byte before which it must end
 * @returns the tree, and the byte behind it; null where it is none
 */
export const describedTree = (
  bytes: Buffer,
  start: number,
  end: number,
): { readonly tree: Tree; readonly next: number } | null => {
  const header = bytes[start]!
  const isPlain = header >= 128
  const next = start + 1 + (isPlain ? (header - 126) >> 1 : header)
  if (start >= end || next > end) return null
  const weights = isPlain
    ? plainWeights(bytes, start + 1, header - 127)
    : codedWeights(bytes, start + 1, next)
  const tree = weights && treeOf(weights)
  return tree && { tree, next }
}

/**
 * Decode one stream of literals.
 *
 * @returns false where the stream does not end with the last of them
 */
export const decodeLiterals = (
  { bits: most, codes }: Tree,
  bytes: Buffer,
  start: number,
  end: number,
  into: Buffer,
): boolean => {
  const bits = new BackwardBits(bytes, start, end)
  let made = 0
  while (made < into.length && bits.left > 0) {
    const code = codes[bits.peek(most)]!
    into[made++] = code
    bits.left -= code >> 8
  }
  return made === into.length && bits.left === 0
}
