/**
 * A zone: one ring in a region, with its header and parity (Linux's persistent_ram_zone).
 *
 * Source: doc/formats.md 1.3–1.6; fs/pstore/ram_core.c. Reading corrects in a copy and changes nothing.
 */
import zlib from 'node:zlib'
import { badBlock, cleanBlock, correctedBlock } from '../../pstore/condition.js'
import type { Ring, RingPosition } from '../../pstore/ring.js'
import type { Region } from '../../region/region.js'
import { blockSize, codec, maxEccSize, type Codec } from './ecc.js'
import type { EccState, Endian, ZoneExtent, ZoneState } from '../../pstore/types.js'
import {
  copySteadily,
  cutTo,
  movingVersion,
  type Copyable,
  type ZoneCopy,
} from '../../region/steady.js'
import type { Doubt } from '../../region/lost-header.js'
import { unwrap } from '../../region/unwrap.js'
import { checksum } from '../../region/checksum.js'
import type { RingZone, ZoneContent } from '../../region/zoned.js'
import { divideZone } from './division.js'
import { doubtOf } from './lost-header.js'
import {
  decodeZoneHeader,
  encodeNumbers,
  encodeSignature,
  judgeHeader,
  numbersOffset,
  zoneHeaderSize,
  type ZoneHeader,
} from './zone-header.js'

/** What a look at a zone's parity finds, besides its content. */
export interface Inspected extends ZoneHeader, ZoneContent {
  /** By block of the data; null where the zone keeps no parity. */
  readonly blocks: Uint8Array | null
  /** Bytes of the header that parity corrected; negative where it cannot. */
  readonly headerErrors: number
}

/** A zone of at most so many bytes is read in one go, whatever its header says of how many there are. */
const smallZone = 4096

const none = Buffer.alloc(0)
/** Scratch for the writer: one JavaScript thread writes one block at a time. */
const sharedBlock = Buffer.alloc(blockSize)
const sharedParity = Buffer.alloc(maxEccSize)
/** Scratch for a glance at a small zone, of which nothing is kept. */
const sharedZone = Buffer.alloc(smallZone)

export class Zone implements RingZone, Copyable {
  /** Bytes of the ring. */
  readonly dataLength: number
  /** A ring's size is in its header; a dump's facts, and what parity says, take the bytes. */
  readonly deep: boolean
  readonly #codec: Codec | null
  /** Zone-relative offsets of the data blocks' parity and of the header's. */
  readonly #parity: number
  readonly #headerParity: number
  /** Bytes of the zone that mean something. */
  readonly #length: number
  /** The header's numbers as a writer knows them, valid under one hold of the lock. */
  #epoch = 0
  #start = 0
  #size = 0
  /** The block that was written to last under that hold: its bytes fit its parity. −1: none. */
  #mended = -1
  readonly #block: Buffer
  readonly #parityOut: Buffer

  constructor(
    readonly region: Region,
    readonly extent: ZoneExtent,
    readonly ecc: number,
    readonly endian: Endian,
    oldParity = false,
  ) {
    const { data, blocks } = divideZone(extent.size, ecc, oldParity)!
    this.dataLength = data
    this.deep = extent.kind === 'dmesg' || ecc > 0
    this.#codec = ecc ? codec(ecc) : null
    this.#parity = zoneHeaderSize + data
    this.#headerParity = this.#parity + blocks * ecc
    this.#length = this.#headerParity + ecc
    this.#block = ecc ? sharedBlock : none
    this.#parityOut = ecc ? sharedParity.subarray(0, ecc) : none
  }

  #parse(header: Buffer): ZoneHeader {
    return judgeHeader(decodeZoneHeader(header, 0, this.endian), this.extent.kind, this.dataLength)
  }

  /**
   * The header's bytes as they stand, uncorrected: when they change, so has the zone.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  rawHeader(): Buffer {
    return this.region.load(this.extent.offset, zoneHeaderSize)
  }

  /**
   * The header alone, corrected and checked.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  header(): ZoneHeader {
    return this.#parse(this.#correctedHeader().header)
  }

  state(): ZoneState {
    return this.header().state
  }

  /** What the header says where that is not of a zone with content; null where it is. Throws as {@link header}. */
  doubt(): Doubt | null {
    const { header, errors } = this.#correctedHeader()
    const raw = decodeZoneHeader(header, 0, this.endian)
    return doubtOf(raw, this.extent.kind, this.dataLength, errors < 0)
  }

  /**
   * Where the ring stands; `settled` is false where the header does not fit its parity, `whole` where its numbers
   * are not those of a ring at rest, as they are for a moment in every append.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  position(): ReturnType<Ring['position']> & { kernel: number } {
    const { header, errors } = this.#correctedHeader()
    const { state, start, size, kernel } = this.#parse(header)
    const whole = state !== 'invalid' && (start === size || size === this.dataLength)
    return { start: start % this.dataLength, size, kernel, settled: errors === 0, whole }
  }

  /**
   * Some of the ring's bytes as they lie there, valid or not, corrected: `length` of them, not beyond
   * its end. Only the blocks that hold them are looked at. The caller's own.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  slice(from: number, length: number): Buffer {
    const data = this.extent.offset + zoneHeaderSize
    if (!this.#codec) return this.region.load(data + from, length)
    const first = Math.floor(from / blockSize)
    const start = first * blockSize
    const end = Math.min(Math.ceil((from + length) / blockSize) * blockSize, this.dataLength)
    const bytes = this.region.load(data + start, end - start)
    const parity = this.region.load(
      this.extent.offset + this.#parity + first * this.ecc,
      Math.ceil(bytes.length / blockSize) * this.ecc,
    )
    for (let at = 0, block = 0; at < bytes.length; at += blockSize, block++)
      this.#codec.decode(
        bytes,
        at,
        Math.min(blockSize, bytes.length - at),
        parity,
        block * this.ecc,
      )
    return bytes.subarray(from - start, from - start + length)
  }

  /**
   * How many bytes the ring holds, and the oldest of them, corrected: at most so many, and less than a block.
   *
   * @returns a view, valid until the next call
   * @throws StoreError (EIO) where the source cannot be read
   */
  front(most: number): { size: number; bytes: Buffer } {
    const length = this.#codec ? this.#length : Math.min(zoneHeaderSize + most, this.#length)
    const isNear = length <= smallZone
    const zone = sharedZone.subarray(0, length)
    if (isNear) {
      this.region.loadInto(zone, this.extent.offset, length)
      this.#codec?.decode(zone, 0, zoneHeaderSize, zone, this.#headerParity)
    }
    const { start, size } = isNear ? this.#parse(zone) : this.header()
    const from = start < size ? start : 0
    const wanted = Math.min(most, size - from)
    if (from > 0 || !isNear) return { size, bytes: this.slice(from, wanted) }
    const block = Math.min(blockSize, this.dataLength)
    if (size > 0) this.#codec?.decode(zone, zoneHeaderSize, block, zone, this.#parity)
    return { size, bytes: zone.subarray(zoneHeaderSize, zoneHeaderSize + wanted) }
  }

  /** The header as its parity mends it, and what decode said (0 without parity). */
  #correctedHeader(): { header: Buffer; errors: number } {
    const header = this.rawHeader()
    if (!this.#codec) return { header, errors: 0 }
    const parity = this.region.load(this.extent.offset + this.#headerParity, this.ecc)
    return { header, errors: this.#codec.decode(header, 0, zoneHeaderSize, parity, 0) }
  }

  copy(spare: Buffer | null): ZoneCopy {
    const { offset } = this.extent
    if (this.#length <= smallZone) {
      // A small zone takes no longer than its header.
      const zone = this.region.load(offset, this.#length)
      return { header: zone.subarray(0, zoneHeaderSize), data: zone.subarray(zoneHeaderSize) }
    }
    const header = this.rawHeader()
    const length = this.#codec ? this.#length - zoneHeaderSize : this.#parse(header).size
    if (spare?.length !== length)
      return { header, data: this.region.load(offset + zoneHeaderSize, length) }
    this.region.loadInto(spare, offset + zoneHeaderSize, length)
    return { header, data: spare }
  }

  head(): Buffer {
    return this.rawHeader()
  }

  positionIn(bytes: Buffer): RingPosition | null {
    const { state, start, size } = this.#parse(bytes)
    const isRing = state === 'valid' && this.extent.kind !== 'dmesg'
    return isRing ? { start: start % this.dataLength, size } : null
  }

  /**
   * The zone's content at one moment. A guest that writes meanwhile takes no lock: what is not of that
   * moment is cut.
   *
   * @param alone as of {@link copySteadily}
   * @param blocks is told of each block how parity found it
   * @throws StoreError (EIO) where the source cannot be read, or a dump does not rest
   */
  read(alone = true, blocks?: Uint8Array): ZoneHeader & ZoneContent {
    const { copy, before, kept } = copySteadily(this, alone)
    const { header, data } = copy
    const { size } = this.#parse(header)
    // Before anything is corrected: the version is that of the bytes as they lie there.
    const version = before
      ? movingVersion()
      : this.#version(header, () => zlib.crc32(this.#codec ? data : data.subarray(0, size)))
    const ecc = this.#codec && this.#correct(copy, before, blocks)
    const parsed = this.#parse((before ?? copy).header)
    const content = unwrap(data.subarray(0, parsed.size), parsed.start)
    return { ...parsed, version, ecc, ...cutTo(content, kept) }
  }

  /**
   * Correct a copy by its parity.
   *
   * @param before the copy before, of a zone that did not rest: it is read by that one's header, whose parity
   *   comes later, and a block that differs is not damaged, but being written
   */
  #correct({ header, data }: ZoneCopy, before: ZoneCopy | null, blocks?: Uint8Array): EccState {
    const ecc: EccState = { corrected: 0, bad: 0 }
    const count = (n: number): number => {
      if (n > 0) ecc.corrected += n
      else if (n < 0) ecc.bad++
      return n
    }
    const decode = (bytes: Buffer, at: number, length: number, parity: number): number =>
      this.#codec!.decode(bytes, at, length, data, parity)
    const moved = (from: number, length: number): boolean =>
      before !== null && data.compare(before.data, from, from + length, from, from + length) !== 0
    if (!before) count(decode(header, 0, zoneHeaderSize, this.#headerParity - zoneHeaderSize))
    const { size } = this.#parse((before ?? { header }).header)
    // Only blocks that hold valid bytes count; the last one ends with the data.
    for (let at = 0, block = 0; at < size; at += blockSize, block++) {
      const length = Math.min(blockSize, this.dataLength - at)
      const parity = this.dataLength + block * this.ecc
      const isMoving = moved(at, length) || moved(parity, this.ecc)
      const found = decode(data, at, length, parity)
      const n = isMoving ? 0 : count(found)
      if (blocks) blocks[block] = n === 0 ? cleanBlock : n > 0 ? correctedBlock : badBlock
    }
    return ecc
  }

  /**
   * The zone as it stands, block by block, for those who look for damage.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  inspect(): Inspected {
    if (!this.#codec) return { ...this.read(), blocks: null, headerErrors: 0 }
    const headerErrors = this.#correctedHeader().errors
    const blocks = new Uint8Array(Math.ceil(this.dataLength / blockSize))
    return { ...this.read(true, blocks), blocks, headerErrors }
  }

  /**
   * The zone's version, and the size that its header says. In a deep zone it takes one pass over the bytes
   * that count, in pieces that nobody keeps.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  glance(): { version: string; size: number } {
    // A small zone takes no longer than its header.
    const isSmall = this.deep && this.#length <= smallZone
    if (isSmall) this.region.loadInto(sharedZone, this.extent.offset, this.#length)
    const header = isSmall ? sharedZone.subarray(0, zoneHeaderSize) : this.rawHeader()
    const { size } = this.#parse(header)
    const length = this.#codec ? this.#length - zoneHeaderSize : size
    const sum = (): number =>
      isSmall
        ? zlib.crc32(sharedZone.subarray(zoneHeaderSize, zoneHeaderSize + length))
        : checksum(this.region, this.extent.offset + zoneHeaderSize, length)
    return { version: this.#version(header, sum), size }
  }

  /** @param sum of the bytes that count, where the header does not tell of all changes */
  #version(header: Buffer, sum: () => number): string {
    // The numbers beside the sum: two dumps of one sum have yet to be of one length.
    return `${header.toString('latin1')}${this.deep ? sum() : ''}`
  }

  /**
   * Append to the ring (doc/formats.md 1.4), in the order of ARCHITECTURE.md 5: bytes, their parity, header,
   * its parity. The kernel moves the header first; a crash then shows bytes that nobody wrote.
   *
   * In a ring that has wrapped, the oldest bytes give way before the header moves: a kill in between
   * leaves pieces of the new where they were. No header could hide only those (it names a prefix of
   * the data), and hiding more would lose more.
   *
   * @param epoch of the lock that the caller holds ({@link SourceLock.hold})
   * @throws StoreError (EIO) where the source has become shorter or cannot be written
   */
  append(bytes: Uint8Array, epoch: number): void {
    if (epoch !== this.#epoch) this.#begin(epoch)
    // Of more than the ring holds, only the end stays.
    const from = Math.max(0, bytes.length - this.dataLength)
    const length = bytes.length - from
    if (length === 0) return
    const first = Math.min(length, this.dataLength - this.#start)
    this.#put(bytes, from, from + first, this.#start)
    if (first < length) this.#put(bytes, from + first, bytes.length, 0)
    const end = this.#start + length
    // In every ring that a writer made, start is size until it is full, and this is Linux's
    // `min(size + n, data length)`; in one that was tampered with, it takes in no stray bytes.
    this.#size = Math.max(this.#size, Math.min(end, this.dataLength))
    this.#start = end % this.dataLength
    this.#putHeader()
  }

  /**
   * Empty the ring (doc/formats.md 1.5): the signature and the old bytes stay.
   *
   * @param epoch of the lock that the caller holds
   */
  erase(epoch: number): void {
    // What is no zone holds no record, and stays as it is.
    if (this.header().state === 'unsigned') return
    if (epoch !== this.#epoch) this.#begin(epoch)
    this.#start = this.#size = 0
    this.#putHeader()
  }

  /**
   * Empty the ring, and make one of what is none, for the writers to come.
   *
   * @param epoch of the lock that the caller holds
   */
  restart(epoch: number): void {
    this.#begin(epoch)
    if (this.header().state === 'empty') return
    this.#start = this.#size = 0
    this.#putHeader()
  }

  /** Learn where the ring stands. A zone that Linux would take for new is signed, as Linux does. */
  #begin(epoch: number): void {
    this.region.checkSize()
    const { header, errors } = this.#correctedHeader()
    const { state, start, size } = this.#parse(header)
    this.#mended = -1
    // The header is about to get a new parity, which would make an error in its signature good.
    if (errors > 0 && state !== 'unsigned') this.region.store(this.extent.offset, header)
    if (state === 'unsigned' || state === 'invalid') {
      // The numbers first: garbage must not become valid by being signed.
      this.#start = this.#size = 0
      this.#putHeader()
      // Only what is unsigned: an ftrace zone's signature says which kernel wrote it.
      if (state === 'unsigned') this.#sign()
    }
    this.#start = start === this.dataLength ? 0 : start
    this.#size = size
    this.#epoch = epoch
  }

  #put(bytes: Uint8Array, from: number, to: number, at: number): void {
    const data = this.extent.offset + zoneHeaderSize
    if (!this.#codec) {
      this.region.store(data + at, bytes, from, to)
      return
    }
    // Block by block, so that at any moment at most one lacks its parity.
    while (from < to) {
      const block = Math.floor(at / blockSize)
      const blockStart = block * blockSize
      const length = Math.min(blockSize, this.dataLength - blockStart)
      const n = Math.min(to - from, blockStart + length - at)
      if (n < length && blockStart < this.#size) this.#mend(block, length)
      this.#mended = block
      this.region.store(data + at, bytes, from, from + n)
      this.region.loadInto(this.#block, data + blockStart, length)
      this.#codec.encode(this.#block, 0, length, this.#parityOut, 0)
      this.region.store(this.extent.offset + this.#parity + block * this.ecc, this.#parityOut)
      from += n
      at += n
    }
  }

  /**
   * Correct the bytes of a block that stay when others are written to it: its new parity would make
   * their errors good.
   */
  #mend(block: number, length: number): void {
    if (block === this.#mended) return
    const at = this.extent.offset + zoneHeaderSize + block * blockSize
    this.region.loadInto(this.#block, at, length)
    this.region.loadInto(
      this.#parityOut,
      this.extent.offset + this.#parity + block * this.ecc,
      this.ecc,
    )
    if (this.#codec!.decode(this.#block, 0, length, this.#parityOut, 0) > 0)
      this.region.store(at, this.#block, 0, length)
  }

  /** Where it lies on a disk, what was stored before is there before the header is, and all is at the end. */
  #putHeader(): void {
    this.region.settle()
    const numbers = encodeNumbers(this.#start, this.#size, this.endian)
    this.region.store(this.extent.offset + numbersOffset, numbers)
    this.#putHeaderParity()
    this.region.settle()
  }

  #putHeaderParity(): void {
    if (!this.#codec) return
    this.region.loadInto(this.#block, this.extent.offset, zoneHeaderSize)
    this.#codec.encode(this.#block, 0, zoneHeaderSize, this.#parityOut, 0)
    this.region.store(this.extent.offset + this.#headerParity, this.#parityOut)
  }

  #sign(): void {
    this.region.store(this.extent.offset, encodeSignature(this.extent.kind, this.endian))
    this.#putHeaderParity()
  }
}
