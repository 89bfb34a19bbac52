/** What the bytes of a source say of its layout, for whoever has given another one. */
import { assertStoreError } from '../../pstore/errors.js'
import type { Elsewhere, Signs } from '../../region/held.js'
import { evenBelow, makeLayout, type RamoopsLayout } from './layout.js'
import type { FoundRegion } from './probe/found.js'
import { probeRegion, type OpenRegion } from './probe/index.js'
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
  share: (total, cpus) => evenBelow(Math.floor(total / cpus)),
}

/** Do something that a source may refuse; null where it does. */
const ifReadable = <T>(work: () => T): T | null => {
  try {
    return work()
  } catch (error) {
    assertStoreError(error)
    return null
  }
}

/** @param layout the one that was given */
export const elsewhereOf = (path: string, layout: RamoopsLayout, open: OpenRegion): Elsewhere => ({
  whole: () => ifReadable(() => open(path, { readOnly: true, map: false, report: () => {} })),
  advice: (certain = false) => {
    const regions = ifReadable(() => probeRegion(path, { probeLimit }, open).regions) ?? []
    const [first] = regions
    if (!first || (certain && !(first.certain && regions.length === 1))) return null
    if (regions.length > 1) return `\`pstorefs probe\` finds ${regions.length} regions in it`
    return isSame(layout, first) ? '' : `\`pstorefs probe\` finds ${first.options}`
  },
})

/** Does a region that was found have this layout? */
const isSame = (given: RamoopsLayout, found: FoundRegion): boolean =>
  described(given) === described(makeLayout(found.parameters, found.mem_size))

const described = ({ memAddress, ecc, endian, oldParity, zones }: RamoopsLayout): string =>
  JSON.stringify([memAddress, ecc, endian, oldParity, zones])
