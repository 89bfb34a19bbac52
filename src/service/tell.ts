/** One line on stderr for whatever went wrong: `pstorefs: WHAT: WHY`. */
import { log } from './log.js'

/** Print a line for the user; where nobody listens any more, it is dropped. */
export const tell = (message: string): void => log('error', message)
