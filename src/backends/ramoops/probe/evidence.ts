/** A region as it is reported: the likeliest layout, the parameters that are open, and the evidence. */
import { count } from '../../../pstore/condition.js'
import { presets, sizeParameters } from '../layout.js'
import type { ContentKind } from './classify.js'
import { reportRegion, type FoundRegion, type ReportedParameters } from './found.js'
import { hiddenFtrace, hiddenZones, mostSearched } from './hidden.js'
import { usualFlags, writeOptions } from './options.js'
import { settleByLog, type Settled } from './own-log.js'
import { findHugeEcc, mayHaveParity } from './parity.js'
import type { Piece } from './join.js'
import type { PossibleLayout } from './possible.js'
import { zonesToTry, type RankedShape } from './rank.js'
import { isPossible } from './signatures.js'
import type { Segment } from './segments.js'
import { zonesOf } from './shapes.js'
import { zoneHeaderSize } from '../zone-header.js'
import type { View } from './view.js'
import { zoneKinds, type ZoneExtent, type ZoneKind } from '../../../pstore/types.js'

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

/** Signatures that are looked at for whether their zones are whole. */
const mostMarks = 256

/** A zone that ends behind its source, in words; null where there is none. No layout has it, as it does not fit. */
const cutShort = (view: View, base: number): string | null => {
  for (const at of view.plainBehind(base - 1, mostMarks)) {
    const header = view.header(at)
    const there = view.end - at - zoneHeaderSize
    if (header?.wrong === 0 && isPossible(header) && header.size > there)
      return `the source was cut short: of the ${count(header.size, 'byte')} in the zone at ${hex(at)} ${there} are there`
  }
  return null
}

/** What speaks against a layout that is a guess, in a line; undefined where nothing does. */
const speaksAgainst = (
  { contents }: PossibleLayout,
  cut: string | null,
  signatures: number,
): string | undefined => {
  if (cut !== null) return `${cut}: they are not shown`
  const stand = signatures === 1 ? '1 signature stands' : `${signatures} signatures stand`
  if (signatures > 0) return `${stand} where this layout, which is a guess, has no zone`
  for (const [kind, content] of contents)
    if (content === 'dump') return `a dump is in the ${kind} zone of this layout, which is a guess`
  return undefined
}

/** The parameters that differ among the possible layouts. */
const openParameters = (best: PossibleLayout, possible: readonly PossibleLayout[]): string[] => {
  if (contradictions(best).length) return [...decided, 'order']
  const open: string[] = decided.filter(name =>
    possible.some(({ parameters }) => parameters[name] !== best.parameters[name]),
  )
  if (possible.some(({ length }) => length.open) && !open.includes('mem_size'))
    open.unshift('mem_size')
  if (best.staleParity || possible.some(({ fit }) => fit?.ecc !== best.fit?.ecc)) open.push('ecc')
  const sameOrder = possible.filter(({ shape }) => shape.preset === best.shape.preset)
  if (sameOrder.length < possible.length) open.push('order')
  // Two kernels have this order, and other names for the zone.
  const isAnolis = best.shape.sizes.tty > 0 && best.shape.preset === 'linux-pre-6.2'
  // Dumps that are far apart may have others between them whose headers are lost.
  const { exact, dmesg, sizes } = best.shape
  const isApart = exact && dmesg.count > 0 && sizes['boot-log'] === 0
  if (
    isAnolis ||
    isApart ||
    sameOrder.some(({ parameters }) => parameters.preset !== best.parameters.preset)
  )
    open.push('preset')
  return open
}

const hex = (n: number): string => `0x${n.toString(16)}`

/** The kinds of a shape's zones, in its preset's order. */
const orderOf = ({ shape }: RankedShape): ZoneKind[] =>
  presets[shape.preset]!.order.filter(kind =>
    kind === 'dmesg' ? shape.dmesg.count > 0 : shape.sizes[kind] > 0,
  )

/** The preset's name; of two with one order, that of the kernels that have a tty zone. */
const presetOf = ({ parameters: { preset, tty_size } }: PossibleLayout): string =>
  preset === 'linux-pre-6.2' && tty_size ? 'anolis' : preset

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
  shared: boolean,
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
        `${kind.replace('-', '_')}_size ${size}: at +${hex(offset - base)}: ${contentNames[content]}` +
          (leftover === content ? '' : `; leftover bytes are ${leftoverNames[leftover]}`),
      )
      continue
    }
    const header = view.header(offset)
    const version = header?.wrong === 0 && header.code
    lines.push(
      `ftrace_size ${parameters.ftrace_size}: ${count(shape.cpus, 'zone')} from +${hex(offset - base)}` +
        `${version ? `, signed by Linux ${versionOf(version)}` : ''}` +
        (shared ? ', with records of several CPUs in one' : '') +
        (!shared && shape.cpus === 1 ? ', of one CPU, or shared (flags 0)' : ''),
    )
  }
  lines.push(
    fit
      ? `ecc ${fit.ecc}: ${fit.clean} of ${fit.tried} blocks tried fit their parity` +
          (fit.old ? ', which lies as before Linux 3.10' : ', and no other size does')
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
 * @param behind signatures that it does not explain, and another layout of it could
 */
export const describe = (piece: Piece, behind: number): FoundRegion => {
  const found = report(piece, behind, null)
  if (found.open.length === 0) return found
  // A log is read only where the bytes leave something open.
  const { view, base, possible } = piece
  const settled = settleByLog(view, possible, view.end - base)
  return settled ? report(piece, behind, settled) : found
}

const report = (
  { view, segment, base, possible: explaining, baseOpen, parts = [] }: Piece,
  behind: number,
  settled: Settled | null,
): FoundRegion => {
  const possible = settled?.possible ?? explaining
  const likeliest = possible[0]!
  const zones = zonesOf(likeliest.shape)
  const { end } = likeliest.shape
  const hidden =
    hiddenFtrace(view, zones, end) + hiddenZones(view, likeliest, base === segment.offset).length
  const best = { ...likeliest, strays: likeliest.strays + hidden }
  const cut = base === segment.offset ? cutShort(view, base) : null
  const isOpen = behind + parts.length > 0 || cut !== null
  const open = new Set([
    ...(baseOpen ? ['mem_address'] : []),
    ...(isOpen ? ['mem_size'] : []),
    ...openParameters(best, possible),
  ])
  // A signature that decayed may be some kernel's version. Records, or else parity, tell that it is not.
  const { fit } = best
  const isUnfit = (zone: ZoneExtent): boolean =>
    fit !== null &&
    !fit.old &&
    zone.kind === 'ftrace' &&
    view.header(zone.offset)?.size === 0 &&
    !view.fitsParity(zone, fit.ecc)
  const unfit = zones.slice(-mostSearched).filter(isUnfit).length
  const tried = ({ shape }: RankedShape): ReturnType<typeof zonesToTry> =>
    zonesToTry(view, zonesOf(shape))
  const noFit: NoFit = {
    huge: best.fit ? null : findHugeEcc(view, tried(best)),
    unsure: possible.some(layout => !layout.fit && mayHaveParity(view, tried(layout))),
  }
  if (noFit.huge || noFit.unsure) open.add('ecc')
  if (contradictions(best).length === 0 && !isOpen)
    for (const name of settled?.names ?? []) open.delete(name)
  const ftrace = zonesOf(best.shape).find(({ kind }) => kind === 'ftrace')
  const shared = ftrace !== undefined && best.shape.cpus === 1 && view.sharedByCpus(ftrace.offset)
  const flags = shared ? 0 : usualFlags(best.parameters.preset)
  const parametersOf = (layout: PossibleLayout): ReportedParameters => ({
    ...layout.parameters,
    preset: presetOf(layout),
    mem_address: base,
    ecc: layout.fit?.ecc ?? 0,
    flags,
    endian: view.endian,
  })
  const against = speaksAgainst(best, cut, best.strays + behind)
  return reportRegion(parametersOf(best), best.zones, {
    order: orderOf(best),
    certain: open.size === 0 && best.damaged + unfit === 0 && view.budget.left > 0,
    open: [...open],
    evidence: [
      ...evidenceOf(view, segment, base, best, shared, noFit),
      ...(unfit
        ? [`ftrace headers that no parity fits: ${count(unfit, 'zone')}, so this is not certain`]
        : []),
      ...(settled?.evidence ?? []),
      ...(cut === null ? [] : [cut]),
      ...(parts.length
        ? [
            `${parts.length} pieces far apart: the zones between have no signature, or these are several regions`,
          ]
        : []),
      ...(behind
        ? [
            `${count(behind, 'signature')} further on, in no zone of this: perhaps of the same region`,
          ]
        : []),
    ],
    others: [
      ...possible.slice(1).map(layout => writeOptions(parametersOf(layout), layout.zones)),
      ...parts.map(part => describe(part, 0).options),
    ].slice(0, mostOthers),
    ...(against && { against }),
  })
}
