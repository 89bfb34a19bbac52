/**
 * Zones that a layout leaves out, perhaps: their headers are lost, or their signatures have so many wrong bits that
 * the search for signatures has not seen them.
 */
import { decodeDmesgHeader } from '../dmesg-header.js'
import { zoneHeaderSize } from '../zone-header.js'
import { isPossible } from './signatures.js'
import { zonesOf, type Shape } from './shapes.js'
import type { View } from './view.js'
import { isFiller } from '../../../pstore/remains.js'
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
    for (let part = size / 2; part >= used && part % 2 === 0; part /= 2)
      if (kind !== 'ftrace' && view.mayBeFtrace(offset + part)) within++
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
 * Where dumps lie that a layout leaves out: the offsets at which their zones would begin.
 *
 * A dump's header line stands at a zone's start only, so that one in the unused bytes of a zone, or behind the last
 * one, is that of a zone whose header is lost.
 */
export const hiddenDumps = (view: View, shape: Shape): number[] => {
  const hidden: number[] = []
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
      // Zones begin at even offsets. One whose signature is seen is among the strays already.
      if (n < zoneHeaderSize || at % 2 || view.header(at) !== null) continue
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
