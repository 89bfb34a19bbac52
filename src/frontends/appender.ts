/**
 * Appends a stream (a terminal, the console) to backends: one append for many lines.
 *
 * Text is gathered, and stored after a moment or when there is much of it. Where each store wears the medium
 * out (EFI, ERST), the backend's pace decides how much is stored and how often.
 */
import type { Backend } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import type { Pace, RecordType } from '../pstore/types.js'

/** The most bytes that one store takes where stores cost nothing. */
const batch = 65536
/** How long text waits for more there, in milliseconds; a kill can lose that much. */
const moment = 2
const hour = 3_600_000
/** How long a backend is left alone whose lock another process did not let go of, in milliseconds. */
const rest = 15_000

/** Who is told what becomes of a stream. */
export interface Listener {
  /** A backend failed; it gets nothing more, and the others go on. Called once for each. */
  failed(backend: Backend, error: Error): void
  /** A backend misses text for now: another process does not let go of its lock. Without it, that is a failure. */
  missed?(backend: Backend, error: Error): void
  /** It gets text again, and has missed so many bytes. */
  resumed?(backend: Backend, bytes: number): void
}

/** The text that waits for one backend. */
class BackendBuffer {
  /** As {@link Capacity.pace} and {@link Capacity.room}. */
  readonly pace: Pace | null
  readonly room: number
  readonly #buffer: Buffer
  #filled = 0
  #timer: NodeJS.Timeout | null = null
  /** The number of stores that the pace still allows; it grows with time. */
  #allowed: number
  #since = performance.now()
  /** When it is tried again, as {@link performance.now}. */
  #restsUntil = -Infinity
  /** How many bytes it missed since its lock was to be had. */
  #missed = 0

  constructor(
    readonly backend: Backend,
    readonly type: RecordType,
    readonly listener: Listener,
  ) {
    const { pace = null, room = 0 } = backend.capacity(type) ?? {}
    this.pace = pace
    this.room = room
    this.#buffer = Buffer.allocUnsafe(pace ? room : batch)
    this.#allowed = pace?.perHour ?? 0
  }

  append(bytes: Uint8Array): void {
    const { pace } = this
    // A ring keeps only the end of a longer text.
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

  /** Store the text; where the pace does not allow that, drop the oldest of it. */
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

  /** Milliseconds until waiting text is stored. */
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

  /** Store the text, whatever the pace says. */
  flush(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    const length = this.#filled
    if (length === 0) return
    this.#filled = 0
    const { pace } = this
    if (pace) this.#allowed -= Math.ceil(length / pace.bytes)
    this.#write(this.#buffer.subarray(0, length))
  }

  /** Store these bytes behind all text, uncopied, where stores cost nothing; elsewhere they wait. */
  store(bytes: Uint8Array): void {
    if (this.pace) this.append(bytes)
    else {
      this.flush()
      if (bytes.length > 0) this.#write(bytes)
    }
  }

  /** Store the text that waits, of a backend that rests, too: there is no later. */
  end(): void {
    this.#restsUntil = -Infinity
    this.flush()
  }

  #write(bytes: Uint8Array): void {
    const { backend, type, listener } = this
    if (performance.now() < this.#restsUntil) {
      this.#missed += bytes.length
      return
    }
    try {
      backend.write({ type, bytes })
    } catch (error) {
      if (!listener.missed || !(error instanceof StoreError) || error.code !== 'EBUSY') {
        listener.failed(backend, error as Error)
        return
      }
      if (this.#missed === 0) listener.missed(backend, error)
      this.#missed += bytes.length
      this.#restsUntil = performance.now() + rest
      return
    }
    if (this.#missed > 0) listener.resumed?.(backend, this.#missed)
    this.#missed = 0
  }
}

export class Appender {
  #buffers: BackendBuffer[]
  /** The length of the shortest ring among those that {@link store} stores to. */
  readonly room: number

  /**
   * @param writable backends that have room for the type and can be written to
   */
  constructor(
    writable: readonly Backend[],
    readonly type: RecordType,
    listener: Listener,
  ) {
    const failed = (backend: Backend, error: Error): void => {
      if (this.#buffers.every(buffer => buffer.backend !== backend)) return
      this.#buffers = this.#buffers.filter(buffer => buffer.backend !== backend)
      listener.failed(backend, error)
    }
    this.#buffers = writable.map(
      backend => new BackendBuffer(backend, type, { ...listener, failed }),
    )
    const settled = this.#buffers.filter(({ pace }) => !pace)
    this.room = Math.min(...settled.map(({ room }) => room))
  }

  /** Append the stream's next bytes; they are copied. */
  append(bytes: Uint8Array): void {
    for (const buffer of this.#buffers) buffer.append(bytes)
  }

  /** Append bytes of which no more come for now: they are stored where stores cost nothing. */
  store(bytes: Uint8Array): void {
    for (const buffer of this.#buffers) buffer.store(bytes)
  }

  /** Store all text: at the stream's end, and before a signal ends the process. */
  flush(): void {
    for (const buffer of this.#buffers) buffer.end()
  }
}
