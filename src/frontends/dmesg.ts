/** The dmesg frontend: writes a dump as a dying Linux does (fs/pstore/platform.c, pstore_dump). */
import type { Backend } from '../pstore/backend.js'
import { mostText, packDump, packParts, decodeTitle, reasons, type Reason } from '../pstore/dump.js'
import { count } from '../pstore/condition.js'
import { StoreError } from '../pstore/errors.js'
import { now } from '../pstore/time.js'

/** How a dump is written. */
export interface DumpOptions {
  /** Default: panic. */
  reason?: Reason
  /** Deflate where it fits. Default: true. */
  compress?: boolean
}

/**
 * Store one dump: in as many records as Linux makes where the backend takes several, else in one record with
 * the end of the text. Linux counts dumps from 1 after each boot; without a boot in between, this count
 * continues from the newest record.
 *
 * @throws StoreError where the backend has no zone for dumps, or none that is large enough, or there is no such reason
 * @example
 * ```ts
 * import { attach, writeDump } from 'pstorefs'
 *
 * const backend = attach('region.img', { record_size: 65536, console_size: 262144, readOnly: false })
 * writeDump(backend, Buffer.from('the engine is on fire\n'), { reason: 'oops' })
 * backend.close()
 * ```
 */
export const writeDump = (backend: Backend, text: Buffer, options: DumpOptions = {}): void => {
  const { reason = 'panic', compress = true } = options
  // Who has no types may give anything.
  if (!Buffer.isBuffer(text)) throw new StoreError("a dump's text must be a Buffer")
  if (!reasons.includes(reason))
    throw new StoreError(`reason '${String(reason)}': must be one of ${reasons.join(', ')}`)
  const title = { reason, count: newestCount(backend) + 1 }
  const capacity = backend.capacity('dmesg')
  if (!capacity) throw new StoreError(`${backend.name}: has no dmesg zone`, 'ENOSPC')
  // Linux takes an empty dump for the end of all records.
  if (text.length === 0) throw new StoreError('an empty dump cannot be stored')
  const { room, parts } = capacity
  const time = now()
  let written = 0
  for (const packed of parts
    ? packParts(title, text, room, compress)
    : [packDump({ ...title, part: 1 }, text, room, compress)]) {
    if (!packed) break
    try {
      backend.write({ type: 'dmesg', time, ...packed })
    } catch (error) {
      throw withStored(error, written)
    }
    written++
  }
  if (written === 0)
    throw new StoreError(`${backend.name}: its dmesg zones are too small for a dump`, 'ENOSPC')
}

/** An error at a dump's next part: those before it stay, as they have what happened last. */
const withStored = (error: unknown, parts: number): unknown =>
  error instanceof StoreError && parts > 0
    ? new StoreError(
        `${error.message}; of the dump only its end is stored: ${count(parts, 'part')}`,
        error.code,
      )
    : error

/** The most bytes of text that a dump can hold; a longer text is cut to its end. */
export const dumpRoom = (backend: Backend): number => {
  const { room = 0, parts = false } = backend.capacity('dmesg') ?? {}
  return parts ? mostText(room) : 3 * room
}

const newestCount = (backend: Backend): number => {
  let newest = { sec: 0n, nsec: 0 }
  let count = 0
  for (const record of backend.records()) {
    const { type, time } = record
    if (type !== 'dmesg' || !time) continue
    if (time.sec < newest.sec || (time.sec === newest.sec && time.nsec < newest.nsec)) continue
    newest = time
    count = decodeTitle(record.read())?.count ?? 0
  }
  return count
}
