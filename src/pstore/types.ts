/**
 * The field's words as types: record types and the names of their files, zones, parity, identity.
 *
 * Source: doc/formats.md 1.8 and 2 (Linux include/linux/pstore.h, fs/pstore/platform.c).
 */

/** Linux's type names, by the type's number; 9 is the tty frontend's as posted in 2023. */
export const recordTypes = [
  'dmesg',
  'mce',
  'console',
  'ftrace',
  'rtas',
  'powerpc-ofw',
  'powerpc-common',
  'pmsg',
  'powerpc-opal',
  'tty',
] as const

export type RecordType = (typeof recordTypes)[number]

/** The types that are appended to, and of which a store has one record each. */
export const ringTypes = ['console', 'tty', 'pmsg', 'ftrace'] as const satisfies RecordType[]

export type RingType = (typeof ringTypes)[number]

const rings: ReadonlySet<RecordType> = new Set(ringTypes)

/** Asked once an append: a set answers without making anything. */
export const isRingType = (type: RecordType): type is RingType => rings.has(type)

/** The kinds of zones that a ramoops region or a pstore_blk store can hold. */
export const zoneKinds = [
  'dmesg',
  'console',
  'pmsg',
  'tty',
  'ftrace',
] as const satisfies RecordType[]
export type ZoneKind = (typeof zoneKinds)[number]

/** NR_CPUS is at most this on any Linux: more would be zones of nothing. */
export const maxCpus = 8192

/** A zone's stretch of a store, header and parity included; in bytes from the store's start. */
export interface ZoneExtent {
  readonly kind: ZoneKind
  /** dmesg: the zone's number; ftrace: the CPU; else 0. */
  readonly index: number
  readonly offset: number
  readonly size: number
}

/**
 * What the header of an extent says of it:
 * - `valid`: it holds bytes
 * - `empty`: signed, and nothing in it
 * - `unsigned`: another signature, as after a cold boot or on a new disk
 * - `invalid`: signed, with impossible numbers
 */
export type ZoneState = 'valid' | 'empty' | 'unsigned' | 'invalid'

/** The byte order of the machine that wrote a store. */
export type Endian = 'little' | 'big'

/** What tells a store from all others of this machine. */
export interface Identity {
  /** The driver's name, as a SOURCE begins with it. */
  readonly driver: string
  /** The source. */
  readonly path: string
  /** Where the store starts in the source, in bytes. */
  readonly offset: number
}

/** What error correction found in a record's zones, header included. */
export interface EccState {
  /** Bytes that were corrected (in a copy: reading never writes). */
  corrected: number
  /** Blocks that could not be corrected; their bytes are shown as they are. */
  bad: number
}

/** How a stream is stored where every store wears the medium out: in batches, and not too often. */
export interface Pace {
  /** Bytes that are worth a store of their own. */
  readonly bytes: number
  /** How long text waits for more, in seconds. */
  readonly seconds: number
  /** How many stores an hour may see, in the long run. */
  readonly perHour: number
}

/** What a compressed record's name ends in, where its bytes could not be inflated. */
const compressedSuffix = '.enc.z'

/**
 * A record's file name: `TYPE-BACKEND-ID`, plus `.enc.z` where the content is still compressed.
 *
 * @param label the type as the file shows it: a {@link RecordType}, or the name that a vendor's
 *   kernel gave it (Anolis writes `ttyprobe` for `tty`)
 */
export const fileName = (label: string, backend: string, id: bigint, compressed: boolean): string =>
  `${label}-${backend}-${id}${compressed ? compressedSuffix : ''}`

/**
 * What a record's file name says, with or without {@link compressedSuffix}.
 *
 * @returns null where it is no name of that backend's
 */
export const parseFileName = (
  name: string,
  backend: string,
): { label: string; id: bigint } | null => {
  const stem = name.endsWith(compressedSuffix) ? name.slice(0, -compressedSuffix.length) : name
  const [, front, digits] = /^(.+)-(0|[1-9]\d{0,19})$/s.exec(stem) ?? []
  if (front === undefined || digits === undefined || !front.endsWith(`-${backend}`)) return null
  return { label: front.slice(0, -backend.length - 1), id: BigInt(digits) }
}
