/** The possible layouts of a region: each shape with the region's length of which Linux makes it. */
import type { RankedShape } from './rank.js'
import { pageSize, type Segment } from './segments.js'
import { dumpAreas, isMadeBy, parametersOf, type ShapeParameters } from './shapes.js'
import type { View } from './view.js'

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
  length: Length
}

/** Of a source with only rings, the part beyond them that may be unused for the region to end with it. */
const mostUnused = 3 / 4
/** A source of fewer regions' lengths is perhaps a file of the region only. */
const fewRegions = 64

/**
 * Give shapes the lengths that make them.
 *
 * @returns the likeliest first; none where Linux makes none of the shapes
 */
export const possibleLayouts = (
  view: View,
  segment: Segment,
  base: number,
  ranked: readonly RankedShape[],
): PossibleLayout[] => {
  const room = view.end - base
  const isWhole = base === segment.offset
  const all = ranked.flatMap((one): PossibleLayout[] => {
    const { shape, fit } = one
    const length = lengthOf(one, room, isWhole)
    if (!length) return []
    const parameters = parametersOf(shape, length.size)
    if (!isMadeBy(shape, { ...parameters, ecc: fit?.ecc ?? 0 })) return []
    return [{ ...one, parameters, length }]
  })
  // A region with dumps fills all but a few bytes: where that is the source, it is no chance.
  const exact = all.some(({ length }) => length.exact)
  return all
    .filter(({ length, shape }) => !exact || length.exact || shape.dmesg.count === 0)
    .sort((a, b) => compare(unlikeliness(a), unlikeliness(b)))
}

/**
 * The length of a region with a shape; null where it does not fit.
 *
 * @param room bytes from the region's start to the end of its memory
 * @param isWhole true where the region starts with its memory
 */
const lengthOf = (
  { shape, damaged }: RankedShape,
  room: number,
  isWhole: boolean,
): Length | null => {
  const { dmesg, sizes } = shape
  const rings = sizes.console + sizes.pmsg + sizes.tty + sizes.ftrace
  const fills = { size: room, exact: true, open: false, reason: 'the zones fill the source' }
  if (dmesg.count === 0) {
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
  const area = dumpAreas(dmesg.count, dmesg.size)!
  const from = area.from + rings
  const to = Math.min(area.to + rings, room)
  if (from > to) return null
  if (isWhole && room <= to) return fills
  const size = roundest(from, to)
  if (size % pageSize === 0 && to - from < pageSize)
    return {
      size,
      exact: false,
      // A file that is little longer than the region would rather be the region. And where headers are
      // damaged, those of more zones may be.
      open: (isWhole && room < fewRegions * size) || damaged > 0,
      reason: 'the only number of whole pages that gives these zones',
    }
  return {
    size,
    exact: false,
    open: from < to,
    reason: `any size from ${from} to ${to} gives these zones`,
  }
}

/** The roundest number of a range: the one with most zero bits at its end. */
const roundest = (from: number, to: number): number => {
  let unit = 2 ** 40
  while (Math.floor(to / unit) * unit < from) unit /= 2
  return Math.floor(to / unit) * unit
}

/** A number without its factors of two: people choose lengths where it is small. */
const oddPart = (n: number): number => {
  while (n > 0 && n % 2 === 0) n /= 2
  return n
}

/** What makes a layout unlikely, the weightiest first; smaller numbers are likelier. */
const unlikeliness = ({
  length: { exact, open, size },
  penalty,
  byParity,
  unusual,
  contents,
}: PossibleLayout): number[] => [
  exact ? 0 : 1,
  penalty,
  -byParity,
  unusual,
  contents.size,
  open ? 1 : 0,
  size < pageSize ? 1 : 0,
  oddPart(size),
  size,
]

const compare = (a: readonly number[], b: readonly number[]): number => {
  const i = a.findIndex((value, i) => value !== b[i])
  return i < 0 ? 0 : a[i]! - b[i]!
}
