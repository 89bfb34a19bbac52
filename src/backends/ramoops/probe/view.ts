/** A source as the search for layouts sees it: signatures, headers and contents, looked at once each. */
import type { Region } from '../../../region/region.js'
import { divideZone } from '../layout.js'
import { zoneHeaderSize, type RawHeader } from '../zone-header.js'
import { Zone } from '../zone.js'
import { codec, maxEccSize } from '../ecc.js'
import { classify, cpusOf, isFtrace, sampleSize, type ContentKind } from './classify.js'
import { isSound, signedHeader } from './signatures.js'
import type { Endian } from '../../../pstore/types.js'

/** Bytes that are looked at in an empty zone. */
const residueSize = 1024

const dumpStart = Buffer.from('====')
/** How far behind an ftrace zone the next CPU's is looked for. */
const ftraceReach = 2 ** 24
/** How far behind a dump one is looked for. */
const nearReach = 2 ** 20
/** The most that one is believed to hold: noise often has larger numbers. */
const largestFtrace = 2 ** 24
/** How many places with its signature are tried. */
const ftraceTries = 8
/** Zones up to this size are read as a whole, and corrected, to see what they hold. */
const wholeZone = 2 ** 20

/** How much is looked at in a source before it is given up: a hostile one makes everything possible. */
export class Work {
  left = 2 ** 21
  /** Take so much; false where there is not so much left. */
  spend(amount: number): boolean {
    this.left -= amount
    return this.left > 0
  }
}
/** What searching so many bytes for a signature costs, beside looking at a zone. */
const bytesPerZone = 2 ** 14
/** What trying parity on a header costs. */
const mendingCost = 4

/** What is known of zones, by where they are; for each size and parity. */
class Known<T> {
  readonly #of = new Map<number, Map<number, T>>()

  with(size: number, ecc: number): Map<number, T> {
    const key = size * (maxEccSize + 1) + ecc
    let known = this.#of.get(key)
    if (!known) this.#of.set(key, (known = new Map<number, T>()))
    return known
  }
}

export class View {
  readonly #headers = new Map<number, RawHeader | null>()
  readonly #mended = new Known<RawHeader | null>()
  readonly #contents = new Known<ContentKind>()
  /** Where ftrace zones' headers were met. */
  readonly #ftrace = new Set<number>()
  readonly #spacings = new Map<number, number[]>()

  /**
   * @param marks offsets of `DBGC`, ascending
   * @param end where the memory ends that the region is in
   */
  constructor(
    readonly region: Region,
    readonly marks: readonly number[],
    readonly endian: Endian,
    readonly end: number,
    readonly work: Work,
  ) {}

  /** The header at an offset, as it stands; null where there is none. */
  header(at: number): RawHeader | null {
    let header = this.#headers.get(at)
    if (header !== undefined) return header
    this.work.spend(1)
    const inside = at >= 0 && at + zoneHeaderSize <= this.end
    header = inside ? signedHeader(this.region.load(at, zoneHeaderSize), 0, this.endian) : null
    this.#headers.set(at, header)
    return header
  }

  isPlain(at: number): boolean {
    return this.header(at)?.code === 0
  }

  /** Is there a kernel's signature, with numbers that a zone can have? */
  isFtrace(at: number): boolean {
    const header = this.header(at)
    if (!header?.code || !isSound(header) || header.size > largestFtrace) return false
    this.#ftrace.add(at)
    return true
  }

  /** Does a dump's header line stand where the data of a zone would be? There is a signature behind it. */
  hasDump(at: number): boolean {
    return this.region.load(at + zoneHeaderSize, dumpStart.length).equals(dumpStart)
  }

  /** The header as its parity mends it, where that makes one of it. */
  mended(at: number, size: number, ecc: number): RawHeader | null {
    // Asked again for each shape with that zone: 16 KiB of hostile headers make a million questions.
    const known = this.#mended.with(size, ecc)
    let header = known.get(at)
    if (header !== undefined) return header
    header = this.work.spend(mendingCost) ? this.#mend(at, size, ecc) : null
    known.set(at, header)
    return header
  }

  #mend(at: number, size: number, ecc: number): RawHeader | null {
    const division = divideZone(size, ecc)
    if (!division || at + size > this.end) return null
    const header = this.region.load(at, zoneHeaderSize)
    const parity = this.region.load(
      at + zoneHeaderSize + division.data + division.blocks * ecc,
      ecc,
    )
    if (codec(ecc).decode(header, 0, zoneHeaderSize, parity, 0) <= 0) return null
    const mended = signedHeader(header, 0, this.endian)
    return mended && mended.size <= division.data && mended.start <= mended.size ? mended : null
  }

  /** The index of the first `DBGC` at or behind an offset. */
  #indexFrom(at: number): number {
    let low = 0
    let high = this.marks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.marks[middle] < at) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Up to `count` offsets of `DBGC` with sound numbers, from an offset on. */
  soundFrom(at: number, count: number): number[] {
    const found: number[] = []
    // A hostile source has many that are not.
    const first = this.#indexFrom(at)
    for (let i = first; i < Math.min(this.marks.length, first + 64 * count); i++) {
      const header = this.header(this.marks[i])
      if (header && isSound(header) && found.push(this.marks[i]) === count) break
    }
    return found
  }

  /** How many `DBGC` there are in a range, up to some. */
  plainIn(from: number, to: number, most: number): number {
    const first = this.#indexFrom(from)
    let count = 0
    while (count < most && this.marks[first + count] < to) count++
    return count
  }

  /** The same, and with them the ftrace zones' that were met. */
  marksIn(from: number, to: number, most: number): number {
    let count = this.plainIn(from, to, most)
    for (const at of this.#ftrace) if (count < most && at >= from && at < to) count++
    return count
  }

  /** The distances at which the next CPUs' ftrace zones may lie: they carry the same signature. */
  spacings(at: number): number[] {
    const known = this.#spacings.get(at)
    if (known) return known
    const found: number[] = []
    const length = Math.min(ftraceReach, this.end - at)
    if (!this.work.spend(length / bytesPerZone)) return found
    const bytes = this.region.load(at, length)
    const signature = Buffer.from(bytes.subarray(0, 4))
    for (
      let next = bytes.indexOf(signature, zoneHeaderSize);
      next >= 0 && next + zoneHeaderSize <= length && found.length < ftraceTries;
      next = bytes.indexOf(signature, next + 1)
    ) {
      const header = signedHeader(bytes, next, this.endian)
      if (next % 2 || !header || !isSound(header)) continue
      found.push(next)
      this.#ftrace.add(at + next)
    }
    this.#spacings.set(at, found)
    return found
  }

  /** Where headers of ftrace zones are, in the first part of a range. */
  ftraceIn(from: number, to: number): number[] {
    const found: number[] = []
    const length = Math.min(to - from, nearReach)
    if (length < zoneHeaderSize || !this.work.spend(length / bytesPerZone)) return found
    const bytes = this.region.load(from, length)
    const top = this.endian === 'big' ? 0 : 3
    // A signature's highest byte is `DBGC`'s: no version reaches it.
    let at = bytes.indexOf(0x43, top)
    for (; at >= 0 && found.length < ftraceTries; at = bytes.indexOf(0x43, at + 1)) {
      const start = at - top
      if (start % 2 || start + zoneHeaderSize > length) continue
      const header = signedHeader(bytes, start, this.endian)
      if (!header?.code || header.size > largestFtrace) continue
      // Noise has such headers, too: only an empty zone's, or one with records, is believed.
      const empty = header.start === 0 && header.size === 0
      if (empty || this.holdsFtrace(from + start)) found.push(from + start)
    }
    return found
  }

  /**
   * What a zone holds.
   *
   * @param header as it stands, or as its parity mends it; its numbers are some that the zone can have
   */
  content(at: number, size: number, ecc: number, header: RawHeader): ContentKind {
    const known = this.#contents.with(size, ecc)
    let content = known.get(at)
    if (content === undefined)
      known.set(at, (content = classify(this.#sample(at, size, ecc, header))))
    return content
  }

  /** What an empty zone's bytes still are: erasing, and Linux as it attaches, change the header only. */
  residue(at: number, size: number): ContentKind {
    const bytes = this.region.load(
      at + zoneHeaderSize,
      Math.max(0, Math.min(residueSize, size - zoneHeaderSize)),
    )
    const end = bytes.indexOf(0)
    return classify(end < 0 ? bytes : bytes.subarray(0, end))
  }

  /** Does an ftrace zone hold ftrace records? */
  holdsFtrace(at: number): boolean {
    return isFtrace(this.#newest(at))
  }

  /** Does an empty ftrace zone still have records in it? They may begin anywhere: the ring had wrapped. */
  heldFtrace(at: number): boolean {
    const from = at + zoneHeaderSize
    const bytes = this.region.load(from, Math.min(residueSize, this.end - from))
    let end = bytes.length
    while (end > 0 && bytes[end - 1] === 0) end--
    return Array.from({ length: 24 }, (_, phase) => bytes.subarray(phase, end)).some(isFtrace)
  }

  /** Does one ftrace zone hold records of another CPU than the first? */
  sharedByCpus(at: number): boolean {
    return isFtrace(this.#newest(at)) && cpusOf(this.#newest(at), this.endian).some(cpu => cpu > 0)
  }

  /** The last bytes that were written to a zone, as they stand. */
  #newest(at: number): Buffer {
    const header = this.header(at)
    if (!header || !isSound(header)) return Buffer.alloc(0)
    const end = header.start || header.size
    const from = Math.max(0, end - sampleSize)
    const data = at + zoneHeaderSize
    return data + end > this.end ? Buffer.alloc(0) : this.region.load(data + from, end - from)
  }

  /** The first of a zone's content, oldest byte first. */
  #sample(at: number, size: number, ecc: number, header: RawHeader): Buffer {
    if (size <= wholeZone) {
      const place = { kind: 'dmesg' as const, index: 0, offset: at, size }
      return new Zone(this.region, place, ecc, this.endian).read().content.subarray(0, sampleSize)
    }
    const { start } = header
    const first = this.region.load(
      at + zoneHeaderSize + (start === header.size ? 0 : start),
      Math.min(sampleSize, start === header.size ? header.size : header.size - start),
    )
    if (first.length === sampleSize || start === header.size) return first
    const rest = Math.min(sampleSize - first.length, start)
    return Buffer.concat([first, this.region.load(at + zoneHeaderSize, rest)])
  }
}
