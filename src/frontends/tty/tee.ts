/**
 * Sends a terminal's output to its zone and to the screen: to the zone first, so that all text that was seen is
 * kept.
 *
 * After a pause the next bytes pass at once, as a typist waits for the echo. Bytes that follow are gathered for
 * a moment, so that many lines take one append.
 */
import type { Appender } from '../appender.js'
import { capacity, type Output } from './output.js'
import type { Filter } from './filters.js'

/** How long bytes wait for more, in milliseconds. */
const moment = 2
/** How many bytes wait at most for that. */
const plenty = 262_144

export class Tee implements Output {
  /**
   * The bytes that wait, behind those that were shown and have yet to be seen. Its room is for plenty, and for what
   * a terminal can give in one read after that, in another before its reader sees that it is held, and at its end.
   */
  readonly #bytes: Buffer = Buffer.allocUnsafe(plenty + 3 * capacity)
  /** The waiting bytes are from here to {@link #end}. */
  #start = 0
  #end = 0
  #last = -Infinity
  #timer: NodeJS.Timeout | null = null
  #isHeld = false
  released = (): void => {}

  /**
   * @param filters are applied, in this order, to the bytes on their way into the zone
   * @param show shows the unfiltered bytes, once they are in the zone; returns false where they have yet to be
   *   seen, and calls {@link release} later. The bytes are good until then.
   */
  constructor(
    readonly appender: Appender,
    readonly filters: readonly Filter[],
    readonly show: (bytes: Buffer) => boolean,
  ) {}

  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Take the next output, no more than a terminal holds; it is copied. */
  take(bytes: Buffer): void {
    this.#bytes.set(bytes, this.#end)
    this.#end += bytes.length
    if (this.#isHeld) return
    if (this.#end >= plenty || performance.now() - this.#last >= moment) this.#pass()
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
    while (this.#start < this.#end && !this.#isHeld) this.#isHeld = !this.#passOn(half)
    this.#rest()
  }

  /** Keep and show all waiting bytes. Where stores wear the medium out, the backend's pace still holds. */
  flush(): void {
    if (this.#start < this.#end && !this.#passOn(Infinity)) this.#isHeld = true
    this.#rest()
  }

  /** Keep and show at most so many bytes. */
  #passOn(most: number): boolean {
    const now = this.#bytes.subarray(this.#start, Math.min(this.#start + most, this.#end))
    this.#start += now.length
    this.appender.store(this.filters.reduce((kept, filter) => filter(kept), now))
    return this.show(now)
  }

  #rest(): void {
    if (!this.#isHeld && this.#start === this.#end) this.#start = this.#end = 0
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    // The time after the work: bytes that came during long work are gathered, too.
    this.#last = performance.now()
  }
}
