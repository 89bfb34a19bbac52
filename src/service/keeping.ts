/** Telling, in a line each, what becomes of a stream that is kept. */
import type { Listener } from '../frontends/appender.js'
import { count } from '../pstore/condition.js'

/**
 * @param what is kept: output
 * @param failed is called once for each backend that gets nothing more
 */
export const keepingOf = (
  what: string,
  tell: (line: string) => void,
  failed: () => void = () => {},
): Listener => ({
  failed({ name }, { message }) {
    tell(`${name}: ${what} is no longer kept: ${message}`)
    failed()
  },
  missed({ name }, { message }) {
    tell(`${name}: ${what} is not kept for now: ${message}`)
  },
  resumed({ name }, bytes) {
    tell(`${name}: ${what} is kept again, without ${count(bytes, 'byte')}`)
  },
})
