/** Tables for people: columns of text, two blanks apart. */

/**
 * Lay out rows of one length, a line at a time; each ends in a line feed.
 *
 * @param rows is asked twice: for the widths, and for what is printed
 * @param right the columns of numbers, by index
 */
export function* table(
  rows: () => Iterable<readonly string[]>,
  right: readonly number[],
): Generator<string, void, void> {
  const widths: number[] = []
  for (const row of rows())
    for (const [i, text] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, text.length)
  const cell = (text: string, i: number): string =>
    right.includes(i) ? text.padStart(widths[i]) : text.padEnd(widths[i])
  for (const row of rows()) yield `${row.map(cell).join('  ').trimEnd()}\n`
}
