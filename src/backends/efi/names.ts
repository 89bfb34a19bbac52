/**
 * The names of variables that hold a record, and what they say of it:
 * `dump-typeTYPE-PART-COUNT-SECONDS-C`.
 *
 * Source: doc/formats.md 4; drivers/firmware/efi/efi-pstore.c (efi_pstore_read_func, efi_pstore_write,
 * generic_id), which reads them with sscanf. Odd names mean what sscanf makes of them.
 */
import { lastPosition, type SplitRingType } from '../../pstore/split-ring.js'
import { recordTypes, type RecordType } from '../../pstore/types.js'

/** Linux's vendor GUID for crash dumps, as efivarfs prints it. */
export const vendorGuid = 'cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0'

/** What a variable's name says of its record. */
export interface DumpName {
  readonly type: RecordType
  /** Which piece of a dump: 1 is the newest text. 0 … 2^32 − 1. */
  readonly part: number
  /** Which dump of that machine's life; a signed 32-bit number. 0 in the oldest form. */
  readonly count: number
  /** Seconds since 1970, 0 … 2^64 − 1. */
  readonly sec: bigint
  /** True for `C`: the content is compressed, nothing says with which codec. Any other letter, or none, means plain. */
  readonly compressed: boolean
}

/** The kernel's buffer for a name (DUMP_NAME_LEN), less the NUL: a longer one is no writer's. */
const longestName = 65
/** Nothing that could be taken for a path, or upset a terminal. */
const printable = /^[ -.0-~]+$/

/** `dump-type%u-%u-%d-%llu-%c`, and the same without the letter, as older kernels wrote it. */
const counted = /^dump-type *(\d+)- *(\d+)- *(-?\d+)- *(\d+)(?:-(.))?/
/** `dump-type%u-%u-%llu`, as the oldest wrote it. */
const uncounted = /^dump-type *(\d+)- *(\d+)- *(\d+)/

/** sscanf's %u: what does not fit is cut off. */
const u32 = (digits: string): number => Number(BigInt.asUintN(32, BigInt(digits)))

/**
 * Parse a variable's name (without the vendor's GUID).
 *
 * @returns null where it names no record of a known type
 */
export const decodeDumpName = (name: string): DumpName | null => {
  if (name.length > longestName || !printable.test(name)) return null
  const found = counted.exec(name)
  const [, number, part = '', count = '', sec = '', letter] = found ?? withoutCount(name)
  if (number === undefined) return null
  const type = recordTypes[u32(number)]
  // The boot log's place in the list is no type's number.
  if (type === undefined || type === 'boot-log') return null
  return {
    type,
    part: u32(part),
    count: Number(BigInt.asIntN(32, BigInt(count))),
    sec: BigInt.asUintN(64, BigInt(sec)),
    compressed: letter === 'C',
  }
}

/** The oldest form's fields, in the others' places. */
const withoutCount = (name: string): string[] => {
  const [, type, part = '', sec = ''] = uncounted.exec(name) ?? []
  return type === undefined ? [] : ['', type, part, '0', sec]
}

/** The name under which Linux stores a record. */
export const encodeDumpName = ({ type, part, count, sec, compressed }: DumpName): string =>
  `dump-type${recordTypes.indexOf(type)}-${part}-${count}-${sec}-${compressed ? 'C' : 'D'}`

/**
 * This project's own vendor GUID, for rings kept in pieces. Linux's would be wrong: a name that its
 * pstore cannot parse ends its enumeration, and a type that it does not know makes it warn.
 */
export const ringGuid = '6f2c8d0e-7a51-4b39-9c84-2e0d5b7f1a63'

/** What a piece's name says: `tty-POSITION-LENGTH`. */
export interface PieceName {
  readonly type: SplitRingType
  readonly position: bigint
  readonly length: number
}

const piece = /^(tty|console|pmsg)-(0|[1-9]\d{0,18})-([1-9]\d{0,4})$/

/** Parse the name of a ring's piece; null where it is none. */
export const decodePieceName = (name: string): PieceName | null => {
  const [, type, position = '', length] = piece.exec(name) ?? []
  if (type === undefined || BigInt(position) > lastPosition) return null
  return { type: type as SplitRingType, position: BigInt(position), length: Number(length) }
}

export const encodePieceName = ({ type, position, length }: PieceName): string =>
  `${type}-${position}-${length}`

/**
 * The record's id, a number that file names carry. Several names can give the same: parts from 100
 * and counts from 1000 run into the next field, and the sum is kept modulo 2^64.
 */
export const recordId = ({ sec, part, count }: DumpName): bigint =>
  BigInt.asUintN(64, (sec * 100n + BigInt(part)) * 1000n + BigInt(count))
