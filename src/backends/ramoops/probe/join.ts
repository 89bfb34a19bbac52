/**
 * Pieces of one region: a writer that signs only the zones that it writes, as U-Boot does, leaves signatures
 * far apart, and each piece looks like a region of its own.
 */
import { possibleLayouts, type PossibleLayout } from './possible.js'
import { rankGiven } from './rank.js'
import { isPageAligned, type Segment } from './segments.js'
import { dumpAreas, mostDumps, type Shape } from './shapes.js'
import { isPossible } from './signatures.js'
import type { View } from './view.js'

/** A region that was found, before it is reported. */
export interface Piece {
  readonly view: View
  readonly segment: Segment
  readonly base: number
  /** The likeliest first; there is one. */
  readonly possible: readonly PossibleLayout[]
  /** True where the region may start elsewhere. */
  readonly baseOpen: boolean
  /** The pieces of which this was made, if it was. */
  readonly parts?: readonly Piece[]
}

export const endOf = ({ possible }: Piece): number =>
  Math.max(...possible.map(({ shape }) => shape.end))

/** Is nothing in a layout's rings? The end of dumps' zones can look like rings that were never used. */
const isOfDumps = ({ shape, contents }: PossibleLayout): boolean =>
  shape.dmesg.count > 0 &&
  shape.sizes.ftrace === 0 &&
  [...contents.values()].every(content => content === 'empty')

/** The shapes that have the zones of two pieces, and dmesg zones without signatures between. */
const joinedShapes = (piece: Piece, next: Piece): Shape[] => {
  const dumps = piece.possible.find(isOfDumps)
  if (!dumps) return []
  const { size } = dumps.shape.dmesg
  const between = (next.base - piece.base) / size
  if (!Number.isInteger(between)) return []
  return next.possible
    .filter(({ shape }) => shape.dmesg.count === 0 || shape.dmesg.size === size)
    .map(({ shape }) => ({
      ...shape,
      base: piece.base,
      dmesg: { count: between + shape.dmesg.count, size },
    }))
    .filter(({ dmesg: { count } }) => count <= mostDumps && dumpAreas(count, size) !== null)
}

const isSameMemory = (one: Piece, other: Piece): boolean =>
  one.segment === other.segment && one.view.endian === other.view.endian

/** Join pieces that follow each other, where one layout explains both. */
export const joinPieces = (pieces: readonly Piece[]): Piece[] => {
  const joined: Piece[] = []
  for (const next of pieces) {
    const last = joined.at(-1)
    const shapes = last && isSameMemory(last, next) ? joinedShapes(last, next) : []
    const { view, segment, base, baseOpen } = last ?? next
    const ranked = rankGiven(view, shapes)
    const possible = possibleLayouts(view, segment, base, ranked)
    if (last && possible.length)
      joined.splice(-1, 1, {
        view,
        segment,
        base,
        baseOpen,
        possible,
        parts: [...(last.parts ?? [last]), next],
      })
    else joined.push(next)
  }
  return joined
}

/**
 * Signatures that no piece explains, and that another layout of this one could: they stand where a zone of it
 * might begin, or make a piece of rings alone.
 */
export const unexplained = (piece: Piece, pieces: readonly Piece[]): number => {
  const { view, segment, base, possible } = piece
  const end = endOf(piece)
  const size = possible[0]!.shape.dmesg.size
  const others = pieces.filter(
    other => other !== piece && isSameMemory(other, piece) && other.base > base,
  )
  const rings = others.filter(other => other.possible[0]!.shape.dmesg.count === 0)
  const isAlone = (at: number): boolean =>
    at < view.end && others.every(other => at < other.base || at >= endOf(other))
  const strays = view
    .plainBehind(end - 1, mostStrays)
    .filter(
      at =>
        isAlone(at) &&
        (isPageAligned(segment, at) || (size > 0 && (at - base) % size === 0)) &&
        isPossible(view.header(at)!),
    )
  return rings.length + strays.length
}
/** Signatures behind a region that are looked at. */
const mostStrays = 256
