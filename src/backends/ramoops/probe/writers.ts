/**
 * The writers that make a shape's zones: a preset each, with the lengths of a region of which it makes them.
 *
 * The same zones can be several kernels': before 4.10 a region's length could have any remainder, as dumps
 * did not share it (doc/formats.md 1.2).
 */
import { makeLayout, presets, type RamoopsParameters, type SizeParameter } from '../layout.js'
import type { RankedShape } from './rank.js'
import { dumpAreas, remainderOf, zonesOf, type Shape } from './shapes.js'

/** Writers that are thought of where today's kernels make a shape, but not of all of the source. */
export const olderWriters = ['linux-pre-4.10', 'linux-3.x'] as const
/** The writers that are thought of first, the likeliest first. */
export const writersOf = ({ shape, fit }: RankedShape): readonly string[] => {
  if (shape.dmesg.count === 0 && (shape.exact || fit?.old)) return ['linux-pre-3.10', 'linux-3.4']
  if (fit?.old) return ['linux-pre-3.10']
  return [shape.exact ? 'rockchip' : shape.preset]
}

/** Bytes of all rings. */
const ringsOf = ({ sizes }: Shape): number =>
  Object.values(sizes).reduce((sum, size) => sum + size, 0)

/** The lengths of dmesg's part, from and up to, both included, of which a writer makes its zones. */
const areaOf = (
  preset: string,
  { dmesg: { count, size } }: Shape,
): { from: number; to: number } | null => {
  const { exactZones, exactSizes, unevenShares } = presets[preset]!
  const from = count * size
  if (exactZones) return { from, to: from + size - 1 }
  return exactSizes ? { from, to: from + remainderOf(count) } : dumpAreas(count, size, unevenShares)
}

/**
 * The lengths of a region with dumps, from and up to, both included, of which a writer makes a shape.
 *
 * @returns null where there is no such length
 */
export const lengthsOf = (preset: string, shape: Shape): { from: number; to: number } | null => {
  const area = areaOf(preset, shape)
  if (!area) return null
  const from = area.from + ringsOf(shape)
  const to = area.to + ringsOf(shape)
  if (!presets[preset]!.roundsMemory) return { from, to }
  const rounded = powerAbove(from)
  return rounded <= to ? { from: rounded, to: 2 * rounded - 1 } : null
}

/** The shortest region of which a writer makes rings. */
export const shortestOf = (preset: string, shape: Shape): number =>
  presets[preset]!.roundsMemory ? powerAbove(ringsOf(shape)) : ringsOf(shape)

const powerAbove = (n: number): number => 2 ** Math.ceil(Math.log2(n))

/** The parameters that a shape decides. */
export type ShapeParameters = Required<
  Pick<RamoopsParameters, 'mem_size' | SizeParameter | 'cpus' | 'preset'>
> & { boot_log_size?: number }

/** A shape's parameters, for a writer and a region of a length. */
export const parametersOf = (
  { dmesg, sizes, cpus }: Shape,
  preset: string,
  memSize: number,
): ShapeParameters => {
  const { exactSizes, exactZones, unevenShares } = presets[preset]!
  const isExact = exactSizes ?? exactZones
  const area = isExact || !dmesg.count ? null : dumpAreas(dmesg.count, dmesg.size, unevenShares)
  return {
    mem_size: memSize,
    record_size: area?.recordSize ?? dmesg.size,
    console_size: sizes.console,
    ftrace_size: sizes.ftrace,
    pmsg_size: sizes.pmsg,
    tty_size: sizes.tty,
    ...(preset === 'rockchip' ? { boot_log_size: sizes['boot-log'] } : {}),
    cpus,
    preset,
  }
}

/** Does a writer's own rule make these zones of these parameters? */
export const isMadeBy = (shape: Shape, parameters: RamoopsParameters): boolean => {
  try {
    const { zones } = makeLayout(parameters, 0)
    const wanted = zonesOf(shape)
    return (
      zones.length === wanted.length &&
      zones.every((zone, i) => {
        const { kind, offset, size } = wanted[i]!
        return zone.kind === kind && zone.offset + shape.base === offset && zone.size === size
      })
    )
  } catch {
    return false
  }
}
