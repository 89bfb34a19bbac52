/** What the bytes of a source say of its layout, for whoever has given another one. */
import { ifReadable } from '../../pstore/errors.js'
import type { Elsewhere } from '../../region/held.js'
import type { Signs } from '../../region/signs.js'
import type { Region } from '../../region/region.js'
import { isWord, maxEccSize } from './ecc.js'
import { evenBelow, makeLayout, type RamoopsLayout } from './layout.js'
import { probeRegion, type OpenRegion, type Recall } from './probe/index.js'
import { isPossible } from './probe/signatures.js'
import { decodeZoneHeader, isVersionCode, zoneHeaderSize } from './zone-header.js'

/** The most bytes of a source that are searched for another layout. */
const probeLimit = 2 ** 26

const plainKinds = ['dmesg', 'console', 'pmsg', 'tty', 'boot-log'] as const
const ftrace = ['ftrace'] as const

/** A version's code is common among numbers: it counts where such follow as a zone has. */
export const signs: Signs = {
  headerSize: zoneHeaderSize,
  at: (bytes, at, endian) => {
    const header = decodeZoneHeader(bytes, at, endian)
    const { code, size } = header
    const couldBe = isPossible(header)
    if (code === 0) return { kinds: plainKinds, size, isPossible: couldBe }
    return couldBe && isVersionCode(code) ? { kinds: ftrace, size, isPossible: true } : null
  },
  shares: (total, cpus) => {
    const share = Math.floor(total / cpus)
    return [evenBelow(share), share]
  },
}

/**
 * @param layout the one that was given
 * @param recall as of {@link probeRegion}
 */
export const elsewhereOf = (
  path: string,
  layout: RamoopsLayout,
  open: OpenRegion,
  recall: Recall,
): Elsewhere => ({
  whole: () => ifReadable(() => open(path, { readOnly: true, map: false, report: () => {} })),
  advice: () => {
    const regions = ifReadable(() => probeRegion(path, { probeLimit }, open, recall).regions) ?? []
    const [first] = regions
    if (!first) return null
    if (regions.length > 1)
      return {
        clause: `\`pstorefs probe\` finds ${regions.length} regions in it`,
        isCertain: false,
        zones: [],
        from: 0,
      }
    const found = makeLayout(first.parameters, first.mem_size)
    return {
      clause:
        described(layout) === described(found) ? '' : `\`pstorefs probe\` finds ${first.options}`,
      isCertain: first.certain,
      zones: found.zones,
      from: found.memAddress,
    }
  },
  parity: region => (layout.ecc ? 0 : parityOf(region, layout)),
})

const described = ({ memAddress, ecc, endian, oldParity, zones }: RamoopsLayout): string =>
  JSON.stringify([memAddress, ecc, endian, oldParity, zones])

/** Zones whose headers are looked at, and how many of them are held against each parity; its bytes that are no chance. */
const mostLooks = 256
const mostTried = 8
const convincing = 4

/**
 * The parity that all headers of zones with content have. Those of empty zones do not tell: they are the same as
 * those of a kernel that kept parity before.
 */
const parityOf = (region: Region, { zones, endian }: RamoopsLayout): number => {
  const tried: { header: Buffer; end: Buffer }[] = []
  for (const { offset, size } of zones.slice(0, mostLooks)) {
    if (tried.length === mostTried) break
    const one = ifReadable(() => {
      const header = region.load(offset, zoneHeaderSize)
      const length = Math.min(maxEccSize, size - zoneHeaderSize)
      return { header, end: region.load(offset + size - length, length) }
    })
    if (one && decodeZoneHeader(one.header, 0, endian).size > 0) tried.push(one)
  }
  const least = Math.min(...tried.map(({ end }) => end.length))
  for (let ecc = 2; tried.length * ecc > 0 && ecc <= Math.min(maxEccSize, least); ecc++) {
    if (tried.length * ecc < convincing) continue
    const fits = ({ header, end }: (typeof tried)[number]): boolean =>
      isWord(header, 0, zoneHeaderSize, end, end.length - ecc, ecc)
    if (tried.every(fits)) return ecc
  }
  return 0
}
