/** How well each shape explains the bytes: the parity that fits it, and its penalty. */
import { exactShapes } from './exact.js'
import { divideZone } from '../layout.js'
import { isUnusual, penalties, type ContentKind } from './classify.js'
import { shapesAt, zonesOf, type Shape } from './shapes.js'
import { isPossible } from './signatures.js'
import { findEcc, fittingBlocks, type Fit, type TriedZone } from './parity.js'
import { markOf, type View } from './view.js'
import type { ZoneExtent, ZoneKind } from '../../../pstore/types.js'

export interface RankedShape {
  shape: Shape
  /** Null: no parity. */
  fit: Fit | null
  /** The weights of everything that the shape does not explain, together; 0: the shape explains all. */
  penalty: number
  /** dmesg zones with a dump. */
  dumps: number
  /** dmesg zones that hold something else. */
  notDumps: number
  /** Empty rings whose header's parity is that of their former numbers: a kernel without ecc emptied them. */
  staleParity: number
  /** Signatures where the shape has no zone. */
  strays: number
  /** The contents of the rings. */
  contents: Map<ZoneKind, ContentKind>
  /** The same, and of empty rings the bytes that are left in them. */
  leftovers: Map<ZoneKind, ContentKind>
  /** Zones whose content, or leftover bytes, are rather another kind's. */
  unusual: number
  /** Zones without a signature, or with numbers that no writer leaves. */
  damaged: number
  /** Zones whose headers are lost or wrong, and that only their parity shows. */
  byParity: number
}

/** Weights: a zone that has no signature. */
const unsignedPenalty = 10
/** A signature right behind the last zone: more zones follow. */
const followedPenalty = 10
/** A signature a little behind the last zone, in no zone; how far behind at least, and how many count. */
const behindPenalty = 5
const behindReach = 2 ** 18
/** Or so many times the shape's length: a long ring with little in it looks like a short one. */
const reachOfLength = 4
const mostBehind = 64
/** A signature within a zone, and how many count. */
const insidePenalty = 2
const mostInside = 8
/** A signature with wrong bits. */
const decayedPenalty = 1
/** A header with numbers that no writer leaves in a zone of that size. */
const impossiblePenalty = 3
/** A zone that the other zones' parity does not fit. */
const misfitPenalty = 4

/** Shapes that are ranked, and their zones together. */
const mostRanked = 512
const mostZonesRanked = 2 ** 18
/** A shape that rounds no size is believed where it explains the bytes better by as much. */
const exactMargin = 3
/** Zones of a shape on which parity is tried. */
const mostTried = 12

/** The zones of a layout on which parity is tried: rings as well as dmesg zones. */
export const zonesToTry = (view: View, zones: readonly ZoneExtent[]): TriedZone[] => {
  const rings = zones.filter(({ kind }) => kind !== 'dmesg').slice(0, mostTried / 2)
  const dumps = zones.filter(({ kind }) => kind === 'dmesg').slice(0, mostTried / 2)
  return [...dumps, ...rings].map(({ offset, size }) => ({
    offset,
    size,
    header: view.header(offset),
  }))
}

/** @param furthest the end of the longest shape: signatures behind it belong to no shape */
const rankShape = (view: View, shape: Shape, furthest: number): RankedShape => {
  const zones = zonesOf(shape)
  const fit = findEcc(view, zonesToTry(view, zones))
  const { ecc = 0, old = false } = fit ?? {}
  const contents = new Map<ZoneKind, ContentKind>()
  const leftovers = new Map<ZoneKind, ContentKind>()
  let dumps = 0
  let notDumps = 0
  let staleParity = 0
  let unusual = 0
  let damaged = 0
  let byParity = 0
  let listed = 0
  const { end, base } = shape
  const reach = Math.max(behindReach, reachOfLength * (end - base))
  const behind = view.signaturesIn(end, Math.min(furthest, end + reach), mostBehind)
  let penalty = behindPenalty * behind
  if (view.isPlain(end)) penalty += followedPenalty
  if (view.isFtrace(end)) penalty += followedPenalty
  const addContent = ({ kind, offset, size }: ZoneExtent, content: ContentKind): void => {
    if (kind === 'ftrace') return
    const held = content === 'empty' ? view.leftover(offset, size) : content
    if (isUnusual(kind, held)) unusual++
    if (kind !== 'dmesg') {
      contents.set(kind, content)
      leftovers.set(kind, held)
    } else if (content === 'dump') dumps++
    else if (content !== 'empty') notDumps++
    penalty += penalties[kind][content]
  }
  for (const zone of zones) {
    const { kind, offset, size } = zone
    const ftrace = kind === 'ftrace'
    const raw = view.header(offset)
    const corrected = ecc ? view.correctedHeader(offset, size, ecc) : null
    const header = corrected ? markOf(corrected) : raw
    // What the search has listed is explained by this zone.
    listed += view.plainIn(offset, offset + 1, 1)
    const fits = ecc > 0 && fittingBlocks(view, { offset, size, header: raw }, ecc, old) > 0
    if (!header || !(ftrace ? header.ftrace : header.plain)) {
      // A sound header of another kind is no damaged one.
      if (fits && (!header || header.wrong)) byParity++
      else penalty += unsignedPenalty
      damaged++
      addContent(zone, 'empty')
      continue
    }
    if (corrected) byParity++
    if (corrected?.size && raw?.code === corrected.code && raw.size === 0) staleParity++
    const division = divideZone(size, ecc, old)
    if (!division) {
      penalty += unsignedPenalty
      addContent(zone, 'empty')
      continue
    }
    const { data } = division
    // Numbers that are wrong in themselves say nothing about the zone's size.
    const possible = isPossible(header)
    const fitsZone = possible && header.size <= data
    // A ring that has wrapped is full.
    const wrapped = header.start < header.size
    const isBroken = !fitsZone || (wrapped && header.size !== data)
    if (isBroken && possible) penalty += impossiblePenalty
    if (header.wrong) penalty += decayedPenalty
    if (isBroken || header.wrong) damaged++
    if (ecc && !fits) penalty += misfitPenalty
    addContent(zone, fitsZone && !ftrace ? view.content(offset, size, ecc, old, header) : 'empty')
  }
  const starts = new Set(zones.map(({ offset }) => offset))
  const inside = Math.min(
    mostInside,
    view.plainIn(base, end, listed + mostInside) - listed + view.strayFtrace(base, end, starts),
  )
  penalty += insidePenalty * inside
  return {
    shape,
    fit,
    penalty,
    dumps,
    notDumps,
    staleParity,
    strays: behind + inside,
    contents,
    leftovers,
    unusual,
    damaged,
    byParity,
  }
}

/**
 * Rank the shapes that zones from an offset on can have, the lowest penalty first. Where parity fits one
 * of them, the shapes that it does not fit are left out: a fit is no chance.
 *
 * @param isWhole true where the memory begins there
 */
export const rankShapes = (view: View, base: number, isWhole: boolean): RankedShape[] => {
  const shapes = shapesAt(view, base, false)
  let ranked = rankGiven(view, shapes)
  const [best] = ranked
  if (best && best.damaged + best.byParity + best.penalty === 0 && !isFollowed(view, best, isWhole))
    return ranked
  // Parity is asked for more zones only where headers are missing. Where it shows none, nothing is new.
  if (!best || best.damaged + best.byParity > 0) {
    const more = shapesAt(view, base, true)
    if (more.length !== shapes.length) ranked = rankGiven(view, more)
  }
  return unrounded(view, ranked, exactShapes(view, base, isWhole))
}

/** Does a signature stand behind a shape in a source that is perhaps its region only? */
const isFollowed = (view: View, { shape }: RankedShape, isWhole: boolean): boolean =>
  isWhole && view.possibleFrom(shape.end, 1).some(at => at < view.end)

/** The shapes that round no size, where they explain much more than those that do; else these. */
const unrounded = (view: View, ranked: RankedShape[], exact: readonly Shape[]): RankedShape[] => {
  if (exact.length === 0) return ranked
  // Together, so that what stands behind one of them counts against it.
  const all = rankGiven(view, [...ranked.map(({ shape }) => shape), ...exact])
  const rounded = all.find(({ shape }) => !shape.exact)
  // Dumps behind a first zone with text are no chance; two regions of rings can look like one without.
  const best = all.find(({ shape, dumps }) => shape.exact && (dumps > 0 || shape.dmesg.count === 0))
  if (!best) return ranked
  const least = best.penalty + (best.shape.dmesg.count ? exactMargin : exactMargin - 1)
  return rounded && rounded.penalty < least ? ranked : all.filter(({ shape }) => shape.exact)
}

/** Rank some shapes, as far as the budget reaches. */
export const rankGiven = (view: View, shapes: readonly Shape[]): RankedShape[] => {
  const furthest = Math.max(0, ...shapes.map(({ end }) => end))
  const all: RankedShape[] = []
  // There may be too many to rank all: those behind which least stands are.
  const strays = (shape: Shape): number =>
    view.plainIn(shape.end, shape.end + behindReach, mostBehind)
  const least = shapes
    .map(shape => ({ shape, strays: strays(shape) }))
    .sort((a, b) => a.strays - b.strays)
  let zones = 0
  for (const { shape } of least.slice(0, mostRanked)) {
    const cost = shape.dmesg.count + shape.cpus + 1
    zones += cost
    if (zones > mostZonesRanked || !view.budget.spend(cost)) break
    all.push(rankShape(view, shape, furthest))
  }
  const withParity = all.filter(({ fit }) => fit)
  return (withParity.length ? withParity : all).sort((a, b) => a.penalty - b.penalty)
}
