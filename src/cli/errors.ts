/** One line on stderr for whatever went wrong: `pstorefs: WHAT: WHY`. */
import fs from 'node:fs'

/** Print a line for the user; where nobody listens any more, it is dropped. */
export const tell = (message: string): void => {
  try {
    fs.writeSync(2, `pstorefs: ${message.trim().replaceAll(/\s*\n\s*/g, ': ')}\n`)
  } catch {
    // A daemon whose terminal is gone.
  }
}
