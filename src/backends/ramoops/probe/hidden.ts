/**
 * Zones that a layout leaves out, perhaps: their headers are lost, or their signatures have so many wrong bits that
 * the search for signatures has not seen them.
 */
import {
  findText,
  isFiller,
  isTrace,
  leastRemains,
  withoutFiller,
} from '../../../pstore/remains.js'
import { decodeDmesgHeader } from '../dmesg-header.js'
import { presets } from '../presets.js'
import { zoneHeaderSize } from '../zone-header.js'
import { isPossible } from './signatures.js'
import type { RankedShape } from './rank.js'
import { powerBelow, remainderOf, zonesOf, type Shape } from './shapes.js'
import type { LostHeader, View } from './view.js'
import type { ZoneExtent } from '../../../pstore/types.js'

/** Zones that are searched for headers which they perhaps hide. */
export const mostSearched = 64

/**
 * How many headers of ftrace zones a layout leaves out: behind its zones, or within one, where a smaller zone would
 * end.
 */
export const hiddenFtrace = (view: View, zones: readonly ZoneExtent[], end: number): number => {
  const behind = Math.max(view.ftraceIn(end, view.end).length, view.mayBeFtrace(end) ? 1 : 0)
  let within = 0
  for (const { offset, size, kind } of zones.slice(-mostSearched)) {
    const used = usedBy(view, offset, size)
    for (let part = size / 2; part >= used && part % 2 === 0; part /= 2) {
      // What is seen is among the strays already.
      const isSeen = view.isPlain(offset + part)
      if (kind !== 'ftrace' && !isSeen && view.mayBeFtrace(offset + part)) within++
    }
  }
  return behind + within
}

/** Bytes of a zone that its header says are used, the header included. */
const usedBy = (view: View, offset: number, size: number): number => {
  const header = view.header(offset)
  return zoneHeaderSize + (header && isPossible(header) ? Math.min(header.size, size) : 0)
}

/** Unused bytes of a region that are searched for dumps, and how many of them cost as much as looking at a zone. */
const mostUnused = 2 ** 22
const bytesPerZone = 2 ** 14
const dumpStart = Buffer.from('====')
/** How often what may be a dump's header line is looked at: a hostile region is full of them. */
const mostDumpStarts = 4096
/** dmesg zones behind the last one that are looked for. */
const mostBehind = 3

/**
 * Zones that a layout leaves out, perhaps, whose headers are lost.
 *
 * @param isWhole the memory begins with the region
 */
export const hiddenZones = (
  view: View,
  { shape, fit }: RankedShape,
  isWhole: boolean,
): LostHeader[] => {
  const dumps = hiddenDumps(view, shape)
  const rings = hiddenRings(view, shape, isWhole, fit === null)
  return [...dumps.map(at => ({ at, ftrace: false })), ...rings]
}

/**
 * Where dumps lie that a layout leaves out: the offsets at which their zones would begin.
 *
 * A dump's header line stands at a zone's start only, so that one in the unused bytes of a zone, or behind the last
 * one, is that of a zone whose header is lost.
 */
const hiddenDumps = (view: View, shape: Shape): number[] => {
  const hidden: number[] = []
  const uneven = presets[shape.preset]!.unevenShares
  let left = mostUnused
  let starts = 0
  for (const { from, to } of unusedIn(view, shape)) {
    const length = Math.min(to - from, left)
    if (length <= zoneHeaderSize || !view.budget.spend(1 + length / bytesPerZone)) continue
    left -= length
    const bytes = view.blocks.load(from, length)
    for (let n = bytes.indexOf(dumpStart); n >= 0; n = bytes.indexOf(dumpStart, n + 1)) {
      if (starts++ === mostDumpStarts) return hidden
      const at = from + n - zoneHeaderSize
      // One whose signature is seen is among the strays already.
      if (n < zoneHeaderSize || (at % 2 && !uneven) || view.header(at) !== null) continue
      if (startsDump(bytes.subarray(n))) hidden.push(at)
    }
  }
  return hidden
}

function* unusedIn(view: View, shape: Shape): Generator<{ from: number; to: number }, void, void> {
  const { end, dmesg } = shape
  for (const { offset, size } of zonesOf(shape).slice(0, mostSearched))
    yield { from: offset + usedBy(view, offset, size), to: offset + size }
  if (dmesg.count > 0)
    yield { from: end, to: Math.min(view.end, end + mostBehind * dmesg.size + zoneHeaderSize) }
}

const zero = 0x30

/** Does a dump's header line stand here, as a kernel writes it, and a body behind it? */
const startsDump = (bytes: Buffer): boolean => {
  const header = decodeDmesgHeader(bytes)
  if (!header || bytes[dumpStart.length]! < zero) return false
  return header.length < bytes.length && !isFiller(bytes[header.length])
}

/** The smallest ring that is looked for, the least text that is believed to be one's, and how much of it is looked at. */
const smallestRing = 64
const leastText = 64
const mostContent = 2 ** 16
/** Bytes before a ring that nothing was written to: what was left of an older content would go on. */
const blankBefore = 32

/**
 * Where rings lie that a layout leaves out. A ring ends where another zone begins, or with the source, and its size is
 * a power of two: so it begins where nothing was written before it, or right behind a zone that is full.
 *
 * @param isPlain no parity follows what is in a zone: one that has wrapped ends there
 */
const hiddenRings = (
  view: View,
  shape: Shape,
  isWhole: boolean,
  isPlain: boolean,
): LostHeader[] => {
  const zones = zonesOf(shape)
  const { end, dmesg, sizes } = shape
  const hidden: LostHeader[] = []
  const look = (at: number, size: number, isEnd = false): boolean => {
    const length = Math.min(size - zoneHeaderSize, mostContent)
    const isAffordable = view.budget.spend(1 + length / bytesPerZone)
    if (!isAffordable || view.header(at) !== null) return false
    const content = view.region.load(at + zoneHeaderSize, length)
    const ftrace = isTrace(content)
    const isRing = ftrace || beginsText(content) || (isEnd && isUsed(content))
    if (isRing) hidden.push({ at, ftrace })
    return isRing
  }
  for (const { offset, size } of new Set([
    ...zones.slice(0, mostSearched),
    ...zones.slice(-mostSearched),
  ])) {
    const used = usedBy(view, offset, size)
    for (let part = powerBelow(size - 1); part >= smallestRing; part /= 2) {
      const at = offset + size - part
      if (at < offset + used) continue
      if (at > offset + used && !isBlank(view, at - blankBefore, offset + used)) continue
      if (look(at, part, isPlain && at === offset + used && hasWrapped(view, offset))) break
    }
  }
  const last = zones.at(-1)
  const next = Math.min(
    view.possibleFrom(end + 1, 1)[0] ?? Infinity,
    view.ftraceIn(end + zoneHeaderSize, view.end)[0] ?? Infinity,
  )
  // Dumps, and the CPUs that share ftrace, leave a few bytes at the end.
  const room = next < Infinity ? next - end : isWhole ? view.end - end : 0
  const shared = zones.reduce((sum, { kind, size }) => sum + (kind === 'ftrace' ? size : 0), 0)
  const slack = next < Infinity ? 0 : remainderOf(dmesg.count) + sizes.ftrace - shared
  const size = room >= smallestRing ? powerBelow(room) : 0
  const isLast = last?.kind === 'ftrace' && room - last.size >= 0 && room - last.size <= slack
  if (size && (room - size <= slack || isLast))
    look(end, isLast ? last.size : size, next < Infinity)
  return hidden
}

/** Does a text begin here, or Android's log, whose entries begin with numbers? */
const beginsText = (content: Buffer): boolean => {
  const text = findText(content, false)
  return text !== null && text.from < blankBefore && text.to - text.from >= leastText
}

const hasWrapped = (view: View, offset: number): boolean => {
  const header = view.header(offset)
  return header !== null && header.start < header.size
}

/** Was something written here, whatever it is? */
const isUsed = (content: Buffer): boolean =>
  withoutFiller(content.subarray(0, smallestRing)) >= leastRemains

/** Was nothing written to the bytes from a place on? What is below the lowest was. */
const isBlank = (view: View, from: number, lowest: number): boolean =>
  from >= lowest && view.blocks.load(from, blankBefore).every(byte => isFiller(byte))
