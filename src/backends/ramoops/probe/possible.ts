/** The possible layouts of a region: each shape with a writer, and the region's length of which it makes it. */
import { encodeZones, parseZones } from '../zone-list.js'
import type { RankedShape } from './rank.js'
import { pageSize, type Segment } from './segments.js'
import { roundest, zonesOf } from './shapes.js'
import type { View } from './view.js'
import {
  isMadeBy,
  lengthsOf,
  olderWriters,
  parametersOf,
  shortestOf,
  writersOf,
  type ShapeParameters,
} from './writers.js'

/** The length of a region, as its shape and the source have it. */
interface Length {
  size: number
  /** True where the region ends where the source does. */
  exact: boolean
  /** True where other lengths make the same zones. */
  open: boolean
  /** Why this length. */
  reason: string
}

export interface PossibleLayout extends RankedShape {
  parameters: ShapeParameters
  /** The list of its zones, where no preset makes them. */
  zones: string | null
  length: Length
}

/** Of a source with only rings, the part beyond them that may be unused for the region to end with it. */
const mostUnused = 3 / 4
/** A source of fewer regions' lengths is perhaps a file of the region only. */
const fewRegions = 64

/**
 * Give shapes the writers and the lengths that make them.
 *
 * @returns the likeliest first; none where no writer makes any of the shapes
 */
export const possibleLayouts = (
  view: View,
  segment: Segment,
  base: number,
  ranked: readonly RankedShape[],
): PossibleLayout[] => {
  const room = view.end - base
  const isWhole = base === segment.offset
  const all = ranked.flatMap(one => {
    const made = writersOf(one).flatMap(preset => layoutOf(one, preset, room, isWhole) ?? [])
    return made.length ? made : listed(one, room, isWhole)
  })
  const older = ranked
    .filter(({ shape }) => shape.dmesg.count > 0)
    .flatMap(one => olderWriters.flatMap(preset => layoutOf(one, preset, room, isWhole) ?? []))
    .filter(({ length }) => length.exact)
  // A region with dumps fills all but a few bytes: where that is the source, it is no chance, unless another
  // length explains the bytes better.
  const least = Math.min(...all.map(({ penalty }) => penalty))
  const exact = new Set(
    all
      .filter(({ length, penalty }) => length.exact && penalty === least)
      .map(({ shape }) => shape),
  )
  if (exact.size === 0) return sorted([...all, ...older])
  const likely = all.filter(({ length, shape }) => length.exact || shape.dmesg.count === 0)
  // An older kernel's region could have any remainder. Where today's leave a choice, it is said already.
  return sorted(
    exact.size > 1 ? likely : [...likely, ...older.filter(({ shape }) => !exact.has(shape))],
  )
}

/** A shape as a writer makes it; null where it does not. */
const layoutOf = (
  one: RankedShape,
  preset: string,
  room: number,
  isWhole: boolean,
): PossibleLayout | null => {
  const length = lengthOf(one, preset, room, isWhole)
  if (!length) return null
  const parameters = parametersOf(one.shape, preset, length.size)
  if (!isMadeBy(one.shape, { ...parameters, ecc: one.fit?.ecc ?? 0 })) return null
  return { ...one, parameters, zones: null, length }
}

/** A shape as a list of its zones, where it is no kernel's that has a preset; none where it is one's. */
const listed = (one: RankedShape, room: number, isWhole: boolean): PossibleLayout[] => {
  const { shape, fit } = one
  const { base, end, exact } = shape
  if (!exact && !fit?.old) return []
  const size = end - base
  const zones = encodeZones(zonesOf(shape).map(zone => ({ ...zone, offset: zone.offset - base })))
  // Only the parity is the kernel's.
  const preset = fit?.old ? 'linux-pre-3.10' : 'linux-6.2'
  const list = { mem_size: size, zones: parseZones('zones', zones), preset, ecc: fit?.ecc ?? 0 }
  if (!isMadeBy(shape, list)) return []
  const fills = isWhole && size === room
  const length = { size, exact: fills, open: !fills, reason: 'the length of the zones' }
  return [{ ...one, parameters: parametersOf(shape, preset, size), zones, length }]
}

/**
 * The length of a region with a shape; null where it does not fit.
 *
 * @param room bytes from the region's start to the end of its memory
 * @param isWhole true where the region starts with its memory
 */
const lengthOf = (
  { shape, damaged }: RankedShape,
  preset: string,
  room: number,
  isWhole: boolean,
): Length | null => {
  const fills = { size: room, exact: true, open: false, reason: 'the zones fill the source' }
  if (shape.dmesg.count === 0) {
    const rings = shortestOf(preset, shape)
    if (rings > room) return null
    if (!isWhole)
      return {
        size: rings,
        exact: false,
        open: true,
        reason: 'the length of the zones; more would be unused',
      }
    if (rings === room) return fills
    const open = room - rings > room * mostUnused
    return { size: room, exact: false, open, reason: 'all of the source; no zone needs the rest' }
  }
  const lengths = lengthsOf(preset, shape)
  if (!lengths) return null
  const { from } = lengths
  const to = Math.min(lengths.to, room)
  if (from > to) return null
  if (isWhole && room <= to) return preset === shape.preset || from === to ? fills : remainder(room)
  const size = roundest(from, to)
  if (size % pageSize === 0 && to - from < pageSize)
    return {
      size,
      exact: false,
      // A file that is little longer than the region would rather be the region. And where headers are
      // damaged, those of more zones may be. Where nothing is rounded, the last zone may be longer.
      open: (isWhole && room < fewRegions * size) || damaged > 0 || shape.exact,
      reason: 'the only number of whole pages that gives these zones',
    }
  return {
    size,
    exact: false,
    open: from < to,
    reason: `any size from ${from} to ${to} gives these zones`,
  }
}

/** The length where zones leave a remainder of the source, as those of kernels before 4.10 could. */
const remainder = (room: number): Length => ({
  size: room,
  exact: true,
  open: true,
  reason: 'all of the source; what is left over is too little for a dump',
})

/** A number without its factors of two: people choose lengths where it is small. */
const oddPart = (n: number): number => {
  while (n > 0 && n % 2 === 0) n /= 2
  return n
}

/**
 * What makes a layout unlikely, the weightiest first; smaller numbers are likelier.
 *
 * @param least the penalty of the one that explains the bytes best
 */
const unlikeliness = (
  { length: { exact, open, size }, penalty, byParity, unusual, contents }: PossibleLayout,
  least: number,
): number[] => [
  exact && !open && penalty === least ? 0 : 1,
  penalty,
  -byParity,
  unusual,
  contents.size,
  exact ? 0 : 1,
  open ? 1 : 0,
  size < pageSize ? 1 : 0,
  oddPart(size),
  size,
]

const sorted = (layouts: readonly PossibleLayout[]): PossibleLayout[] => {
  const least = Math.min(...layouts.map(({ penalty }) => penalty))
  return layouts.toSorted((a, b) => compare(unlikeliness(a, least), unlikeliness(b, least)))
}

const compare = (a: readonly number[], b: readonly number[]): number => {
  const i = a.findIndex((value, i) => value !== b[i])
  return i < 0 ? 0 : a[i]! - b[i]!
}
