/**
 * A slot's content: a UEFI common platform error record with one section, as Linux's pstore makes it.
 *
 * Source: doc/formats.md 5; drivers/acpi/apei/erst.c (erst_writer, erst_reader), include/linux/cper.h.
 * All numbers are little-endian, and so are a GUID's first three fields.
 */
import type { Timespec } from '../../pstore/time.js'
import { decodeGuid, encodeGuid } from '../guid.js'

/** Record header and section descriptor: the bytes before the data. */
export const cperHeaderSize = 200

/** Who wrote it: Linux's pstore. Others' records in the same store are theirs. */
const linux = encodeGuid('75a574e3-5052-4b29-8a8e-be2c6490b89d')
/** This project, for what Linux has no record of: Linux leaves such records alone. */
const ours = encodeGuid('0b9d3c52-4e8f-4d67-a1f0-5c7e92b8d314')
/** What Linux says all of its dumps tell of: a machine check. */
const notificationMce = encodeGuid('e8f56ffe-919c-4cc5-ba88-65abe14913bb')

/** What a section holds. */
const sections = [
  {
    creator: linux,
    type: 'dmesg',
    compressed: false,
    guid: encodeGuid('c197e04e-d545-4a70-9c17-a5549419eb12'),
  },
  {
    creator: linux,
    type: 'dmesg',
    compressed: true,
    guid: encodeGuid('4f118707-04dd-4055-b5dd-956d34ddfac6'),
  },
  {
    creator: linux,
    type: 'mce',
    compressed: false,
    guid: encodeGuid('fe08ffbe-95e4-4be7-bc73-4096044a38fc'),
  },
  // Pieces of a ring (pstore/split-ring.ts).
  {
    creator: ours,
    type: 'tty',
    compressed: false,
    guid: encodeGuid('d1a7f4c6-93b2-4c08-8e5d-70f6e2a9b541'),
  },
  {
    creator: ours,
    type: 'console',
    compressed: false,
    guid: encodeGuid('58e02b9f-1c64-4f7a-b3d8-e6947a0c5d12'),
  },
  {
    creator: ours,
    type: 'pmsg',
    compressed: false,
    guid: encodeGuid('a4c61e7d-08f5-4b93-96e2-1d8b3f50c7e9'),
  },
] as const

export type CperType = (typeof sections)[number]['type']

/** Offsets of what differs between records, in the order in which they lie. */
const at = {
  signature: 0,
  revision: 4,
  signatureEnd: 6,
  sectionCount: 10,
  severity: 12,
  validation: 16,
  recordLength: 20,
  timestamp: 24,
  creator: 64,
  notification: 80,
  recordId: 96,
  flags: 104,
  persistence: 108,
  sectionOffset: 128,
  sectionLength: 132,
  sectionRevision: 136,
  sectionFlags: 140,
  sectionType: 144,
  sectionSeverity: 176,
} as const

const revision = 0x0100
/** The bit of `validation` that says that there is a timestamp. */
const hasTimestamp = 2
const fatal = 1
/** An error of an earlier life of the machine. */
const previousError = 2
const primarySection = 1

/** What a record's header says. */
export interface CperHeader {
  readonly type: CperType
  /** The data are compressed; nothing says with which codec. */
  readonly compressed: boolean
  /** Whole seconds; null where the record has none (0 counts as none, as in Linux). */
  readonly time: Timespec | null
  /** Bytes of header and data. */
  readonly length: number
}

/** Is this GUID there? */
const hasGuid = (bytes: Buffer, offset: number, guid: Buffer): boolean =>
  bytes.subarray(offset, offset + 16).equals(guid)

/** What a record's creator and section type say that it is. */
const sectionIn = (bytes: Buffer): (typeof sections)[number] | undefined =>
  sections.find(
    ({ creator, guid }) =>
      hasGuid(bytes, at.creator, creator) && hasGuid(bytes, at.sectionType, guid),
  )

/** Does a record begin here whose creator is somebody else? The bytes may be fewer than a header's. */
export const isForeign = (bytes: Buffer): boolean =>
  bytes.length >= at.creator + 16 &&
  bytes.toString('latin1', 0, 4) === 'CPER' &&
  !hasGuid(bytes, at.creator, linux) &&
  !hasGuid(bytes, at.creator, ours)

/**
 * Parse a record's header.
 *
 * @param bytes of the record, {@link cperHeaderSize} at least
 * @param room bytes that the slot has
 * @returns null where it is no record of Linux's pstore, of no type that has a name, longer than its slot,
 *   or without data (which Linux takes for the end of all records)
 */
export const decodeCper = (bytes: Buffer, room: number): CperHeader | null => {
  const section = sectionIn(bytes)
  const length = bytes.readUInt32LE(at.recordLength)
  if (!section || length <= cperHeaderSize || length > room) return null
  const sec =
    bytes.readUInt32LE(at.validation) & hasTimestamp ? bytes.readBigInt64LE(at.timestamp) : 0n
  const { type, compressed } = section
  return { type, compressed, time: sec === 0n ? null : { sec, nsec: 0 }, length }
}

/**
 * Why {@link decodeCper} makes nothing of a slot that the map says is used, in words.
 *
 * @param bytes of the slot, a header's at most; of a record that is not {@link isForeign}
 * @param room bytes that the slot has
 */
export const faultOf = (bytes: Buffer, room: number): string => {
  if (bytes.length < cperHeaderSize) return "cut short: the source ends in the record's header"
  if (bytes.toString('latin1', 0, 4) !== 'CPER')
    return 'no record, though the map says so: it does not begin with CPER'
  const type = bytes.subarray(at.sectionType, at.sectionType + 16)
  if (!sectionIn(bytes))
    return `a record, but section type ${decodeGuid(type)} is not one that pstore has`
  const length = bytes.readUInt32LE(at.recordLength)
  return length > room
    ? `its record_length ${length} is more than the ${room} bytes of its slot that are there`
    : `its record_length ${length} leaves no data: Linux takes that for the end of all records`
}

/** A record to be made. */
export interface NewCper {
  readonly id: bigint
  readonly type: CperType
  readonly compressed: boolean
  readonly sec: bigint
  readonly data: Uint8Array
}

/** Does a store keep records of this type? */
export const isCperType = (type: string): type is CperType =>
  sections.some(section => section.type === type)

/**
 * A slot with a record as Linux makes it, and behind it the 0xff that QEMU puts there.
 *
 * @param recordSize bytes of a slot: {@link cperHeaderSize} more than the data at least
 */
export const encodeCper = (
  { id, type, compressed, sec, data }: NewCper,
  recordSize: number,
): Buffer => {
  const length = cperHeaderSize + data.length
  const bytes = Buffer.alloc(recordSize, 0xff).fill(0, 0, cperHeaderSize)
  bytes.write('CPER', at.signature, 'latin1')
  bytes.writeUInt16LE(revision, at.revision)
  bytes.writeUInt32LE(0xffffffff, at.signatureEnd)
  bytes.writeUInt16LE(1, at.sectionCount)
  bytes.writeUInt32LE(fatal, at.severity)
  bytes.writeUInt32LE(hasTimestamp, at.validation)
  bytes.writeUInt32LE(length, at.recordLength)
  bytes.writeBigInt64LE(BigInt.asIntN(64, sec), at.timestamp)
  const section = sections.find(s => s.type === type && s.compressed === compressed)!
  bytes.set(section.creator, at.creator)
  bytes.set(notificationMce, at.notification)
  bytes.writeBigUInt64LE(id, at.recordId)
  bytes.writeUInt32LE(previousError, at.flags)
  bytes.write('ER', at.persistence, 'latin1')
  bytes.writeUInt32LE(cperHeaderSize, at.sectionOffset)
  bytes.writeUInt32LE(data.length, at.sectionLength)
  bytes.writeUInt16LE(revision, at.sectionRevision)
  bytes.writeUInt32LE(primarySection, at.sectionFlags)
  bytes.set(section.guid, at.sectionType)
  bytes.writeUInt32LE(fatal, at.sectionSeverity)
  bytes.set(data, cperHeaderSize)
  return bytes
}
