/** What a pseudo-terminal prints to, its first bytes and its last. */
import fs from 'node:fs'
import type { ReadStream } from 'node:tty'

/** What takes a terminal's output. */
export interface Output {
  take(bytes: Buffer): void
  /** True where what was taken waits to be seen: more should not come before {@link released} is called. */
  readonly isHeld: boolean
  released: () => void
  /** Pass on what was taken. */
  flush(): void
}

/** More than a pseudo-terminal holds in one direction. */
const capacity = 65536

/** Take what is printed as fast as it is seen: who prints waits, as for any slow terminal. */
export const feed = (printed: ReadStream, output: Output): void => {
  printed.on('data', (bytes: Buffer) => {
    output.take(bytes)
    if (output.isHeld) printed.pause()
  })
  output.released = () => printed.resume()
}

/**
 * Take what a terminal still holds of what was written to it before.
 *
 * @param printed what has been read from it goes to its listener
 * @param master its non-blocking descriptor, which nobody else reads meanwhile
 */
export const drain = (printed: ReadStream, master: number, output: Output): void => {
  printed.pause()
  while (printed.read() !== null);
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
