/** What a pseudo-terminal prints to, and its last bytes. */
import fs from 'node:fs'

/** What takes a terminal's output. */
export interface Output {
  take(bytes: Buffer): void
  /** Pass on what was taken. */
  flush(): void
}

/** More than a pseudo-terminal holds in one direction. */
const capacity = 65536

/**
 * Take what a terminal still holds of what was written to it before.
 *
 * @param master its non-blocking descriptor, which nobody else reads meanwhile
 */
export const drain = (master: number, output: Output): void => {
  const bytes = Buffer.allocUnsafe(capacity)
  // Bounded: something may have been left behind that prints on.
  for (let length = 0; length < capacity;) {
    let n: number
    try {
      n = fs.readSync(master, bytes, length, capacity - length, null)
    } catch {
      // EAGAIN: there is no more. The kernel delivers all that was written before it says so.
      n = 0
    }
    if (n === 0) break
    output.take(bytes.subarray(length, length + n))
    length += n
  }
}
