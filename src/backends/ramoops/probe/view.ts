/** A source as the search for layouts sees it: headers and contents, read once each, at a bounded cost. */
import type { Region } from '../../../region/region.js'
import { divideZone } from '../layout.js'
import {
  decodeZoneHeader,
  isVersionCode,
  wrongBits,
  zoneHeaderSize,
  type RawHeader,
} from '../zone-header.js'
import { Zone } from '../zone.js'
import { codec } from '../ecc.js'
import { Blocks } from './blocks.js'
import { classify, cpusOf, isFtrace, sampleSize, type ContentKind } from './classify.js'
import {
  decodeSigned,
  isNearVersion,
  isPossible,
  mostWrongBits,
  topByte,
  topByteAt,
  wrongBitsOf,
} from './signatures.js'
import { ZoneCache } from './zone-cache.js'
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
/** The same where its signature may have wrong bits. */
const decayedReach = 2 ** 20
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

/** The cost of classifying a zone's content. */
const contentCost = 8

/** The cost of looking for ftrace's records. */
const ftraceCost = 32

/** A header that a zone may have, its signature perhaps with a few wrong bits. */
export interface Mark extends RawHeader {
  /** True where it may be any zone's but ftrace's. */
  readonly plain: boolean
  /** True where it may be an ftrace zone's. Of both: neither the signature nor the content decides. */
  readonly ftrace: boolean
  /** Wrong bits of the signature, if it is the kind's that it is taken for. */
  readonly wrong: number
  /** True where nothing is left of it: what lies behind it tells that it was there. */
  readonly lost?: true
}

/** A header that is lost: where it was, and whether ftrace's records lie behind it. */
export interface LostHeader {
  readonly at: number
  readonly ftrace: boolean
}

/** The mark of a header that parity has corrected. */
export const markOf = (header: RawHeader): Mark => ({
  ...header,
  plain: header.code === 0,
  ftrace: header.code > 0,
  wrong: 0,
})

export class View {
  readonly #headers = new Map<number, Mark | null>()
  /** Headers that the signatures do not show: ftrace zones' with wrong bits by others like them, lost ones by dumps. */
  readonly #decayed = new Map<number, Mark>()
  readonly #corrected = new ZoneCache<RawHeader | null>()
  readonly #contents = new ZoneCache<ContentKind>()
  readonly #leftovers = new ZoneCache<ContentKind>()
  /** Offsets at which ftrace zones' headers were found. */
  readonly #ftrace = new Set<number>()
  readonly #spacings = new Map<number, number[]>()
  #plain: readonly number[]

  /**
   * @param plain offsets of `DBGC`, also of decayed ones, ascending
   * @param end the end of the memory that the region is in
   * @param blocks of the region, which the views of one search share
   */
  constructor(
    readonly region: Region,
    plain: readonly number[],
    readonly endian: Endian,
    readonly end: number,
    readonly budget: Budget,
    readonly blocks: Blocks = new Blocks(region),
  ) {
    this.#plain = plain
  }

  /** Forget what can be looked at again: a source may have many regions, and only the end asks for them once more. */
  forget(): void {
    this.#headers.clear()
    this.#corrected.clear()
    this.#contents.clear()
    this.#leftovers.clear()
  }

  /** Take headers that are lost for marks of zones. */
  addLost(headers: readonly LostHeader[]): void {
    const numbers = { code: 0, start: 0, size: 0, wrong: 32 }
    for (const { at, ftrace } of headers) {
      this.#decayed.set(at, { ...numbers, plain: !ftrace, ftrace, lost: true })
      if (ftrace) this.#ftrace.add(at)
    }
    const plain = headers.flatMap(({ at, ftrace }) => (ftrace ? [] : [at]))
    this.#plain = [...new Set([...this.#plain, ...plain])].sort((a, b) => a - b)
    this.#spacings.clear()
  }

  /** The header at an offset, uncorrected; null where there is none. */
  header(at: number): Mark | null {
    let header = this.#decayed.get(at) ?? this.#headers.get(at)
    if (header !== undefined) return header
    this.budget.spend(1)
    const isInside = at >= 0 && at + zoneHeaderSize <= this.end
    header = isInside ? this.#markAt(at) : null
    this.#headers.set(at, header)
    return header
  }

  #markAt(at: number): Mark | null {
    const header = decodeZoneHeader(this.blocks.load(at, zoneHeaderSize), 0, this.endian)
    const bits = wrongBits(header.code)
    const isVersion = isVersionCode(header.code)
    if (bits > mostWrongBits) {
      if (isVersion) return markOf(header)
      // Wrong bits may have made a version one that no kernel had: records tell.
      return isNearVersion(header.code) && header.size > 0 && this.#hasRecords(at, header)
        ? { ...header, plain: false, ftrace: true, wrong: 1 }
        : null
    }
    if (!isVersion) return { ...header, plain: true, ftrace: false, wrong: bits }
    // A few wrong bits can make a version of `DBGC`: 4.0.0 is one bit. Records tell, where there are any.
    if (header.size > 0)
      return this.#hasRecords(at, header)
        ? markOf(header)
        : { ...header, plain: true, ftrace: false, wrong: bits }
    return { ...header, plain: true, ftrace: true, wrong: bits }
  }

  /** Is there a header with the signature of any zone but ftrace's? */
  isPlain(at: number): boolean {
    return this.header(at)?.plain ?? false
  }

  /** Is there an ftrace zone's header, with possible numbers? */
  isFtrace(at: number): boolean {
    const header = this.header(at)
    if (!header?.ftrace || !isPossible(header) || header.size > largestFtrace) return false
    this.#ftrace.add(at)
    return true
  }

  /**
   * Does a dump's header line stand where the data of a zone at an offset would be? A signature must
   * follow, so that the line is within the source.
   */
  hasDump(at: number): boolean {
    return this.blocks.load(at + zoneHeaderSize, dumpStart.length).equals(dumpStart)
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
    const mended = this.#mend(at, size, ecc)
    if (!mended || mended.wrong <= 0) return null
    const header = decodeSigned(mended.bytes, 0, this.endian)
    return header && header.size <= mended.room && header.start <= header.size ? header : null
  }

  /** Is a zone's header one that its parity has, or could mend? */
  fitsParity({ offset, size }: { offset: number; size: number }, ecc: number): boolean {
    const mended = this.#mend(offset, size, ecc)
    return !mended || mended.wrong >= 0
  }

  /**
   * A zone's header, by its parity; null where it is no zone of that size.
   *
   * @returns its bytes, how many of them were wrong, below 0 where too many are, and the bytes of the zone's ring
   */
  #mend(
    at: number,
    size: number,
    ecc: number,
  ): { bytes: Buffer; wrong: number; room: number } | null {
    const division = divideZone(size, ecc)
    if (!division || at + size > this.end) return null
    const bytes = this.region.load(at, zoneHeaderSize)
    const parityAt = at + zoneHeaderSize + division.data + division.blocks * ecc
    const parity = this.region.load(parityAt, ecc)
    const wrong = codec(ecc).decode(bytes, 0, zoneHeaderSize, parity, 0)
    return { bytes, wrong, room: division.data }
  }

  /** The index of the first `DBGC` at or behind an offset. */
  #indexFrom(at: number): number {
    let low = 0
    let high = this.#plain.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#plain[middle]! < at) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Up to `count` offsets of `DBGC` with possible numbers, from an offset on. */
  possibleFrom(at: number, count: number): number[] {
    const found: number[] = []
    const first = this.#indexFrom(at)
    // A hostile source has many headers that are not possible.
    const end = Math.min(this.#plain.length, first + mostImpossible * count)
    for (let i = first; i < end; i++) {
      const header = this.header(this.#plain[i]!)
      if (header?.plain && isPossible(header) && found.push(this.#plain[i]!) === count) break
    }
    return found
  }

  /** The first offsets of `DBGC` behind one, with any numbers. */
  plainBehind(at: number, count: number): readonly number[] {
    const first = this.#indexFrom(at + 1)
    return this.#plain.slice(first, first + count)
  }

  /** The number of `DBGC` in a range, up to `most`. */
  plainIn(from: number, to: number, most: number): number {
    const first = this.#indexFrom(from)
    let count = 0
    while (count < most && (this.#plain[first + count] ?? Infinity) < to) count++
    return count
  }

  /** The same, and with them the headers of ftrace zones that were found. */
  signaturesIn(from: number, to: number, most: number): number {
    let count = this.plainIn(from, to, most)
    for (const at of this.#ftrace) if (count < most && at >= from && at < to) count++
    return count
  }

  /** Has an ftrace zone content? What has only its header may be a chance. */
  #isSure(at: number): boolean {
    const { size, lost } = this.header(at)!
    return size > 0 || lost === true
  }

  /** The headers of ftrace zones that were found in a part, and that have content: how many are none of some zones'? */
  strayFtrace(from: number, to: number, starts: ReadonlySet<number>): number {
    let count = 0
    for (const at of this.#ftrace)
      if (at >= from && at < to && !starts.has(at) && this.#isSure(at)) count++
    return count
  }

  /** The distances at which the next CPUs' ftrace zones may lie: they carry the same signature. */
  spacings(at: number): number[] {
    const known = this.#spacings.get(at)
    if (known) return known
    const found: number[] = []
    // Nothing is left of its signature.
    if (this.header(at)?.lost) return this.ftraceIn(at + zoneHeaderSize, this.end).map(n => n - at)
    const length = Math.min(nextCpuReach, this.end - at)
    if (!this.budget.spend(length / bytesPerZone)) return found
    const bytes = this.region.load(at, length)
    const signature = bytes.subarray(0, 4)
    const add = (next: number, wrong: number): void => {
      const header = decodeZoneHeader(bytes, next, this.endian)
      // `DBGC` itself may be as near.
      if (!isPossible(header) || header.code === 0) return
      found.push(next)
      this.#ftrace.add(at + next)
      if (wrong) this.#decayed.set(at + next, { ...header, plain: false, ftrace: true, wrong })
    }
    const near = Math.min(length, decayedReach)
    for (let next = zoneHeaderSize; next + zoneHeaderSize <= near; next++) {
      const wrong = wrongBitsOf(bytes, next, signature)
      // At odd offsets only a sound one counts.
      if (wrong <= (next % 2 ? 0 : mostWrongBits)) add(next, wrong)
      if (found.length === mostFtraceHeaders) break
    }
    for (
      let next = bytes.indexOf(signature, near - zoneHeaderSize);
      next >= 0 && next + zoneHeaderSize <= length && found.length < mostFtraceHeaders;
      next = bytes.indexOf(signature, next + 1)
    )
      add(next, 0)
    for (const [lost, { ftrace }] of this.#decayed)
      if (ftrace && lost > at && lost < at + length && !found.includes(lost - at))
        found.push(lost - at)
    this.#spacings.set(at, found)
    return found
  }

  /** May an ftrace zone of any version begin at an offset, its signature with a few wrong bits? */
  mayBeFtrace(at: number): boolean {
    if (at + zoneHeaderSize > this.end || !this.budget.spend(1)) return false
    const header = decodeZoneHeader(this.blocks.load(at, zoneHeaderSize), 0, this.endian)
    return isPossible(header) && isNearVersion(header.code)
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
   * @param old true where parity lies as before 3.10
   * @param header as it stands, or as its parity corrects it; its numbers fit the zone
   */
  content(at: number, size: number, ecc: number, old: boolean, header: Mark): ContentKind {
    const known = this.#contents.with(size, ecc, old)
    let content = known.get(at)
    if (content !== undefined) return content
    this.budget.spend(contentCost)
    content = classify(this.#oldest(at, size, ecc, old, header))
    known.set(at, content)
    return content
  }

  /**
   * The kind of the bytes that are left in an empty zone: erasing changes only its header, and so does
   * Linux as it attaches.
   */
  leftover(at: number, size: number): ContentKind {
    const length = Math.max(0, Math.min(leftoverSize, size - zoneHeaderSize))
    // Each shape with that zone asks again.
    const known = this.#leftovers.with(length, 0)
    let leftover = known.get(at)
    if (leftover !== undefined) return leftover
    this.budget.spend(contentCost)
    const bytes = this.region.load(at + zoneHeaderSize, length)
    const end = bytes.indexOf(0)
    leftover = classify(end < 0 ? bytes : bytes.subarray(0, end))
    known.set(at, leftover)
    return leftover
  }

  /** Does an ftrace zone hold ftrace records? */
  holdsFtrace(at: number): boolean {
    const header = this.header(at)
    return header !== null && this.#hasRecords(at, header)
  }

  #hasRecords(at: number, header: RawHeader): boolean {
    return this.budget.spend(ftraceCost) && isFtrace(this.#newest(at, header))
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
    const bytes = this.#newest(at, this.header(at))
    return isFtrace(bytes) && cpusOf(bytes, this.endian).some(cpu => cpu > 0)
  }

  /** The last bytes that were written to a zone, uncorrected. */
  #newest(at: number, header: RawHeader | null): Buffer {
    if (!header || !isPossible(header)) return Buffer.alloc(0)
    const end = header.start || header.size
    const from = Math.max(0, end - sampleSize)
    const data = at + zoneHeaderSize
    return data + end > this.end ? Buffer.alloc(0) : this.region.load(data + from, end - from)
  }

  /** The first bytes of a zone's content, oldest byte first; corrected unless the zone is large. */
  #oldest(at: number, size: number, ecc: number, old: boolean, header: Mark): Buffer {
    // A zone is not read by a decayed signature.
    if (size <= wholeZone && !header.wrong) {
      const extent = { kind: 'console' as const, index: 0, offset: at, size }
      return new Zone(this.region, extent, ecc, this.endian, old)
        .read()
        .content.subarray(0, sampleSize)
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
