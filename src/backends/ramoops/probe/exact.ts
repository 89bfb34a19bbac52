/**
 * Shapes of writers that round no size: each zone ends where the next signature stands.
 *
 * Source: doc/formats.md 1.2 (Rockchip's, with a boot log in front; 3.4's, of one zone). Nearly any row of
 * signatures can be read so: such a shape is made only where something in its zones speaks for it.
 */
import { presets } from '../layout.js'
import { zoneHeaderSize } from '../zone-header.js'
import {
  countsAt,
  dumpAreas,
  dumpSizes,
  noRings,
  powerBelow,
  remainderOf,
  roundest,
  type RingSizes,
  type Shape,
} from './shapes.js'
import { isPossible } from './signatures.js'
import type { View } from './view.js'

/** Boot logs that are tried: up to one of the nearest signatures. */
const mostBootLogs = 3
/** Shapes that are made from one offset on. */
const mostExact = 256
/** In a file of the region only, the last ring begins behind this part of it. */
const leastBefore = 1 / 5
/** A last ring's size where nothing tells it: that of pmsg on Rockchip's boards. */
const usualPmsg = 0x30000
const exactRings = ['console', 'pmsg', 'ftrace'] as const

/** Rings that lie behind each other. */
interface Rings {
  readonly sizes: RingSizes
  readonly end: number
  /** True where one holds more than the power of two below its size: it was not rounded. */
  readonly unrounded: boolean
}

/**
 * The shapes that zones from `base` on can have where nothing is rounded.
 *
 * @param isWhole true where the memory begins with the region, and perhaps ends with it
 */
export const exactShapes = (view: View, base: number, isWhole: boolean): Shape[] => {
  const found: Shape[] = []
  const add = (
    preset: string,
    count: number,
    size: number,
    sizes: RingSizes,
    end: number,
  ): void => {
    if (end <= view.end && found.length < mostExact)
      found.push({ preset, exact: true, base, dmesg: { count, size }, sizes, cpus: 1, end })
  }
  const bootLogs = view.plainBehind(base, mostBootLogs).map(at => at - base)
  if (isWhole && view.isPlain(base) && bootLogs.length === 0)
    add('linux-3.4', 0, 0, { ...noRings, console: view.end - base }, view.end)
  for (const bootLog of [0, ...bootLogs.filter(size => holdsText(view, base, size))]) {
    const first = base + bootLog
    for (const size of dumpSizes(view, first))
      for (const count of countsAt(view, first, size)) {
        // Several dumps at a distance at which no other writer puts so many.
        const isOdd = count > 1 && dumpAreas(count, size) === null
        for (const preset of ['rockchip', 'linux-pre-6.2'] as const) {
          const at = first + count * size
          for (const { sizes, end, unrounded } of ringsAt(view, preset, at, isWhole, count)) {
            // Without both the orders are one.
            const isOwnOrder = preset === 'rockchip' || (sizes.ftrace > 0 && sizes.pmsg > 0)
            if (isOwnOrder && (bootLog > 0 ? preset === 'rockchip' : unrounded || isOdd))
              add(preset, count, size, { ...sizes, 'boot-log': bootLog }, end)
          }
        }
      }
  }
  return found
}

/** Does a zone hold what a boot loader prints? */
const holdsText = (view: View, at: number, size: number): boolean => {
  const header = view.header(at)
  return (
    header !== null &&
    header.plain &&
    size > zoneHeaderSize &&
    isPossible(header) &&
    header.size <= size - zoneHeaderSize &&
    ['text', 'stamped', 'terminal'].includes(view.content(at, size, 0, false, header))
  )
}

/** The rings that may lie from an offset on, in a preset's order. */
const ringsAt = (
  view: View,
  preset: string,
  from: number,
  isWhole: boolean,
  dumps: number,
): Rings[] => {
  const kinds = presets[preset]!.order.filter(kind => exactRings.some(ring => ring === kind))
  const found: Rings[] = []
  const place = (i: number, at: number, { sizes, unrounded }: Rings): void => {
    const rings = { sizes, end: at, unrounded }
    const kind = exactRings.find(ring => ring === kinds[i])
    if (!kind) {
      found.push(rings)
      return
    }
    place(i + 1, at, rings)
    const header = view.header(at)
    if (!header || !isPossible(header) || !(kind === 'ftrace' ? header.ftrace : header.plain))
      return
    const used = zoneHeaderSize + header.size
    const next = Math.min(
      ...view.possibleFrom(at + zoneHeaderSize, 1),
      ...view.ftraceIn(at + zoneHeaderSize, view.end),
    )
    // What dumps leave over is behind the last ring.
    const rest =
      isWhole && at > view.end * leastBefore
        ? roundest(view.end - at - remainderOf(dumps), view.end - at)
        : 0
    const size = next < view.end ? next - at : rest || lastSize(used)
    if (size < used || at + size > view.end) return
    place(i + 1, at + size, {
      sizes: { ...sizes, [kind]: size },
      end: at + size,
      unrounded: unrounded || used > powerBelow(size),
    })
  }
  place(0, from, { sizes: noRings, end: from, unrounded: false })
  return found
}

/** The size of a last ring in memory: what those of Rockchip's boards have, if it holds no more. */
const lastSize = (used: number): number => Math.max(usualPmsg, 2 ** Math.ceil(Math.log2(used)))
