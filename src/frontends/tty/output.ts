/** The output of a pseudo-terminal. */
import type { ConnectOpts, SocketConstructorOpts } from 'node:net'
import tty from 'node:tty'
import { libc } from '../../native/libc.js'

/** A taker of a terminal's output. */
export interface Output {
  /** Take the next bytes, which are good for no longer than this call. */
  take(bytes: Buffer): void
  /** True while bytes wait to be seen: no more should come before {@link released} is called. */
  readonly isHeld: boolean
  released: () => void
  /** Pass on all bytes. */
  flush(): void
}

/** Bytes; a pseudo-terminal holds fewer in one direction. */
export const capacity = 65536
/** Reads in a row before other work (keys, signals) has its turn; each gives 4095 bytes at most. */
const mostReads = 64

/**
 * What a terminal prints, passed on as fast as it is seen: its writers wait, as for any slow terminal.
 *
 * The kernel gives 4095 bytes at most at a time, and a turn of the event loop for each costs more than all other
 * work on them. So what wakes this is followed by reads until nothing is left, all into one buffer.
 */
export class Printed {
  readonly #bytes = Buffer.allocUnsafe(capacity)
  readonly #read = libc().read
  readonly #stream: tty.ReadStream

  /** @param master the terminal's non-blocking descriptor, which nothing else reads; {@link close} closes it */
  constructor(
    readonly master: number,
    readonly output: Output,
  ) {
    const options: SocketConstructorOpts & ConnectOpts = {
      onread: {
        buffer: this.#bytes,
        callback: length => {
          output.take(this.#bytes.subarray(0, length))
          for (let i = 1; i < mostReads && !output.isHeld && this.#next() > 0; i++);
          return !output.isHeld
        },
      },
    }
    this.#stream = new tty.ReadStream(master, options)
    this.#stream.on('error', () => {}).resume()
    output.released = () => this.#stream.resume()
  }

  /** Pass on what one read(2) gives; returns its length, 0 or less where there is nothing. */
  #next(): number {
    const length = this.#read(this.master, this.#bytes, capacity)
    if (length > 0) this.output.take(this.#bytes.subarray(0, length))
    return length
  }

  /** Pass on what the terminal still holds, and no more from then on. */
  finish(): void {
    this.#stream.pause()
    // Bounded: a program that was left behind may print on. The kernel delivers all earlier output before it says
    // that there is no more.
    for (let left = capacity, n = 1; left > 0 && n > 0; left -= n) n = this.#next()
  }

  close(): void {
    this.#stream.destroy()
  }
}
