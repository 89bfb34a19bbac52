/**
 * The field's words as types: record types and the names of their files, zones, parity, identity.
 *
 * Source: doc/formats.md 1.8 and 2 (Linux include/linux/pstore.h, fs/pstore/platform.c).
 */

/**
 * Linux's type names, by the type's number; 9 is the tty frontend's as posted in 2023. Rockchip's kernel has
 * the boot log under the same number, which only ramoops keeps, and ramoops stores no numbers.
 *
 * @example
 * ```ts
 * import { attach, recordTypes } from 'pstorefs'
 *
 * const backend = attach('region.img')
 * for (const type of recordTypes) console.log(type, backend.capacity(type)?.room ?? 'none')
 * backend.close()
 * ```
 */
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
  'boot-log',
] as const

/** One of {@link recordTypes}. */
export type RecordType = (typeof recordTypes)[number]

/** The types that are appended to, and of which a store has one record each. */
export const ringTypes = [
  'console',
  'tty',
  'pmsg',
  'ftrace',
  'boot-log',
] as const satisfies RecordType[]

export type RingType = (typeof ringTypes)[number]

const rings: ReadonlySet<RecordType> = new Set(ringTypes)

/** Asked once an append: a set answers without making anything. */
export const isRingType = (type: RecordType): type is RingType => rings.has(type)

/**
 * Is this a ring that a machine's life begins by emptying, for what it writes itself? Firmware has written the
 * boot log of this very boot before the kernel came, and Rockchip's kernel leaves it as it is.
 */
export const isLifeRing = (type: RecordType): type is Exclude<RingType, 'boot-log'> =>
  isRingType(type) && type !== 'boot-log'

/** The kinds of zones that a ramoops region or a pstore_blk store can hold. */
export const zoneKinds = [
  'dmesg',
  'console',
  'pmsg',
  'tty',
  'ftrace',
  'boot-log',
] as const satisfies RecordType[]
/** `dmesg`, `console`, `pmsg`, `tty`, `ftrace` or `boot-log`. */
export type ZoneKind = (typeof zoneKinds)[number]

/** NR_CPUS is at most this on any Linux: more would be zones of nothing. */
export const maxCpus = 8192

/** A zone's stretch of a store, header and parity included; in bytes from the store's start. */
export interface ZoneExtent {
  readonly kind: ZoneKind
  /** dmesg, boot-log: the zone's number; ftrace: the CPU; else 0. */
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
  /** True where the source has the names of files: a label then is `TYPE-BACKEND`, of any backend. */
  readonly hasNames?: true
}

/** How full a store of numbered records is, in bytes. */
export interface Usage {
  /** All that it can hold: records, and what else lies among them. */
  readonly size: number
  readonly free: number
  /** What its records take, headers included. */
  readonly records: number
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

/** What a record's file name says. */
export interface NameParts {
  /**
   * The type as the file shows it: a {@link RecordType}, or the name that a vendor's kernel gave it (Anolis writes
   * `ttyprobe` for `tty`).
   */
  readonly label: string
  readonly id: bigint
  /** Tells records of one type and id apart, of which Linux shows the first; null: it is that one. */
  readonly copy: number | null
}

/**
 * A record's file name: `TYPE-BACKEND-ID[.COPY]`, plus `.enc.z` where the content is still compressed.
 *
 * @param backend null where the label has the backend's name in it
 */
export const fileName = (
  label: string,
  backend: string | null,
  id: bigint,
  compressed: boolean,
  copy: number | null = null,
): string =>
  `${label}${backend === null ? '' : `-${backend}`}-${id}${copy === null ? '' : `.${copy}`}${compressed ? compressedSuffix : ''}`

/**
 * What a record's file name says, with or without {@link compressedSuffix}.
 *
 * @param backend null: any, whose name stays in the label
 * @returns null where it is no name of that backend's
 */
export const parseFileName = (name: string, backend: string | null): NameParts | null => {
  const stem = isCompressedName(name) ? name.slice(0, -compressedSuffix.length) : name
  const [, front, digits, copied] =
    /^(.+)-(0|[1-9]\d{0,19})(?:\.(0|[1-9]\d{0,9}))?$/s.exec(stem) ?? []
  if (front === undefined || digits === undefined) return null
  const copy = copied === undefined ? null : Number(copied)
  if (backend === null) return { label: front, id: BigInt(digits), copy }
  if (!front.endsWith(`-${backend}`)) return null
  return { label: front.slice(0, -backend.length - 1), id: BigInt(digits), copy }
}

/** Does a file's name say that its content is still compressed? */
export const isCompressedName = (name: string): boolean => name.endsWith(compressedSuffix)
