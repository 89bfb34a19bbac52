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

/** kmsg_dump_reason_str() since 5.8, which brought pstore/zone, by enum kmsg_dump_reason. */
const reasonNames = ['Unknown', 'Panic', 'Oops', 'Emergency', 'Shutdown']

/** Where a dump's own header has its fields, which its machine's word size and alignment decide: doc/formats.md 7.6. */
export interface KmsgForm {
  /** Bytes before the text. */
  readonly size: number
  /** s64. */
  readonly sec: number
  /** A long, of {@link longSize} bytes. */
  readonly nsec: number
  readonly longSize: 4 | 8
  /** bool: a byte. */
  readonly compressed: number
  /** u32, as the next. */
  readonly counter: number
  readonly reason: number
  /** From and to: what lies between the fields. Zeros, as Linux clears a dump's zone before it writes. */
  readonly gaps: readonly (readonly [number, number])[]
}

const onEights = { size: 40, sec: 8, nsec: 16, compressed: 24, counter: 28, reason: 32 }
const onFours = { size: 28, sec: 4, nsec: 12, compressed: 16, counter: 20, reason: 24 }
const ends: KmsgForm['gaps'] = [
  [4, 8],
  [25, 28],
  [36, 40],
]

/** In the order in which they are believed where the bytes do not tell. */
export const kmsgForms = {
  /** Any 64-bit machine. */
  bits64: { ...onEights, longSize: 8, gaps: ends },
  /** 32-bit ones that place 64-bit numbers at multiples of 8: ARM, MIPS, PowerPC. */
  bits32: { ...onEights, longSize: 4, gaps: [...ends, [20, 24]] },
  /** 32-bit ones that place them at multiples of 4: i386. */
  i386: { ...onFours, longSize: 4, gaps: [[17, 20]] },
} as const satisfies { [name: string]: KmsgForm }

/** Bytes of the longest of these headers. */
export const kmsgHeaderSize = kmsgForms.bits64.size
const kmsgMagic = 0x4dfc3ae5
/** Its bytes as they lie there. */
export const kmsgMagicBytes = {
  little: Buffer.of(0xe5, 0x3a, 0xfc, 0x4d),
  big: Buffer.of(0x4d, 0xfc, 0x3a, 0xe5),
} as const satisfies { [endian in Endian]: Buffer }

/** What is known of a dump besides its text. */
export interface KmsgHeader {
  form: KmsgForm
  time: Timespec
  /** The text is compressed; nothing says with which codec. */
  compressed: boolean
  /** How many dumps for that reason there have been, over boots: u32. */
  counter: number
  /** enum kmsg_dump_reason: u32. */
  reason: number
}

/** A header read in one form, and how many of its fields no kernel would have filled so. */
interface Reading {
  header: KmsgHeader
  oddities: number
}

const isZero = (bytes: Buffer, from: number, to: number): boolean => {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return false
  return true
}

/** @param bytes at least the form's size */
const readAs = (form: KmsgForm, bytes: Buffer, endian: Endian): Reading => {
  const s64 = (at: number): bigint =>
    endian === 'big' ? bytes.readBigInt64BE(at) : bytes.readBigInt64LE(at)
  const sec = s64(form.sec)
  const long = form.longSize === 8 ? s64(form.nsec) : BigInt(u32(bytes, form.nsec, endian))
  const reason = u32(bytes, form.reason, endian)
  let oddities = 0
  if (sec < 0n || sec > 0xffffffffn) oddities++
  if (long < 0n || long >= 1_000_000_000n) oddities++
  if (bytes[form.compressed]! > 1) oddities++
  if (reason >= reasonNames.length) oddities++
  for (const [from, to] of form.gaps) if (!isZero(bytes, from, to)) oddities++
  return {
    header: {
      form,
      // stat(2) shows the lower half of a long.
      time: { sec, nsec: Number(BigInt.asUintN(32, long)) },
      compressed: bytes[form.compressed] !== 0,
      counter: u32(bytes, form.counter, endian),
      reason,
    },
    oddities,
  }
}

/**
 * The first bytes of a zone's data as a dump's header, in the form that fits them best; null where there
 * is none. Nothing else on the media tells the form, so each dump is asked: another machine may have
 * written the one beside it.
 */
export const decodeKmsgHeader = (bytes: Buffer, endian: Endian): KmsgHeader | null => {
  if (bytes.length < kmsgForms.i386.size || u32(bytes, 0, endian) !== kmsgMagic) return null
  const [first, ...others] = Object.values(kmsgForms)
  if (bytes.length < kmsgHeaderSize) {
    // Too few bytes for the others: a whole header of i386, or what is left of a longer one.
    const { header, oddities } = readAs(kmsgForms.i386, bytes, endian)
    return oddities === 0 ? header : null
  }
  let best = readAs(first!, bytes, endian)
  for (const form of others) {
    if (best.oddities === 0) break
    const other = readAs(form, bytes, endian)
    if (other.oddities < best.oddities) best = other
  }
  return best.header
}

/** As a machine of the header's form writes it, with zeros between the fields. */
export const encodeKmsgHeader = (
  { form, time: { sec, nsec }, compressed, counter, reason }: KmsgHeader,
  endian: Endian,
): Buffer => {
  const bytes = Buffer.alloc(form.size)
  const putS64 = (value: bigint, at: number): unknown =>
    endian === 'big' ? bytes.writeBigInt64BE(value, at) : bytes.writeBigInt64LE(value, at)
  putU32(bytes, kmsgMagic, 0, endian)
  putS64(sec, form.sec)
  if (form.longSize === 8) putS64(BigInt(nsec), form.nsec)
  else putU32(bytes, nsec, form.nsec, endian)
  bytes[form.compressed] = compressed ? 1 : 0
  putU32(bytes, counter, form.counter, endian)
  putU32(bytes, reason, form.reason, endian)
  return bytes
}

/** The same where a kernel wrote it, by all that is in it: the magic stands in kernels' code, too. */
export const decodeSureKmsgHeader = (bytes: Buffer, endian: Endian): KmsgHeader | null => {
  const header = decodeKmsgHeader(bytes, endian)
  if (!header || header.reason >= reasonNames.length) return null
  const written = encodeKmsgHeader(header, endian)
  return written.equals(bytes.subarray(0, written.length)) ? header : null
}

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
export const totalLine = ({ reason, counter }: Pick<KmsgHeader, 'reason' | 'counter'>): string =>
  `${reasonNames[reason] ?? reasonNames[0]}: Total ${counter | 0} times\n`
