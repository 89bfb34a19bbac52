/** A store's places as a table, each with a bar of what is in it. */
import type { ConditionState } from '../../pstore/condition.js'
import type { RecordType } from '../../pstore/types.js'
import { PackedRows } from './packed-rows.js'
import { bar, paint, type Canvas } from './map.js'
import { cellsOf, wrap, type Run } from './describe.js'

/** What a row says before it is laid out: without the names of what it says it takes half the memory. */
type Row = [
  type: RecordType,
  indexes: string,
  offset: string,
  size: string,
  data: string,
  used: string,
  state: ConditionState,
  words: string,
]

const stateStyle = { sound: 'green', empty: 'dim', unsigned: 'dim', damaged: 'red' } as const
const columns = ['offset', 'size', 'used'] as const

export class ZoneTable {
  readonly #rows = new PackedRows<Row>()
  readonly #barWidth: number
  readonly #widths = { offset: 6, size: 4, used: 4 }
  /** How many places of a type there are, and the longest text that says which. */
  readonly #types = new Map<RecordType, { count: number; indexes: string }>()

  constructor(readonly canvas: Canvas) {
    this.#barWidth = canvas.width < 100 ? 12 : 24
  }

  add(run: Run): void {
    const { type, state } = run.first
    const cells = cellsOf(run)
    for (const column of columns)
      this.#widths[column] = Math.max(this.#widths[column], cells[column].length)
    const { count = 0, indexes = '' } = this.#types.get(type) ?? {}
    this.#types.set(type, {
      count: count + run.count,
      indexes: cells.indexes.length > indexes.length ? cells.indexes : indexes,
    })
    // A bar's colours have no width.
    const data =
      run.count > 1 ? ' '.repeat(this.#barWidth) : bar(this.canvas, run.first, this.#barWidth)
    const { indexes: which, offset, size, used, words } = cells
    this.#rows.add([type, which, offset, size, data, used, state, words])
  }

  /** One of a kind needs no number. */
  #zone(type: RecordType, indexes: string): string {
    return this.#types.get(type)!.count > 1 ? `${type} ${indexes}` : type
  }

  /** Lay it out, once all have been added; each line ends in a line feed. */
  *lines(): Generator<string, void, void> {
    const { canvas } = this
    const { offset, size, used } = this.#widths
    const zones = Array.from(this.#types, ([type, { indexes }]) => this.#zone(type, indexes).length)
    const zone = Math.max(4, ...zones)
    const left = zone + offset + size + used + this.#barWidth + 10
    const room = Math.max(20, canvas.width - left)
    const line = (...[which, where, length, data, full]: string[]) =>
      [
        which.padEnd(zone),
        where.padStart(offset),
        length.padStart(size),
        data,
        full.padStart(used),
      ].join('  ')
    const head = line('zone', 'offset', 'size', 'data'.padEnd(this.#barWidth), 'used')
    yield `${paint(canvas, 'bold', `${head}  state`)}\n`
    for (const [type, indexes, where, length, data, full, state, words] of this.#rows) {
      const [text, ...more] = wrap(words, room)
      const cells = line(this.#zone(type, indexes), where, length, data, full)
      yield `${cells}  ${paint(canvas, stateStyle[state], text)}\n`
      for (const text of more) yield `${' '.repeat(canvas.width - room)}${text}\n`
    }
  }
}
