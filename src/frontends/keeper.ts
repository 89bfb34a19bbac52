/**
 * What a terminal's screen and its zone get of what was printed: the zone first, so that all that was
 * seen is kept.
 *
 * After a pause the next bytes go through at once, for whoever types. What then keeps coming is gathered
 * for a moment, so that it takes one append for many lines.
 */
import type { Appender } from './appender.js'
import type { Transform } from './typescript.js'

/** How long bytes wait for more, in milliseconds. */
const moment = 2
/** How many wait at most. */
const plenty = 262_144

export class Keeper {
  #waiting: Buffer[] = []
  #length = 0
  #last = -Infinity
  #timer: NodeJS.Timeout | null = null

  /**
   * @param transforms what becomes of the bytes on their way into the zone, in this order
   * @param show takes them as they are, once they are in the zone
   */
  constructor(
    readonly appender: Appender,
    readonly transforms: readonly Transform[],
    readonly show: (bytes: Buffer) => void,
  ) {}

  /** Take what was printed next; it is not copied. */
  take(bytes: Buffer): void {
    this.#waiting.push(bytes)
    this.#length += bytes.length
    if (this.#length >= plenty || performance.now() - this.#last >= moment) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), moment)
  }

  /** Keep and show what there is. Where stores wear the medium out, the backend's pace still holds. */
  flush(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#length > 0) {
      const bytes = this.#waiting.length === 1 ? this.#waiting[0] : Buffer.concat(this.#waiting)
      this.#waiting = []
      this.#length = 0
      // No more at a time than the zone holds: of what is shown in part before a kill, all is in there.
      const { room } = this.appender
      for (let at = 0; at < bytes.length; at += room) this.#pass(bytes.subarray(at, at + room))
    }
    // After the work: where it takes long, what came meanwhile is gathered all the same.
    this.#last = performance.now()
  }

  #pass(bytes: Buffer): void {
    this.appender.append(this.transforms.reduce((kept, transform) => transform(kept), bytes))
    this.appender.settle()
    this.show(bytes)
  }
}
