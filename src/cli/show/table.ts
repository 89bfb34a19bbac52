/** Tables for people: columns of text, two blanks apart. */
import { painted, type Style } from './colours.js'
import { mostKept } from './rows.js'

/** A header over rows; none over nothing. */
function* withHeader(header: readonly string[], rows: Iterable<readonly string[]>) {
  let isFirst = true
  for (const row of rows) {
    if (isFirst) yield header
    isFirst = false
    yield row
  }
}

/** How a table looks on a terminal; elsewhere it is its rows alone, for programs. */
export interface Look {
  readonly header: readonly string[]
  /** The style of a row that means something else than the others; null: as it is. */
  readonly styleOf: (row: readonly string[]) => Style | null
}

/**
 * Lay out rows of one length, a line at a time; each ends in a line feed. Of a long table the first rows alone
 * decide the widths of the columns, and the others are not kept.
 *
 * @param right the columns of numbers, by index
 */
export function* table(
  rows: Iterable<readonly string[]>,
  right: readonly number[],
  look?: Look,
): Generator<string, void, void> {
  let first: (readonly string[])[] = []
  const widths: number[] = []
  const cell = (text: string, i: number): string =>
    right.includes(i) ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0)
  const header = process.stdout.isTTY ? look?.header : undefined
  const line = (row: readonly string[]): string => {
    const style = row === header ? 'dim' : (look?.styleOf(row) ?? null)
    return `${painted(row.map(cell).join('  ').trimEnd(), style)}\n`
  }
  let count = 0
  for (const row of header ? withHeader(header, rows) : rows) {
    if (++count > mostKept) {
      yield* first.map(line)
      first = []
      yield line(row)
      continue
    }
    for (const [i, text] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, text.length)
    first.push(row)
  }
  yield* first.map(line)
}
