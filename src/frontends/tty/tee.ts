/**
 * What a terminal's screen and its zone get of what was printed: the zone first, so that all that was
 * seen is kept.
 *
 * After a pause the next bytes go through at once, for whoever types. What then keeps coming is gathered
 * for a moment, so that it takes one append for many lines.
 */
import type { Appender } from '../appender.js'
import type { Output } from './output.js'
import type { Filter } from './filters.js'

/** How long bytes wait for more, in milliseconds. */
const moment = 2
/** How many wait at most. */
const plenty = 262_144

export class Tee implements Output {
  #waiting: Buffer[] = []
  #length = 0
  #last = -Infinity
  #timer: NodeJS.Timeout | null = null
  #isHeld = false
  released = (): void => {}

  /**
   * @param transforms what becomes of the bytes on their way into the zone, in this order
   * @param show takes them as they are, once they are in the zone; says false where they have yet to be
   *   seen, and {@link release} follows
   */
  constructor(
    readonly appender: Appender,
    readonly transforms: readonly Filter[],
    readonly show: (bytes: Buffer) => boolean,
  ) {}

  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Take what was printed next; it is not copied. */
  take(bytes: Buffer): void {
    this.#waiting.push(bytes)
    this.#length += bytes.length
    if (this.#isHeld) return
    if (this.#length >= plenty || performance.now() - this.#last >= moment) this.#pass()
    else this.#timer ??= setTimeout(() => this.#pass(), moment)
  }

  /** What was shown has been seen. */
  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#pass()
    if (!this.#isHeld) this.released()
  }

  /**
   * Keep and show what there is, until it takes a while to be seen: a zone that went on meanwhile could
   * lose what is seen last. What waits, and what was seen before it, are both in there.
   */
  #pass(): void {
    const half = Math.ceil(this.appender.room / 2)
    while (this.#length > 0 && !this.#isHeld) this.#isHeld = !this.#passOn(half)
    this.#rest()
  }

  /** Keep and show all that there is. Where stores wear the medium out, the backend's pace still holds. */
  flush(): void {
    if (this.#length > 0) this.#passOn(this.#length)
    this.#rest()
  }

  /** Keep and show so many bytes, or what there is. */
  #passOn(most: number): boolean {
    const bytes = this.#waiting.length === 1 ? this.#waiting[0] : Buffer.concat(this.#waiting)
    const now = bytes.subarray(0, most)
    this.#waiting = now.length < bytes.length ? [bytes.subarray(most)] : []
    this.#length -= now.length
    this.appender.append(this.transforms.reduce((kept, transform) => transform(kept), now))
    this.appender.settle()
    return this.show(now)
  }

  #rest(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    // After the work: where it takes long, what came meanwhile is gathered all the same.
    this.#last = performance.now()
  }
}
