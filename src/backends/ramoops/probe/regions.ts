/**
 * The regions in a source without a description, and their layouts.
 *
 * The signatures say where zones begin, Linux's rules which layouts have zones there, the contents and
 * the parity which of those the layout was. A layout is certain only where every layout that explains the
 * bytes has the same zones.
 */
import type { Region } from '../../../region/region.js'
import { zoneHeaderSize } from '../zone-header.js'
import { Blocks } from './blocks.js'
import { describe } from './evidence.js'
import type { Findings } from './found.js'
import { hiddenZones } from './hidden.js'
import { endOf, joinPieces, unexplained, type Piece } from './join.js'
import { possibleLayouts } from './possible.js'
import { rankShapes } from './rank.js'
import { isPageAligned, wholeSource, type Segment } from './segments.js'
import { shareOf, zonesOf } from './shapes.js'
import { findSignatures, isPossible } from './signatures.js'
import { Budget, View } from './view.js'

/** Regions that are reported, and offsets at which one is tried. A hostile source has more. */
const mostRegions = 64
const mostCandidates = 1024
/** A layout whose penalty is higher than the best one's by this much is not possible. */
const margin = 2
/** The same where the best has a tty zone, as no mainline kernel has, and the other has none. */
const ttyMargin = 5
/** ftrace zones before another zone: their bytes together, and their number. */
const mostFtrace = 2 ** 24
const mostFtraceZones = 64
/** Signatures at equal distances that are believed, though no header of them is sound. */
const leastRow = 4
/** How often a layout is looked for again, with the lost headers that the one before has left out. */
const mostRounds = 4
/** Unsigned zones before the first signed zone: as many are taken for damaged. */
const mostUnsigned = 64

/**
 * Find the regions in a source.
 *
 * @param segments the source's memory, ascending
 * @param progress called with the bytes that have been searched
 * @param limit the most bytes that are searched
 * @throws StoreError (EIO) where the source cannot be read
 */
export const findRegions = (
  region: Region,
  segments: readonly Segment[] = wholeSource(region),
  progress?: (done: number) => void,
  limit = Infinity,
): Findings => {
  const signatures = findSignatures(region, segments, limit, progress)
  const pieces: Piece[] = []
  const notes: string[] = []
  if (signatures.end < region.length)
    notes.push(
      `more signatures than any region has: only the first ${signatures.end} bytes were searched`,
    )
  const budget = new Budget()
  const blocks = new Blocks(region)
  let candidates = 0
  search: for (const endian of ['little', 'big'] as const) {
    const plain = merge(signatures.plain[endian], signatures.decayed[endian])
    /** The end of the last region of this byte order. */
    let searched = 0
    for (const start of merge(plain, signatures.ftrace[endian])) {
      if (start < searched) continue
      const segment = segments.find(
        ({ offset, length }) => start >= offset && start < offset + length,
      )!
      // Zones may begin at odd addresses (doc/formats.md 1.2), regions do not.
      if ((start - segment.offset + segment.address) % 2) continue
      const view = new View(region, plain, endian, segment.offset + segment.length, budget, blocks)
      // Noise has pages that begin like an ftrace zone: one in each 500 MB of random bytes.
      if (!view.isPlain(start) && !startsWithFtrace(view, segment, start)) continue
      if (++candidates > mostCandidates || pieces.length === mostRegions || budget.left <= 0) {
        notes.push(
          `more places where a region could start than any source has: those from ${start} on were not tried`,
        )
        break search
      }
      const base = baseOf(view, segment, start, Math.max(searched, segment.offset))
      const found = base === null ? null : regionAt(view, segment, base)
      // A shape that no writer makes is none.
      if (!found?.possible.length) continue
      pieces.push(found)
      view.forget()
      searched = endOf(found)
    }
  }
  const joined = joinPieces(pieces)
  const regions = joined.map(piece => describe(piece, unexplained(piece, joined)))
  return { regions: regions.sort((a, b) => a.mem_address - b.mem_address), notes }
}

/** Offsets of both lists, each once, ascending. */
const merge = (some: readonly number[], others: readonly number[]): number[] =>
  [...new Set([...some, ...others])].sort((a, b) => a - b)

/** Is the header at a page an ftrace zone's, and that zone a region's first? */
const startsWithFtrace = (view: View, segment: Segment, start: number): boolean =>
  view.header(start)!.size > 0
    ? view.holdsFtrace(start)
    : view.heldFtrace(start) || (start === segment.offset && view.spacings(start).length > 0)

/**
 * Where the region starts that a signature belongs to; null where the signature belongs to none.
 *
 * @param lowest the first offset that the region may have
 */
const baseOf = (view: View, segment: Segment, start: number, lowest: number): number | null => {
  const header = view.header(start)!
  if (!header.plain) return start
  const [next = 0, later = 0] = view.possibleFrom(start + 2, 2)
  const isDoubtful = header.wrong > 0 || !isPossible(header)
  if (isDoubtful && !isPageAligned(segment, start)) return null
  const isAlone = !next && !isFirstOfRow(view, start)
  // Alone it is believed where the memory begins with it, and its numbers are possible.
  if (isDoubtful && isAlone && !(start === segment.offset && isPossible(header))) return null
  const ftrace = ftraceBefore(view, segment, start, lowest)
  if (ftrace !== null) return ftrace
  const sizes = new Set([next - start, later - next].filter(size => size > zoneHeaderSize))
  // A region starts at a page. Where this zone does not, the zones before it have lost their signatures.
  // Where it does, there may be such zones too: their dumps tell.
  for (const size of sizes) {
    if (isPageAligned(segment, start)) {
      let base = start
      while (base - size >= lowest && (view.hasDump(base - size) || view.isPlain(base - size)))
        base -= size
      if (base !== start && isPageAligned(segment, base)) return base
      continue
    }
    for (let count = 1; count <= mostUnsigned && start - count * size >= lowest; count++)
      if (isPageAligned(segment, start - count * size)) return start - count * size
  }
  return start
}

/** Do signatures follow one at equal distances, whatever their numbers? Chance makes no such row. */
const isFirstOfRow = (view: View, start: number): boolean => {
  const row = [start, ...view.plainBehind(start, leastRow - 1)]
  const [, second = 0] = row
  return row.length === leastRow && row.every((at, i) => at === start + i * (second - start))
}

/** Where ftrace zones start that end where another zone begins; null where there are none. */
const ftraceBefore = (view: View, segment: Segment, end: number, lowest: number): number | null => {
  let first: number | null = null
  for (let total = 32; total <= mostFtrace; total *= 2)
    for (let count = 1; count <= mostFtraceZones; count++) {
      const each = shareOf(total, count)
      const at = end - each * count
      if (each <= zoneHeaderSize || at < lowest || !isPageAligned(segment, at)) continue
      if (first !== null && at >= first) continue
      const fits = (zone: number): boolean =>
        view.isFtrace(zone) && view.header(zone)!.size <= each - zoneHeaderSize
      if (fits(at) && (count === 1 || fits(at + each))) first = at
    }
  return first
}

/** May the region start earlier, with zones of a size that have lost their signatures? */
const mayStartEarlier = (view: View, segment: Segment, base: number, size: number): boolean =>
  [1, 2, 3].some(
    count =>
      size > 0 &&
      base - count * size === segment.offset &&
      view.region.load(segment.offset, zoneHeaderSize).some(byte => byte > 0),
  )

/** The region that starts at an offset, with its possible layouts, if any; null where nothing speaks for one. */
const regionAt = (view: View, segment: Segment, base: number): Piece | null => {
  let found = bySignatures(view, segment, base)
  for (let round = 0; round < mostRounds && found?.possible[0]; round++) {
    const lost = hiddenZones(view, found.possible[0], base === segment.offset)
    if (lost.length === 0) break
    view.addLost(lost)
    found = bySignatures(view, segment, base)
  }
  return found
}

/** The same, with the zones that signatures show, and headers that are known to be lost. */
const bySignatures = (view: View, segment: Segment, base: number): Piece | null => {
  const isWhole = base === segment.offset
  const ranked = rankShapes(view, base, isWhole)
  const [best] = ranked
  if (!best) return null
  const { shape } = best
  const isAligned = isPageAligned(segment, base)
  // A lone signature that is not at a page is a chance, or a part of some program.
  if (!isAligned && zonesOf(shape).length < 2) return null
  // Nor is a lone one with wrong bits believed, unless the memory begins with it.
  const marks = zonesOf(shape).map(({ offset }) => view.header(offset))
  if (!isWhole && marks.filter(mark => mark).length < 2 && marks.every(mark => mark?.wrong !== 0))
    return null
  const likely = ranked.filter(
    ({ penalty, shape: { sizes } }) =>
      penalty < best.penalty + (shape.sizes.tty && !sizes.tty ? ttyMargin : margin),
  )
  const possible = possibleLayouts(view, segment, base, likely)
  const baseOpen = !isAligned || mayStartEarlier(view, segment, base, shape.dmesg.size)
  return { view, segment, base, possible, baseOpen }
}
