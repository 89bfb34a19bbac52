/** What the appenders of the tests write: numbered lines that tell whether they are whole. */
const whole = /^([A-Z])(\d{8}) (x*)\.$/

/** A line that tells whether it is whole: its number, and as many x as the number says. */
export const lineOf = (tag: string, n: number): Buffer =>
  Buffer.from(`${tag}${String(n).padStart(8, '0')} ${'x'.repeat(n % 97)}.\n`)

export interface Line {
  tag: string
  n: number
}

/** A whole line's tag and number; null for anything else. */
export const parseLine = (text: string): Line | null => {
  const [, tag, digits, fill] = whole.exec(text) ?? []
  const n = Number(digits)
  return tag !== undefined && fill.length === n % 97 ? { tag, n } : null
}

/** A content's lines but its first, which may be cut; the text must end with a line feed. */
export const linesOf = (content: Buffer): (Line | null)[] =>
  content.toString('latin1').split('\n').slice(1, -1).map(parseLine)
