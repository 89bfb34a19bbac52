/**
 * Signatures of pstore/zone in a source that nobody described: each zone that was ever written begins with one.
 *
 * Source: doc/formats.md 3.1; fs/pstore/zone.c (struct psz_buffer, struct psz_kmsg_header).
 */
import type { Endian, ZoneKind } from '../../pstore/types.js'
import { loadReadable } from '../../region/readable.js'
import type { Region } from '../../region/region.js'
import {
  decodeKmsgHeader,
  decodeSureKmsgHeader,
  decodeZoneHeader,
  kmsgHeaderSize,
  kmsgMagicBytes,
  signatureOf,
  zoneHeaderSize,
} from './header.js'

/** A zone's signature, and what stands behind it. */
export interface Signed {
  /** In bytes from the store's start. */
  readonly offset: number
  readonly kind: ZoneKind
  readonly endian: Endian
  /** Bytes of data that the zone has at least. */
  readonly used: number
  /** It may as well be a zone of ramoops. */
  readonly isDoubtful: boolean
  /** Its signature is lost: what follows it tells that a dump's zone begins there. */
  readonly isLost?: true
  /** A dump's zone, by its signature, that never held one: only this program signs such, and ramoops any empty zone. */
  readonly isEmpty?: true
}

/** The kinds that have a signature of their own, and dumps, which have a second one. */
const kinds: readonly ZoneKind[] = ['dmesg', 'pmsg', 'console', 'tty', 'ftrace']
/** Bytes that all signatures have in common, as they lie there. */
const common = { little: Buffer.from('BGC'), big: Buffer.from('CGB') } as const
/** Where these are in a signature. */
const commonAt = { little: 1, big: 0 } as const
/** All zones but ftrace's, and dumps behind these, are at multiples of this. */
const sector = 512
/** Linux uses no more of a store. */
const largestStore = 128 << 20
/** How much is looked at at a time, and how much of the next piece with it, in bytes. */
const piece = 1 << 20
const overlap = zoneHeaderSize + kmsgHeaderSize
/** So many zones are enough to tell a layout. */
const mostSigned = 2 ** 14
/** So many places are looked at for one: a disk's bytes look like a signature's rarely, and by chance. */
const mostLooks = 2 ** 19
/** What begins a ramoops dump behind its header. */
const ramoopsDump = '===='

/** Is it a dump of ramoops? A bit that decayed makes its signature another kind's. */
const isOfRamoops = (bytes: Buffer): boolean =>
  bytes.toString('latin1', zoneHeaderSize, zoneHeaderSize + ramoopsDump.length) === ramoopsDump

/**
 * The zone that a header is of; null where it is none. Its numbers may be impossible: then it is damaged.
 *
 * @param bytes from the header on; a dump's own header, if they go so far
 */
const zoneAt = (bytes: Buffer, offset: number, endian: Endian): Signed | null => {
  if (bytes.length < zoneHeaderSize) return null
  const { sig, datalen: used, start } = decodeZoneHeader(bytes, endian)
  const kind = kinds.find(known => sig === signatureOf(known))
  if (kind === undefined || used > largestStore) return null
  if (kind === 'dmesg') {
    const isDump = decodeKmsgHeader(bytes.subarray(zoneHeaderSize), endian) !== null
    const isEmpty = !isDump && used === 0 && start === 0
    // ramoops signs so whatever the zone's kind.
    return { offset, kind, endian, used, isDoubtful: !isDump, ...(isEmpty && { isEmpty }) }
  }
  if (kind !== 'ftrace' && offset % sector !== 0) return null
  return { offset, kind, endian, used, isDoubtful: isOfRamoops(bytes) }
}

/** The dump's zone whose own header begins in some bytes; null where there is none, or the zone's signature is there. */
const lostAt = (bytes: Buffer, offset: number, endian: Endian): Signed | null => {
  if (decodeZoneHeader(bytes, endian).sig === signatureOf('dmesg')) return null
  return decodeSureKmsgHeader(bytes.subarray(zoneHeaderSize), endian) === null
    ? null
    : { offset, kind: 'dmesg', endian, used: 0, isDoubtful: false, isLost: true }
}

/** Offsets at which some bytes stand in others, each less what is before it in what it tells of. */
function* placesOf(bytes: Buffer, needle: Buffer, before: number): Generator<number, void, void> {
  for (let i = 0; (i = bytes.indexOf(needle, i)) >= 0; i++) if (i >= before) yield i - before
}

/**
 * The signatures in a source, by their offsets.
 *
 * @returns none where no zone has one, where as many are rather of ramoops, or where there are more than any store has
 * @throws StoreError (EIO) where more than some sectors cannot be read
 */
export const signedIn = (region: Region): Signed[] => {
  const end = Math.min(region.length, largestStore)
  const found: Signed[] = []
  let looks = 0
  // One buffer for all pieces: a mount's process is not to grow with what it looked at.
  const block = Buffer.allocUnsafe(piece + overlap)
  for (let at = 0; at < end;) {
    const data = region.nextData(at)
    if (!data || data.from >= end) break
    // A header may begin in what a hole ends.
    const from = Math.max(at, data.from - overlap)
    const to = Math.min(end, data.to, from + piece)
    const bytes = block.subarray(0, Math.min(to + overlap, region.length) - from)
    loadReadable(region, bytes, from)
    for (const endian of ['little', 'big'] as const)
      for (const [needle, before, zoneIn] of [
        [common[endian], commonAt[endian], zoneAt],
        [kmsgMagicBytes[endian], zoneHeaderSize, lostAt],
      ] as const)
        for (const start of placesOf(bytes, needle, before)) {
          if (from + start >= to) break
          const zone = zoneIn(bytes.subarray(start, start + overlap), from + start, endian)
          if (zone) found.push(zone)
          if (found.length > mostSigned || ++looks > mostLooks) return []
        }
    at = to
  }
  const signed = found.filter(({ isLost, isEmpty }) => !isLost && !isEmpty)
  const doubtful = signed.filter(({ isDoubtful }) => isDoubtful).length
  return 2 * doubtful < signed.length ? found.toSorted((a, b) => a.offset - b.offset) : []
}
