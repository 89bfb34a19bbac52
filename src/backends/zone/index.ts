/** pstore/zone: pstore_blk's disks, and mtdpstore's flash. */
import {
  layoutOf,
  lengthToFormat,
  onRegion,
  openRegion,
  requireLayout,
  type DriverModule,
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
import { makeZoneLayout, type ZoneParameters } from './layout.js'
import { makeZones } from './mkfs.js'

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

export const zone: DriverModule<ZoneOptions> = {
  backend: 'pstore_blk',
  parameters: {
    ...whereabouts,
    kmsg_size: { parse: parseSize, describe: 'size of a dmesg zone', sizes: 'dmesg' },
    ...ringSizes,
    ftrace_size: ftraceSize,
    ...zoneParameters,
  } satisfies ParameterTable<ZoneOptions>,
  attach: (path, options) =>
    onRegion(openRegion(path, options), region => {
      requireLayout(path, options, layoutParameters)
      return new ZoneDriver(region, layoutOf(path, makeZoneLayout, options, region.length))
    }),
  format: (path, options, force) => {
    requireLayout(path, options, layoutParameters)
    const length = lengthToFormat(path, options)
    makeZones(path, layoutOf(path, makeZoneLayout, options, length), force)
  },
}
