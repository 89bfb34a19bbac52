/** What a terminal is given of bytes that somebody else wrote: their text, and nothing that drives it. */

/** Controls of ASCII and of Latin-1, but for tabs and line ends, and those that turn the order of letters round. */
// oxlint-disable-next-line no-control-regex -- controls are what is looked for
const controls = /\r(?!\n)|[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g

/** `^[` as `cat -v` has it, `\x9b`, and `\u202e`. */
const visible = (control: string): string => {
  const code = control.charCodeAt(0)
  if (code > 0xff) return `\\u${code.toString(16)}`
  if (code > 0x7f) return `\\x${code.toString(16)}`
  return `^${String.fromCharCode(code ^ 0x40)}`
}

/** A line of text that quotes what somebody else wrote. */
export const withoutControls = (text: string): string => text.replace(controls, visible)

/**
 * A filter for one stream of bytes, which may come in any pieces.
 *
 * @returns what takes a piece, and is told of the last, and gives text without control characters. Bytes
 *   that are no UTF-8 become U+FFFD
 */
export const terminalFilter = (): ((bytes: Buffer, last?: boolean) => string) => {
  const decoder = new TextDecoder()
  // A carriage return is shown, but for one before a line feed, which may come with the next piece.
  let held = ''
  return (bytes, last = false) => {
    const text = held + decoder.decode(bytes, { stream: !last })
    held = text.endsWith('\r') && !last ? '\r' : ''
    return withoutControls(text.slice(0, text.length - held.length))
  }
}

/** Controls that JSON does not escape, but that a terminal obeys. */
const unescaped = /[\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g

/** A value as JSON for programs, readable on a terminal: indented by one blank per level. */
export const json = (value: unknown): string =>
  JSON.stringify(value, null, 1).replace(
    unescaped,
    control => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
