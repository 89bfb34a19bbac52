/** Records that cannot be read: they are named, and hide no others. */
import type { Slot } from './driver.js'
import type { StoreError } from './errors.js'
import type { Timespec } from './time.js'
import type { RecordType } from './types.js'

/** A record that is there and cannot be read. */
export interface Unreadable {
  readonly type: RecordType
  readonly id: bigint
  /** Its file's name, or what else it can be called. */
  readonly name: string
  /** Its own time; null where that cannot be read either. */
  readonly time: Timespec | null
  readonly error: StoreError
}

/** A line on a record that cannot be read. */
export const describeUnreadable = ({ name, error }: Unreadable): string =>
  `${error.message}: ${name} cannot be shown`

/** A slot that cannot be read, so that nobody knows what it holds. */
export class UnreadableSlot implements Slot {
  readonly type = 'dmesg'
  readonly label = 'dmesg'
  readonly ftrace = null
  readonly deep = true

  /**
   * @param copy as of {@link Slot.copy}
   * @param name as of {@link Slot.name}
   */
  constructor(
    readonly error: StoreError,
    readonly id: bigint,
    readonly copy: number | null,
    readonly name?: string,
  ) {}

  readonly #fail = (): never => {
    throw this.error
  }

  readonly glance = this.#fail
  readonly load = this.#fail
  readonly raw = this.#fail
  readonly erase = this.#fail

  lengths(): null {
    return null
  }
}
