/**
 * The layouts that explain the signatures found from one place on.
 *
 * A kernel signs every zone when it attaches. So each zone's end is where the next signature stands,
 * or the region's end; and sizes follow from Linux's rules (makeLayout), tried in every order that a
 * kernel has.
 */
import {
  makeLayout,
  presets,
  evenBelow,
  type RamoopsParameters,
  type SizeParameter,
} from '../layout.js'
import { zoneHeaderSize } from '../zone-header.js'
import { isSound, largestZone } from './signatures.js'
import { findEcc, fittingBlocks } from './parity.js'
import type { View } from './view.js'
import { maxCpus, type ZoneExtent, type ZoneKind } from '../../../pstore/types.js'

/** Zones in a row that explain what was found, before it is known how long the region is. */
export interface Shape {
  /** The preset whose order it is. */
  preset: string
  /** Where the first zone lies in the source. */
  base: number
  dmesg: { count: number; size: number }
  sizes: { readonly [kind in Exclude<ZoneKind, 'dmesg'>]: number }
  /** ftrace zones; 1 where there is one or none. */
  cpus: number
  /** The end of the last zone. */
  end: number
}

/** Orders that kernels have; the others are the same without tty (doc/formats.md 1.2, 1.8). */
const orders = ['linux-6.2', 'linux-pre-6.2'] as const
/** A zone of less than a header and a byte crashes Linux. */
const smallestZone = 16
/** dmesg zones that one region is believed to have. */
const mostDumps = 2 ** 16
/** Shapes that are looked at from one place on: a hostile source makes more. */
const mostShapes = 4096
/** The largest ftrace part, and the most CPUs, that are tried where only parity tells of them. */
const mostMended = 2 ** 22
const mostMendedCpus = 64
/** Blocks with parity that make a zone of what has no header. */
const convincingBlocks = 4
/** Zones in a row without a signature that are taken for damaged, where others follow. */
const mostMissing = 3

/** The power of two whose share for each of so many zones is this; 0 where there is none. */
export const totalOf = (each: number, count: number): number => {
  const total = 2 ** Math.ceil(Math.log2(each * count))
  return evenBelow(Math.floor(total / count)) === each ? total : 0
}

/**
 * The lengths that dmesg's part can have with so many zones of a size: from, and up to, both
 * included. Null where Linux would make other zones of every such length.
 */
export const dumpAreas = (
  count: number,
  size: number,
): { recordSize: number; from: number; to: number } | null => {
  // size is the part's share for each, rounded down to even; record_size fits `count` times, not once more.
  const recordSize = 2 ** Math.floor(Math.log2((count * (size + 2) - 1) / count))
  const from = Math.max(count * size, count * recordSize)
  const to = Math.min(count * (size + 2) - 1, (count + 1) * recordSize - 1)
  if (from <= to) return { recordSize, from, to }
  return null
}

/**
 * How many dmesg zones of a size may stand in a row: to the last signature at such a distance, or to the
 * first gap. Rings of the same size can follow, so the last ones may be rings.
 */
const countsAt = (view: View, base: number, size: number): Set<number> => {
  let count = 1
  let solid = 0
  for (let missing = 0, i = 1; i < mostDumps && missing <= mostMissing; i++) {
    const at = base + i * size
    if (at + zoneHeaderSize > view.end || view.work.left <= 0) break
    if (view.isPlain(at)) {
      count = i + 1
      missing = 0
      continue
    }
    if (missing++ === 0) solid ||= i
  }
  const ends = new Set([count, solid || count])
  return new Set([...ends].flatMap(end => [0, 1, 2, 3].map(n => end - n)).filter(n => n > 0))
}

/** A shape's zones, as they lie; offsets are the source's. */
export const zonesOf = ({ preset, base, dmesg, sizes, cpus }: Shape): ZoneExtent[] => {
  const zones: ZoneExtent[] = []
  let offset = base
  for (const kind of presets[preset].order) {
    const each =
      kind === 'dmesg' ? dmesg.size : kind === 'ftrace' ? shareOf(sizes.ftrace, cpus) : sizes[kind]
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
 * @param mend look for zones, too, whose headers only parity mends
 */
export const shapesAt = (view: View, base: number, mend: boolean): Shape[] => {
  const found = new Map<string, Shape>()
  const { end } = view

  for (const preset of orders) {
    const order = presets[preset].order
    const sizes = { console: 0, pmsg: 0, tty: 0, ftrace: 0 }
    let dmesg = { count: 0, size: 0 }
    let cpus = 1
    // Parity that mends headers, once the first zones say which.
    let ecc = 0

    const finish = (at: number): void => {
      if (at === base || at > end) return
      const { count, size } = dmesg
      const rings = order
        .slice(1)
        .filter(kind => sizes[kind as 'console'])
        .map(kind => `${kind}${sizes[kind as 'console']}`)
      const key = `${count}x${size} ${rings.join()} ${cpus}`
      if (!found.has(key))
        found.set(key, { preset, base, dmesg: { ...dmesg }, sizes: { ...sizes }, cpus, end: at })
    }

    const place = (i: number, at: number): void => {
      if (found.size >= mostShapes) return
      if (i === order.length) {
        finish(at)
        return
      }
      const kind = order[i] as Exclude<ZoneKind, 'dmesg'>
      place(i + 1, at)
      if (kind === 'ftrace')
        for (const { each, count, total } of sharesAt(view, at, ecc)) {
          sizes.ftrace = total
          cpus = count
          place(i + 1, at + each * count)
          sizes.ftrace = 0
          cpus = 1
        }
      for (const size of sizesAt(view, at, kind === 'ftrace', ecc)) {
        sizes[kind] = size
        if (view.header(at + size) || ecc) place(i + 1, at + size)
        else finish(at + size)
        sizes[kind] = 0
      }
    }

    place(1, base)
    for (const size of dumpSizes(view, base)) {
      if (mend) ecc = parityOf(view, base, size)
      for (const count of countsAt(view, base, size)) {
        if (!dumpAreas(count, size)) continue
        dmesg = { count, size }
        place(1, base + count * size)
      }
    }
  }
  return [...found.values()]
}

/** The parity of dmesg zones; 0 where they have none. */
const parityOf = (view: View, base: number, size: number): number => {
  const zones = [0, 1, 2]
    .map(i => base + i * size)
    .filter(offset => offset + size <= view.end)
    .map(offset => ({ offset, size, header: view.header(offset) }))
  return findEcc(view, zones)?.ecc ?? 0
}

/** Is there a zone of this size, by its signature, or by what its parity makes of it? */
const isZone = (view: View, at: number, size: number, ftrace: boolean, ecc: number): boolean => {
  if (ftrace ? view.isFtrace(at) : view.isPlain(at)) return true
  if (!ecc || at + size > view.end || view.work.left <= 0) return false
  const mended = view.mended(at, size, ecc)
  if (mended) return ftrace === mended.code > 0
  return fittingBlocks(view, { offset: at, size, header: view.header(at) }, ecc) >= convincingBlocks
}

/** The sizes that a single zone can have: to the next signature, or any where none follows. */
const sizesAt = (view: View, at: number, ftrace: boolean, ecc: number): number[] => {
  const header = view.header(at)
  const sound = header && isSound(header) && ftrace === header.code > 0 ? header : null
  if (!sound && !ecc && (ftrace || !view.isPlain(at))) return []
  // A ring that is full says how long it is, but for the parity: at most as much again.
  const full = sound && sound.start < sound.size
  const most = Math.min(view.end - at, full ? 4 * sound.size + 4096 : largestZone)
  const least = sound ? sound.size + zoneHeaderSize : smallestZone
  // What lies across a zone's start is none.
  const next = Math.min(
    view.soundFrom(at + zoneHeaderSize, 1)[0] ?? Infinity,
    ftrace && sound ? at + (view.spacings(at)[0] ?? Infinity) : Infinity,
  )
  const sizes: number[] = []
  for (let size = 2 ** Math.ceil(Math.log2(least)); size <= most && at + size <= next; size *= 2) {
    if (isZone(view, at, size, ftrace, ecc)) sizes.push(size)
    if (view.isFtrace(at + size)) break
  }
  return sizes
}

/** How many CPUs may have a zone each from here on, and how large. */
const sharesAt = (
  view: View,
  at: number,
  ecc: number,
): { each: number; count: number; total: number }[] => {
  const shares: { each: number; count: number; total: number }[] = []
  const add = (each: number, is: (at: number) => boolean): void => {
    let count = 1
    while (count < maxCpus && is(at + count * each)) count++
    const total = count > 1 ? totalOf(each, count) : 0
    if (total) shares.push({ each, count, total })
  }
  // All carry one kernel's version.
  const version = view.header(at)?.code
  if (version)
    for (const each of view.spacings(at)) add(each, offset => view.header(offset)?.code === version)
  if (!ecc || shares.length) return shares
  for (let total = smallestZone * 2; total <= view.end - at && total <= mostMended; total *= 2)
    for (let count = 2; count <= mostMendedCpus; count++) {
      const each = shareOf(total, count)
      if (each < smallestZone || !isZone(view, at, each, true, ecc)) continue
      add(each, offset => isZone(view, offset, each, true, ecc))
    }
  return shares
}

export const shareOf = (total: number, count: number): number =>
  count === 1 ? total : evenBelow(Math.floor(total / count))

/** The sizes that dmesg zones from `base` on can have: as far as to one of the next signatures. */
const dumpSizes = (view: View, base: number): number[] => {
  const header = view.header(base)
  if (view.isFtrace(base)) return []
  const least = header && isSound(header) ? header.size + zoneHeaderSize : smallestZone
  const next = view.soundFrom(base + zoneHeaderSize, 3)
  const gaps = next.map((at, i) => at - (next[i - 1] ?? base))
  const sizes = new Set(gaps)
  const room = view.end - base
  // ftrace may follow the first zone at once, and what follows that is no measure.
  for (const at of view.ftraceIn(base + zoneHeaderSize, Math.min(next[0] ?? view.end, view.end)))
    sizes.add(at - base)
  if (next.length === 0 || next[0] - base > 2 ** 20) {
    // One zone, and nothing or ftrace behind it: it ends at a page, or where the source does.
    sizes.add(evenBelow(room))
    for (let size = 2 ** Math.ceil(Math.log2(least)); size <= room; size *= 2) sizes.add(size)
  }
  return [...sizes].filter(
    size => size >= Math.max(least, smallestZone) && size % 2 === 0 && size <= largestZone,
  )
}

/** The parameters that a shape decides. */
export type ShapeParameters = Required<
  Pick<RamoopsParameters, 'mem_size' | SizeParameter | 'cpus' | 'preset'>
>

/** A shape's parameters, for a region of a length. */
export const parametersOf = (
  { preset, dmesg, sizes, cpus }: Shape,
  memSize: number,
): ShapeParameters => ({
  mem_size: memSize,
  record_size: dmesg.count ? dumpAreas(dmesg.count, dmesg.size)!.recordSize : 0,
  console_size: sizes.console,
  ftrace_size: sizes.ftrace,
  pmsg_size: sizes.pmsg,
  tty_size: sizes.tty,
  cpus,
  preset,
})

/** Does Linux's own rule make these zones of these parameters? */
export const isMadeBy = (shape: Shape, parameters: RamoopsParameters): boolean => {
  try {
    const { zones } = makeLayout(parameters, 0)
    const wanted = zonesOf(shape)
    return (
      zones.length === wanted.length &&
      zones.every((zone, i) => {
        const { kind, offset, size } = wanted[i]
        return zone.kind === kind && zone.offset + shape.base === offset && zone.size === size
      })
    )
  } catch {
    return false
  }
}
