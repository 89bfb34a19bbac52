/**
 * A layout, held against the bytes: whether its zones' headers are where it says, and if not, whether they stand
 * elsewhere. Whoever gave a layout may be wrong, and zones without a header look like zones that were never used.
 *
 * Source: doc/formats.md 1.13.
 */
import { count, foundAt } from '../pstore/condition.js'
import { ifReadable, StoreError } from '../pstore/errors.js'
import { isFiller } from '../pstore/remains.js'
import type { Ring, RingPosition } from '../pstore/ring.js'
import type { Endian, ZoneExtent } from '../pstore/types.js'
import { otherKind, type Doubt } from './lost-header.js'
import type { Region } from './region.js'
import {
  blockSize,
  leastSearched,
  mostFound,
  searchSigns,
  signsIn,
  type Found,
  type Signs,
} from './signs.js'

/** The layout that the bytes have. */
export interface Advice {
  /** A clause that says it; empty where it is the one that was given. */
  readonly clause: string
  /** Does it explain the bytes as no other does? */
  readonly isCertain: boolean
  /** Its zones, and where in the source they begin; none where there is more than one layout. */
  readonly zones: readonly ZoneExtent[]
  readonly from: number
}

/** What is known of the source in which a region lies. */
export interface Elsewhere {
  /** The source, to be searched where the region has no signature at all; null: it cannot be had. */
  whole(): Region | null
  /** Null where nobody knows. */
  advice(): Advice | null
  /** Bytes of parity that the zones' headers have, in a layout that has none; 0: none, or nobody knows. */
  parity(region: Region): number
}

/** What speaks against a layout, in a line; and whether whoever writes by it would write over another layout's zones. */
export interface LayoutDoubt {
  readonly line: string
  readonly isForeign: boolean
}

/** A region, and the layout that it is said to have. */
export interface Held {
  readonly region: Region
  readonly endian: Endian
  /** In the order in which they lie there. */
  readonly zones: readonly ZoneExtent[]
  readonly signs: Signs
  /** The zone of an extent, as far as its header goes. */
  zone(extent: ZoneExtent): {
    doubt(): Doubt | null
    position(): RingPosition & { readonly settled: boolean }
    slice: Ring['slice']
  }
  /** Does what a zone holds begin as a dump? */
  isDump(content: Buffer): boolean
  /** Did a life begin in it? Then its kernel may keep another parity than the last one's, of which dumps are left. */
  readonly begun: boolean
}

/** Zones up to this size are looked at together, in so many bytes at once. */
const smallZone = 4096
const chunkSize = 2 ** 16
/** Zones that are looked at more closely: of half a million not all are. */
const mostLooks = 256
/** CPUs that share ftrace, where the layout has another number. */
const mostCpus = 64
/** Bytes that tell whether a dump begins. */
const dumpStart = 128
/** Zones that are named. */
const named = 3

const hex = (n: number): string => `0x${n.toString(16)}`
const otherOrder = (endian: Endian): Endian => (endian === 'little' ? 'big' : 'little')

/** Does a zone have a header, though it be damaged? Throws a StoreError (EIO). */
const hasHeader = (zone: ReturnType<Held['zone']>): boolean => {
  const doubt = zone.doubt()
  return doubt?.state !== 'unsigned' || (doubt.signature !== null && doubt.signature !== otherKind)
}

/** What to say of a layout no zone of which has a header, where nothing else speaks against it. */
export const neverUsed =
  "no zone has a header yet: nothing was written here, or the layout is not this region's"

/**
 * Hold a layout against the bytes of its region. It costs a look at each header; and only where one is missing, a
 * search for signatures in at most 64 MiB, and where there are some, a probe of the source.
 *
 * What cannot be read, as on a bad sector, speaks neither for a layout nor against it.
 *
 * @returns what speaks against it; null: nothing does
 * @throws StoreError (EIO) where more than some sectors cannot be read
 */
export const layoutDoubt = (held: Held, elsewhere: Elsewhere): LayoutDoubt | null => {
  const { region, zones, endian, signs, begun } = held
  const { signed, missing, others, swapped } = lookAtHeaders(held)
  const advice = (): Advice | null => {
    // No region has so many, and to probe them would take long.
    const isCrowded = signsIn(elsewhere.whole(), signs).length === mostFound
    return isCrowded ? null : elsewhere.advice()
  }
  const said = (line: string, advised: Advice | null): LayoutDoubt | null => {
    if (advised?.clause === '') return null
    const rather = advised === null ? '' : `: ${advised.clause}`
    return { line: `${line}: the layout is not this region's${rather}`, isForeign: true }
  }
  const against = (line: string): LayoutDoubt | null => said(line, advice())
  const ofCpus = ({ line, rather }: OtherCpus): LayoutDoubt | null =>
    rather === null ? against(line) : { line: `${line}: ${rather}`, isForeign: false }
  const ofAll = (some: readonly ZoneExtent[]): string =>
    `${some.length} of ${count(zones.length, 'zone')}`
  const without = [...missing, ...others, ...swapped]
  const cpus = without.every(({ kind }) => kind === 'ftrace') ? otherCpus(held) : null
  if (without.length === 0) {
    if (fitsNoParity(held))
      return against('no header of its zones, or of its dumps, fits its parity')
    const parity = begun ? 0 : elsewhere.parity(region)
    if (parity > 0) return { line: unusedParity(parity), isForeign: true }
    if (cpus !== null) return ofCpus(cpus)
    // What lies in the unused part of a zone may be left of an older layout, and what lies beside it another region's.
    const where = strayOf(held, elsewhere)
    const odd =
      where === undefined
        ? zones.slice(0, mostLooks).find(extent => ifReadable(() => holdsNoDump(held, extent)))
        : undefined
    const better = where === undefined && !odd ? null : advice()
    if (!better?.clause) return null
    const stray =
      where === undefined ? '' : `a signature stands where no zone begins, at ${hex(where)}`
    if (stray && better.isCertain) return said(stray, better)
    // A guess counts that has a zone there, or of another kind.
    const at = where ?? region.offset + odd!.offset
    const zone = zoneAt(better.zones, at - better.from)
    if (!zone || zone.offset + better.from !== at || (odd && zone.kind === 'dmesg')) return null
    const line = stray || `${list([odd!])} holds no dump`
    return perhaps(line, better)
  }
  if (cpus !== null) return ofCpus(cpus)
  if (swapped.length > 0)
    return against(
      `${ofAll(swapped)} are signed in the other byte order (--endian ${otherOrder(endian)})`,
    )
  if (others.length > 0)
    return against(`${ofAll(others)} are signed as of another kind (${list(others)})`)
  const inside = searchSigns(region, signs).filter(one => !isExplained(held, one))
  const found = inside.map(({ at }) => region.offset + at)
  if (found.length === 0 && signed === 0) found.push(...signsIn(elsewhere.whole(), signs))
  const [first] = found
  if (first === undefined) {
    // Nobody signed them, or they are no zones: with smaller records each second one has no header.
    const better = signed === 0 ? null : advice()
    if (!better?.clause) return null
    const lacking = new Set(missing)
    const isBetter = zones.every(zone => {
      const at = region.offset + zone.offset - better.from
      const there = zoneAt(better.zones, at)
      return there !== undefined && (there.offset !== at) === lacking.has(zone)
    })
    return isBetter ? perhaps(`${ofAll(missing)} have no header (${list(missing)})`, better) : null
  }
  const lack =
    signed === 0
      ? 'no zone of this layout has a header'
      : `${ofAll(missing)} have no header (${list(missing)})`
  const number = found.length < mostFound ? found.length : `${mostFound} or more`
  return against(
    number === 1
      ? `${lack}, but a signature stands elsewhere, at ${hex(first)}`
      : `${lack}, but ${number} signatures stand elsewhere, the first at ${hex(first)}`,
  )
}

/** A guess speaks against it, which is not enough to refuse a writer. */
const perhaps = (line: string, { clause }: Advice): LayoutDoubt => ({
  line: `${line}: the layout is perhaps not this region's: ${clause}`,
  isForeign: false,
})

const list = (zones: readonly ZoneExtent[]): string => {
  const some = zones.slice(0, named).map(({ kind, index, offset }) => {
    return `${kind}${index > 0 ? ` ${index}` : ''} at ${hex(offset)}`
  })
  return [...some, ...(zones.length > named ? ['…'] : [])].join(', ')
}

/** What stands where a layout has its zones. */
interface Headers {
  /** Zones with a header, sound or damaged. */
  signed: number
  /** Those without; with that of another kind; with theirs in the other byte order. */
  readonly missing: ZoneExtent[]
  readonly others: ZoneExtent[]
  readonly swapped: ZoneExtent[]
}

const lookAtHeaders = (held: Held): Headers => {
  const { endian, signs } = held
  const found: Headers = { signed: 0, missing: [], others: [], swapped: [] }
  let looks = 0
  for (const { extent, bytes, at } of headersOf(held)) {
    const sign = signs.at(bytes, at, endian)
    const isSigned =
      sign?.kinds.includes(extent.kind) ||
      // A header that has lost some bits, or that parity mends, is told with its zone.
      (looks++ < mostLooks && ifReadable(() => hasHeader(held.zone(extent))))
    if (isSigned) found.signed++
    else if (sign) found.others.push(extent)
    else {
      const swapped = signs.at(bytes, at, otherOrder(endian))?.kinds.includes(extent.kind)
      ;(swapped ? found.swapped : found.missing).push(extent)
    }
  }
  return found
}

/** Where a header lies in some bytes. */
interface Header {
  readonly extent: ZoneExtent
  readonly bytes: Buffer
  readonly at: number
}

/** The headers of zones that can be read; small zones are read together. */
function* headersOf({ region, zones, signs: { headerSize } }: Held): Generator<Header, void, void> {
  let bytes: Buffer = Buffer.alloc(0)
  let from = 0
  /** Up to here each is read alone, as not all can be. */
  let alone = 0
  for (const extent of zones) {
    const { offset, size } = extent
    if (offset + headerSize > from + bytes.length) {
      const together = size < smallZone && offset >= alone
      const wanted = Math.min(together ? chunkSize : headerSize, region.length - offset)
      let found = ifReadable(() => region.load(offset, wanted))
      if (!found && together) {
        alone = offset + wanted
        found = ifReadable(() => region.load(offset, headerSize))
      }
      if (!found) continue
      bytes = found
      from = offset
    }
    yield { extent, bytes, at: offset - from }
  }
}

/** Is a signature that of a zone of the layout, or does it lie in what such a zone holds? */
const isExplained = (
  { region, zones, endian, signs }: Held,
  { at, endian: order }: Found,
): boolean => {
  const zone = zoneAt(zones, at)
  if (!zone) return false
  if (zone.offset === at) return order === endian
  const header = ifReadable(() => region.load(zone.offset, signs.headerSize))
  if (!header) return true
  const own = signs.at(header, 0, endian)
  if (!own?.kinds.includes(zone.kind)) return false
  return at < zone.offset + signs.headerSize + own.size
}

/** The first signature that the layout does not explain, in the region or else beside it, in bytes of the source. */
const strayOf = (held: Held, elsewhere: Elsewhere): number | undefined => {
  const { region, signs } = held
  const inside = searchSigns(region, signs, leastSearched).find(sign => !isExplained(held, sign))
  if (inside) return region.offset + inside.at
  const isBeside = (at: number): boolean =>
    at < region.offset || at >= region.offset + region.length
  return signsIn(elsewhere.whole(), signs, leastSearched).find(isBeside)
}

/** The zone in which an offset lies; undefined where it is nobody's. */
const zoneAt = (zones: readonly ZoneExtent[], at: number): ZoneExtent | undefined => {
  let [low, high] = [0, zones.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (zones[middle]!.offset <= at) low = middle + 1
    else high = middle
  }
  const zone = zones[low - 1]
  return zone && at < zone.offset + zone.size ? zone : undefined
}

/**
 * Does no header fit its parity, or no dump's? Then there is another parity, or none, or its zones end elsewhere; and
 * by a wrong one headers are mended to nonsense.
 */
const fitsNoParity = ({ zones, zone, begun }: Held): boolean => {
  const isUnfit = (some: readonly ZoneExtent[]): boolean => {
    const found = some
      .slice(0, mostLooks)
      .flatMap(extent => ifReadable(() => zone(extent).position()) ?? [])
    return found.length > 0 && !found.some(({ settled }) => settled)
  }
  const dumps = zones.filter(({ kind }) => kind === 'dmesg')
  return isUnfit(zones) || (!begun && dumps.length > 1 && isUnfit(dumps))
}

/** Has a dump's zone content that is none? */
const holdsNoDump = (held: Held, extent: ZoneExtent): boolean => {
  if (extent.kind !== 'dmesg') return false
  const zone = held.zone(extent)
  const doubt = zone.doubt()
  // By a wrong parity a header is mended to none.
  if (doubt) return doubt.state === 'unsigned'
  const { start, size } = zone.position()
  const from = start < size ? start : 0
  return size > 0 && !held.isDump(zone.slice(from, Math.min(size - from, dumpStart)))
}

/** What to say of a layout without parity, in whose zones some is: what is written would not agree with it. */
const unusedParity = (ecc: number): string =>
  `the zones have ${ecc} bytes of parity a block, which this layout leaves out: give --ecc ${ecc}`

/** How ftrace's bytes are shared, in words, and what to give; null: not the number of CPUs alone is another. */
interface OtherCpus {
  readonly line: string
  readonly rather: string | null
}

/**
 * Do other CPUs share the bytes of ftrace than the layout says? More, where all their zones have headers. Fewer, where
 * no zone of the layout has one beside. As many, where another kernel's rule divides the bytes.
 */
const otherCpus = ({ region, zones, endian, signs }: Held): OtherCpus | null => {
  const ftrace = zones.filter(({ kind }) => kind === 'ftrace')
  const [first] = ftrace
  if (!first) return null
  const { headerSize } = signs
  const given = ftrace.length
  const isSigned = (at: number, size: number): boolean => {
    if (first.offset + at + headerSize > region.length) return false
    const header = ifReadable(() => region.load(first.offset + at, headerSize))
    const sign = header && signs.at(header, 0, endian)
    return (sign?.kinds.includes('ftrace') ?? false) && sign!.size + headerSize <= size
  }
  const signed = ftrace
    .map(({ offset }) => offset - first.offset)
    .filter(at => isSigned(at, Infinity))
  // Shares may be made even: some bytes of ftrace's may be in none.
  const least = given * first.size
  const isTodays = signs.shares(least, given)[0] === first.size
  for (let cpus = mostCpus; cpus > 1; cpus--) {
    /** Is each size by the layout's own rule? */
    const shares = new Map<number, boolean>()
    for (let total = least; total < least + 2 * given; total++)
      for (const [rule, each] of signs.shares(total, cpus).entries())
        if (!shares.has(each)) shares.set(each, (rule === 0) === isTodays)
    for (const [each, isOwn] of shares) {
      if (each <= headerSize || (cpus === given && isOwn)) continue
      const starts = Array.from({ length: cpus }, (_, cpu) => cpu * each)
      if (!starts.every(at => isSigned(at, each))) continue
      if (cpus < given && !signed.every(at => starts.includes(at))) continue
      return {
        line: `ftrace has the zones of ${cpus} CPUs, ${isOwn ? '' : `of ${each} bytes, `}and this layout has ${count(given, 'zone')} of it`,
        rather: isOwn ? `give --cpus ${cpus}` : null,
      }
    }
  }
  return null
}

/**
 * Has any zone a header?
 *
 * @throws StoreError (EIO) where none of those that can be read has, and not all can be
 */
export const isSigned = ({ zones, zone }: Held): boolean => {
  const looks = foundAt(zones, extent => hasHeader(zone(extent)) || null)
  return looks.next().done !== true
}

/**
 * Refuse to write by a layout that is not the bytes' own, or where no zone has a header: that was never a store of it.
 *
 * @param elsewhere absent where the layout was found in the bytes
 * @param begins a life begins in it, maybe with other sizes than the last. Then, as in Linux, what is empty becomes a
 *   store, and so does memory
 * @throws StoreError saying what would be overwritten
 */
export const refuseForeign = (
  held: Held,
  elsewhere: Elsewhere | undefined,
  begins: boolean,
): void => {
  const { region } = held
  const doubt = begins || !elsewhere ? null : layoutDoubt(held, elsewhere)
  if (doubt?.isForeign)
    throw new StoreError(`${region.path}: ${doubt.line} (with --force it is written to)`)
  if (isSigned(held) || (begins && (region.isMemory || isBlank(region)))) return
  throw new StoreError(
    `${region.path}: no zone of this layout has a header: is the layout right? ` +
      (begins
        ? '(attach=boot would overwrite what is there; with force it does)'
        : '(`pstorefs format` makes a new region; with --force this one is written to)'),
  )
}

/** Is there nothing but what fills fresh memory and erased flash? */
const isBlank = (region: Region): boolean => {
  const block = Buffer.allocUnsafe(Math.min(blockSize, region.length))
  for (let at = 0; at < region.length;) {
    const data = region.nextData(at)
    if (!data) return true
    const bytes = block.subarray(0, Math.min(blockSize, region.length - data.from))
    region.loadInto(bytes, data.from, bytes.length)
    if (!bytes.every(isFiller)) return false
    at = data.from + bytes.length
  }
  return true
}
