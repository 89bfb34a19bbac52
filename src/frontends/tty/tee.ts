/**
 * Sends a terminal's output to its zone and to the screen: to the zone first, so that all text that was seen is
 * kept.
 *
 * After a pause the next bytes pass at once, as a typist waits for the echo. Bytes that follow are gathered for
 * a moment, so that many lines take one append.
 */
import type { Appender } from '../appender.js'
import type { Output } from './output.js'
import type { Filter } from './filters.js'

/** How long bytes wait for more, in milliseconds. */
const moment = 2
/** How many bytes wait at most. */
const plenty = 262_144

export class Tee implements Output {
  #waiting: Buffer[] = []
  #length = 0
  #last = -Infinity
  #timer: NodeJS.Timeout | null = null
  #isHeld = false
  released = (): void => {}

  /**
   * @param filters are applied, in this order, to the bytes on their way into the zone
   * @param show shows the unfiltered bytes, once they are in the zone; returns false where they have yet to be
   *   seen, and calls {@link release} later
   */
  constructor(
    readonly appender: Appender,
    readonly filters: readonly Filter[],
    readonly show: (bytes: Buffer) => boolean,
  ) {}

  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Take the next output; it is not copied. */
  take(bytes: Buffer): void {
    this.#waiting.push(bytes)
    this.#length += bytes.length
    if (this.#isHeld) return
    if (this.#length >= plenty || performance.now() - this.#last >= moment) this.#pass()
    else this.#timer ??= setTimeout(() => this.#pass(), moment)
  }

  /** Say that all shown bytes have been seen. */
  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#pass()
    if (!this.#isHeld) this.released()
  }

  /**
   * Keep and show the waiting bytes, half a zone at a time, until the screen falls behind. The zone then
   * holds both the bytes that wait to be seen and those that were seen last.
   */
  #pass(): void {
    const half = Math.ceil(this.appender.room / 2)
    while (this.#length > 0 && !this.#isHeld) this.#isHeld = !this.#passOn(half)
    this.#rest()
  }

  /** Keep and show all waiting bytes. Where stores wear the medium out, the backend's pace still holds. */
  flush(): void {
    if (this.#length > 0) this.#passOn(this.#length)
    this.#rest()
  }

  /** Keep and show at most so many bytes. */
  #passOn(most: number): boolean {
    const bytes = this.#waiting.length === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting)
    const now = bytes.subarray(0, most)
    this.#waiting = now.length < bytes.length ? [bytes.subarray(most)] : []
    this.#length -= now.length
    this.appender.append(this.filters.reduce((kept, filter) => filter(kept), now))
    this.appender.settle()
    return this.show(now)
  }

  #rest(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    // The time after the work: bytes that came during long work are gathered, too.
    this.#last = performance.now()
  }
}
