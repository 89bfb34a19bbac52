/**
 * The headers of pstore/zone: what begins each zone, and what begins a dump inside one.
 *
 * Source: doc/formats.md 3; fs/pstore/zone.c (struct psz_buffer, struct psz_kmsg_header).
 */
import type { Timespec } from '../../pstore/time.js'
import { recordTypes, type Endian, type ZoneKind } from '../../pstore/types.js'

/** sig, datalen, start. */
export const zoneHeaderSize = 12
/** `DBGC`; a zone's signature is this xor its type's number. */
const signature = 0x43474244

/** A zone's header as it lies on the media, unchecked. */
export interface ZoneHeader {
  sig: number
  /** Number of valid bytes. */
  datalen: number
  /** Where the next byte goes, which is the oldest once the ring is full; dumps leave it 0. */
  start: number
}

const u32 = (bytes: Buffer, offset: number, endian: Endian): number =>
  endian === 'big' ? bytes.readUInt32BE(offset) : bytes.readUInt32LE(offset)

const putU32 = (bytes: Buffer, value: number, offset: number, endian: Endian): void => {
  if (endian === 'big') bytes.writeUInt32BE(value, offset)
  else bytes.writeUInt32LE(value, offset)
}

/** What a zone of this kind is signed with. */
export const signatureOf = (kind: ZoneKind): number => signature ^ recordTypes.indexOf(kind)

/**
 * Is this the signature of a zone of this kind? No released kernel has tty zones: the posted series
 * signs them like all others, pstorefs(8) wants them plain, and both are taken.
 */
export const isSigned = (sig: number, kind: ZoneKind): boolean =>
  sig === signatureOf(kind) || (kind === 'tty' && sig === signature)

export const decodeZoneHeader = (bytes: Buffer, endian: Endian): ZoneHeader => ({
  sig: u32(bytes, 0, endian),
  datalen: u32(bytes, 4, endian),
  start: u32(bytes, 8, endian),
})

export const encodeZoneHeader = ({ sig, datalen, start }: ZoneHeader, endian: Endian): Buffer => {
  const bytes = Buffer.alloc(zoneHeaderSize)
  putU32(bytes, sig, 0, endian)
  putU32(bytes, datalen, 4, endian)
  putU32(bytes, start, 8, endian)
  return bytes
}

/**
 * Bytes of a dump's own header: magic, sec, nsec, compressed, counter, reason, at the offsets that
 * 64-bit machines give them. So do 32-bit ones, i386 apart, where nsec takes half of its place.
 */
export const kmsgHeaderSize = 40
const kmsgMagic = 0x4dfc3ae5
const offsets = { magic: 0, sec: 8, nsec: 16, compressed: 24, counter: 28, reason: 32 }

/** What is known of a dump besides its text. */
export interface KmsgHeader {
  time: Timespec
  /** The text is a raw deflate stream. */
  compressed: boolean
  /** How many dumps for that reason there have been, over boots: u32. */
  counter: number
  /** enum kmsg_dump_reason: u32. */
  reason: number
}

/** The first bytes of a zone's data as a dump's header; null where there is none. */
export const decodeKmsgHeader = (bytes: Buffer, endian: Endian): KmsgHeader | null => {
  if (bytes.length < kmsgHeaderSize || u32(bytes, offsets.magic, endian) !== kmsgMagic) return null
  const big = endian === 'big'
  const sec = big ? bytes.readBigInt64BE(offsets.sec) : bytes.readBigInt64LE(offsets.sec)
  // stat(2) shows the lower half. On big-endian 32-bit machines that is the first, and zeros follow.
  const nsec = big
    ? u32(bytes, offsets.nsec + 4, endian) || u32(bytes, offsets.nsec, endian)
    : u32(bytes, offsets.nsec, endian)
  return {
    time: { sec, nsec },
    compressed: bytes[offsets.compressed] !== 0,
    counter: u32(bytes, offsets.counter, endian),
    reason: u32(bytes, offsets.reason, endian),
  }
}

/** As a 64-bit machine writes it, with zeros between the fields. */
export const encodeKmsgHeader = (
  { time: { sec, nsec }, compressed, counter, reason }: KmsgHeader,
  endian: Endian,
): Buffer => {
  const bytes = Buffer.alloc(kmsgHeaderSize)
  putU32(bytes, kmsgMagic, offsets.magic, endian)
  if (endian === 'big') {
    bytes.writeBigInt64BE(sec, offsets.sec)
    bytes.writeBigInt64BE(BigInt(nsec), offsets.nsec)
  } else {
    bytes.writeBigInt64LE(sec, offsets.sec)
    bytes.writeBigInt64LE(BigInt(nsec), offsets.nsec)
  }
  bytes[offsets.compressed] = compressed ? 1 : 0
  putU32(bytes, counter, offsets.counter, endian)
  putU32(bytes, reason, offsets.reason, endian)
  return bytes
}

/** kmsg_dump_reason_str() since 5.8, which brought pstore/zone, by enum kmsg_dump_reason. */
const reasonNames = ['Unknown', 'Panic', 'Oops', 'Emergency', 'Shutdown']
/** Older kernels told three ways to stop apart, which titles may still do. */
const collapsed = new Set(['restart', 'halt', 'poweroff'])

/** Those whose dumps Linux counts. */
export const isCounted = (reason: number): boolean =>
  reason === reasonNames.indexOf('Panic') || reason === reasonNames.indexOf('Oops')

/** enum kmsg_dump_reason for a word in a dump's title; 0 for one that Linux does not know. */
export const reasonNumber = (word: string): number => {
  const name = word.toLowerCase()
  const known = collapsed.has(name) ? 'shutdown' : name
  return Math.max(
    0,
    reasonNames.findIndex(text => text.toLowerCase() === known),
  )
}

/** The line that Linux puts before an uncompressed dump's text; it prints the counter as an int. */
export const totalLine = ({ reason, counter }: KmsgHeader): string =>
  `${reasonNames[reason] ?? reasonNames[0]}: Total ${counter | 0} times\n`
