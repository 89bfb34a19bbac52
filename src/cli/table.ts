/** Tables for people: columns of text, two blanks apart. */

/**
 * Lay out rows of one length; each ends in a line feed.
 *
 * @param right the columns of numbers, by index
 */
export const table = (rows: readonly string[][], right: readonly number[]): string => {
  const widths = rows[0]?.map(() => 0) ?? []
  for (const row of rows)
    for (const [i, text] of row.entries()) widths[i] = Math.max(widths[i], text.length)
  const cell = (text: string, i: number): string =>
    right.includes(i) ? text.padStart(widths[i]) : text.padEnd(widths[i])
  return rows.map(row => `${row.map(cell).join('  ').trimEnd()}\n`).join('')
}
