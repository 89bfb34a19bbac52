/**
 * The layout that `format` made, kept beside a file's bytes: an attribute, as a region has no room for a mark
 * that a kernel would leave there. A copy without it is probed as any source.
 */
import { getAttribute, setAttribute } from '../../native/attribute.js'
import { ifReadable } from '../../pstore/errors.js'
import type { ParameterTable } from '../../pstore/parameters.js'
import type { Region } from '../../region/region.js'
import { parseOptions } from './layout-file.js'
import { makeLayout, type RamoopsLayout, type RamoopsParameters } from './layout.js'
import { reportRegion, type FoundRegion } from './probe/found.js'
import { findSignatures } from './probe/signatures.js'
import { encodeZones } from './zone-list.js'
import { usualPreset } from './probe/options.js'
import { optionsOf } from './written.js'
import { Zone } from './zone.js'

const attribute = 'user.pstorefs.layout'
/** Bytes of the attribute: a list of zones may be long. */
const longest = 2 ** 16

/** Keep a layout with the file that it was made in; false where its file system cannot. */
export const remember = (fd: number, options: string): boolean =>
  setAttribute(fd, attribute, options)

/** A layout whose zones are in some bytes of a source: offsets are those of the opened part. */
const layoutIn = (region: Region, parameters: RamoopsParameters): RamoopsLayout | null => {
  const at = (parameters.mem_address ?? 0) - region.offset
  const layout = ifReadable(() => makeLayout(parameters, region.length - at))
  return layout && at >= 0 && at + layout.memSize <= region.length
    ? { ...layout, memAddress: at }
    : null
}

/** Do the bytes have a header at each zone's place, and none elsewhere? Whoever wrote since may have had another. */
const isAgreed = (region: Region, layout: RamoopsLayout): boolean => {
  const { zones, memAddress: at, memSize: length, ecc, endian, oldParity } = layout
  const starts = new Set(zones.map(({ offset }) => at + offset))
  const isSigned = zones.every(extent => {
    const zone = new Zone(region, { ...extent, offset: at + extent.offset }, ecc, endian, oldParity)
    return !['unsigned', 'invalid'].includes(zone.state())
  })
  if (!isSigned) return false
  const { plain } = findSignatures(region, [{ offset: at, length, address: 0 }], Infinity)
  return plain[endian].every(found => starts.has(found))
}

/**
 * The region that `format` made in a source.
 *
 * @param region the source, or a part of it
 * @returns null where nothing is remembered, or the bytes are not of that layout any more
 * @throws StoreError (EIO) where the source cannot be read
 */
export const recall = (region: Region, table: ParameterTable): FoundRegion | null => {
  const text = getAttribute(region.fd, attribute, longest)
  // Another version's words, or anybody's, say nothing.
  const parameters = text === null ? null : ifReadable(() => parseOptions(text, table))
  const layout = parameters && layoutIn(region, parameters)
  if (!parameters || !layout || !isAgreed(region, layout)) return null
  const size = (kind: string): number =>
    layout.zones.reduce((sum, zone) => (zone.kind === kind ? sum + zone.size : sum), 0)
  const found = reportRegion(
    {
      mem_address: layout.memAddress,
      mem_size: layout.memSize,
      record_size:
        parameters.record_size ?? layout.zones.find(({ kind }) => kind === 'dmesg')?.size ?? 0,
      console_size: size('console'),
      ftrace_size: parameters.ftrace_size ?? size('ftrace'),
      pmsg_size: size('pmsg'),
      tty_size: size('tty'),
      ecc: layout.ecc,
      cpus: parameters.cpus ?? 1,
      flags: parameters.flags ?? 1,
      preset: parameters.preset ?? usualPreset,
      endian: layout.endian,
    },
    parameters.zones ? encodeZones(layout.zones) : null,
    {
      order: [...new Set(layout.zones.map(({ kind }) => kind))],
      certain: true,
      open: [],
      evidence: [`as \`pstorefs format\` made it (${attribute}), and every zone has its header`],
      others: [],
    },
  )
  return { ...found, parameters, options: optionsOf(parameters, layout) }
}
