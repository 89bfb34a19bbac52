/**
 * What a region's own console and dumps say of its layout: the kernel that wrote it printed its command line and
 * what ramoops made of it. Among the layouts that explain the bytes the text chooses, and makes none: hostile text
 * cannot make certain what the bytes contradict.
 */
import { assertStoreError } from '../../../pstore/errors.js'
import { decompress } from '../../../pstore/codecs/index.js'
import { decodeDmesgHeader } from '../dmesg-header.js'
import {
  makeLayout,
  sizeParameters,
  type RamoopsLayout,
  type RamoopsParameters,
} from '../layout.js'
import { presets, unevenPresets } from '../presets.js'
import { zoneHeaderSize } from '../zone-header.js'
import { Zone } from '../zone.js'
import type { Description } from './found.js'
import type { PossibleLayout } from './possible.js'
import { zonesOf } from './shapes.js'
import { describeLog } from './texts.js'
import type { View } from './view.js'

/** What the log settles. */
export interface Settled {
  possible: PossibleLayout[]
  /** The parameters that are not open any more. */
  names: string[]
  evidence: string[]
}

/** Dumps that are read, and bytes of a zone and of a dump's text. */
const mostDumps = 8
const largestZone = 2 ** 22
const longestText = 2 ** 20

const textOf = (kind: string, content: Buffer): string => {
  if (kind === 'console') return content.toString('latin1')
  const header = decodeDmesgHeader(content)
  if (!header) return ''
  const body = content.subarray(header.length)
  if (!header.compressed) return body.toString('latin1')
  return decompress(body, longestText)?.all().toString('latin1') ?? ''
}

/** What the first of a layout's logs says that says anything: its console, and then its dumps. */
const logOf = (
  view: View,
  { shape, fit }: PossibleLayout,
): { kind: string; description: Description } | null => {
  const zones = zonesOf(shape).filter(({ size }) => size > zoneHeaderSize && size <= largestZone)
  const dumps = zones.filter(({ kind }) => kind === 'dmesg').slice(0, mostDumps)
  for (const extent of [...zones.filter(({ kind }) => kind === 'console'), ...dumps]) {
    const zone = new Zone(view.region, extent, fit?.ecc ?? 0, view.endian, fit?.old)
    const description = describeLog(textOf(extent.kind, zone.read().content))?.description
    if (description) return { kind: extent.kind === 'console' ? 'console' : 'dump', description }
  }
  return null
}

/** Does a layout have the zones of a possible one? */
const hasZones = (layout: RamoopsLayout, { shape }: PossibleLayout): boolean => {
  const zones = zonesOf(shape)
  return (
    layout.zones.length === zones.length &&
    zones.every(({ kind, offset, size }, i) => {
      const zone = layout.zones[i]!
      return zone.kind === kind && zone.offset === offset - shape.base && zone.size === size
    })
  )
}

/** A possible layout as the log has it; null where they do not agree. */
const asSaid = (
  one: PossibleLayout,
  said: RamoopsParameters,
  room: number,
): PossibleLayout | null => {
  const mem_size = said.mem_size ?? one.parameters.mem_size
  if (one.zones || mem_size > room) return null
  const own = one.parameters.preset
  const version = said.preset ?? own
  const preset = presets[own]!.unevenShares ? (unevenPresets[version] ?? version) : version
  const ecc = one.fit?.ecc ?? 0
  try {
    const layout = makeLayout({ ...one.parameters, ecc, ...said, mem_size, preset }, mem_size)
    if (layout.ecc !== ecc || !hasZones(layout, one)) return null
  } catch (error) {
    assertStoreError(error)
    return null
  }
  return {
    ...one,
    parameters: { ...one.parameters, mem_size, preset },
    length: { ...one.length, size: mem_size, open: false, reason: "as the region's own log says" },
  }
}

/**
 * Hold what the region's own log says against the layouts that explain its bytes.
 *
 * @param room bytes from the region's start to the end of its memory
 * @returns null where it says nothing
 * @throws StoreError (EIO) where the source cannot be read
 */
export const settleByLog = (
  view: View,
  possible: readonly PossibleLayout[],
  room: number,
): Settled | null => {
  const log = logOf(view, possible[0]!)
  if (!log) return null
  const { description, kind } = log
  const { parameters, open, evidence, isOrderKnown } = description
  const isSized = !open.includes('record_size')
  const names = [
    ...(parameters.mem_size === undefined || open.includes('mem_size') ? [] : ['mem_size']),
    ...(isSized ? sizeParameters : []),
    'ecc',
    ...(isOrderKnown ? ['order', 'preset'] : []),
  ]
  const said = Object.fromEntries(
    Object.entries(parameters).filter(([name]) => names.includes(name)),
  )
  const agreed = possible.flatMap(one => asSaid(one, said, room) ?? [])
  return agreed.length
    ? { possible: agreed, names, evidence: evidence.map(line => `its own ${kind}: ${line}`) }
    : {
        possible: [...possible],
        names: [],
        evidence: [`its own ${kind} names a layout that the bytes contradict: it is not believed`],
      }
}
