/**
 * The layout of a pstore/zone store that nobody described, as far as its signatures tell it. Zones that were never
 * written have none, so what is found is enough to read what there is, and never to write.
 *
 * Source: doc/formats.md 3.1; fs/pstore/zone.c (psz_alloc_zones), fs/pstore/Kconfig.
 */
import { count } from '../../pstore/condition.js'
import { assertStoreError } from '../../pstore/errors.js'
import type { ZoneKind } from '../../pstore/types.js'
import { zoneHeaderSize } from './header.js'
import { makeZoneLayout, type ZoneParameters } from './layout.js'
import type { Signed } from './signed.js'

/** A layout, and how sure it is. */
export interface FoundLayout {
  readonly parameters: ZoneParameters
  /** The parameters that the bytes do not tell. */
  readonly open: readonly string[]
  /** The zones that are signed, by their kinds. */
  readonly evidence: readonly string[]
  /** The same as options of the command line. */
  readonly options: string
  /** What it leaves out, in a line: the store was cut short amid its last zone. */
  readonly against?: string
}

/** Rings in the order in which they lie. */
const rings = ['pmsg', 'console', 'tty', 'ftrace'] as const
type RingKind = (typeof rings)[number]
const order: readonly ZoneKind[] = [...rings, 'dmesg']
/** Linux's default of each size, but for tty's. */
const usualSize = 64 << 10
const sector = 512
/** So many zones are whole in a store that was cut short: fewer may be something else. */
const leastWhole = 2
const alignment = 4096

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

const roundUp = (n: number): number => Math.ceil(n / sector) * sector

/** The zones that lie in Linux's order; others are in somebody's text. */
const inOrder = (all: readonly Signed[]): Signed[] => {
  let last = -1
  return all.filter(({ kind }) => {
    const at = order.indexOf(kind)
    // There is one of each ring, but for ftrace.
    const isNext = at > last || (at === last && (kind === 'ftrace' || kind === 'dmesg'))
    if (isNext) last = at
    return isNext
  })
}

/** The zones of the byte order that most have. */
const ofOneOrder = (all: readonly Signed[]): Signed[] => {
  const little = all.filter(({ endian }) => endian === 'little')
  return 2 * little.length >= all.length ? little : all.filter(({ endian }) => endian === 'big')
}

/** The zones, and where fewer than two dumps tell the size of one, the empty ones behind the rings. */
const withEmpty = (zones: readonly Signed[], all: readonly Signed[]): readonly Signed[] => {
  if (zones.filter(({ kind }) => kind === 'dmesg').length >= 2) return zones
  const { endian } = zones[0]!
  const end = zones.findLast(({ kind }) => kind !== 'dmesg')?.offset ?? -1
  const empty = all.filter(zone => zone.isEmpty && zone.endian === endian && zone.offset > end)
  return [...zones, ...empty].toSorted((a, b) => a.offset - b.offset)
}

/** Divide the bytes before or behind what is signed: by Linux's defaults where they fit, else all are the first's. */
const divide = (
  sizes: { [kind in RingKind]: number },
  kinds: readonly RingKind[],
  length: number,
): void => {
  const [first] = kinds
  if (first === undefined) return
  const usual = kinds.filter(kind => kind !== 'tty')
  if (usual.length > 0 && usualSize * usual.length === length)
    for (const kind of usual) sizes[kind] = usualSize
  else sizes[first] = length
}

/** Rings from the start of the store, or of a ring, up to the next ring or the dumps. */
const ringSizes = (
  zones: readonly Signed[],
  end: number,
): { sizes: { [kind in RingKind]: number }; open: Set<string> } => {
  const sizes = { pmsg: 0, console: 0, tty: 0, ftrace: 0 }
  const open = new Set<string>()
  const starts = rings.flatMap(kind => {
    const zone = zones.find(zone => zone.kind === kind)
    return zone ? [{ kind, offset: zone.offset }] : []
  })
  let at = 0
  let pending: RingKind[] = []
  for (const kind of rings) {
    const start = starts.find(start => start.kind === kind)
    if (start) {
      note(pending, start.offset - at)
      divide(sizes, pending, start.offset - at)
      at = start.offset
      pending = []
    }
    pending.push(kind)
  }
  note(pending, end - at)
  divide(sizes, pending, end - at)
  return { sizes, open }

  /** Several rings share a stretch: only their sum is known. */
  function note(kinds: readonly RingKind[], length: number): void {
    if (length > 0 && kinds.length > 1) for (const kind of kinds) open.add(`${kind}_size`)
  }
}

/** How many CPUs have an ftrace zone in so many bytes. */
const cpusOf = (zones: readonly Signed[], size: number): number => {
  const offsets = zones.filter(({ kind }) => kind === 'ftrace').map(({ offset }) => offset)
  const steps = offsets.slice(1).map((offset, i) => offset - offsets[i]!)
  return steps.length > 0 ? Math.max(1, Math.floor(size / Math.min(...steps))) : 1
}

/** Where dumps' zones start, and their size by the distances between them; open where there are not two. */
const dumpZones = (
  dumps: readonly Signed[],
  doubtful: ReadonlySet<number>,
  end: number,
  total: number,
): { start: number; size: number; isOpen: boolean } => {
  const [first, ...others] = dumps
  let start = first?.offset ?? end
  const step = others.reduce((step, { offset }) => gcd(step, offset - start), 0)
  if (step > 0 && step % sector === 0) {
    // Zones whose second header is lost are before the others.
    while (doubtful.has(start - step)) start -= step
    return { start, size: step, isOpen: false }
  }
  const least = roundUp(Math.max(0, ...dumps.map(({ used }) => used)) + zoneHeaderSize)
  const room = Math.floor((total - start) / sector) * sector
  return { start, size: Math.min(Math.max(least, usualSize), room), isOpen: true }
}

/**
 * The layout that signed zones have, or all but the last, where the store ends amid that.
 *
 * @param all by their offsets
 * @param length of the store, in bytes
 * @returns null where no layout of Linux's has them
 */
export const findLayout = (all: readonly Signed[], length: number): FoundLayout | null => {
  const found = layoutOf(all, length)
  const last = all.at(-1)
  if (found || !last || all.length <= leastWhole) return found
  const whole = layoutOf(all.slice(0, -1), length)
  return whole && { ...whole, against: cutShort(last, length) }
}

/** A zone that is not all there, in words. */
const cutShort = ({ offset, used }: Signed, length: number): string => {
  const there = Math.min(used, Math.max(0, length - offset - zoneHeaderSize))
  const zone = `the zone at 0x${offset.toString(16)}`
  return `the source was cut short amid ${zone}: of its ${count(used, 'byte')} ${there} are there, and not shown`
}

/** @returns null where no layout of Linux's has all these zones */
const layoutOf = (all: readonly Signed[], length: number): FoundLayout | null => {
  const sure = inOrder(ofOneOrder(all.filter(({ isDoubtful }) => !isDoubtful)))
  const [first] = sure
  if (!first) return null
  const { endian } = first
  const zones = withEmpty(sure, all)
  const dumps = zones.filter(({ kind }) => kind === 'dmesg')
  const last = zones.findLast(({ kind }) => kind !== 'dmesg')
  const total = Math.floor(length / alignment) * alignment
  // Without a dump nothing tells where the last ring ends.
  const end = last ? Math.min(total, last.offset + endOf(last)) : 0
  const doubtful = new Set(all.flatMap(({ isDoubtful, offset }) => (isDoubtful ? [offset] : [])))
  const kmsg = dumpZones(dumps, doubtful, end, total)
  const { sizes, open } = ringSizes(zones, kmsg.start)
  const cpus = cpusOf(zones, sizes.ftrace)
  const ftrace_size = roundUp(sizes.ftrace)
  if (kmsg.isOpen) open.add('kmsg_size')
  if (!dumps[0]) open.add(`${last!.kind}_size`)
  const parameters: ZoneParameters = {
    mem_size: total,
    kmsg_size: kmsg.size,
    pmsg_size: sizes.pmsg,
    console_size: sizes.console,
    ftrace_size,
    ...(sizes.tty > 0 ? { tty_size: sizes.tty } : {}),
    ...(cpus > 1 ? { cpus } : {}),
    endian,
  }
  return fits(parameters, zones)
    ? { parameters, open: [...open], evidence: evidenceOf(zones), options: optionsOf(parameters) }
    : null
}

const endOf = ({ used }: Signed): number => Math.max(usualSize, roundUp(used + zoneHeaderSize))

/** Has the layout a zone wherever one is signed? */
const fits = (parameters: ZoneParameters, zones: readonly Signed[]): boolean => {
  try {
    const made = makeZoneLayout(parameters, parameters.mem_size!).zones
    const starts = new Set(made.map(({ offset, kind }) => `${kind} ${offset}`))
    return zones.every(({ kind, offset }) => starts.has(`${kind} ${offset}`))
  } catch (error) {
    assertStoreError(error)
    return false
  }
}

const evidenceOf = (zones: readonly Signed[]): string[] =>
  order.flatMap(kind => {
    const of = zones.filter(zone => zone.kind === kind)
    const [first] = of
    if (!first) return []
    const lost = of.filter(({ isLost }) => isLost).length
    const line = `${of.length - lost} ${kind} signed, the first at 0x${first.offset.toString(16)}`
    return [lost > 0 ? `${line}; ${lost} more by a dump whose header is lost` : line]
  })

const optionsOf = (p: ZoneParameters): string =>
  [
    `--kmsg-size ${p.kmsg_size}`,
    `--pmsg-size ${p.pmsg_size}`,
    `--console-size ${p.console_size}`,
    `--ftrace-size ${p.ftrace_size}`,
    ...(p.tty_size === undefined ? [] : [`--tty-size ${p.tty_size}`]),
    ...(p.cpus === undefined ? [] : [`--cpus ${p.cpus}`]),
    ...(p.endian === 'big' ? ['--endian big'] : []),
  ].join(' ')
