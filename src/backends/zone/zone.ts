/**
 * A zone of pstore/zone: a ring, or a place for one dump.
 *
 * Source: doc/formats.md 3; fs/pstore/zone.c (psz_recover_zone, psz_kmsg_recover_meta, psz_record_write,
 * psz_kmsg_write_record). Reading changes nothing.
 */
import os from 'node:os'
import zlib from 'node:zlib'
import type { Ring, RingPosition } from '../../pstore/ring.js'
import type { Endian, ZoneExtent, ZoneState } from '../../pstore/types.js'
import type { Region } from '../../region/region.js'
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
import {
  encodeZoneHeader,
  isSigned,
  kmsgHeaderSize,
  decodeKmsgHeader,
  decodeZoneHeader,
  signatureOf,
  zoneHeaderSize,
  type KmsgHeader,
} from './header.js'
import { doubtOf } from './lost-header.js'

/** A zone's header, checked. */
export interface ZoneStatus {
  state: ZoneState
  /** Number of valid bytes; 0 unless the state is `valid`. */
  datalen: number
  /** Where the next byte goes, at most `datalen`; 0 unless the state is `valid`, and for a dump. */
  start: number
}

/** datalen and start, to be stored at once: a kill never leaves half a header. */
const numbers = new Uint8Array(8)
const words = new Uint32Array(numbers.buffer)
const numbersOffset = 4

/** A u32 in the other byte order. */
const swap = (n: number): number =>
  ((n << 24) | ((n & 0xff00) << 8) | ((n >>> 8) & 0xff00) | (n >>> 24)) >>> 0

export class Zone implements RingZone, Copyable {
  /** Bytes behind the header. */
  readonly dataLength: number
  /** A ring's size is in its header, and its bytes do not change without it; a dump's facts take the bytes. */
  readonly deep: boolean
  /** Where the zone's data starts in the region. */
  readonly #data: number
  /** How much of the zone tells that another dump, or another piece of a ring, is in it. */
  readonly #headLength: number
  /** The zone's byte order is not this machine's. */
  readonly #foreign: boolean
  /** The header's numbers as a writer knows them, valid under one hold of the lock. */
  #epoch = 0
  #datalen = 0
  #start = 0

  constructor(
    readonly region: Region,
    readonly extent: ZoneExtent,
    readonly endian: Endian,
  ) {
    this.dataLength = extent.size - zoneHeaderSize
    this.deep = extent.kind === 'dmesg'
    this.#data = extent.offset + zoneHeaderSize
    this.#headLength = zoneHeaderSize + (extent.kind === 'dmesg' ? kmsgHeaderSize : 0)
    this.#foreign = (endian === 'big') !== (os.endianness() === 'BE')
  }

  /** Make sense of a header; its numbers are used by nobody before this has checked them. */
  #parse(head: Buffer): ZoneStatus {
    const { sig, datalen, start } = decodeZoneHeader(head, this.endian)
    const is = (state: ZoneState): ZoneStatus => ({ state, datalen: 0, start: 0 })
    if (!isSigned(sig, this.extent.kind)) return is('unsigned')
    if (datalen === 0) return is('empty')
    if (datalen > this.dataLength) return is('invalid')
    // Linux does not look at a dump's start.
    if (this.extent.kind === 'dmesg') return { state: 'valid', datalen, start: 0 }
    // Where start is beyond the valid bytes, Linux fails to read the zone, and all others with it.
    return start > datalen ? is('invalid') : { state: 'valid', datalen, start }
  }

  /**
   * The header alone, checked.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  status(): ZoneStatus {
    return this.#parse(this.region.load(this.extent.offset, zoneHeaderSize))
  }

  /** What the header says where that is not of a zone with content; null where it is. Throws as {@link status}. */
  doubt(): Doubt | null {
    const { state } = this.status()
    if (state === 'valid') return null
    const header = decodeZoneHeader(this.head(), this.endian)
    return doubtOf(header, state, this.extent.kind, this.dataLength)
  }

  /**
   * Where the ring stands. There is no parity that could unsettle it.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  position(): ReturnType<Ring['position']> & { kernel: number } {
    const { state, start, datalen: size } = this.status()
    const whole = state !== 'invalid' && (start === size || size === this.dataLength)
    return { start: start % this.dataLength, size, settled: true, whole, kernel: 0 }
  }

  /**
   * Some of the ring's bytes as they lie there, valid or not: `length` of them, not beyond its end.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  slice(from: number, length: number): Buffer {
    return this.region.load(this.#data + from, length)
  }

  /**
   * A dmesg zone's second header, also of a dump that was erased; null where there is none.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  kmsgHeader(): KmsgHeader | null {
    return this.turn().header
  }

  /** The same, and whether there is no dump in the zone. */
  turn(): { header: KmsgHeader | null; free: boolean } {
    const head = this.head()
    const { state, datalen } = this.#parse(head)
    if (state === 'unsigned' || state === 'invalid') return { header: null, free: true }
    return {
      header: decodeKmsgHeader(head.subarray(zoneHeaderSize), this.endian),
      free: datalen === 0,
    }
  }

  copy(spare: Buffer | null): ZoneCopy {
    const header = this.region.load(this.extent.offset, zoneHeaderSize)
    const { datalen } = this.#parse(header)
    if (spare?.length !== datalen) return { header, data: this.region.load(this.#data, datalen) }
    this.region.loadInto(spare, this.#data, datalen)
    return { header, data: spare }
  }

  /** The header's bytes, and a dump's own header's, as they stand. */
  head(): Buffer {
    return this.region.load(this.extent.offset, this.#headLength)
  }

  positionIn(bytes: Buffer): RingPosition | null {
    const { datalen: size, start } = this.#parse(bytes)
    return size && this.extent.kind !== 'dmesg' ? { start: start % this.dataLength, size } : null
  }

  /**
   * The zone's bytes at one moment: a ring's oldest first, a dump with its header. A guest that writes
   * meanwhile takes no lock: what is not of that moment is cut.
   *
   * @param alone as of {@link copySteadily}
   * @throws StoreError (EIO) where the source cannot be read, or a dump does not rest
   */
  read(alone = true): ZoneContent {
    const { copy, before, kept } = copySteadily(this, alone)
    const { datalen, start } = this.#parse((before ?? copy).header)
    const data = copy.data.subarray(0, datalen)
    const version = before ? movingVersion() : this.#version(copy.header, () => zlib.crc32(data))
    return { version, ecc: null, kernel: 0, ...cutTo(unwrap(data, start), kept) }
  }

  /**
   * The zone's version, and the size that its header says. Of a dump it takes one pass over its bytes.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  glance(): { version: string; size: number } {
    const header = this.region.load(this.extent.offset, zoneHeaderSize)
    const { datalen: size } = this.#parse(header)
    return { version: this.#version(header, () => checksum(this.region, this.#data, size)), size }
  }

  #version(header: Buffer, sum: () => number): string {
    return `${header.toString('latin1')}${this.deep ? sum() : ''}`
  }

  /**
   * Append to a ring, in the order of ARCHITECTURE.md 5: bytes, then the header. Linux has the same order,
   * but stores a ring's wrapped end with a header of its own that hides all older bytes for a moment.
   *
   * In a ring that has wrapped, the oldest bytes give way before the header moves: a kill in between
   * leaves pieces of the new where they were. No header could hide only those (it names a prefix of
   * the data), and hiding more would lose more.
   *
   * @param epoch of the lock that the caller holds (SourceLock.hold)
   * @throws StoreError (EIO) where the source has become shorter or cannot be written
   */
  append(bytes: Uint8Array, epoch: number): void {
    if (epoch !== this.#epoch) this.#begin(epoch)
    // Of more than the ring holds, only the end stays.
    const from = Math.max(0, bytes.length - this.dataLength)
    const length = bytes.length - from
    if (length === 0) return
    const first = Math.min(length, this.dataLength - this.#start)
    if (first > 0) this.region.store(this.#data + this.#start, bytes, from, from + first)
    if (first < length) this.region.store(this.#data, bytes, from + first, bytes.length)
    this.region.settle()
    // In every ring that a writer made, start is datalen until it is full, and this is Linux's sum;
    // in one that was tampered with, it takes in no stray bytes. At the ring's very end start stays
    // there, as Linux leaves it.
    const end = this.#start + length
    const datalen = Math.max(this.#datalen, Math.min(end, this.dataLength))
    this.#putNumbers(datalen, end > this.dataLength ? end - this.dataLength : end)
    this.region.settle()
  }

  /**
   * Replace what the zone holds by a dump, header included, and zeros behind it, as Linux does. The
   * old dump goes first: no moment shows a part of each.
   *
   * @param dump at most `dataLength` bytes
   * @param epoch of the lock that the caller holds
   * @throws StoreError (EIO) where the source has become shorter or cannot be written
   */
  replace(dump: Uint8Array, epoch: number): void {
    if (epoch !== this.#epoch) this.#begin(epoch)
    const data = Buffer.alloc(this.dataLength)
    data.set(dump)
    this.#putNumbers(0, 0)
    this.region.settle()
    this.region.store(this.#data, data)
    this.region.settle()
    this.#putNumbers(dump.length, 0)
    this.region.settle()
  }

  /**
   * Empty the zone: the signature and the old bytes stay.
   *
   * @param epoch of the lock that the caller holds
   * @throws StoreError (EIO) where the source has become shorter or cannot be written
   */
  erase(epoch: number): void {
    // What is no zone holds no record, and stays as it is.
    if (this.status().state === 'unsigned') return
    if (epoch !== this.#epoch) this.#begin(epoch)
    this.#putNumbers(0, 0)
    this.region.settle()
  }

  /**
   * Empty the ring, and make one of what is none, for the writers to come.
   *
   * @param epoch of the lock that the caller holds
   */
  restart(epoch: number): void {
    this.#begin(epoch)
    if (this.status().state !== 'empty') this.#putNumbers(0, 0)
    this.region.settle()
  }

  /** Learn where the zone stands. One that Linux would take for new is signed, as Linux does. */
  #begin(epoch: number): void {
    this.region.checkSize()
    const { state, datalen, start } = this.status()
    if (state === 'unsigned' || state === 'invalid') {
      // The numbers first: garbage must not become valid by being signed.
      this.#putNumbers(0, 0)
      if (state === 'unsigned') this.#sign()
    }
    this.#datalen = datalen
    this.#start = start
    this.#epoch = epoch
  }

  #putNumbers(datalen: number, start: number): void {
    this.#datalen = datalen
    this.#start = start
    words[0] = this.#foreign ? swap(datalen) : datalen
    words[1] = this.#foreign ? swap(start) : start
    this.region.store(this.extent.offset + numbersOffset, numbers)
  }

  #sign(): void {
    const sig = signatureOf(this.extent.kind)
    const header = encodeZoneHeader({ sig, datalen: 0, start: 0 }, this.endian)
    this.region.store(this.extent.offset, header, 0, numbersOffset)
  }
}
