/**
 * A zone's bytes of one moment, though its writer may be a guest that takes no lock.
 *
 * What two copies, one after the other, agree on lay there at the moment between them, whatever the order is
 * in which the writer stores bytes and header. Of a ring that never rests that is shown, but for what the
 * headers say was passed over since the first copy began: there new bytes stand where the oldest were.
 */
import { StoreError } from '../pstore/errors.js'
import { advance, evidence, type RingPosition } from '../pstore/ring.js'
import type { ZoneExtent } from '../pstore/types.js'
import type { Region } from './region.js'

/** What can be copied while others write to it. Each method may throw a StoreError (EIO). */
export interface Copyable {
  readonly region: Region
  readonly extent: ZoneExtent
  /** Bytes of the ring. */
  readonly dataLength: number
  /** @param spare may be overwritten for it */
  copy(spare: Buffer | null): ZoneCopy
  /** The header, and what else tells of each change, as a copy begins with them. */
  head(): Buffer
  /** Where the ring stands by the header that some bytes begin with; null where it holds nothing, or is a dump. */
  positionIn(head: Buffer): RingPosition | null
}

export interface ZoneCopy {
  /** As it lay there before the data were read. */
  readonly header: Buffer
  /** As much as the header says is there, and the parity. */
  readonly data: Buffer
}

export interface SteadyCopy {
  readonly copy: ZoneCopy
  /** The copy before it, by whose header the data are to be read; null where the zone rested. */
  readonly before: ZoneCopy | null
  /** Which of the ring's bytes, the oldest first, are of one moment; null where the zone rested, and all are. */
  readonly kept: Stretch | null
}

interface Stretch {
  readonly from: number
  readonly to: number
}

/** Bytes of one or more records in an ftrace ring, whose end is the end of one: a record has 24, 16, 12 or 8. */
const ftraceRecords = 48

/** Copies of a zone that moves: after so many what two agree on is enough; after so many that is given up, too. */
const enough = 4
const most = 8

let moments = 0

/** The version of what was copied while it moved: none that another look finds. */
export const movingVersion = (): string => `moving ${++moments}`

/**
 * Copy a zone until it rests.
 *
 * @param alone no writer of this program is at work: the header of any other moves before its bytes, or
 *   together with them. Else two copies have to be the same.
 * @throws StoreError (EIO) where a dump does not rest: no part of it would tell what happened
 */
export const copySteadily = (zone: Copyable, alone: boolean): SteadyCopy => {
  let before: ZoneCopy | null = null
  let spare: Buffer | null = null
  for (let n = 1; ; n++) {
    const copy = zone.copy(spare)
    const after = zone.head()
    const isSure = alone || (before?.header.equals(copy.header) && before.data.equals(copy.data))
    if (isSure && beginsWith(copy, after)) return { copy, before: null, kept: null }
    if (before && n >= enough) {
      const kept = agreed(zone, before, copy, after)
      if (kept) return { copy, before, kept }
    }
    if (n === most) return unsteady(zone, copy, before)
    spare = before?.data ?? null
    before = copy
  }
}

/** Does a copy begin with the bytes that are there now? */
const beginsWith = ({ header, data }: ZoneCopy, head: Buffer): boolean => {
  const rest = head.subarray(header.length, header.length + data.length)
  return (
    head.compare(header, 0, header.length, 0, header.length) === 0 &&
    rest.equals(data.subarray(0, rest.length))
  )
}

/** A ring of which no byte is certain shows none. */
const unsteady = (
  { region, extent }: Copyable,
  copy: ZoneCopy,
  before: ZoneCopy | null,
): SteadyCopy => {
  if (extent.kind !== 'dmesg') return { copy, before, kept: { from: 0, to: 0 } }
  throw new StoreError(
    `${region.path}: dmesg zone ${extent.index} changes while it is read: try again when its writer is done`,
    'EIO',
  )
}

/** What of a ring's content is of one moment, and how many bytes are not. */
export const cutTo = (
  content: Buffer,
  kept: SteadyCopy['kept'],
): { content: Buffer; cut: number } => {
  const intact = kept ? content.subarray(kept.from, kept.to) : content
  return { content: intact, cut: content.length - intact.length }
}

/** The longest stretch of a ring that is the same in two copies, and that nobody passed over; null: there is none. */
const agreed = (
  zone: Copyable,
  before: ZoneCopy,
  copy: ZoneCopy,
  after: Buffer,
): Stretch | null => {
  const { dataLength, extent } = zone
  const at = zone.positionIn(before.header)
  // Linux moves size, then start: between the two nobody knows where the ring stands.
  if (!at || (at.size < dataLength && at.start !== at.size)) return null
  const { size, start } = at
  let passed = 0
  for (const header of [copy.header, after]) {
    const later = zone.positionIn(header)
    const count = later ? advance(at, later, dataLength) : -1
    if (count < 0) return null
    // A ring that is not full has room for some of it.
    passed = Math.max(passed, count - (dataLength - size))
  }
  const placeOf = (index: number): number => (start + index) % size
  let run = passed
  let kept: Stretch = { from: 0, to: 0 }
  for (let index = passed, length: number; index < size; index += length) {
    const place = placeOf(index)
    length = Math.min(evidence, size - index, size - place)
    if (before.data.compare(copy.data, place, place + length, place, place + length) !== 0)
      run = index + length
    else if (index + length - run > kept.to - kept.from) kept = { from: run, to: index + length }
  }
  // A ring that was written all round has bytes that are the same by chance.
  if (kept.to - kept.from < Math.min(evidence, size)) return null
  let { from, to } = kept
  const isSame = (index: number): boolean =>
    before.data[placeOf(index)] === copy.data[placeOf(index)]
  while (from > passed && isSame(from - 1)) from--
  while (to < size && isSame(to)) to++
  if (extent.kind === 'ftrace') to = size - Math.ceil((size - to) / ftraceRecords) * ftraceRecords
  return { from, to: Math.max(from, to) }
}
