/** The output of a pseudo-terminal. */
import fs from 'node:fs'
import type { ReadStream } from 'node:tty'

/** A taker of a terminal's output. */
export interface Output {
  take(bytes: Buffer): void
  /** True while bytes wait to be seen: no more should come before {@link released} is called. */
  readonly isHeld: boolean
  released: () => void
  /** Pass on all bytes. */
  flush(): void
}

/** Bytes; a pseudo-terminal holds fewer in one direction. */
const capacity = 65536

/** Pass a terminal's output on as fast as it is seen: its writers wait, as for any slow terminal. */
export const feed = (printed: ReadStream, output: Output): void => {
  printed.on('data', (bytes: Buffer) => {
    output.take(bytes)
    if (output.isHeld) printed.pause()
  })
  output.released = () => printed.resume()
}

/**
 * Pass on the output that a terminal still holds.
 *
 * @param printed is paused; the bytes that it has read already go to its `data` handler
 * @param master the terminal's non-blocking descriptor, which nothing else reads meanwhile
 */
export const passRest = (printed: ReadStream, master: number, output: Output): void => {
  printed.pause()
  while (printed.read() !== null);
  const bytes = Buffer.allocUnsafe(capacity)
  // Bounded: a program that was left behind may print on.
  for (let length = 0; length < capacity;) {
    let n: number
    try {
      n = fs.readSync(master, bytes, length, capacity - length, null)
    } catch {
      // EAGAIN: no more. The kernel delivers all earlier output before it says so.
      n = 0
    }
    if (n === 0) break
    output.take(bytes.subarray(length, length + n))
    length += n
  }
}
