/**
 * The shapes that explain the signatures from an offset on.
 *
 * A kernel signs every zone when it attaches: a zone ends where the next signature stands, or where the
 * region does. Sizes follow from Linux's rules (makeLayout), tried in every order that a kernel has.
 */
import { evenBelow } from '../layout.js'
import { presets, unevenPresets } from '../presets.js'
import { wrongBits, zoneHeaderSize } from '../zone-header.js'
import { isPossible, largestZone, mostWrongBits } from './signatures.js'
import { findEcc, fittingBlocks } from './parity.js'
import type { View } from './view.js'
import { maxCpus, type ZoneExtent, type ZoneKind } from '../../../pstore/types.js'

export type RingKind = Exclude<ZoneKind, 'dmesg'>
export type RingSizes = { readonly [kind in RingKind]: number }
export const noRings: RingSizes = { console: 0, pmsg: 0, tty: 0, ftrace: 0, 'boot-log': 0 }

/** The zones of a layout, as they lie, whatever the region's length. */
export interface Shape {
  /** The preset whose order the zones have. */
  preset: string
  /** True where sizes need not be powers of two: exact.ts made it. */
  exact: boolean
  /** The first zone's offset in the source. */
  base: number
  dmesg: { count: number; size: number }
  sizes: RingSizes
  /** The number of ftrace zones; 1 where there is none, too. */
  cpus: number
  /** The end of the last zone. */
  end: number
}

/** The orders that are tried; other kernels' are the same without tty (doc/formats.md 1.2, 1.8). */
const orders = ['linux-6.2', 'linux-pre-6.2'] as const
/** The smallest zone that is tried: Linux crashes on less than a header and a byte. */
const smallestZone = 16
/** dmesg zones that a region is believed to have. */
export const mostDumps = 2 ** 16
/** Shapes that are made from one offset on: a hostile source makes more. */
const mostShapes = 4096
/** ftrace zones that only parity shows: the bytes and the CPUs that are tried. */
const mostFtraceByParity = 2 ** 22
const mostCpusByParity = 64
/** Blocks that fit their parity: as many show a zone that has no header. */
const convincingBlocks = 4
/** Unsigned zones in a row that are taken for damaged, where signed ones follow. */
const mostUnsigned = 3

export const powerBelow = (n: number): number => 2 ** Math.floor(Math.log2(n))

const isOdd = (n: number): boolean => n % 2 === 1

/** The power of two that gives each of `count` zones this share; 0 where none does. */
const totalOf = (each: number, count: number): number => {
  const total = 2 ** Math.ceil(Math.log2(each * count))
  return shareOf(total, count, isOdd(each)) === each ? total : 0
}

/** The most bytes that are left over where dmesg zones share their part: each has an even size. */
export const remainderOf = (count: number): number => Math.max(0, 2 * count - 1)

/** The roundest number of a range: the one with most zero bits at its end. */
export const roundest = (from: number, to: number): number => {
  let unit = 2 ** 40
  while (Math.floor(to / unit) * unit < from) unit /= 2
  return Math.floor(to / unit) * unit
}

/**
 * The lengths of dmesg's part of which Linux makes `count` zones of a size: from, and up to, both
 * included. Null where there is no such length.
 *
 * @param uneven shares are not made even; an odd size is of such a kernel
 */
export const dumpAreas = (
  count: number,
  size: number,
  uneven = isOdd(size),
): { recordSize: number; from: number; to: number } | null => {
  // A zone's size is its share of the part, rounded down to even; record_size fits `count` times into
  // the part, and not once more.
  const most = count * (size + (uneven ? 1 : 2)) - 1
  const recordSize = powerBelow(most / count)
  const from = Math.max(count * size, count * recordSize)
  const to = Math.min(most, (count + 1) * recordSize - 1)
  if (from <= to) return { recordSize, from, to }
  return null
}

/**
 * The numbers of dmesg zones of a size that may stand in a row: up to the last signature at such a
 * distance, or up to the first gap. The last of them may be rings of the same size.
 */
export const countsAt = (view: View, base: number, size: number): Set<number> => {
  let count = 1
  let firstGap = 0
  for (let unsigned = 0, i = 1; i < mostDumps && unsigned <= mostUnsigned; i++) {
    const at = base + i * size
    if (at + zoneHeaderSize > view.end || view.budget.left <= 0) break
    if (view.isPlain(at)) {
      count = i + 1
      unsigned = 0
      continue
    }
    if (unsigned++ === 0) firstGap ||= i
  }
  const ends = new Set([count, firstGap || count])
  return new Set([...ends].flatMap(end => [0, 1, 2, 3].map(n => end - n)).filter(n => n > 0))
}

/** A shape's zones, as they lie; offsets are the source's. */
export const zonesOf = ({ preset, base, dmesg, sizes, cpus }: Shape): ZoneExtent[] => {
  const zones: ZoneExtent[] = []
  let offset = base
  const { order, unevenShares } = presets[preset]!
  const ftrace = shareOf(sizes.ftrace, cpus, unevenShares)
  for (const kind of order) {
    const each = kind === 'dmesg' ? dmesg.size : kind === 'ftrace' ? ftrace : sizes[kind]
    const count = kind === 'dmesg' ? dmesg.count : kind === 'ftrace' ? cpus : 1
    if (each === 0) continue
    for (let index = 0; index < count; index++, offset += each)
      zones.push({ kind, index, offset, size: each })
  }
  return zones
}

/**
 * Every shape that zones from `base` on can have.
 *
 * @param useParity also take zones whose headers are damaged, where parity shows them
 */
export const shapesAt = (view: View, base: number, useParity: boolean): Shape[] => {
  const found = new Map<string, Shape>()
  for (const preset of orders) {
    const order = presets[preset]!.order
    const sizes = { ...noRings }
    let dmesg = { count: 0, size: 0 }
    let cpus = 1
    let share = 0
    // The parity of the zones, once the dmesg zones say which.
    let ecc = 0

    const addShape = (end: number): void => {
      if (end === base || end > view.end) return
      const { count, size } = dmesg
      const rings = order
        .slice(1)
        .filter(kind => sizes[kind as 'console'])
        .map(kind => `${kind}${sizes[kind as 'console']}`)
      const isUneven = isOdd(size) || isOdd(share)
      const key = `${count}x${size} ${rings.join()} ${cpus} ${isUneven}`
      if (!found.has(key))
        found.set(key, {
          preset: isUneven ? unevenPresets[preset]! : preset,
          exact: false,
          base,
          dmesg: { ...dmesg },
          sizes: { ...sizes },
          cpus,
          end,
        })
    }

    /** Try every size of the ring that is i-th in the order, at an offset, and of those behind it. */
    const placeRing = (i: number, at: number): void => {
      if (found.size >= mostShapes) return
      if (i === order.length) {
        addShape(at)
        return
      }
      const kind = order[i] as RingKind
      placeRing(i + 1, at)
      if (kind === 'ftrace')
        for (const { each, count, total } of sharesAt(view, at, ecc)) {
          sizes.ftrace = total
          cpus = count
          share = each
          placeRing(i + 1, at + each * count)
          sizes.ftrace = 0
          cpus = 1
          share = 0
        }
      for (const size of sizesAt(view, at, kind === 'ftrace', ecc)) {
        sizes[kind] = size
        if (view.header(at + size) || ecc) placeRing(i + 1, at + size)
        else addShape(at + size)
        sizes[kind] = 0
      }
    }

    placeRing(1, base)
    for (const size of dumpSizes(view, base)) {
      if (useParity) ecc = parityOf(view, base, size)
      for (const count of countsAt(view, base, size)) {
        // One zone is odd only if the memory is: a signature at an odd distance is rather a chance.
        if (!dumpAreas(count, size) || (count === 1 && isOdd(size))) continue
        dmesg = { count, size }
        placeRing(1, base + count * size)
      }
    }
  }
  return [...found.values()]
}

/** The parity of the first dmesg zones; 0 where they have none. */
const parityOf = (view: View, base: number, size: number): number => {
  const zones = [0, 1, 2]
    .map(i => base + i * size)
    .filter(offset => offset + size <= view.end)
    .map(offset => ({ offset, size, header: view.header(offset) }))
  return findEcc(view, zones)?.ecc ?? 0
}

/** Is there a zone of this size, by its signature or by its parity? */
const isZone = (view: View, at: number, size: number, ftrace: boolean, ecc: number): boolean => {
  if (ftrace ? view.isFtrace(at) : view.isPlain(at)) return true
  const header = view.header(at)
  // Parity of another zone that ends here, too, may make its header of this one, however sound it is.
  if (header?.wrong === 0 && isPossible(header)) return false
  if (!ecc || at + size > view.end || view.budget.left <= 0) return false
  const corrected = view.correctedHeader(at, size, ecc)
  if (corrected) return ftrace === corrected.code > 0
  return fittingBlocks(view, { offset: at, size, header }, ecc) >= convincingBlocks
}

/** The sizes that a single zone can have: up to the next signature, or any where none follows. */
const sizesAt = (view: View, at: number, ftrace: boolean, ecc: number): number[] => {
  const header = view.header(at)
  const isOwn = header && isPossible(header) && (ftrace ? header.ftrace : header.plain)
  const own = isOwn ? header : null
  if (!own && !ecc && (ftrace || !view.isPlain(at))) return []
  // A full ring tells the zone's size but for the parity, which is no longer than the ring.
  const isFull = own && own.start < own.size
  const largest = Math.min(view.end - at, isFull ? 4 * own.size + 4096 : largestZone)
  const smallest = own ? own.size + zoneHeaderSize : smallestZone
  // No zone reaches over the next zone's header.
  const next = Math.min(
    view.possibleFrom(at + zoneHeaderSize, 1)[0] ?? Infinity,
    ftrace && own ? at + (view.spacings(at)[0] ?? Infinity) : Infinity,
  )
  const sizes: number[] = []
  for (
    let size = 2 ** Math.ceil(Math.log2(smallest));
    size <= largest && at + size <= next;
    size *= 2
  ) {
    if (isZone(view, at, size, ftrace, ecc)) sizes.push(size)
    if (view.isFtrace(at + size)) break
  }
  return sizes
}

/** The numbers of CPUs that may have an ftrace zone each from an offset on, and the zones' size. */
const sharesAt = (
  view: View,
  at: number,
  ecc: number,
): { each: number; count: number; total: number }[] => {
  const shares: { each: number; count: number; total: number }[] = []
  const add = (each: number, isNext: (at: number) => boolean): void => {
    let count = 1
    while (count < maxCpus && isNext(at + count * each)) count++
    const total = count > 1 ? totalOf(each, count) : 0
    if (total) shares.push({ each, count, total })
  }
  // All carry one kernel's version, so that the same signature shows the next.
  const first = view.header(at)
  if (first?.ftrace)
    for (const each of view.spacings(at))
      add(each, offset => {
        const next = view.header(offset)
        if (first.lost || next?.lost) return next?.ftrace === true
        // `DBGC` itself is next to some versions, as 4.18.0 and 6.1.0.
        const code = next?.code ?? 0
        return code !== 0 && wrongBits((code ^ first.code) >>> 0) <= mostWrongBits
      })
  if (!ecc || shares.length) return shares
  for (
    let total = smallestZone * 2;
    total <= view.end - at && total <= mostFtraceByParity;
    total *= 2
  )
    for (let count = 2; count <= mostCpusByParity; count++) {
      const each = shareOf(total, count)
      if (each < smallestZone || !isZone(view, at, each, true, ecc)) continue
      add(each, offset => isZone(view, offset, each, true, ecc))
    }
  return shares
}

/** The size of each of `count` ftrace zones: as Linux divides what they have together. */
export const shareOf = (total: number, count: number, uneven = false): number => {
  const share = Math.floor(total / count)
  return uneven || count === 1 ? share : evenBelow(share)
}

/** The sizes that dmesg zones from `base` on can have: distances to the next signatures. */
export const dumpSizes = (view: View, base: number): number[] => {
  const header = view.header(base)
  if (header && !header.plain) return []
  const smallest = header && isPossible(header) ? header.size + zoneHeaderSize : smallestZone
  const next = view.possibleFrom(base + zoneHeaderSize, 3)
  // A zone's header may have any numbers. The nearest are tried first.
  const sizes = new Set(
    [view.plainBehind(base, 3), next].flatMap(ends =>
      ends.map((at, i) => at - (ends[i - 1] ?? base)),
    ),
  )
  const room = view.end - base
  // Where ftrace follows the first zone at once, the distances to what follows ftrace say nothing.
  for (const at of view.ftraceIn(base + zoneHeaderSize, Math.min(next[0] ?? view.end, view.end)))
    sizes.add(at - base)
  if ((next[0] ?? Infinity) - base > 2 ** 20) {
    // One zone, with nothing or ftrace behind it: it ends at a power of two, or where the source does.
    sizes.add(evenBelow(room))
    for (let size = 2 ** Math.ceil(Math.log2(smallest)); size <= room; size *= 2) sizes.add(size)
  }
  return [...sizes].filter(size => size >= Math.max(smallest, smallestZone) && size <= largestZone)
}
