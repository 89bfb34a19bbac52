/** From judged shapes to a region that is reported: its length, what is open, and why it is so. */
import { count } from '../../../pstore/condition.js'
import { presets, sizeParameters } from '../layout.js'
import type { ContentKind } from './classify.js'
import { tellingZones, type Judged } from './rank.js'
import { dumpAreas, isMadeBy, parametersOf, zonesOf, type ShapeParameters } from './shapes.js'
import { findHugeEcc, mayHaveParity } from './parity.js'
import { pageSize, type Segment } from './signatures.js'
import { reportRegion, type FoundRegion, type ReportedParameters } from './found.js'
import { writeOptions } from './options.js'
import type { View } from './view.js'
import { zoneKinds, type ZoneKind } from '../../../pstore/types.js'

/** A shape with a length of the region that makes it. */
export interface Possible extends Judged {
  parameters: ShapeParameters
  /** Why this length. */
  lengthBecause: string
  /** True where other lengths make the same zones. */
  lengthOpen: boolean
  /** The region ends where the source does. */
  exact: boolean
}

/** Layouts that are listed. */
const mostOthers = 10
/** Of a source with only rings, the part that they must fill for its end to be the region's. */
const mostUnused = 3 / 4

/** The roundest number of a range: the one with most zero bits at its end. */
const roundest = (from: number, to: number): number => {
  let unit = 2 ** 40
  while (Math.floor(to / unit) * unit < from) unit /= 2
  return Math.floor(to / unit) * unit
}

/** What is left of a number without its factors of two: people choose small ones. */
const oddPart = (n: number): number => {
  while (n > 0 && n % 2 === 0) n /= 2
  return n
}

/** What is usual, where nothing else decides: smaller is likelier. */
const oddity = ({
  exact,
  faults,
  mended,
  lengthOpen,
  unusual,
  contents,
  parameters,
}: Possible): number[] => {
  const size = parameters.mem_size
  return [
    exact ? 0 : 1,
    faults,
    -mended,
    unusual,
    contents.size,
    lengthOpen ? 1 : 0,
    size < pageSize ? 1 : 0,
    oddPart(size),
    size,
  ]
}

const compare = (a: number[], b: number[]): number => {
  const i = a.findIndex((value, i) => value !== b[i])
  return i < 0 ? 0 : a[i] - b[i]
}

/** Give shapes the lengths that make them, the likeliest first. */
export const memSizes = (
  view: View,
  piece: Segment,
  base: number,
  judged: readonly Judged[],
): Possible[] => {
  const room = view.end - base
  const whole = base === piece.offset
  const all = judged.flatMap((one): Possible[] => {
    const { shape } = one
    const length = lengthOf(one, room, whole)
    if (!length) return []
    const parameters = parametersOf(shape, length.size)
    if (!isMadeBy(shape, { ...parameters, ecc: one.fit?.ecc ?? 0 })) return []
    return [
      { ...one, parameters, ...length, lengthBecause: length.because, lengthOpen: length.open },
    ]
  })
  // A region with dumps fills all but a few bytes: where that is the source, it is no chance.
  const exact = all.some(({ exact }) => exact)
  return all
    .filter(one => !exact || one.exact || one.shape.dmesg.count === 0)
    .sort((a, b) => compare(oddity(a), oddity(b)))
}

const lengthOf = (
  { shape, damaged }: Judged,
  room: number,
  whole: boolean,
): { size: number; exact: boolean; open: boolean; because: string } | null => {
  const { dmesg, sizes } = shape
  const rings = sizes.console + sizes.pmsg + sizes.tty + sizes.ftrace
  if (dmesg.count === 0) {
    if (rings > room) return null
    if (whole && rings === room)
      return { size: room, exact: true, open: false, because: 'the zones fill the source' }
    if (!whole)
      return {
        size: rings,
        exact: false,
        open: true,
        because: 'what the zones take; more would be unused',
      }
    const open = room - rings > room * mostUnused
    return { size: room, exact: false, open, because: 'all of the source; no zone needs the rest' }
  }
  const area = dumpAreas(dmesg.count, dmesg.size)!
  const from = area.from + rings
  const to = Math.min(area.to + rings, room)
  if (from > to) return null
  if (whole && room <= to)
    return { size: room, exact: true, open: false, because: 'the zones fill the source' }
  const size = roundest(from, to)
  if (size % pageSize === 0 && to - from < pageSize)
    return {
      size,
      exact: false,
      // Of a file that is little more than the region, one would expect that it is the region. And where
      // headers are damaged, those of more zones may be.
      open: (whole && room < 64 * size) || damaged > 0,
      because: 'the only number of whole pages that makes such zones',
    }
  return { size, exact: false, open: from < to, because: `${from} to ${to} make such zones` }
}

/**
 * What a layout leaves without an explanation. Where there is any, it is a guess: that kernel's order is
 * perhaps none that is known here.
 */
const riddles = ({ unexplained, strangers, dumps }: Judged): string[] => [
  ...(unexplained ? [`${count(unexplained, 'more signature')} where this has no zone`] : []),
  ...(strangers > dumps ? [`${count(strangers, 'dmesg zone')} without a dump's header`] : []),
]

/** The parameters that differ among what is possible. */
export const openOf = (possible: readonly Possible[]): string[] => {
  const [best] = possible
  if (riddles(best).length) return [...decided, 'order']
  const open: string[] = decided.filter(name =>
    possible.some(({ parameters }) => parameters[name] !== best.parameters[name]),
  )
  if (possible.some(({ lengthOpen }) => lengthOpen) && !open.includes('mem_size'))
    open.unshift('mem_size')
  if (best.unkept || possible.some(({ fit }) => fit?.ecc !== best.fit?.ecc)) open.push('ecc')
  if (possible.some(one => one.shape.preset !== best.shape.preset)) open.push('order')
  // Two kernels have this order, and other names for the zone.
  if (best.shape.sizes.tty && best.shape.preset === 'linux-pre-6.2') open.push('preset')
  return open
}

/** The parameters that the bytes decide by where zones lie. */
const decided = ['mem_size', ...sizeParameters, 'cpus'] as const

const hex = (n: number): string => `0x${n.toString(16)}`

/** Kinds in a preset's order, those that a shape has. */
const orderOf = ({ shape }: Judged): ZoneKind[] =>
  presets[shape.preset].order.filter(kind =>
    kind === 'dmesg' ? shape.dmesg.count > 0 : shape.sizes[kind] > 0,
  )

/** The preset's name; of two that have one order, that of the kernels that have the zone. */
const presetOf = ({ shape: { preset, sizes } }: Judged): string =>
  preset === 'linux-pre-6.2' && sizes.tty ? 'anolis' : preset

const said: { readonly [content in ContentKind]: string } = {
  empty: 'empty',
  dump: 'a dump, by its header line',
  stamped: "lines with printk's time",
  android: "entries of Android's log",
  binary: 'bytes that are no text',
  terminal: 'text with codes for a terminal',
  text: 'text',
}

const versionOf = (code: number): string => `${code >>> 16}.${(code >>> 8) & 255}.${code & 255}`

/** Each conclusion and what it rests on. */
const evidenceOf = (
  view: View,
  piece: Segment,
  base: number,
  one: Possible,
  flags: number,
  huge: number | null,
  unsure: boolean,
): string[] => {
  const { shape, parameters, fit, contents, residues } = one
  const zones = zonesOf(shape)
  const was = piece.address + base - piece.offset
  const lines = [
    `mem_address: ${hex(base)}${was === base ? '' : `, which was address ${hex(was)}`}: ` +
      `${zones.length > 1 ? `the first of ${zones.length} zones' signatures` : "the only zone's signature"} (${view.endian}-endian)`,
    `mem_size ${parameters.mem_size}: ${one.lengthBecause}`,
  ]
  if (one.damaged)
    lines.push(`damaged headers: ${count(one.damaged, 'zone')}, so this is not certain`)
  for (const riddle of riddles(one))
    lines.push(`${riddle}: of an earlier layout, or of one that is not known here`)
  if (one.mended) lines.push(`known by their parity only: ${count(one.mended, 'zone')}`)
  if (shape.dmesg.count) {
    const { count: zones, size } = shape.dmesg
    lines.push(
      `record_size ${parameters.record_size}: ${count(zones, 'dmesg zone')}, ${size} bytes apart; ${one.dumps} with a dump`,
    )
  }
  for (const kind of zoneKinds) {
    const zone = zones.find(zone => zone.kind === kind)
    if (!zone || kind === 'dmesg') continue
    const { offset, size } = zone
    if (kind !== 'ftrace') {
      // Every ring was weighed.
      const content = contents.get(kind)!
      const residue = residues.get(kind)!
      lines.push(
        `${kind}_size ${size}: at +${hex(offset - base)}: ${said[content]}` +
          (residue === content ? '' : `; its bytes are still ${said[residue]}`),
      )
      continue
    }
    const version = view.header(offset)?.code
    lines.push(
      `ftrace_size ${parameters.ftrace_size}: ${count(shape.cpus, 'zone')} from +${hex(offset - base)}` +
        `${version ? `, signed by Linux ${versionOf(version)}` : ''}` +
        (flags ? '' : ', with records of several CPUs in one') +
        (flags && shape.cpus === 1 ? ', of one CPU, or shared (flags 0)' : ''),
    )
  }
  lines.push(
    fit
      ? `ecc ${fit.ecc}: ${fit.clean} of ${fit.tried} blocks that were tried fit their parity, and no other size does`
      : huge
        ? `ecc ${huge}: the headers' parity; on blocks Linux crashes with it, so they are taken as they are`
        : unsure
          ? 'ecc 0: one fits, but so few bytes that it may be chance'
          : 'ecc 0: no parity of any size fits',
  )
  if (one.unkept)
    lines.push(
      `emptied by a kernel that keeps no parity: ${count(one.unkept, 'ring')}, so ecc is open`,
    )
  return lines
}

/** A region as it is reported: the likeliest of what is possible. */
export const describe = (
  view: View,
  piece: Segment,
  base: number,
  possible: readonly Possible[],
  baseOpen: boolean,
): FoundRegion => {
  const [best] = possible
  const open = [...(baseOpen ? ['mem_address'] : []), ...openOf(possible)]
  const huge = best.fit ? null : findHugeEcc(view, tellingZones(view, zonesOf(best.shape)))
  const unsure = possible.some(
    ({ fit, shape }) => !fit && mayHaveParity(view, tellingZones(view, zonesOf(shape))),
  )
  if ((huge || unsure) && !open.includes('ecc')) open.push('ecc')
  const ftrace = zonesOf(best.shape).find(({ kind }) => kind === 'ftrace')
  const shared = ftrace !== undefined && best.shape.cpus === 1 && view.sharedByCpus(ftrace.offset)
  const flags = shared ? 0 : 1
  const complete = (one: Possible): ReportedParameters => ({
    ...one.parameters,
    preset: presetOf(one),
    mem_address: base,
    ecc: one.fit?.ecc ?? 0,
    flags,
    endian: view.endian,
  })
  return reportRegion(complete(best), {
    order: orderOf(best),
    certain: open.length === 0 && best.damaged === 0 && view.work.left > 0,
    open,
    evidence: evidenceOf(view, piece, base, best, flags, huge, unsure),
    others: possible.slice(1, mostOthers).map(one => writeOptions(complete(one))),
  })
}
