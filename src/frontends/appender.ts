/**
 * How a stream (a terminal, the console) gets into backends: one append for many lines.
 *
 * What keeps coming is gathered, and stored when there is much of it or after a moment. Where a store
 * wears the medium out (EFI, ERST), the backend's pace decides how much and how often.
 */
import type { Backend, Pace } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import type { RecordType } from '../pstore/types.js'

/** Bytes that are stored at once where stores cost nothing. */
const batch = 65536
/** How long text waits for more there, in milliseconds: what a kill can lose. */
const moment = 2
const hour = 3_600_000

/** What goes to one backend. */
class BackendBuffer {
  readonly pace: Pace | null
  readonly room: number
  readonly #buffer: Buffer
  #filled = 0
  #timer: NodeJS.Timeout | null = null
  /** Stores that the pace still allows; grows with time. */
  #allowed: number
  #since = performance.now()

  constructor(
    readonly backend: Backend,
    readonly type: RecordType,
    readonly failed: (outlet: BackendBuffer, error: Error) => void,
  ) {
    const capacity = backend.capacity(type)
    this.pace = capacity?.pace ?? null
    this.room = capacity?.room ?? 0
    const { pace, room } = this
    this.#buffer = Buffer.allocUnsafe(pace ? room : batch)
    this.#allowed = pace?.perHour ?? 0
  }

  append(bytes: Uint8Array): void {
    const { pace } = this
    // Of more than the ring holds, only the end stays.
    const from = pace ? Math.max(0, bytes.length - this.#buffer.length) : 0
    for (let at = from; at < bytes.length;) {
      if (this.#filled === this.#buffer.length) this.#makeRoom(bytes.length - at)
      const n = Math.min(bytes.length - at, this.#buffer.length - this.#filled)
      this.#buffer.set(bytes.subarray(at, at + n), this.#filled)
      this.#filled += n
      at += n
    }
    if (this.#filled === 0) return
    if (pace && this.#filled >= pace.bytes && this.#wait(pace) === 0) this.flush()
    else this.#timer ??= setTimeout(() => this.#due(), pace ? this.#delay(pace) : moment)
  }

  /** Store what there is; where the pace does not let it through, drop the oldest. */
  #makeRoom(wanted: number): void {
    const { pace } = this
    if (!pace || this.#wait(pace) === 0) {
      this.flush()
      return
    }
    const drop = Math.min(wanted, this.#filled)
    this.#buffer.copyWithin(0, drop, this.#filled)
    this.#filled -= drop
  }

  #due(): void {
    this.#timer = null
    const { pace } = this
    const wait = pace ? this.#wait(pace) : 0
    if (wait > 0) this.#timer = setTimeout(() => this.#due(), wait)
    else this.flush()
  }

  /** Milliseconds until text is stored that waits for more. */
  #delay(pace: Pace): number {
    return Math.max(pace.seconds * 1000, this.#wait(pace))
  }

  /** Milliseconds until the pace allows a store. */
  #wait({ perHour }: Pace): number {
    const now = performance.now()
    this.#allowed = Math.min(perHour, this.#allowed + ((now - this.#since) * perHour) / hour)
    this.#since = now
    return this.#allowed >= 1 ? 0 : ((1 - this.#allowed) * hour) / perHour
  }

  /** Store what there is, whatever the pace says. */
  flush(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    const length = this.#filled
    if (length === 0) return
    this.#filled = 0
    const { pace } = this
    if (pace) this.#allowed -= Math.ceil(length / pace.bytes)
    try {
      this.backend.write({ type: this.type, bytes: this.#buffer.subarray(0, length) })
    } catch (error) {
      this.failed(this, error as Error)
    }
  }
}

export class Appender {
  #outlets: BackendBuffer[]
  /** The length of the shortest ring among those in which all that is settled is stored at once. */
  readonly room: number

  /**
   * @param backends the places of one type among them are appended to
   * @param report is told of a backend that failed, once; it gets no more, and the others go on
   * @throws StoreError (ENOSPC) where none has a place that can be written
   */
  constructor(
    backends: readonly Backend[],
    readonly type: RecordType,
    report: (backend: Backend, error: Error) => void,
  ) {
    const failed = (outlet: BackendBuffer, error: Error): void => {
      this.#outlets = this.#outlets.filter(other => other !== outlet)
      report(outlet.backend, error)
    }
    this.#outlets = backends
      .filter(backend => !backend.readOnly && backend.capacity(type) !== null)
      .map(backend => new BackendBuffer(backend, type, failed))
    if (this.#outlets.length === 0)
      throw new StoreError(`no backend has a place for ${type}`, 'ENOSPC')
    const settled = this.#outlets.filter(({ pace }) => !pace)
    this.room = Math.min(...settled.map(({ room }) => room))
  }

  /** Take the stream's next bytes; they are copied. */
  append(bytes: Uint8Array): void {
    for (const outlet of this.#outlets) outlet.append(bytes)
  }

  /** Store what was taken, wherever stores cost nothing. */
  settle(): void {
    for (const outlet of this.#outlets) if (!outlet.pace) outlet.flush()
  }

  /** Store all that was taken: at the stream's end, and before a signal ends it. */
  flush(): void {
    for (const outlet of this.#outlets) outlet.flush()
  }
}
