/**
 * A list of zones, as a user writes it for a region that no preset lays out:
 * `dmesg:0x14000x2,console:512K,gap:0x1000,pmsg:64K`.
 */
import { StoreError } from '../../pstore/errors.js'
import { parseSize } from '../../pstore/parameters.js'
import { zoneKinds, type ZoneExtent, type ZoneKind } from '../../pstore/types.js'

/** Zones of one kind and size in a row, or bytes that belong to none. */
export interface ZoneRun {
  kind: ZoneKind | 'gap'
  /** Bytes of each, header and parity included. */
  size: number
  count: number
}

/** The kinds of which a region can have several zones. */
const several: ReadonlySet<ZoneRun['kind']> = new Set(['dmesg', 'ftrace', 'boot-log', 'gap'])
/** Kinds whose zones are all of one size: a dump fits into each, and CPUs are equal. */
const alike: ReadonlySet<ZoneRun['kind']> = new Set(['dmesg', 'ftrace'])
/** Pointers to zones that kcalloc gives: KMALLOC_MAX_SIZE is 4 MiB (fs/pstore/ram.c, ramoops_init_przs). */
export const mostZones = 2 ** 19

const runKinds = [...zoneKinds, 'gap'] as const

const hex = (n: number): string => `0x${n.toString(16)}`

const encodeRun = ({ kind, size, count }: ZoneRun): string =>
  `${kind}:${hex(size)}${count > 1 ? `x${count}` : ''}`

/**
 * Parse a list of zones: KIND:SIZE or KIND:SIZExCOUNT, in the order in which they lie. The comma between two
 * can be a colon, for lists of options that have commas of their own.
 *
 * @throws StoreError naming the part that is wrong
 */
export const parseZones = (name: string, text: string): ZoneRun[] => {
  const words = text.split(/[,:]/)
  const runs: ZoneRun[] = []
  for (let i = 0; i < words.length; i += 2) {
    const [word = '', sizes = ''] = words.slice(i, i + 2)
    const kind = runKinds.find(known => known === word)
    if (!kind)
      throw new StoreError(
        `${name} '${text}': no zone is called '${word}'; there is ${zoneKinds.join(', ')}, and gap for bytes of none`,
      )
    const [, each = '', times = '1'] = /^((?:0x)?[^x]+)(?:x(\d{1,6}))?$/i.exec(sizes) ?? []
    if (!each)
      throw new StoreError(
        `${name} '${text}': ${kind}:${sizes}: give its size, as ${kind}:64K, or ${kind}:64Kx2 for two in a row`,
      )
    runs.push({ kind, size: parseSize(`${name}: ${kind}`, each), count: Number(times) })
  }
  return runs
}

const isRun = (value: unknown): value is ZoneRun =>
  typeof value === 'object' && value !== null && 'size' in value && typeof value.size === 'number'

/** Write runs as such a list; what is none, as it comes. */
export const printRuns = (runs: unknown): string =>
  Array.isArray(runs)
    ? runs.map(run => (isRun(run) ? encodeRun(run) : String(run))).join()
    : String(runs)

/** Write zones as a list that makes them again. */
export const encodeZones = (zones: readonly ZoneExtent[]): string => {
  const runs: ZoneRun[] = []
  let end = 0
  for (const { kind, offset, size } of zones) {
    const last = runs.at(-1)
    if (offset > end) runs.push({ kind: 'gap', size: offset - end, count: 1 })
    else if (last?.kind === kind && last.size === size) {
      last.count++
      end = offset + size
      continue
    }
    runs.push({ kind, size, count: 1 })
    end = offset + size
  }
  return runs.map(encodeRun).join()
}

/**
 * The zones of a list, as they lie.
 *
 * @param memSize bytes of the region
 * @throws StoreError naming the part that cannot be
 */
export const zonesListed = (runs: readonly ZoneRun[], memSize: number): ZoneExtent[] => {
  const zones: ZoneExtent[] = []
  const seen = new Map<ZoneRun['kind'], { size: number; next: number }>()
  let offset = 0
  for (const run of runs) {
    const { kind, size, count } = run
    const refuse = (why: string): StoreError => new StoreError(`zones: ${encodeRun(run)}: ${why}`)
    if (size < 1 || count < 1) throw refuse('must have at least one byte, and there must be one')
    if (zones.length + count > mostZones) throw refuse(`more than ${mostZones} zones`)
    const before = seen.get(kind)
    if (!several.has(kind) && (before || count > 1))
      throw refuse(`a region has one zone of ${kind}`)
    if (alike.has(kind) && before && before.size !== size)
      throw refuse(
        `all zones of ${kind} have one size, and one of ${hex(before.size)} is named before`,
      )
    if (offset + size * count > memSize)
      throw refuse(`ends at ${hex(offset + size * count)}, beyond the region's ${hex(memSize)}`)
    const first = before?.next ?? 0
    seen.set(kind, { size, next: first + count })
    for (let i = 0; i < count; i++, offset += size)
      if (kind !== 'gap') zones.push({ kind, index: first + i, offset, size })
  }
  if (zones.length === 0) throw new StoreError('zones: names no zone')
  return zones
}
