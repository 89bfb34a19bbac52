/** A store's places as a table, each with a bar of its content. */
import type { ConditionState } from '../../pstore/condition.js'
import type { RecordType } from '../../pstore/types.js'
import { bar, paint, type Canvas } from './map.js'
import { cellsOf, wrap, type Run } from './describe.js'
import { Rows } from './rows.js'

/** The texts of a row. */
interface Row extends ReturnType<typeof cellsOf> {
  type: RecordType
  state: ConditionState
  /** The bar. */
  data: string
}

const stateStyle = {
  sound: 'green',
  empty: 'dim',
  erased: 'dim',
  unsigned: 'dim',
  damaged: 'red',
} as const
const columns = ['offset', 'size', 'used'] as const

export class ZoneTable {
  readonly #rows = new Rows<Row>()
  readonly #barWidth: number
  readonly #widths = { offset: 6, size: 4, used: 4 }
  /** The number of places of each type, and the longest text of their indexes. */
  readonly #types = new Map<RecordType, { count: number; indexes: string }>()

  constructor(readonly canvas: Canvas) {
    this.#barWidth = canvas.width < 100 ? 12 : 24
  }

  add(run: Run): void {
    const { type } = run.first
    const cells = this.#rowOf(run)
    for (const column of columns)
      this.#widths[column] = Math.max(this.#widths[column], cells[column].length)
    const { count = 0, indexes = '' } = this.#types.get(type) ?? {}
    this.#types.set(type, {
      count: count + run.count,
      indexes: cells.indexes.length > indexes.length ? cells.indexes : indexes,
    })
    this.#rows.add(cells)
  }

  #rowOf(run: Run): Row {
    const { type, state } = run.first
    // A bar's colours have no width.
    const data =
      run.count > 1 ? ' '.repeat(this.#barWidth) : bar(this.canvas, run.first, this.#barWidth)
    return { ...cellsOf(run), type, state, data }
  }

  *#rowsOf(runs: Iterable<Run>): Generator<Row, void, void> {
    for (const run of runs) yield this.#rowOf(run)
  }

  /** The only place of its type needs no number. */
  #zone(type: RecordType, indexes: string): string {
    return (this.#types.get(type)?.count ?? 0) > 1 ? `${type} ${indexes}`.trim() : type
  }

  /**
   * Lay the table out, once all runs have been added; each line ends in a line feed.
   *
   * @param again gives the runs once more, where they are too many to be kept
   */
  *lines(again: () => Iterable<Run>): Generator<string, void, void> {
    const { canvas } = this
    const { offset, size, used } = this.#widths
    const zones = Array.from(this.#types, ([type, { indexes }]) => this.#zone(type, indexes).length)
    const zone = Math.max(4, ...zones)
    const left = zone + offset + size + used + this.#barWidth + 10
    const room = Math.max(20, canvas.width - left)
    const line = (which: string, where: string, length: string, data: string, full: string) =>
      [
        which.padEnd(zone),
        where.padStart(offset),
        length.padStart(size),
        data,
        full.padStart(used),
      ].join('  ')
    const head = line('zone', 'offset', 'size', 'data'.padEnd(this.#barWidth), 'used')
    yield `${paint(canvas, 'bold', `${head}  state`)}\n`
    for (const row of this.#rows.all(() => this.#rowsOf(again()))) {
      const [text = '', ...more] = wrap(row.words, room)
      const zoneName = this.#zone(row.type, row.indexes)
      const cells = line(zoneName, row.offset, row.size, row.data, row.used)
      yield `${cells}  ${paint(canvas, stateStyle[row.state], text)}\n`
      for (const text of more) yield `${' '.repeat(canvas.width - room)}${text}\n`
    }
  }
}
