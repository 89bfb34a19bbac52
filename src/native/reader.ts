/** Whether whoever reads what this program writes is still there: poll(2) tells it without a write, as tail(1) asks. */
import { libc } from './libc.js'

/** poll(2)'s POLLERR and POLLHUP: a pipe's reader has gone, a socket's or a terminal's other end. */
const gone = 0x08 | 0x10

/** Has a descriptor that is written to a reader? Files always have. */
export const hasReader = (fd: number): boolean => {
  // struct pollfd: a descriptor, what is waited for, what came.
  const asked = new Int16Array(4)
  new Int32Array(asked.buffer)[0] = fd
  return libc().poll(Buffer.from(asked.buffer), 1, 0) <= 0 || (asked[3]! & gone) === 0
}
