/**
 * The ERST driver: the records in the file behind QEMU's acpi-erst device.
 *
 * Source: doc/formats.md 5; drivers/acpi/apei/erst.c (erst_reader, erst_writer, erst_clearer),
 * fs/pstore/platform.c (decompress_record), and QEMU's hw/acpi/erst.c for the order of stores.
 *
 * A guest that runs takes no lock, so readers take none either: a slot's bytes are written while its
 * entry in the map is 0, and an entry that is the same before and after them vouches for the bytes.
 */
import zlib from 'node:zlib'
import type { Backend, NewRecord, Pace, StoredRecord } from '../../pstore/backend.js'
import { contentOf, type Content, type SizedContent } from '../../pstore/content.js'
import { inflate, salvage } from '../../pstore/deflate.js'
import { StoreError } from '../../pstore/errors.js'
import {
  appendPieces,
  erasePieces,
  joinPieces,
  lastPosition,
  paceOf,
  sizeOfPieces,
  type Piece,
  type SplitRingParameters,
  type PieceStore,
} from '../../pstore/split-ring.js'
import {
  describeBroken,
  lookIntoStream,
  type Dump,
  type Condition,
} from '../../pstore/condition.js'
import { now } from '../../pstore/time.js'
import { compressedSuffix, fileName, type RecordType } from '../../pstore/types.js'
import { SourceLock } from '../../region/lock.js'
import type { Region } from '../../region/region.js'
import {
  cperHeaderSize,
  encodeCper,
  isCperType,
  isForeign,
  isRingType,
  decodeCper,
  ringTypes,
  type CperHeader,
  type CperType,
  type RingType,
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
  slot: number
  id: bigint
}

/** A slot's record at one moment. */
interface Loaded {
  header: CperHeader
  /** What follows the header. */
  data: Buffer
  /** Bytes that a text may have once it is inflated. */
  limit: number
  /** Changes when the slot's record does. */
  version: string
}

/** A record and where it lies. */
interface Found {
  slot: number
  record: StoredRecord
  content: Loaded
}

export class ErstBackend implements Backend {
  readonly path: string
  readonly readOnly: boolean
  readonly parts = true
  readonly #lock: SourceLock
  /** By slot: what a record of that version is shown as, so that it is not inflated at each look. */
  readonly #seen = new Map<number, StoredRecord>()
  /** The newest id made here, which is not made again when its record is erased at once. */
  #lastId = 0n

  /**
   * @param region is closed by {@link close}, and where this throws, by the caller
   * @throws StoreError where the region is no ERST store, or none whose slots can be told. One that QEMU
   *   has yet to make a store of is empty
   */
  constructor(
    readonly region: Region,
    readonly name = 'erst',
    readonly rings: SplitRingParameters = {},
  ) {
    this.path = region.path
    this.readOnly = region.readOnly
    const header = loadHeader(region)
    if (header.state === 'foreign') throw new StoreError(`${region.path}: ${header.why}`)
    this.#lock = SourceLock.of(region.path, region.fd, !region.readOnly)
  }

  /** By slots, as QEMU gives the ids to the guest; of records with one id the first. */
  *records(): Generator<StoredRecord, void, void> {
    const map = this.#map()
    if (!map) return
    const { first, end } = map.slots
    const ids = new Set<bigint>()
    for (let slot = first; slot < end; slot++) {
      if (map.isFree(slot)) {
        this.#seen.delete(slot)
        continue
      }
      const id = map.id(slot)
      if (ids.has(id)) continue
      const found = this.#look(map.slots, slot, id)
      if (!found) continue
      ids.add(id)
      yield found.record
    }
    for (const type of ringTypes) {
      const record = this.#ringRecord(type)
      if (record) yield record
    }
  }

  record(name: string): StoredRecord | null {
    const ring = this.#ringOf(name)
    return ring ? this.#ringRecord(ring) : (this.#find(name)?.record ?? null)
  }

  open(record: StoredRecord): Content {
    return contentOf(this.read(record))
  }

  read(record: StoredRecord): Buffer {
    const ring = this.#ringOf(record.name)
    if (ring) return joinPieces(this.#pieceStore(ring))
    const { content } = this.#findOrThrow(record.name)
    return textOf(content)?.all() ?? content.data
  }

  get facts(): { [name: string]: string | number } {
    return { mem_size: this.region.length, record_size: this.#recordRoom() + cperHeaderSize }
  }

  *places(): Generator<Condition, void, void> {
    const map = this.#map()
    if (!map) return
    const { first, end } = map.slots
    const ids = new Set<bigint>()
    for (let slot = first; slot < end; slot++) yield this.#place(map, slot, ids)
  }

  /** @param ids of the records in earlier slots; this one's is added */
  #place(map: SlotMap, slot: number, ids: Set<bigint>): Condition {
    const { recordSize } = map.slots
    const offset = slot * recordSize
    // The source's end may cut the last one short.
    const length = Math.min(recordSize, this.region.length - offset)
    const room = Math.max(0, length - cperHeaderSize)
    const site = { index: slot, offset, length, room, start: 0, parity: null, dump: null }
    const id = map.id(slot)
    const content = map.isFree(slot) ? null : this.#loadAny(map.slots, slot, id)
    const type = content?.header.type ?? 'dmesg'
    const name = fileName(type, this.name, isRingType(type) ? 0n : id, false)
    if (!content) {
      const nothing = { ...site, type, name, used: 0, record: null }
      if (map.isFree(slot)) return { ...nothing, state: 'empty', findings: [] }
      // Others keep records there too.
      return isForeign(this.region.load(offset, Math.min(cperHeaderSize, length)))
        ? { ...nothing, state: 'unsigned', findings: ["a record, but none of Linux's pstore"] }
        : { ...nothing, state: 'damaged', findings: ['no record, though the map says so'] }
    }
    const used = content.data.length
    if (isRingType(type)) {
      const piece = { ...site, type, name, used }
      return pieceIn(content.header, content.data)
        ? { ...piece, record: name, state: 'sound', findings: [] }
        : {
            ...piece,
            record: null,
            state: 'damaged',
            findings: ['no piece of a ring, though its header says so'],
          }
    }
    const findings: string[] = []
    const dump = type === 'dmesg' ? lookIntoDump(content, findings) : null
    const isHidden = ids.has(id)
    if (isHidden) findings.push('the record in an earlier slot has the same id')
    ids.add(id)
    return {
      ...site,
      type,
      name,
      used,
      state: dump?.broken ? 'damaged' : 'sound',
      findings,
      record: isHidden ? null : fileName(type, this.name, id, (dump?.broken ?? null) !== null),
      dump,
    }
  }

  raw(name: string): Buffer | null {
    const ring = this.#ringOf(name)
    return ring ? joinPieces(this.#pieceStore(ring)) : (this.#contentOf(name)?.data ?? null)
  }

  salvage(name: string): SizedContent | null {
    const content = this.#contentOf(name)
    return content?.header.compressed ? salvage(content.data, content.limit).text : null
  }

  /** A record's content, by its name with or without the suffix of those that cannot be inflated. */
  #contentOf(name: string): Loaded | null {
    return (this.#find(name) ?? this.#find(`${name}${compressedSuffix}`))?.content ?? null
  }

  liveRings(): [] {
    return []
  }

  erase(record: StoredRecord, unchanged = false): boolean {
    this.#hold()
    try {
      this.region.checkSize()
      if (unchanged && this.record(record.name)?.version !== record.version) return false
      const ring = this.#ringOf(record.name)
      if (ring) erasePieces(this.#pieceStore(ring))
      else this.#free(this.#findOrThrow(record.name).slot)
      return true
    } finally {
      this.#lock.release()
    }
  }

  #free(slot: number): void {
    // The entry first: a count that is too high harms nobody, while QEMU does not look further
    // than the count says.
    storeEntry(this.region, slot, 0n)
    const map = this.#map()
    if (map) storeCount(this.region, map.used())
  }

  get pace(): Pace {
    return paceOf(this.rings, this.#pieceRoom())
  }

  exclusively<T>(work: () => T): T {
    this.#checkWritable()
    return this.#lock.exclusively(work)
  }

  restart(type: RecordType): void {
    if (!isRingType(type)) return
    this.exclusively(() => {
      this.region.checkSize()
      erasePieces(this.#pieceStore(type))
    })
  }

  sync(): void {
    this.region.sync()
  }

  room(type: RecordType): number {
    if (!isCperType(type)) return 0
    return isRingType(type) ? this.#pieceRoom() * this.#most(type) : this.#recordRoom()
  }

  /** How many pieces a ring takes. */
  #most(type: RingType): number {
    return Math.ceil((this.rings[`${type}_size`] ?? 0) / this.#pieceRoom())
  }

  #pieceRoom(): number {
    return this.#recordRoom() - positionSize
  }

  /** Bytes that a record can hold. */
  #recordRoom(): number {
    // A store that is not ready will have its guest's record size; `write` says why it cannot be now.
    const header = loadHeader(this.region)
    return (header.state === 'ready' ? header.slots.recordSize : defaultRecordSize) - cperHeaderSize
  }

  write({ type, bytes, time = now(), compressed = false }: NewRecord): number {
    if (!isCperType(type))
      throw new StoreError(`${this.region.path}: ERST keeps no ${type} records`, 'ENOSPC')
    if (compressed && type !== 'dmesg')
      throw new StoreError(`${this.region.path}: ERST keeps no compressed ${type} records`)
    // Linux takes a record without bytes for the end of all records.
    if (bytes.length === 0) return 0
    this.#hold()
    try {
      this.region.checkSize()
      if (isRingType(type)) appendPieces(this.#pieceStore(type), this.#mostOrThrow(type), bytes)
      else this.#store({ type, compressed, sec: time.sec, data: bytes })
    } finally {
      this.#lock.release()
    }
    return bytes.length
  }

  #mostOrThrow(type: RingType): number {
    const most = this.#most(type)
    if (most === 0)
      throw new StoreError(
        `${this.region.path}: keeps no ${type}: give it a size (${type}_size)`,
        'ENOSPC',
      )
    return most
  }

  /** Put a record into a free slot. */
  #store(record: { type: CperType; compressed: boolean; sec: bigint; data: Uint8Array }): void {
    const slots = this.#writable()
    const { data, sec } = record
    const room = slots.recordSize - cperHeaderSize
    if (data.length > room)
      throw new StoreError(
        `${this.region.path}: ${data.length} bytes do not fit into a record of ${room}`,
        'ENOSPC',
      )
    const map = new SlotMap(this.region, slots)
    const slot = this.#freeSlot(map)
    const id = this.#newId(map, sec)
    // As QEMU does: the bytes into a slot that nobody looks at, then the count, which may be too high
    // but not too low, and the entry at last, which makes it a record.
    this.region.store(slot * slots.recordSize, encodeCper({ id, ...record }, slots.recordSize))
    storeCount(this.region, map.used() + 1)
    storeEntry(this.region, slot, id)
  }

  close(): void {
    this.#lock.close()
    this.region.close()
  }

  /** The ring that a file name stands for, where it holds something. */
  #ringOf(name: string): RingType | undefined {
    return ringTypes.find(
      type =>
        name === fileName(type, this.name, 0n, false) && this.#pieceStore(type).pieces().length > 0,
    )
  }

  #ringRecord(type: RingType): StoredRecord | null {
    const pieces = this.#pieceStore(type).pieces()
    if (pieces.length === 0) return null
    return {
      type,
      id: 0n,
      name: fileName(type, this.name, 0n, false),
      size: sizeOfPieces(pieces),
      time: null,
      compressed: false,
      ecc: null,
      version: pieces.map(({ slot, id, position, length }) => [slot, id, position, length]).join(),
    }
  }

  #pieceStore(type: RingType): PieceStore<SlotPiece> {
    return {
      room: this.#pieceRoom(),
      pieces: () => {
        const map = this.#map()
        return map ? [...this.#pieces(map, type)] : []
      },
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

  /** The pieces of a ring that the slots hold. */
  *#pieces(map: SlotMap, type: RingType): Generator<SlotPiece, void, void> {
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

  #checkWritable(): void {
    if (this.readOnly) throw new StoreError(`${this.region.path}: is read-only`, 'EROFS')
  }

  #hold(): void {
    this.#checkWritable()
    this.#lock.hold()
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

  /** The record that a name stands for. */
  #find(name: string): Found | null {
    const id = idOf(name)
    const map = id === null ? null : this.#map()
    if (id === null || !map) return null
    for (const slot of map.slotsOf(id)) {
      const found = this.#look(map.slots, slot, id)
      if (found) return found.record.name === name ? found : null
    }
    return null
  }

  #findOrThrow(name: string): Found {
    const found = this.#find(name)
    if (!found) throw new StoreError(`${name}: no such record`, 'ENOENT')
    return found
  }

  /** What a slot shows; null where there is no sound record of Linux's pstore. */
  #look(slots: Slots, slot: number, id: bigint): Found | null {
    const content = this.#load(slots, slot, id)
    if (!content) {
      this.#seen.delete(slot)
      return null
    }
    let record = this.#seen.get(slot)
    if (record?.version !== content.version) {
      record = this.#describe(content, id)
      this.#seen.set(slot, record)
    }
    return { slot, record, content }
  }

  /** A dump's or machine check's content: pieces of a ring are no records of their own. */
  #load(slots: Slots, slot: number, id: bigint): Loaded | null {
    const content = this.#loadAny(slots, slot, id)
    return content && !isRingType(content.header.type) ? content : null
  }

  #loadAny({ recordSize }: Slots, slot: number, id: bigint): Loaded | null {
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

  #describe(content: Loaded, id: bigint): StoredRecord {
    const { type, time } = content.header
    const text = textOf(content)
    const compressed = text === null
    return {
      type,
      id,
      name: fileName(type, this.name, id, compressed),
      size: (text ?? content.data).length,
      time,
      compressed,
      ecc: null,
      version: content.version,
    }
  }
}

/** The piece in a ring's record, whose data are given, or their first bytes; null where it is none. */
const pieceIn = (header: CperHeader, data: Buffer): Piece | null => {
  const length = header.length - cperHeaderSize - positionSize
  if (length <= 0) return null
  const position = data.readBigUInt64LE()
  return position > lastPosition ? null : { position, length }
}

/** What is in a dump's record. Adds to what was found. */
const lookIntoDump = (content: Loaded, findings: string[]): Dump => {
  const { time, compressed } = content.header
  if (!compressed) return { time, compressed, text: content.data.length, broken: null }
  const stream = lookIntoStream(content.data, content.limit)
  if (stream.broken) findings.push(describeBroken(stream.broken))
  return { time, compressed, ...stream }
}

/** A record's text; null where it cannot be inflated. */
const textOf = ({ header, data, limit }: Loaded): SizedContent | null =>
  header.compressed ? inflate(data, limit) : contentOf(data)

/** The id in a file name; null where no record can be called so. */
const idOf = (name: string): bigint | null => {
  const stem = name.endsWith(compressedSuffix) ? name.slice(0, -compressedSuffix.length) : name
  const [digits] = /\d{1,20}$/.exec(stem) ?? []
  const id = digits === undefined ? 0n : BigInt(digits)
  return id > 0n && id <= endId ? id : null
}
