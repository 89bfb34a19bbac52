/**
 * The ERST driver: the records in the file behind QEMU's acpi-erst device.
 *
 * Source: doc/formats.md 5; drivers/acpi/apei/erst.c (erst_reader, erst_writer, erst_clearer), and QEMU's
 * hw/acpi/erst.c for the order of stores.
 *
 * A guest that runs takes no lock, so readers take none either: a slot's bytes are written while its
 * entry in the map is 0, and an entry that is the same before and after them vouches for the bytes.
 */
import zlib from 'node:zlib'
import type {
  Driver,
  DumpArea,
  Extent,
  Glance,
  Inspection,
  Loaded,
  NewDump,
  Slot,
  StoreLock,
} from '../../pstore/driver.js'
import { StoreError } from '../../pstore/errors.js'
import {
  isSplitRingType,
  lastPosition,
  SplitRing,
  splitRingTypes,
  type Piece,
  type PieceStore,
  type SplitRingParameters,
  type SplitRingType,
} from '../../pstore/split-ring.js'
import { now } from '../../pstore/time.js'
import type { Identity, RecordType, RingType } from '../../pstore/types.js'
import type { Region } from '../../region/region.js'
import {
  cperHeaderSize,
  decodeCper,
  encodeCper,
  isCperType,
  isForeign,
  type CperHeader,
  type CperType,
} from './cper.js'
import {
  defaultRecordSize,
  loadEntry,
  loadHeader,
  SlotMap,
  storeCount,
  storeEntry,
  type Slots,
} from './slot-map.js'

/** Linux inflates up to this many times the bytes that a record can hold. */
const expansion = 3
/** What ACPI calls "no more records": QEMU never finds such an id, so none is made. */
const endId = 2n ** 64n - 1n

/** Bytes of a piece's position, before its text. */
const positionSize = 8

/** A piece of a ring and where it lies. */
interface SlotPiece extends Piece {
  readonly slot: number
  readonly id: bigint
}

/** What a slot of the store holds at one moment. */
interface Content {
  readonly header: CperHeader
  /** What follows the header. */
  readonly data: Buffer
  /** Bytes that a text may have once it is inflated. */
  readonly limit: number
  /** Changes when the slot's record does. */
  readonly version: string
}

export class ErstDriver implements Driver {
  readonly identity: Identity
  readonly readOnly: boolean
  readonly lock: StoreLock
  readonly #rings: ReadonlyMap<SplitRingType, SplitRing<SlotPiece>>
  /** The newest id made here, which is not made again when its record is erased at once. */
  #lastId = 0n

  /**
   * @param region is closed by {@link close}, and where this throws, by the caller
   * @throws StoreError where the region is no ERST store, or none whose slots can be told. One that QEMU
   *   has yet to make a store of is empty
   */
  constructor(
    readonly region: Region,
    parameters: SplitRingParameters = {},
  ) {
    this.identity = { driver: 'erst', path: region.path, offset: region.offset }
    this.readOnly = region.readOnly
    const header = loadHeader(region)
    if (header.state === 'foreign') throw new StoreError(`${region.path}: ${header.why}`)
    const { lock } = region
    this.lock = {
      shared: work => work(true),
      exclusively: work =>
        lock.exclusively(() => {
          region.checkSize()
          return work()
        }),
    }
    this.#rings = new Map(
      splitRingTypes.map(type => [
        type,
        new SplitRing(type, this.#pieceStore(type), parameters, this.lock),
      ]),
    )
  }

  get facts(): { [name: string]: string | number } {
    return { mem_size: this.region.length, record_size: this.#recordRoom() + cperHeaderSize }
  }

  /** By slots of the store, as QEMU gives the ids to the guest; of records with one id the first. */
  *slots(): Generator<Slot, void, void> {
    const map = this.#map()
    if (!map) return
    const { first, end } = map.slots
    const ids = new Set<bigint>()
    for (let slot = first; slot < end; slot++) {
      if (map.isFree(slot)) continue
      const id = map.id(slot)
      const content = ids.has(id) ? null : this.#loadRecord(map.slots, slot, id)
      if (!content) continue
      ids.add(id)
      yield new CperSlot(this, slot, id, content)
    }
    yield* this.#rings.values()
  }

  slot(label: string, id: bigint): Slot | null {
    if (id === 0n) return (isSplitRingType(label) && this.#rings.get(label)) || null
    const map = id <= endId ? this.#map() : null
    if (!map) return null
    for (const slot of map.slotsOf(id)) {
      const content = this.#loadRecord(map.slots, slot, id)
      if (content)
        return content.header.type === label ? new CperSlot(this, slot, id, content) : null
    }
    return null
  }

  *extents(): Generator<Extent, void, void> {
    const map = this.#map()
    if (!map) return
    const { first, end } = map.slots
    const ids = new Set<bigint>()
    for (let slot = first; slot < end; slot++) yield this.#extent(map, slot, ids)
  }

  /** @param ids of the records in earlier slots; this one's is added */
  #extent(map: SlotMap, slot: number, ids: Set<bigint>): Extent {
    const { recordSize } = map.slots
    const offset = slot * recordSize
    // The source's end may cut the last one short.
    const length = Math.min(recordSize, this.region.length - offset)
    const room = Math.max(0, length - cperHeaderSize)
    const id = map.id(slot)
    const content = map.isFree(slot) ? null : this.#load(map.slots, slot, id)
    const type = content?.header.type ?? 'dmesg'
    const site = { index: slot, offset, length, room, whole: false, shared: false }
    const inspect = (): Inspection =>
      content
        ? inspectRecord(content, ids, id)
        : { ...nothing, ...this.#nothingIn(map, slot, offset, length) }
    return { type, label: type, id: isSplitRingType(type) ? 0n : id, ...site, inspect }
  }

  #nothingIn(
    map: SlotMap,
    slot: number,
    offset: number,
    length: number,
  ): Pick<Inspection, 'state' | 'lost' | 'findings'> {
    if (map.isFree(slot)) return { state: 'empty', lost: false, findings: [] }
    // Others keep records there too.
    return isForeign(this.region.load(offset, Math.min(cperHeaderSize, length)))
      ? {
          state: 'unsigned',
          lost: false,
          findings: ["a record, but none of Linux's pstore"],
        }
      : { state: 'invalid', lost: true, findings: ['no record, though the map says so'] }
  }

  dumps(type: RecordType): DumpArea | null {
    return isCperType(type) && !isSplitRingType(type)
      ? { room: this.#recordRoom(), parts: true, store: dump => this.#storeDump(dump, type) }
      : null
  }

  ring(type: RingType): SplitRing<SlotPiece> | null {
    return isSplitRingType(type) ? this.#rings.get(type)! : null
  }

  #storeDump({ bytes, time, compressed }: NewDump, type: CperType): void {
    if (compressed && type !== 'dmesg')
      throw new StoreError(`${this.identity.path}: ERST keeps no compressed ${type} records`)
    this.#store({ type, compressed, sec: time.sec, data: bytes })
  }

  /** Put a record into a free slot. */
  #store(record: { type: CperType; compressed: boolean; sec: bigint; data: Uint8Array }): void {
    const slots = this.#writable()
    const map = new SlotMap(this.region, slots)
    const slot = this.#freeSlot(map)
    const id = this.#newId(map, record.sec)
    // As QEMU does: the bytes into a slot that nobody looks at, then the count, which may be too high
    // but not too low, and the entry at last, which makes it a record.
    this.region.store(slot * slots.recordSize, encodeCper({ id, ...record }, slots.recordSize))
    storeCount(this.region, map.used() + 1)
    storeEntry(this.region, slot, id)
  }

  /** Take a slot's record off the medium. */
  free(slot: number): void {
    // The entry first: a count that is too high harms nobody, while QEMU does not look further
    // than the count says.
    storeEntry(this.region, slot, 0n)
    const map = this.#map()
    if (map) storeCount(this.region, map.used())
  }

  sync(): void {
    this.region.sync()
  }

  close(): void {
    this.region.close()
  }

  /** Bytes that a record can hold. */
  #recordRoom(): number {
    // A store that is not ready will have its guest's record size; a write says why it cannot be now.
    const header = loadHeader(this.region)
    return (header.state === 'ready' ? header.slots.recordSize : defaultRecordSize) - cperHeaderSize
  }

  #pieceStore(type: SplitRingType): PieceStore<SlotPiece> {
    const recordRoom = (): number => this.#recordRoom()
    return {
      get room() {
        return recordRoom() - positionSize
      },
      pieces: () => {
        const map = this.#map()
        return map ? [...this.#pieces(map, type)] : []
      },
      versionOf: ({ slot, id, position, length }) => [slot, id, position, length].join(),
      load: ({ slot, id, length }) => {
        const map = this.#map()
        if (!map) return null
        const start = slot * map.slots.recordSize + cperHeaderSize + positionSize
        const bytes = this.region.load(start, length)
        return loadEntry(this.region, slot) === id ? bytes : null
      },
      add: (position, bytes) => {
        const data = Buffer.alloc(positionSize + bytes.length)
        data.writeBigUInt64LE(position)
        data.set(bytes, positionSize)
        this.#store({ type, compressed: false, sec: now().sec, data })
      },
      remove: ({ slot }) => this.free(slot),
    }
  }

  /** The pieces of a ring that the slots hold. */
  *#pieces(map: SlotMap, type: SplitRingType): Generator<SlotPiece, void, void> {
    const { first, end, recordSize } = map.slots
    const least = cperHeaderSize + positionSize
    for (let slot = first; slot < end; slot++) {
      const start = slot * recordSize
      const room = Math.min(recordSize, this.region.length - start)
      if (map.isFree(slot) || room <= least) continue
      const bytes = this.region.load(start, least)
      const header = decodeCper(bytes, room)
      const piece = header?.type === type ? pieceIn(header, bytes.subarray(cperHeaderSize)) : null
      if (piece) yield { slot, id: map.id(slot), ...piece }
    }
  }

  /** The map as it stands; null where the source is no store, whatever it was when it was attached. */
  #map(): SlotMap | null {
    const header = loadHeader(this.region)
    return header.state === 'ready' ? new SlotMap(this.region, header.slots) : null
  }

  /** The slots of a store that QEMU, too, will read. */
  #writable(): Slots {
    const { path } = this.region
    const header = loadHeader(this.region)
    if (header.state === 'unused')
      throw new StoreError(
        `${path}: QEMU has not made an ERST store of it yet: start its guest once, or format it`,
      )
    if (header.state === 'foreign') throw new StoreError(`${path}: ${header.why}`)
    if (header.damage) throw new StoreError(`${path}: its ERST header is damaged: ${header.damage}`)
    return header.slots
  }

  #freeSlot(map: SlotMap): number {
    const { first, end, recordSize } = map.slots
    const whole = Math.min(end, Math.floor(this.region.length / recordSize))
    for (let slot = first; slot < whole; slot++) if (map.isFree(slot)) return slot
    throw new StoreError(
      `${this.region.path}: all ${whole - first} slots are in use: erase a record`,
      'ENOSPC',
    )
  }

  /** Like Linux's (cper_next_record_id): seconds in the upper half, a number from 1 in the lower. */
  #newId(map: SlotMap, sec: bigint): bigint {
    const base = BigInt.asUintN(32, sec) << 32n
    const used = map.ids().add(0n).add(endId)
    let id = this.#lastId >> 32n === base >> 32n ? this.#lastId : base
    do id = BigInt.asUintN(64, id + 1n)
    while (used.has(id))
    return (this.#lastId = id)
  }

  /** A dump's or machine check's content: pieces of a ring are no records of their own. */
  #loadRecord(slots: Slots, slot: number, id: bigint): Content | null {
    const content = this.#load(slots, slot, id)
    return content && !isSplitRingType(content.header.type) ? content : null
  }

  #load({ recordSize }: Slots, slot: number, id: bigint): Content | null {
    const start = slot * recordSize
    const room = Math.min(recordSize, this.region.length - start)
    if (room <= cperHeaderSize) return null
    const length = decodeCper(this.region.load(start, cperHeaderSize), room)?.length
    if (length === undefined) return null
    const bytes = this.region.load(start, length)
    const header = decodeCper(bytes, length)
    // Erased, and maybe written anew, while it was read.
    if (header?.length !== length || loadEntry(this.region, slot) !== id) return null
    const version = `${id}-${length}-${zlib.crc32(bytes)}`
    const limit = expansion * (recordSize - cperHeaderSize)
    return { header, data: bytes.subarray(cperHeaderSize), limit, version }
  }
}

/** A record and the slot of the store that it lies in, at the moment when it was asked for. */
class CperSlot implements Slot {
  readonly type: RecordType
  readonly label: string
  readonly ftrace = null
  /** To tell its type its bytes had to be loaded. */
  readonly deep = true

  constructor(
    readonly driver: ErstDriver,
    readonly slot: number,
    readonly id: bigint,
    readonly content: Content,
  ) {
    this.type = this.label = content.header.type
  }

  glance(): Glance {
    return { version: this.content.version, lengths: null }
  }

  lengths(): null {
    return null
  }

  load(): Loaded {
    const { version, limit, data, header } = this.content
    const { time, compressed } = header
    return { version, raw: { parts: [data], time, compressed, limit, ecc: null, cut: 0 } }
  }

  raw(): Buffer {
    return this.content.data
  }

  erase(): void {
    this.driver.free(this.slot)
  }
}

/** The piece in a ring's record, whose data are given, or their first bytes; null where it is none. */
const pieceIn = (header: CperHeader, data: Buffer): Piece | null => {
  const length = header.length - cperHeaderSize - positionSize
  if (length <= 0) return null
  const position = data.readBigUInt64LE()
  return position > lastPosition ? null : { position, length }
}

const nothing = { used: 0, start: 0, shown: false, parity: null, dump: null } as const

/** @param ids of the records in earlier slots; this one's is added */
const inspectRecord = (
  { header, data, limit }: Content,
  ids: Set<bigint>,
  id: bigint,
): Inspection => {
  const { type, time, compressed } = header
  const findings: string[] = []
  const used = data.length
  const found = { ...nothing, state: 'valid', lost: false, findings, used } as const
  if (isSplitRingType(type)) {
    const isPiece = pieceIn(header, data) !== null
    if (!isPiece) findings.push('no piece of a ring, though its header says so')
    return { ...found, lost: !isPiece, shown: isPiece }
  }
  const isHidden = ids.has(id)
  if (isHidden) findings.push('the record in an earlier slot has the same id')
  ids.add(id)
  const stream = compressed ? data : null
  const dump = type === 'dmesg' ? { time, compressed, length: used, stream, limit } : null
  return { ...found, shown: !isHidden, dump }
}
