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
  Inspection,
  NewDump,
  Slot,
  StoreLock,
} from '../../pstore/driver.js'
import { count, foundAt } from '../../pstore/condition.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import {
  isSplitRingType,
  SplitRing,
  splitRingTypes,
  type Piece,
  type PieceStore,
  type SplitRingParameters,
  type SplitRingType,
} from '../../pstore/split-ring.js'
import { now } from '../../pstore/time.js'
import type { Identity, RecordType, RingType, Usage } from '../../pstore/types.js'
import { UnreadableSlot } from '../../pstore/unreadable.js'
import type { Region } from '../../region/region.js'
import {
  cperHeaderSize,
  decodeCper,
  encodeCper,
  faultOf,
  isCperType,
  isForeign,
  type CperType,
} from './cper.js'
import {
  countBeyond,
  defaultRecordSize,
  loadCount,
  loadEntry,
  loadHeader,
  slotsIn,
  SlotMap,
  storeCount,
  storeEntry,
  type Slots,
} from './slot-map.js'
import {
  CperSlot,
  faultAt,
  inspectRecord,
  nothing,
  pieceIn,
  positionSize,
  type Content,
} from './slots.js'

/** Linux decompresses up to this many times the bytes that a record can hold. */
const expansion = 3
/** What ACPI calls "no more records": QEMU never finds such an id, so none is made. */
const endId = 2n ** 64n - 1n

/** A piece of a ring and where it lies. */
interface SlotPiece extends Piece {
  readonly slot: number
  readonly id: bigint
}

const damagedHeader = (why: string): string => `its ERST header is damaged: ${why}`

export class ErstDriver implements Driver {
  readonly identity: Identity
  readonly readOnly: boolean
  readonly lock: StoreLock
  readonly #rings: ReadonlyMap<SplitRingType, SplitRing<SlotPiece>>
  /** By slots: the ids of records that were called by their slot. */
  readonly #copies = new Map<number, bigint>()
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

  /** By slots of the store, as QEMU gives the ids to the guest. */
  *slots(): Generator<Slot, void, void> {
    const map = this.#map()
    if (!map) return
    const ids = new Set<bigint>()
    for (const slot of slotsOf(map)) {
      const found = this.#recordIn(map, slot)
      if (found) yield this.#slotOf(slot, map.id(slot), found, ids)
    }
    yield* this.#rings.values()
  }

  slot(label: string, id: bigint, copy: number | null = null): Slot | null {
    if (id === 0n) return (isSplitRingType(label) && this.#rings.get(label)) || null
    const map = id <= endId ? this.#map() : null
    if (!map) return null
    const ids = new Set<bigint>()
    for (const at of map.slotsOf(id)) {
      const found = this.#recordIn(map, at)
      const slot = found && this.#slotOf(at, id, found, ids)
      if (copy === null ? slot?.copy === null : at === copy)
        return slot?.label === label ? Object.assign(slot, { copy }) : null
    }
    return null
  }

  /**
   * Of records with one id Linux, which asks QEMU for it, gets the first. The others are called by their slots, and
   * go on to be when the first is erased.
   *
   * @param ids of the records in earlier slots; this one's is added
   */
  #copyAt(slot: number, id: bigint, ids: Set<bigint>): number | null {
    if (ids.has(id)) this.#copies.set(slot, id)
    else if (this.#copies.get(slot) !== id) {
      ids.add(id)
      return null
    }
    return slot
  }

  #slotOf(
    slot: number,
    id: bigint,
    found: Content | StoreError,
    ids: Set<bigint>,
  ): CperSlot | UnreadableSlot {
    const copy = this.#copyAt(slot, id, ids)
    return found instanceof StoreError
      ? new UnreadableSlot(found, id, copy)
      : new CperSlot(id, copy, found, () => this.#free(slot))
  }

  *extents(): Generator<Extent, void, void> {
    const header = loadHeader(this.region)
    if (header.state !== 'ready') return
    const map = new SlotMap(this.region, header.slots)
    const { first, end } = map.slots
    const ids = new Set<bigint>()
    for (let slot = first; slot < end; slot++) yield this.#extent(map, slot, ids)
    yield* this.#faults(map, header.damage)
  }

  /** Which records are missing at the end of a store that was cut short; null where none is. */
  #cut(slots: Slots): string | null {
    const beyond = countBeyond(this.region, slots)
    if (beyond === 0) return null
    return (
      `${count(beyond, 'record')} of its map ${beyond === 1 ? 'lies' : 'lie'} beyond its end: ` +
      `the source was cut short at ${this.region.length} bytes`
    )
  }

  /** What is wrong with the store as a whole. */
  *#faults(map: SlotMap, damage: string | null): Generator<Extent, void, void> {
    if (damage !== null) yield faultAt('header', damagedHeader(damage))
    // A header that is damaged does not tell where its map ends.
    const cut = damage === null ? this.#cut(map.slots) : null
    if (cut !== null) yield faultAt('map', cut)
    const [used, said] = [map.used(), loadCount(this.region)]
    // One that is too high is what a kill leaves, and harms nobody.
    if (said < used)
      yield faultAt(
        'record_count',
        `it says ${said}, and the map has ${count(used, 'record')}: QEMU and its guest look no further`,
      )
  }

  /** @param ids of the records in earlier slots; this one's is added */
  #extent(map: SlotMap, slot: number, ids: Set<bigint>): Extent {
    const { recordSize } = map.slots
    const offset = slot * recordSize
    // The source's end may cut the last one short.
    const length = Math.min(recordSize, this.region.length - offset)
    const room = Math.max(0, length - cperHeaderSize)
    const id = map.id(slot)
    const content = map.isFree(slot) ? null : this.#tryLoad(map.slots, slot, id)
    const isRead = content !== null && !(content instanceof StoreError)
    const type = isRead ? content.header.type : 'dmesg'
    const isPiece = isSplitRingType(type)
    const copy = content === null || isPiece ? null : this.#copyAt(slot, id, ids)
    const site = { index: slot, offset, length, room, whole: false, shared: false }
    const inspect = (): Inspection => {
      if (content instanceof StoreError) throw content
      return content
        ? inspectRecord(content, copy !== null)
        : { ...nothing, ...this.#nothingIn(map, slot, offset, length) }
    }
    return { type, label: type, id: isPiece ? 0n : id, copy, ...site, inspect }
  }

  #nothingIn(
    map: SlotMap,
    slot: number,
    offset: number,
    length: number,
  ): Pick<Inspection, 'state' | 'lost' | 'findings'> {
    if (map.isFree(slot)) return { state: 'empty', lost: false, findings: [] }
    const header = this.region.load(offset, Math.min(cperHeaderSize, length))
    // Others keep records there too.
    return isForeign(header)
      ? {
          state: 'unsigned',
          lost: false,
          findings: ["a record, but none of Linux's pstore"],
        }
      : { state: 'invalid', lost: true, findings: [faultOf(header, length)] }
  }

  usage(): Usage | null {
    const map = this.#map()
    if (!map) return null
    const { recordSize, first, end } = map.slots
    const [all, used] = [end - first, map.used()]
    return { size: all * recordSize, free: (all - used) * recordSize, records: used * recordSize }
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
  #free(slot: number): void {
    // The entry first: a count that is too high harms nobody, while QEMU does not look further
    // than the count says.
    storeEntry(this.region, slot, 0n)
    const map = this.#map()
    if (map) storeCount(this.region, map.used())
  }

  doubts(): string[] {
    const header = loadHeader(this.region)
    const { length } = this.region
    if (slotsIn(header, length) <= 0)
      return [
        `has no slot for a record: ${length} bytes hold nothing but its header and map (give QEMU a larger file)`,
      ]
    if (header.state !== 'ready') return []
    const { damage, slots } = header
    const doubt = damage === null ? this.#cut(slots) : damagedHeader(damage)
    return doubt === null ? [] : [doubt]
  }

  unused(): string | null {
    return loadHeader(this.region).state === 'unused'
      ? 'QEMU has not made an ERST store of it yet: start its guest once, or format it'
      : null
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
      pieces: told => {
        const map = this.#map()
        return map ? [...foundAt(slotsOf(map), slot => this.#pieceIn(map, slot, type), told)] : []
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
      remove: ({ slot }) => this.#free(slot),
    }
  }

  /** The piece of a ring that a slot holds; null where it holds none. */
  #pieceIn(map: SlotMap, slot: number, type: SplitRingType): SlotPiece | null {
    const { recordSize } = map.slots
    const least = cperHeaderSize + positionSize
    const start = slot * recordSize
    const room = Math.min(recordSize, this.region.length - start)
    if (room <= least) return null
    const bytes = this.region.load(start, least)
    const header = decodeCper(bytes, room)
    const piece = header?.type === type ? pieceIn(header, bytes.subarray(cperHeaderSize)) : null
    return piece && { slot, id: map.id(slot), ...piece }
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

  /** A dump's or machine check's content, or why it cannot be read: pieces of a ring are no records of their own. */
  #recordIn(map: SlotMap, slot: number): Content | StoreError | null {
    const found = this.#tryLoad(map.slots, slot, map.id(slot))
    return found && !(found instanceof StoreError) && isSplitRingType(found.header.type)
      ? null
      : found
  }

  #tryLoad(slots: Slots, slot: number, id: bigint): Content | StoreError | null {
    try {
      return this.#load(slots, slot, id)
    } catch (error) {
      assertStoreError(error)
      return error
    }
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
    const version = `${slot}-${id}-${length}-${zlib.crc32(bytes)}`
    const limit = expansion * (recordSize - cperHeaderSize)
    return { header, data: bytes.subarray(cperHeaderSize), limit, version }
  }
}

/** The slots that the map says are in use. */
function* slotsOf(map: SlotMap): Generator<number, void, void> {
  const { first, end } = map.slots
  for (let slot = first; slot < end; slot++) if (!map.isFree(slot)) yield slot
}
