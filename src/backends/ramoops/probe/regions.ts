/**
 * Finding regions and their layouts in a source that nobody described.
 *
 * The signatures say where zones begin, Linux's rules which layouts have zones there, the contents and
 * the parity which of those it was. What is left is told: a layout is certain only where every one that
 * explains the bytes has the same zones.
 */
import type { Region } from '../../../region/region.js'
import { zoneHeaderSize } from '../zone-header.js'
import { judge } from './rank.js'
import { describe, memSizes } from './evidence.js'
import type { Findings, FoundRegion } from './found.js'
import { shareOf, zonesOf } from './shapes.js'
import { findSignatures, isSound, pageSize, type Segment } from './signatures.js'
import { View, Work } from './view.js'

/** Regions that are reported, and places that are tried for one. A hostile source has more. */
const mostRegions = 64
const mostCandidates = 1024
/** A layout against which so much more speaks than against the best is none. */
const margin = 2
/** The same where the best has a tty zone, as no mainline kernel has, and the other has none. */
const ttyMargin = 5
/** ftrace zones before another zone: how large together, and how many. */
const mostFtrace = 2 ** 24
const mostFtraceZones = 64
/** Zones before the first signed one that are taken for damaged. */
const mostLost = 64

/** The whole of a source as one piece of memory. */
export const wholeOf = (region: Region): Segment[] => [
  { offset: 0, length: region.length, address: 0 },
]

/**
 * Find the regions in a source.
 *
 * @param pieces its parts that are memory, ascending
 * @param progress told of the bytes that are done
 * @throws StoreError (EIO) where the source cannot be read
 */
export const findRegions = (
  region: Region,
  pieces: readonly Segment[] = wholeOf(region),
  progress?: (done: number) => void,
): Findings => {
  const marks = findSignatures(region, pieces, progress)
  const regions: FoundRegion[] = []
  const notes: string[] = []
  if (marks.end < region.length)
    notes.push(
      `more signatures than any region has: only the first ${marks.end} bytes were searched`,
    )
  const work = new Work()
  let places = 0
  search: for (const endian of ['little', 'big'] as const) {
    const plain = marks.plain[endian]
    let covered = 0
    for (const start of [...plain, ...marks.ftrace[endian]].sort((a, b) => a - b)) {
      if (start < covered) continue
      const piece = pieces.find(({ offset, length }) => start >= offset && start < offset + length)!
      const view = new View(region, plain, endian, piece.offset + piece.length, work)
      // Noise has pages that begin like an ftrace zone: one in each 500 MB of random bytes.
      if (view.header(start)!.code && !startsWithFtrace(view, piece, start)) continue
      if (++places > mostCandidates || regions.length === mostRegions || work.left <= 0) {
        notes.push(
          `more places for a region than are believed: those from ${start} on were not tried`,
        )
        break search
      }
      const base = baseOf(view, piece, start, Math.max(covered, piece.offset))
      const found = base === null ? null : regionAt(view, piece, base)
      if (!found) continue
      regions.push(found.region)
      covered = found.end
    }
  }
  return { regions: regions.sort((a, b) => a.mem_address - b.mem_address), notes }
}

const isAligned = (piece: Segment, at: number): boolean =>
  (at - piece.offset + piece.address) % pageSize === 0

/** Is the ftrace zone at a page one, and the first of a region? */
const startsWithFtrace = (view: View, piece: Segment, start: number): boolean =>
  view.header(start)!.size > 0
    ? view.holdsFtrace(start)
    : view.heldFtrace(start) || (start === piece.offset && view.spacings(start).length > 0)

/** Where the region that a signature belongs to starts; null where it belongs to none. */
const baseOf = (view: View, piece: Segment, start: number, least: number): number | null => {
  const header = view.header(start)!
  if (header.code) return start
  const [next = 0, later = 0] = view.soundFrom(start + 2, 2)
  if (!isSound(header) && !(isAligned(piece, start) && next)) return null
  const front = ftraceBefore(view, piece, start, least)
  if (front !== null) return front
  const sizes = new Set([next - start, later - next].filter(size => size > zoneHeaderSize))
  // A region starts at a page. Else zones before this one have lost their signatures, and there may be
  // some where it is at a page: their dumps tell.
  for (const size of sizes) {
    if (isAligned(piece, start)) {
      let base = start
      while (base - size >= least && view.hasDump(base - size)) base -= size
      if (base !== start && isAligned(piece, base)) return base
      continue
    }
    for (let lost = 1; lost <= mostLost && start - lost * size >= least; lost++)
      if (isAligned(piece, start - lost * size)) return start - lost * size
  }
  return start
}

/** Where ftrace zones start that end where another zone does; null where there are none. */
const ftraceBefore = (view: View, piece: Segment, end: number, least: number): number | null => {
  let first: number | null = null
  for (let total = 32; total <= mostFtrace; total *= 2)
    for (let count = 1; count <= mostFtraceZones; count++) {
      const each = shareOf(total, count)
      const at = end - each * count
      if (each <= zoneHeaderSize || at < least || !isAligned(piece, at)) continue
      if (first !== null && at >= first) continue
      const sized = (zone: number): boolean =>
        view.isFtrace(zone) && view.header(zone)!.size <= each - zoneHeaderSize
      if (sized(at) && (count === 1 || sized(at + each))) first = at
    }
  return first
}

/** May a zone before a region's first have lost its signature, so that it starts there? */
const mayStartEarlier = (view: View, piece: Segment, base: number, size: number): boolean =>
  [1, 2, 3].some(
    lost =>
      size > 0 &&
      base - lost * size === piece.offset &&
      view.region.load(piece.offset, zoneHeaderSize).some(byte => byte > 0),
  )

/** The region that starts at a place; null where no layout explains what is there. */
const regionAt = (
  view: View,
  piece: Segment,
  base: number,
): { region: FoundRegion; end: number } | null => {
  const judged = judge(view, base)
  const [best] = judged
  if (!best) return null
  // A lone signature that is not where a region starts is a chance, or a part of some program.
  const { shape } = best
  const alone = zonesOf(shape).length < 2
  if (!isAligned(piece, base) && alone) return null
  const likely = judged.filter(
    ({ faults, shape: { sizes } }) =>
      faults < best.faults + (shape.sizes.tty && !sizes.tty ? ttyMargin : margin),
  )
  const possible = memSizes(view, piece, base, likely)
  if (possible.length === 0) return null
  return {
    region: describe(
      view,
      piece,
      base,
      possible,
      !isAligned(piece, base) || mayStartEarlier(view, piece, base, shape.dmesg.size),
    ),
    end: Math.max(...possible.map(({ shape }) => shape.end)),
  }
}
