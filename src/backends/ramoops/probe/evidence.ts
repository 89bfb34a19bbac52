/** A region as it is reported: the likeliest layout, the parameters that are open, and the evidence. */
import { count } from '../../../pstore/condition.js'
import { presets, sizeParameters } from '../layout.js'
import type { ContentKind } from './classify.js'
import { reportRegion, type FoundRegion, type ReportedParameters } from './found.js'
import { writeOptions } from './options.js'
import { findHugeEcc, mayHaveParity } from './parity.js'
import type { PossibleLayout } from './possible.js'
import { zonesToTry, type RankedShape } from './rank.js'
import type { Segment } from './segments.js'
import { zonesOf } from './shapes.js'
import type { View } from './view.js'
import { zoneKinds, type ZoneKind } from '../../../pstore/types.js'

/** Other layouts that are listed. */
const mostOthers = 10
/** The parameters that zones' offsets and sizes decide. */
const decided = ['mem_size', ...sizeParameters, 'cpus'] as const

/**
 * What the bytes say against a layout. Where they say anything, the layout is a guess: the kernel's order
 * of zones is perhaps none that is known here.
 */
const contradictions = ({ strays, notDumps, dumps }: RankedShape): string[] => [
  ...(strays ? [`${count(strays, 'more signature')} where this has no zone`] : []),
  ...(notDumps > dumps ? [`${count(notDumps, 'dmesg zone')} without a dump's header`] : []),
]

/** The parameters that differ among the possible layouts. */
const openParameters = (best: PossibleLayout, possible: readonly PossibleLayout[]): string[] => {
  if (contradictions(best).length) return [...decided, 'order']
  const open: string[] = decided.filter(name =>
    possible.some(({ parameters }) => parameters[name] !== best.parameters[name]),
  )
  if (possible.some(({ length }) => length.open) && !open.includes('mem_size'))
    open.unshift('mem_size')
  if (best.staleParity || possible.some(({ fit }) => fit?.ecc !== best.fit?.ecc)) open.push('ecc')
  if (possible.some(({ shape }) => shape.preset !== best.shape.preset)) open.push('order')
  // Two kernels have this order, and other names for the zone.
  if (best.shape.sizes.tty && best.shape.preset === 'linux-pre-6.2') open.push('preset')
  return open
}

const hex = (n: number): string => `0x${n.toString(16)}`

/** The kinds of a shape's zones, in its preset's order. */
const orderOf = ({ shape }: RankedShape): ZoneKind[] =>
  presets[shape.preset]!.order.filter(kind =>
    kind === 'dmesg' ? shape.dmesg.count > 0 : shape.sizes[kind] > 0,
  )

/** The preset's name; of two with one order, that of the kernels that have a tty zone. */
const presetOf = ({ shape: { preset, sizes } }: RankedShape): string =>
  preset === 'linux-pre-6.2' && sizes.tty ? 'anolis' : preset

const contentNames: { readonly [content in ContentKind]: string } = {
  empty: 'empty',
  dump: 'a dump, by its header line',
  stamped: "lines with printk's time",
  android: "entries of Android's log",
  binary: 'binary data',
  terminal: 'text with codes for a terminal',
  text: 'text',
}
/** The same after "leftover bytes are". */
const leftoverNames = { ...contentNames, binary: 'binary' }

const versionOf = (code: number): string => `${code >>> 16}.${(code >>> 8) & 255}.${code & 255}`

/** What parity says of a layout for which no fit was found. */
interface NoFit {
  /** The headers' parity size, where Linux crashes on it. */
  huge: number | null
  /** True where a size fits, but so few bytes that it may be chance. */
  unsure: boolean
}

/** Each conclusion and its evidence. */
const evidenceOf = (
  view: View,
  segment: Segment,
  base: number,
  layout: PossibleLayout,
  flags: number,
  { huge, unsure }: NoFit,
): string[] => {
  const { shape, parameters, length, fit, contents, leftovers } = layout
  const zones = zonesOf(shape)
  const address = segment.address + base - segment.offset
  const lines = [
    `mem_address: ${hex(base)}${address === base ? '' : `, which was address ${hex(address)}`}: ` +
      `${zones.length > 1 ? `the first of ${zones.length} zones' signatures` : "the only zone's signature"} (${view.endian}-endian)`,
    `mem_size ${parameters.mem_size}: ${length.reason}`,
  ]
  if (layout.damaged)
    lines.push(`damaged headers: ${count(layout.damaged, 'zone')}, so this is not certain`)
  for (const contradiction of contradictions(layout))
    lines.push(`${contradiction}: of an earlier layout, or of one that is not known here`)
  if (layout.byParity) lines.push(`known by their parity only: ${count(layout.byParity, 'zone')}`)
  if (shape.dmesg.count) {
    const { count: zones, size } = shape.dmesg
    lines.push(
      `record_size ${parameters.record_size}: ${count(zones, 'dmesg zone')}, ${size} bytes apart; ${layout.dumps} with a dump`,
    )
  }
  for (const kind of zoneKinds) {
    const zone = zones.find(zone => zone.kind === kind)
    if (!zone || kind === 'dmesg') continue
    const { offset, size } = zone
    if (kind !== 'ftrace') {
      // Ranking has looked into every ring.
      const content = contents.get(kind)!
      const leftover = leftovers.get(kind)!
      lines.push(
        `${kind}_size ${size}: at +${hex(offset - base)}: ${contentNames[content]}` +
          (leftover === content ? '' : `; leftover bytes are ${leftoverNames[leftover]}`),
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
      ? `ecc ${fit.ecc}: ${fit.clean} of ${fit.tried} blocks tried fit their parity, and no other size does`
      : huge
        ? `ecc ${huge}: the headers' parity; Linux crashes with it on blocks, so they are taken as they are`
        : unsure
          ? 'ecc 0: one fits, but so few bytes that it may be chance'
          : 'ecc 0: no parity of any size fits',
  )
  if (layout.staleParity)
    lines.push(
      `emptied by a kernel that keeps no parity: ${count(layout.staleParity, 'ring')}, so ecc is undecided`,
    )
  return lines
}

/**
 * Report a region.
 *
 * @param best its likeliest layout
 * @param possible its layouts, the likeliest first
 * @param baseOpen true where the region may start elsewhere
 */
export const describe = (
  view: View,
  segment: Segment,
  base: number,
  best: PossibleLayout,
  possible: readonly PossibleLayout[],
  baseOpen: boolean,
): FoundRegion => {
  const open = [...(baseOpen ? ['mem_address'] : []), ...openParameters(best, possible)]
  const tried = ({ shape }: RankedShape): ReturnType<typeof zonesToTry> =>
    zonesToTry(view, zonesOf(shape))
  const noFit: NoFit = {
    huge: best.fit ? null : findHugeEcc(view, tried(best)),
    unsure: possible.some(layout => !layout.fit && mayHaveParity(view, tried(layout))),
  }
  if ((noFit.huge || noFit.unsure) && !open.includes('ecc')) open.push('ecc')
  const ftrace = zonesOf(best.shape).find(({ kind }) => kind === 'ftrace')
  const shared = ftrace !== undefined && best.shape.cpus === 1 && view.sharedByCpus(ftrace.offset)
  const flags = shared ? 0 : 1
  const parametersOf = (layout: PossibleLayout): ReportedParameters => ({
    ...layout.parameters,
    preset: presetOf(layout),
    mem_address: base,
    ecc: layout.fit?.ecc ?? 0,
    flags,
    endian: view.endian,
  })
  return reportRegion(parametersOf(best), {
    order: orderOf(best),
    certain: open.length === 0 && best.damaged === 0 && view.budget.left > 0,
    open,
    evidence: evidenceOf(view, segment, base, best, flags, noFit),
    others: possible.slice(1, mostOthers).map(layout => writeOptions(parametersOf(layout))),
  })
}
