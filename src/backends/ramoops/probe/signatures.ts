/**
 * Signatures in a source: where zones may begin.
 *
 * Source: doc/formats.md 1.3. dmesg, console, pmsg and tty zones carry `DBGC` as it is, so a search for
 * four bytes finds them. An ftrace zone's signature has a kernel's version in it: those are found where
 * a layout says that one must be, and here at the start of pages, where a region of ftrace zones begins.
 */
import type { Region } from '../../../region/region.js'
import { decodeZoneHeader, isVersionCode, zoneHeaderSize, type RawHeader } from '../zone-header.js'
import type { Endian } from '../../../pstore/types.js'

/** A part of the source that is contiguous memory. */
export interface Segment {
  /** Where it lies in the source. */
  offset: number
  length: number
  /** What its first byte's address was: regions begin at whole pages of that. */
  address: number
}

export interface Signatures {
  /** Offsets of `DBGC`, ascending, by the byte order of the machine that wrote it. */
  plain: { readonly [endian in Endian]: number[] }
  /** Starts of pages that carry an ftrace zone's header, and numbers that it could have. */
  ftrace: { readonly [endian in Endian]: number[] }
  /** Where the search was given up, because there were too many; the source's end if it was not. */
  end: number
}

export const pageSize = 4096
/** The largest zone that is believed: what pstore_zone limits itself to, and far above any ramoops. */
export const largestZone = 2 ** 28
/** With more signatures of a kind the search ends: they are no region's, but somebody's attempt on our memory. */
const mostSignatures = 2 ** 18

/** Bytes that are read at once: few calls, and still within a processor's cache. */
const chunkSize = 2 ** 20

const needles: { readonly [endian in Endian]: Buffer } = {
  little: Buffer.from('DBGC'),
  big: Buffer.from('CGBD'),
}
/** The byte of a signature that no version reaches, and where it stands. */
const topByte = 0x43
const topAt: { readonly [endian in Endian]: number } = { little: 3, big: 0 }
const endians = ['little', 'big'] as const

/** Decode a header; null where no zone of any kind has its signature. */
export const signedHeader = (bytes: Buffer, at: number, endian: Endian): RawHeader | null => {
  const header = decodeZoneHeader(bytes, at, endian)
  return header.code === 0 || isVersionCode(header.code) ? header : null
}

/** Are these numbers that a zone can have? */
export const isSound = ({ start, size }: RawHeader): boolean => start <= size && size < largestZone

/**
 * Find the signatures in a source, in one pass through one buffer.
 *
 * @param progress told of the bytes that are done, after each chunk
 * @throws StoreError (EIO) where the source cannot be read
 */
export const findSignatures = (
  region: Region,
  pieces: readonly Segment[],
  progress?: (done: number) => void,
): Signatures => {
  const plain = { little: [] as number[], big: [] as number[] }
  const ftrace = { little: [] as number[], big: [] as number[] }
  const all = [...Object.values(plain), ...Object.values(ftrace)]
  const chunk = Buffer.allocUnsafe(chunkSize)
  // A header that begins in a chunk's last bytes is found in the next, which begins with them.
  const overlap = zoneHeaderSize - 1
  for (const piece of pieces) {
    const pieceEnd = piece.offset + piece.length
    for (let from = piece.offset; from + zoneHeaderSize <= pieceEnd; from += chunkSize - overlap) {
      const length = Math.min(chunkSize, pieceEnd - from)
      region.loadInto(chunk, from, length)
      const bytes = length === chunkSize ? chunk : chunk.subarray(0, length)
      const skew = from - piece.offset + piece.address
      for (const endian of endians) {
        const needle = needles[endian]
        for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) {
          // Zones begin at even addresses (doc/formats.md 1.2). What is cut off comes again.
          if ((skew + at) % 2 || at + zoneHeaderSize > length) continue
          plain[endian].push(from + at)
        }
        const top = topAt[endian]
        let at = (pageSize - (skew % pageSize)) % pageSize
        for (; at + zoneHeaderSize <= length; at += pageSize) {
          if (bytes[at + top] !== topByte) continue
          const header = signedHeader(bytes, at, endian)
          if (!header?.code || !isSound(header)) continue
          ftrace[endian].push(from + at)
        }
      }
      progress?.(from + length)
      if (all.some(marks => marks.length > mostSignatures))
        return { plain, ftrace, end: from + length }
    }
  }
  return { plain, ftrace, end: region.length }
}
