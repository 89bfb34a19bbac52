/** zstd's tables of finite state entropy (RFC 8878, 4.1). */
import { ForwardBits, highBit, type BackwardBits } from './bits.js'

/**
 * A table: by state its symbol (8 bits), how many bits the next state takes (8 bits), and the number that they are
 * added to (16 bits). One array, as a hostile stream has tables in every other byte: making them must be cheap.
 */
export interface Table {
  /** Bits of the first state. */
  readonly log: number
  readonly states: Uint32Array
}

/** A table of one state, which takes no bits. */
export const tableOfOne = (symbol: number): Table => ({
  log: 0,
  states: Uint32Array.of(symbol),
})

/** @param shares by symbol its share of the states; -1 for less than one, which takes one of the last */
export const tableOf = (shares: readonly number[], log: number): Table => {
  const size = 1 << log
  const states = new Uint32Array(size)
  let high = size
  for (let symbol = 0; symbol < shares.length; symbol++)
    if (shares[symbol] === -1) states[--high] = symbol
  const step = (size >> 1) + (size >> 3) + 3
  let at = 0
  for (let symbol = 0; symbol < shares.length; symbol++)
    for (let left = shares[symbol]!; left > 0; left--) {
      states[at] = symbol
      do at = (at + step) & (size - 1)
      while (at >= high)
    }
  const next = shares.map(Math.abs)
  for (let state = 0; state < size; state++) {
    const symbol = states[state]!
    const count = next[symbol]!++
    const bits = log - highBit(count)
    states[state] = symbol | (bits << 8) | (((count << bits) - size) << 16)
  }
  return { log, states }
}

/** What a table's description is read to: the table, and the byte behind it. */
export interface DescribedTable {
  readonly table: Table
  readonly next: number
}

/**
 * Read a table's description.
 *
 * @param end the byte before which it must end
 * @param mostLog the most bits that a state may have
 * @param mostSymbol the highest symbol
 * @returns null where it is none
 */
export const describedTable = (
  bytes: Buffer,
  start: number,
  end: number,
  mostLog: number,
  mostSymbol: number,
): DescribedTable | null => {
  const bits = new ForwardBits(bytes, start, end)
  const log = bits.read(4) + 5
  if (log > mostLog) return null
  const shares: number[] = []
  let left = 1 << log
  while (left > 0) {
    const most = highBit(left + 1) + 1
    const threshold = (1 << most) - 2 - left
    const half = (1 << (most - 1)) - 1
    let value = bits.read(most)
    if ((value & half) < threshold) {
      bits.rewind()
      value &= half
    } else if (value > half) value -= threshold
    const share = value - 1
    left -= Math.abs(share)
    shares.push(share)
    // Two bits say how many more have no share; three of them, that two more follow.
    for (let more = share === 0 ? 3 : 0; more === 3;) {
      more = bits.read(2)
      for (let i = 0; i < more; i++) shares.push(0)
      if (shares.length > mostSymbol + 1) return null
    }
    if (shares.length > mostSymbol + 1) return null
  }
  if (bits.isOver) return null
  return { table: tableOf(shares, log), next: bits.next }
}

/** A way through a table's states. */
export class State {
  #state: number

  constructor(
    readonly table: Table,
    readonly from: BackwardBits,
  ) {
    this.#state = table.states[from.read(table.log)]!
  }

  get symbol(): number {
    return this.#state & 0xff
  }

  /** Bits that the next state takes. */
  get needs(): number {
    return (this.#state >>> 8) & 0xff
  }

  goOn(): void {
    this.#state = this.table.states[(this.#state >>> 16) + this.from.read(this.needs)]!
  }
}
