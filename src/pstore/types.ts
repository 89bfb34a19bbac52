/**
 * Record types and the names of the files that show them.
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

export const isRingType = (type: RecordType): type is RingType =>
  ringTypes.some(ring => ring === type)

/** The kinds of zones that a ramoops region or a pstore_blk store can hold. */
export const zoneKinds = [
  'dmesg',
  'console',
  'pmsg',
  'tty',
  'ftrace',
] as const satisfies RecordType[]
export type ZoneKind = (typeof zoneKinds)[number]

/** The byte order of the machine that wrote a store. */
export type Endian = 'little' | 'big'

/** What a compressed record's name ends in, where its bytes could not be inflated. */
export const compressedSuffix = '.enc.z'

/**
 * A record's file name: `TYPE-BACKEND-ID`, plus `.enc.z` where the content is still compressed.
 *
 * @param label the type as the file shows it: a {@link RecordType}, or the name that a vendor's
 *   kernel gave it (Anolis writes `ttyprobe` for `tty`)
 */
export const fileName = (label: string, backend: string, id: bigint, compressed: boolean): string =>
  `${label}-${backend}-${id}${compressed ? compressedSuffix : ''}`
