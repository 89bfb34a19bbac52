/** pstore/zone: pstore_blk's disks, and mtdpstore's flash. */
import { StoreError, UncertainLayout } from '../../pstore/errors.js'
import {
  isDescribed,
  layoutOf,
  lengthToFormat,
  onRegion,
  openRegion,
  requireLayout,
  type AttachHow,
  type DriverModule,
  type Whereabouts,
} from '../module.js'
import {
  ftraceSize,
  parseSize,
  ringSizes,
  whereabouts,
  zoneParameters,
  type FtraceParameters,
  type ParameterTable,
} from '../../pstore/parameters.js'
import { ZoneDriver } from './driver.js'
import { findLayout, type FoundLayout } from './find-layout.js'
import { makeZoneLayout, type ZoneParameters } from './layout.js'
import { makeZones } from './mkfs.js'
import { signedIn } from './signed.js'

/** What the layout is not told without: one of them at least has to be given. */
const layoutParameters = [
  'kmsg_size',
  'pmsg_size',
  'console_size',
  'ftrace_size',
  'tty_size',
  'cpus',
] as const satisfies (keyof ZoneParameters)[]

export type ZoneOptions = ZoneParameters & FtraceParameters

const undecided = (open: readonly string[]): string =>
  `${new Intl.ListFormat('en-GB').format(open)} cannot be told from the bytes`

/** A layout that was found, and what speaks against it: {@link FoundLayout.against}. */
type FoundOptions = ZoneOptions & AttachHow & Pick<FoundLayout, 'against'>

/**
 * The layout that a store's signatures tell, which may be read with it.
 *
 * @throws UncertainLayout where the caller is to write: zones that were never written have no signature
 * @throws StoreError where there is none
 */
const found = (path: string, options: Whereabouts & AttachHow): FoundOptions => {
  const { readOnly, report } = options
  const region = openRegion(path, { ...options, readOnly: true })
  try {
    const layout = findLayout(signedIn(region), region.length)
    if (!layout)
      throw new StoreError(
        `${path}: no layout given, and no zone's signature tells it; ` +
          `give at least one of ${layoutParameters.join(', ')}`,
      )
    const { parameters, open, options: said, against } = layout
    if (readOnly === false)
      throw new UncertainLayout(
        `${path}: refusing to write with a layout that its signatures tell; pass it explicitly: ${said}`,
      )
    if (open.length > 0) report?.(`${path}: layout guessed (${undecided(open)}); using: ${said}`)
    return { ...options, ...parameters, readOnly: true, ...(against && { against }) }
  } finally {
    region.close()
  }
}

export const zone: DriverModule<ZoneOptions> = {
  backend: 'pstore_blk',
  // The module's parameters are pstore_blk.blkdev and the like, and people say blk.
  aliases: ['blk'],
  store: 'a pstore_blk store',
  parameters: {
    ...whereabouts,
    kmsg_size: { parse: parseSize, describe: 'size of a dmesg zone', sizes: 'dmesg' },
    ...ringSizes,
    ftrace_size: ftraceSize,
    ...zoneParameters,
  } satisfies ParameterTable<ZoneOptions>,
  attach: (path, given) => {
    const options: FoundOptions = isDescribed(given, layoutParameters) ? given : found(path, given)
    const { readOnly, against } = options
    const how = { ...given, ...(readOnly !== undefined && { readOnly }) }
    return onRegion(openRegion(path, how), region => {
      const layout = layoutOf(path, makeZoneLayout, options, region.length)
      // Nobody finds out such a layout.
      const elsewhere = { whole: () => null, advice: () => null, parity: () => 0 }
      const doubt = against === undefined ? { elsewhere } : { against }
      return new ZoneDriver(region, layout, options.word_size, { force: options.force, ...doubt })
    })
  },
  recognises: (_, { isDirectory }, path, where) => {
    if (isDirectory) return false
    const region = openRegion(path, { ...where, readOnly: true })
    try {
      return findLayout(signedIn(region), region.length) !== null
    } finally {
      region.close()
    }
  },
  describe: (path, options) => {
    const region = openRegion(path, { ...options, readOnly: true })
    try {
      const layout = findLayout(signedIn(region), region.length)
      if (!layout) return null
      const { parameters, evidence, open, options: said, against } = layout
      const { mem_size = 0, kmsg_size = 0, endian = 'little' } = parameters
      return {
        facts: { mem_size, kmsg_size, endian },
        evidence: [
          ...evidence,
          ...(open.length > 0 ? [undecided(open)] : []),
          ...(against === undefined ? [] : [against]),
        ],
        options: said,
      }
    } finally {
      region.close()
    }
  },
  format: (path, options, force) => {
    requireLayout(path, options, layoutParameters)
    const length = lengthToFormat(path, options)
    makeZones(path, layoutOf(path, makeZoneLayout, options, length), force, length)
  },
}
