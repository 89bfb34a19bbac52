/** Tables for people: columns of text, two blanks apart. */
import { PackedRows } from './packed-rows.js'

/**
 * Lay out rows of one length, a line at a time; each ends in a line feed.
 *
 * @param right the columns of numbers, by index
 */
export function* table(
  rows: Iterable<readonly string[]>,
  right: readonly number[],
): Generator<string, void, void> {
  const widths: number[] = []
  const packed = new PackedRows<readonly string[]>()
  for (const row of rows) {
    for (const [i, text] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, text.length)
    packed.add(row)
  }
  const cell = (text: string, i: number): string =>
    right.includes(i) ? text.padStart(widths[i]) : text.padEnd(widths[i])
  for (const row of packed) yield `${row.map(cell).join('  ').trimEnd()}\n`
}
