/** A question to whoever sits at a terminal. */
import fs from 'node:fs'
import tty from 'node:tty'

/** Does somebody sit there who can be asked? */
export const isAsked = (): boolean => tty.isatty(0) && tty.isatty(2)

/** Ask on stderr, and read a line: true for yes; the end of input is a no. */
export const ask = (question: string): boolean => {
  fs.writeSync(2, question)
  const bytes = Buffer.alloc(256)
  let length = 0
  while (length < bytes.length && !bytes.subarray(0, length).includes(0x0a)) {
    const n = fs.readSync(0, bytes, length, bytes.length - length, null)
    if (n === 0) break
    length += n
  }
  return /^(?:y|yes)$/i.test(bytes.toString('latin1', 0, length).trim())
}
