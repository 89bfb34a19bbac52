/** Tables for people: columns of text, two blanks apart. */

/** How much text of rows is gathered before it is packed, in characters. */
const batch = 65536

/**
 * Lay out rows of one length, a line at a time; each ends in a line feed. Until their widths are known the
 * rows are kept as bytes: of half a million, arrays of strings would take ten times as much.
 *
 * @param right the columns of numbers, by index
 */
export function* table(
  rows: Iterable<readonly string[]>,
  right: readonly number[],
): Generator<string, void, void> {
  const widths: number[] = []
  const packed: Buffer[] = []
  let lines: string[] = []
  let length = 0
  const pack = (): void => {
    packed.push(Buffer.from(lines.join('\n')))
    lines = []
    length = 0
  }
  for (const row of rows) {
    for (const [i, text] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, text.length)
    const line = JSON.stringify(row)
    lines.push(line)
    length += line.length
    if (length >= batch) pack()
  }
  pack()
  const cell = (text: string, i: number): string =>
    right.includes(i) ? text.padStart(widths[i]) : text.padEnd(widths[i])
  for (const bytes of packed) {
    if (bytes.length === 0) continue
    for (const line of bytes.toString().split('\n'))
      yield `${(JSON.parse(line) as string[]).map(cell).join('  ').trimEnd()}\n`
  }
}
