/**
 * The start of an ERST store: its header, and the map of which slot holds which record.
 *
 * Source: doc/formats.md 5; QEMU hw/acpi/erst.c (ERSTStorageHeader, make_erst_storage_header,
 * check_erst_backend_storage). All numbers are little-endian.
 */
import { StoreError } from '../../pstore/errors.js'
import type { Region } from '../../region/region.js'

/** Bytes before the map: magic, record_size, storage_offset, version, reserved, record_count. */
export const headerSize = 24
/** Bytes of an entry in the map: a record's id; 0 is a free slot. */
const entrySize = 8
/** Where the header says how many slots are in use. */
const countOffset = 0x14

/** "ERSTSTOR"; 0 is what QEMU takes for new, and makes a store of. */
const magic = 0x524f545354535245n
const version = 0x0100

/** QEMU's own, where its `record_size` is not given. */
export const defaultRecordSize = 8192
/** A store's size is a u32 in QEMU: nothing beyond is a slot. */
const largestStore = 2 ** 32 - 1
/** QEMU's limit. */
const smallestRecord = 4096
/** Linux keeps a record in memory from kmalloc, which gives 4 MiB on most machines, nowhere more than this. */
const largestRecord = 2 ** 26

/** The slots of a store. Slot i starts at `i * recordSize`. */
export interface Slots {
  /** Bytes of a slot. */
  readonly recordSize: number
  /** The first that holds records; before it are header and map. */
  readonly first: number
  /** One past the last. The source's end may cut the last one short. */
  readonly end: number
}

/**
 * What a header says of its store:
 * - `unused`: nobody has made a store of it yet
 * - `foreign`: no slot can be told; `why` says it
 * - `ready`: slots can be looked at. `damage` is what QEMU refuses such a store for, else null
 */
export type StoreHeader =
  | { readonly state: 'unused' }
  | { readonly state: 'foreign'; readonly why: string }
  | { readonly state: 'ready'; readonly slots: Slots; readonly damage: string | null }

/** What is wrong with a record size; null where it is one that QEMU takes. */
const recordSizeFault = (size: number): string | null =>
  size < smallestRecord || size > largestRecord || (size & (size - 1)) !== 0
    ? `record_size ${size} is no power of two from ${smallestRecord} to ${largestRecord}`
    : null

/** Where the first slot starts: header and map, rounded up to whole slots. */
const storageOffset = (recordSize: number, length: number): number => {
  const map = Math.floor(length / recordSize) * entrySize
  return Math.ceil((headerSize + map) / recordSize) * recordSize
}

/**
 * Make sense of a header; its numbers are used by nobody before this has checked them.
 *
 * @param bytes the store's first {@link headerSize} bytes
 * @param length of the store, in bytes
 */
export const decodeHeader = (bytes: Buffer, length: number): StoreHeader => {
  const found = bytes.readBigUInt64LE(0)
  if (found === 0n) return { state: 'unused' }
  if (found !== magic)
    return { state: 'foreign', why: 'is not an ERST store: it does not begin with ERSTSTOR' }
  const recordSize = bytes.readUInt32LE(8)
  const fault = recordSizeFault(recordSize)
  if (fault) return { state: 'foreign', why: `its ERST header is damaged: ${fault}` }
  length = Math.min(length, largestStore)
  const offset = bytes.readUInt32LE(12)
  const placed = offset > 0 && offset % recordSize === 0 && offset < length
  const damage =
    bytes.readUInt16LE(16) !== version || bytes.readUInt16LE(18) !== 0
      ? `version 0x${bytes.readUInt32LE(16).toString(16)} is not 0x${version.toString(16)}`
      : placed
        ? null
        : `storage_offset ${offset} is no place for slots of ${recordSize} bytes` +
          (offset < length ? '' : `: the source ends at ${length}`)
  // Where the offset is nonsense, each slot has to prove itself; the header's own is the first.
  const first = placed ? offset / recordSize : 1
  const mapEnd = placed ? offset : length
  const entries = Math.floor((mapEnd - headerSize) / entrySize)
  const end = Math.max(first, Math.min(Math.ceil(length / recordSize), entries))
  return { state: 'ready', slots: { recordSize, first, end }, damage }
}

/** Do a source's first bytes begin as an ERST store that was made? */
export const isStore = (head: Buffer): boolean =>
  head.length >= headerSize && head.readBigUInt64LE(0) === magic

/**
 * The header of a store without records, as QEMU makes it.
 *
 * @param length of the store, in bytes
 * @throws StoreError where QEMU would not take such a store
 */
export const encodeHeader = (recordSize: number, length: number): Buffer => {
  const fault = recordSizeFault(recordSize)
  if (fault) throw new StoreError(fault)
  if (length % recordSize !== 0 || length > largestStore)
    throw new StoreError(
      `an ERST store of ${length} bytes is no multiple of ${recordSize} below 4 GiB`,
    )
  const offset = storageOffset(recordSize, length)
  if (offset >= length)
    throw new StoreError(
      `an ERST store of ${length} bytes has no slot of ${recordSize} for a record`,
    )
  const bytes = Buffer.alloc(headerSize)
  bytes.writeBigUInt64LE(magic, 0)
  bytes.writeUInt32LE(recordSize, 8)
  bytes.writeUInt32LE(offset, 12)
  bytes.writeUInt16LE(version, 16)
  return bytes
}

/**
 * The header as it stands.
 *
 * @throws StoreError (EIO) where the source cannot be read
 */
export const loadHeader = (region: Region): StoreHeader =>
  region.length < headerSize
    ? { state: 'foreign', why: `is not an ERST store: it has only ${region.length} bytes` }
    : decodeHeader(region.load(0, headerSize), region.length)

/** How many slots a store has, or QEMU's default would give it, in so many bytes. */
export const slotsIn = (header: StoreHeader, length: number): number =>
  header.state === 'ready'
    ? header.slots.end - header.slots.first
    : Math.floor((length - storageOffset(defaultRecordSize, length)) / defaultRecordSize)

/** The map at one moment: which slot holds which record. */
export class SlotMap {
  readonly #bytes: Buffer

  /** @throws StoreError (EIO) where the source cannot be read */
  constructor(
    region: Region,
    readonly slots: Slots,
  ) {
    const { first, end } = slots
    this.#bytes = region.load(headerSize + first * entrySize, (end - first) * entrySize)
  }

  /** The id in a slot's entry; 0 where the slot is free. */
  id(slot: number): bigint {
    return this.#bytes.readBigUInt64LE((slot - this.slots.first) * entrySize)
  }

  isFree(slot: number): boolean {
    const at = (slot - this.slots.first) * entrySize
    return this.#bytes.readUInt32LE(at) === 0 && this.#bytes.readUInt32LE(at + 4) === 0
  }

  /** The slots that are said to hold this record: in a sound store one, or none. */
  *slotsOf(id: bigint): Generator<number, void, void> {
    // By halves: a bigint an entry makes a listing of thousands of records slow.
    const low = Number(BigInt.asUintN(32, id))
    const high = Number(id >> 32n)
    for (let at = 0; at < this.#bytes.length; at += entrySize)
      if (this.#bytes.readUInt32LE(at) === low && this.#bytes.readUInt32LE(at + 4) === high)
        yield this.slots.first + at / entrySize
  }

  /** How many slots are in use: what record_count should say. */
  used(): number {
    let used = 0
    for (let slot = this.slots.first; slot < this.slots.end; slot++) if (!this.isFree(slot)) used++
    return used
  }

  /** The ids of the slots in use. */
  ids(): Set<bigint> {
    const ids = new Set<bigint>()
    for (let slot = this.slots.first; slot < this.slots.end; slot++)
      if (!this.isFree(slot)) ids.add(this.id(slot))
    return ids
  }
}

/**
 * How many records lie beyond the source's end, by the map of a store that was cut short: a map fills the slots
 * before the first, and has more entries than a whole store has slots, which are 0.
 *
 * @param slots by a header that is not damaged: the map ends in the region
 * @throws StoreError (EIO) where the source cannot be read
 */
export const countBeyond = (region: Region, { recordSize, first, end }: Slots): number => {
  const entries = Math.floor((first * recordSize - headerSize) / entrySize)
  const mapped = Math.min(entries, Math.ceil(largestStore / recordSize))
  const bytes = region.load(headerSize + end * entrySize, Math.max(0, mapped - end) * entrySize)
  let beyond = 0
  for (let at = 0; at < bytes.length; at += entrySize)
    if (bytes.readUInt32LE(at) !== 0 || bytes.readUInt32LE(at + 4) !== 0) beyond++
  return beyond
}

/** How many slots the header says are in use. */
export const loadCount = (region: Region): number => region.load(countOffset, 4).readUInt32LE()

/** The id that a slot's entry has now; 0 where the slot is free. */
export const loadEntry = (region: Region, slot: number): bigint =>
  region.load(headerSize + slot * entrySize, entrySize).readBigUInt64LE()

/** Say which record a slot holds, in one store; 0 frees the slot. */
export const storeEntry = (region: Region, slot: number, id: bigint): void => {
  const bytes = Buffer.alloc(entrySize)
  bytes.writeBigUInt64LE(id)
  region.store(headerSize + slot * entrySize, bytes)
}

/** Say how many slots are in use. */
export const storeCount = (region: Region, count: number): void => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(count)
  region.store(countOffset, bytes)
}
