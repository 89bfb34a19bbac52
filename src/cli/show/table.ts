/** Tables for people: columns of text, two blanks apart. */
import { mostKept } from './rows.js'

/**
 * Lay out rows of one length, a line at a time; each ends in a line feed. Of a long table the first rows alone
 * decide the widths of the columns, and the others are not kept.
 *
 * @param right the columns of numbers, by index
 */
export function* table(
  rows: Iterable<readonly string[]>,
  right: readonly number[],
): Generator<string, void, void> {
  let first: (readonly string[])[] = []
  const widths: number[] = []
  const cell = (text: string, i: number): string =>
    right.includes(i) ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0)
  const line = (row: readonly string[]): string => `${row.map(cell).join('  ').trimEnd()}\n`
  let count = 0
  for (const row of rows) {
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
