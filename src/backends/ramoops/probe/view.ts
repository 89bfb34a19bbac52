/** A source as the search for layouts sees it: headers and contents, read once each, at a bounded cost. */
import type { Region } from '../../../region/region.js'
import { divideZone } from '../layout.js'
import { zoneHeaderSize, type RawHeader } from '../zone-header.js'
import { Zone } from '../zone.js'
import { codec, maxEccSize } from '../ecc.js'
import { classify, cpusOf, isFtrace, sampleSize, type ContentKind } from './classify.js'
import { decodeSigned, isPossible, topByte, topByteAt } from './signatures.js'
import type { Endian } from '../../../pstore/types.js'

/** Bytes of an empty zone that are looked at for what it held. */
const leftoverSize = 1024
/** How a dump's header line begins (dmesg-header.ts). */
const dumpStart = Buffer.from('====')
/** How far behind an ftrace zone the next CPU's is looked for. */
const nextCpuReach = 2 ** 24
/** How far into a range ftrace zones are looked for. */
const ftraceReach = 2 ** 20
/** The most that an ftrace zone is believed to hold: noise often has larger numbers. */
const largestFtrace = 2 ** 24
/** Headers of ftrace zones that one search takes. */
const mostFtraceHeaders = 8
/** Zones up to this size are read as a whole, and corrected, to classify their content. */
const wholeZone = 2 ** 20
/** `DBGC` that a search for possible headers looks at, for each header that it wants. */
const mostImpossible = 64

/** What looking at a source may cost, in zones: a hostile source makes every layout possible. */
export class Budget {
  left = 2 ** 21
  /** Take some of the budget; false where it is used up. */
  spend(amount: number): boolean {
    this.left -= amount
    return this.left > 0
  }
}
/** Bytes whose search for a signature costs as much as looking at a zone. */
const bytesPerZone = 2 ** 14
/** The cost of trying parity on a header. */
const correctionCost = 4

/** What is known of zones, by their offset, for each size and parity. */
class ZoneCache<T> {
  readonly #byForm = new Map<number, Map<number, T>>()

  with(size: number, ecc: number): Map<number, T> {
    const key = size * (maxEccSize + 1) + ecc
    let known = this.#byForm.get(key)
    if (!known) this.#byForm.set(key, (known = new Map<number, T>()))
    return known
  }
}

export class View {
  readonly #headers = new Map<number, RawHeader | null>()
  readonly #corrected = new ZoneCache<RawHeader | null>()
  readonly #contents = new ZoneCache<ContentKind>()
  /** Offsets at which ftrace zones' headers were found. */
  readonly #ftrace = new Set<number>()
  readonly #spacings = new Map<number, number[]>()

  /**
   * @param plain offsets of `DBGC`, ascending
   * @param end the end of the memory that the region is in
   */
  constructor(
    readonly region: Region,
    readonly plain: readonly number[],
    readonly endian: Endian,
    readonly end: number,
    readonly budget: Budget,
  ) {}

  /** The header at an offset, uncorrected; null where there is none. */
  header(at: number): RawHeader | null {
    let header = this.#headers.get(at)
    if (header !== undefined) return header
    this.budget.spend(1)
    const isInside = at >= 0 && at + zoneHeaderSize <= this.end
    header = isInside ? decodeSigned(this.region.load(at, zoneHeaderSize), 0, this.endian) : null
    this.#headers.set(at, header)
    return header
  }

  /** Is there a header with the signature of any zone but ftrace's? */
  isPlain(at: number): boolean {
    return this.header(at)?.code === 0
  }

  /** Is there an ftrace zone's header, with possible numbers? */
  isFtrace(at: number): boolean {
    const header = this.header(at)
    if (!header?.code || !isPossible(header) || header.size > largestFtrace) return false
    this.#ftrace.add(at)
    return true
  }

  /**
   * Does a dump's header line stand where the data of a zone at an offset would be? A signature must
   * follow, so that the line is within the source.
   */
  hasDump(at: number): boolean {
    return this.region.load(at + zoneHeaderSize, dumpStart.length).equals(dumpStart)
  }

  /** The header of a zone as its parity corrects it; null where it needs none, or gets none. */
  correctedHeader(at: number, size: number, ecc: number): RawHeader | null {
    // Each shape with that zone asks again: 16 KiB of hostile headers make a million questions.
    const known = this.#corrected.with(size, ecc)
    let header = known.get(at)
    if (header !== undefined) return header
    header = this.budget.spend(correctionCost) ? this.#correct(at, size, ecc) : null
    known.set(at, header)
    return header
  }

  #correct(at: number, size: number, ecc: number): RawHeader | null {
    const division = divideZone(size, ecc)
    if (!division || at + size > this.end) return null
    const bytes = this.region.load(at, zoneHeaderSize)
    const parityAt = at + zoneHeaderSize + division.data + division.blocks * ecc
    const parity = this.region.load(parityAt, ecc)
    if (codec(ecc).decode(bytes, 0, zoneHeaderSize, parity, 0) <= 0) return null
    const header = decodeSigned(bytes, 0, this.endian)
    return header && header.size <= division.data && header.start <= header.size ? header : null
  }

  /** The index of the first `DBGC` at or behind an offset. */
  #indexFrom(at: number): number {
    let low = 0
    let high = this.plain.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.plain[middle]! < at) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Up to `count` offsets of `DBGC` with possible numbers, from an offset on. */
  possibleFrom(at: number, count: number): number[] {
    const found: number[] = []
    const first = this.#indexFrom(at)
    // A hostile source has many headers that are not possible.
    const end = Math.min(this.plain.length, first + mostImpossible * count)
    for (let i = first; i < end; i++) {
      const header = this.header(this.plain[i]!)
      if (header && isPossible(header) && found.push(this.plain[i]!) === count) break
    }
    return found
  }

  /** The number of `DBGC` in a range, up to `most`. */
  plainIn(from: number, to: number, most: number): number {
    const first = this.#indexFrom(from)
    let count = 0
    while (count < most && (this.plain[first + count] ?? Infinity) < to) count++
    return count
  }

  /** The same, and with them the headers of ftrace zones that were found. */
  signaturesIn(from: number, to: number, most: number): number {
    let count = this.plainIn(from, to, most)
    for (const at of this.#ftrace) if (count < most && at >= from && at < to) count++
    return count
  }

  /** The distances at which the next CPUs' ftrace zones may lie: they carry the same signature. */
  spacings(at: number): number[] {
    const known = this.#spacings.get(at)
    if (known) return known
    const found: number[] = []
    const length = Math.min(nextCpuReach, this.end - at)
    if (!this.budget.spend(length / bytesPerZone)) return found
    const bytes = this.region.load(at, length)
    const signature = Buffer.from(bytes.subarray(0, 4))
    for (
      let next = bytes.indexOf(signature, zoneHeaderSize);
      next >= 0 && next + zoneHeaderSize <= length && found.length < mostFtraceHeaders;
      next = bytes.indexOf(signature, next + 1)
    ) {
      const header = decodeSigned(bytes, next, this.endian)
      if (next % 2 || !header || !isPossible(header)) continue
      found.push(next)
      this.#ftrace.add(at + next)
    }
    this.#spacings.set(at, found)
    return found
  }

  /** Offsets of ftrace zones' headers in the first part of a range. */
  ftraceIn(from: number, to: number): number[] {
    const found: number[] = []
    const length = Math.min(to - from, ftraceReach)
    if (length < zoneHeaderSize || !this.budget.spend(length / bytesPerZone)) return found
    const bytes = this.region.load(from, length)
    const topAt = topByteAt[this.endian]
    let top = bytes.indexOf(topByte, topAt)
    for (; top >= 0 && found.length < mostFtraceHeaders; top = bytes.indexOf(topByte, top + 1)) {
      const at = top - topAt
      if (at % 2 || at + zoneHeaderSize > length) continue
      const header = decodeSigned(bytes, at, this.endian)
      if (!header?.code || header.size > largestFtrace) continue
      // Noise has such headers, too: only an empty zone's, or one with records, is believed.
      const isEmpty = header.start === 0 && header.size === 0
      if (isEmpty || this.holdsFtrace(from + at)) found.push(from + at)
    }
    return found
  }

  /**
   * The kind of a zone's content.
   *
   * @param header as it stands, or as its parity corrects it; its numbers fit the zone
   */
  content(at: number, size: number, ecc: number, header: RawHeader): ContentKind {
    const known = this.#contents.with(size, ecc)
    let content = known.get(at)
    if (content === undefined)
      known.set(at, (content = classify(this.#oldest(at, size, ecc, header))))
    return content
  }

  /**
   * The kind of the bytes that are left in an empty zone: erasing changes only its header, and so does
   * Linux as it attaches.
   */
  leftover(at: number, size: number): ContentKind {
    const bytes = this.region.load(
      at + zoneHeaderSize,
      Math.max(0, Math.min(leftoverSize, size - zoneHeaderSize)),
    )
    const end = bytes.indexOf(0)
    return classify(end < 0 ? bytes : bytes.subarray(0, end))
  }

  /** Does an ftrace zone hold ftrace records? */
  holdsFtrace(at: number): boolean {
    return isFtrace(this.#newest(at))
  }

  /** Are records left in an empty ftrace zone? They may begin anywhere: the ring may have wrapped. */
  heldFtrace(at: number): boolean {
    const from = at + zoneHeaderSize
    const bytes = this.region.load(from, Math.min(leftoverSize, this.end - from))
    let end = bytes.length
    while (end > 0 && bytes[end - 1] === 0) end--
    return Array.from({ length: 24 }, (_, phase) => bytes.subarray(phase, end)).some(isFtrace)
  }

  /** Does one ftrace zone hold records of another CPU than the first? */
  sharedByCpus(at: number): boolean {
    const bytes = this.#newest(at)
    return isFtrace(bytes) && cpusOf(bytes, this.endian).some(cpu => cpu > 0)
  }

  /** The last bytes that were written to a zone, uncorrected. */
  #newest(at: number): Buffer {
    const header = this.header(at)
    if (!header || !isPossible(header)) return Buffer.alloc(0)
    const end = header.start || header.size
    const from = Math.max(0, end - sampleSize)
    const data = at + zoneHeaderSize
    return data + end > this.end ? Buffer.alloc(0) : this.region.load(data + from, end - from)
  }

  /** The first bytes of a zone's content, oldest byte first; corrected unless the zone is large. */
  #oldest(at: number, size: number, ecc: number, header: RawHeader): Buffer {
    if (size <= wholeZone) {
      const extent = { kind: 'console' as const, index: 0, offset: at, size }
      return new Zone(this.region, extent, ecc, this.endian).read().content.subarray(0, sampleSize)
    }
    const { start } = header
    const wrapped = start !== header.size
    const first = this.region.load(
      at + zoneHeaderSize + (wrapped ? start : 0),
      Math.min(sampleSize, wrapped ? header.size - start : header.size),
    )
    if (first.length === sampleSize || !wrapped) return first
    const rest = Math.min(sampleSize - first.length, start)
    return Buffer.concat([first, this.region.load(at + zoneHeaderSize, rest)])
  }
}
