/**
 * Signatures in a source: where zones may begin.
 *
 * Source: doc/formats.md 1.3. A search for `DBGC` finds dmesg, console, pmsg and tty zones. An ftrace
 * zone's signature has a kernel's version in it: it is looked for where a layout has such a zone, and here
 * at the start of pages, where a region of ftrace zones begins. Memory decays: a signature with a few wrong
 * bits counts where its numbers are possible, at any even offset of a small source, and at pages of a large
 * one, where the bytes between have too many by chance.
 */
import { StoreError } from '../../../pstore/errors.js'
import type { Region } from '../../../region/region.js'
import {
  decodeZoneHeader,
  isVersionCode,
  wrongBits,
  zoneHeaderSize,
  type RawHeader,
} from '../zone-header.js'
import { pageSize, type Segment } from './segments.js'
import type { Endian } from '../../../pstore/types.js'

/** Offsets of signatures, ascending, by the byte order of the machine that wrote them. */
type Offsets = { readonly [endian in Endian]: number[] }

export interface Signatures {
  /** Where `DBGC` stands. */
  plain: Offsets
  /** Where something stands that has been `DBGC`, and possible numbers behind it. */
  decayed: Offsets
  /** Starts of pages with the header of an ftrace zone, whose numbers are possible. */
  ftrace: Offsets
  /** Where the search ended: before the source's end where there were too many signatures. */
  end: number
}

/** The largest zone that is believed: the most that pstore_zone takes, and far above any ramoops. */
export const largestZone = 2 ** 28
/** Wrong bits of a signature that is still taken for one: 32 random bits have as few once in 780,000. */
export const mostWrongBits = 3
/** Sources up to this size are searched for decayed signatures at every even offset. */
const smallSource = 2 ** 24
/** Signatures of a sort at which the search ends: no region has so many, a hostile source may. */
const mostSignatures = 2 ** 18
/** Bytes that are read at once: few calls, and still within a processor's cache. */
const chunkSize = 2 ** 20

const plainSignature: { readonly [endian in Endian]: Buffer } = {
  little: Buffer.from('DBGC'),
  big: Buffer.from('CGBD'),
}
/** The highest byte of every signature, as no version reaches it; and its offset in the signature. */
export const topByte = 0x43
export const topByteAt: { readonly [endian in Endian]: number } = { little: 3, big: 0 }

/** Decode a header; null where no zone of any kind has its signature. */
export const decodeSigned = (bytes: Buffer, at: number, endian: Endian): RawHeader | null => {
  const header = decodeZoneHeader(bytes, at, endian)
  return header.code === 0 || isVersionCode(header.code) ? header : null
}

/** Does a header have numbers that a zone of some size can have? */
export const isPossible = ({ start, size }: RawHeader): boolean =>
  start <= size && size < largestZone

const bitsOf = Uint8Array.from({ length: 256 }, (_, byte) => wrongBits(byte))

/** How many bits of a signature at an offset are wrong; where it is more than a few, more than these. */
export const wrongBitsOf = (bytes: Buffer, at: number, needle: Buffer): number => {
  let wrong = 0
  for (let i = 0; i < 4 && wrong <= mostWrongBits; i++)
    wrong += bitsOf[bytes[at + i]! ^ needle[i]!]!
  return wrong
}

/** The versions next to which others are: one of each major. */
const majors = [0x20623, 0x30000, 0x40000, 0x50000, 0x60000, 0x70000, 0x80000]

/** Can a few wrong bits make a code of a version that a kernel has had? Minor and patch are any. */
export const isNearVersion = (code: number): boolean =>
  majors.some(major => wrongBits(((code ^ major) & 0xffff0000) >>> 0) <= mostWrongBits)

const isDecayed = (wrong: number): boolean => wrong > 0 && wrong <= mostWrongBits

/** What a stretch between two holes costs at least, in bytes: pages far apart are slow to read. */
const leastCost = 2 ** 14

/**
 * Find the signatures in a source, in one pass through one buffer. Holes have none.
 *
 * @param limit the most bytes that are searched
 * @param progress called with the bytes that have been searched, after each chunk
 * @throws StoreError (EIO) where the source cannot be read or has more bytes than the limit
 */
export const findSignatures = (
  region: Region,
  segments: readonly Segment[],
  limit: number,
  progress?: (done: number) => void,
): Signatures => {
  const plain = { little: [] as number[], big: [] as number[] }
  const ftrace = { little: [] as number[], big: [] as number[] }
  const decayed = { little: [] as number[], big: [] as number[] }
  const lists = [plain, ftrace, decayed].flatMap(({ little, big }) => [little, big])
  const step = region.length <= smallSource ? 2 : pageSize
  const chunk = Buffer.allocUnsafe(chunkSize)
  // A chunk begins with the last bytes of the one before, where a header may be cut off.
  const overlap = zoneHeaderSize - 1
  let left = limit
  for (const segment of segments) {
    const segmentEnd = segment.offset + segment.length
    for (let from = segment.offset, length = 0; ; from += length - overlap) {
      const data = region.nextData(from)
      if (!data || data.from + zoneHeaderSize > segmentEnd) break
      from = data.from
      // A header may reach into a hole.
      length = Math.min(chunkSize, segmentEnd - from, data.to + overlap - from)
      left -= Math.max(length, leastCost)
      if (left < 0) throw tooMuch(region.path)
      region.loadInto(chunk, from, length)
      const bytes = length === chunkSize ? chunk : chunk.subarray(0, length)
      const address = from - segment.offset + segment.address
      for (const endian of ['little', 'big'] as const) {
        const needle = plainSignature[endian]
        for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) {
          // The next chunk has a cut header whole.
          if (at + zoneHeaderSize <= length) plain[endian].push(from + at)
        }
        const topAt = topByteAt[endian]
        let page = (pageSize - (address % pageSize)) % pageSize
        for (; page + zoneHeaderSize <= length; page += pageSize) {
          if (bytes[page + topAt] !== topByte) continue
          const header = decodeSigned(bytes, page, endian)
          if (!header?.code || !isPossible(header)) continue
          ftrace[endian].push(from + page)
        }
        let at = (step - (address % step)) % step
        for (; at + zoneHeaderSize <= length; at += step)
          if (
            isDecayed(wrongBitsOf(bytes, at, needle)) &&
            isPossible(decodeZoneHeader(bytes, at, endian))
          )
            decayed[endian].push(from + at)
      }
      progress?.(from + length)
      if (lists.some(offsets => offsets.length > mostSignatures))
        return { plain, decayed, ftrace, end: from + length }
    }
  }
  return { plain, decayed, ftrace, end: region.length }
}

const tooMuch = (path: string): StoreError =>
  new StoreError(
    `${path}: no layout given, and too long to search for one here: give the layout that \`pstorefs probe\` finds`,
  )
