/** ramoops: a region of zones in memory, in a guest's memory, or in a dump of either. */
import {
  isDescribed,
  layoutOf,
  lengthToFormat,
  onRegion,
  openRegion,
  requireLayout,
  type DriverModule,
} from '../module.js'
import {
  ftraceSize,
  parseCount,
  parseOrder,
  parseSize,
  parseText,
  ringSizes,
  whereabouts,
  zoneParameters,
  type FtraceParameters,
  type ParameterTable,
} from '../../pstore/parameters.js'
import { RamoopsDriver } from './driver.js'
import { layoutParameters, makeLayout, presets, type RamoopsParameters } from './layout.js'
import { makeRamoops } from './mkfs.js'
import type { Findings } from './probe/found.js'
import { probeLayout, probeRegion } from './probe/index.js'

export type RamoopsOptions = RamoopsParameters & FtraceParameters

export const ramoops: DriverModule<RamoopsOptions, Findings> = {
  backend: 'ramoops',
  parameters: {
    ...whereabouts,
    record_size: { parse: parseSize, describe: 'size of a dmesg zone', sizes: 'dmesg' },
    console_size: ringSizes.console_size,
    ftrace_size: ftraceSize,
    pmsg_size: ringSizes.pmsg_size,
    tty_size: ringSizes.tty_size,
    ttyprobe_size: { parse: parseSize, describe: "Anolis's name for tty_size", means: 'tty_size' },
    ecc: { parse: parseCount, describe: 'parity bytes per block; 1 means 16, 0 none' },
    flags: { parse: parseCount, describe: '1: an ftrace zone for each CPU; 0: one for all' },
    preset: {
      parse: parseText,
      describe: `the kernel or program that wrote the region: ${Object.keys(presets).join(', ')}`,
      values: Object.keys(presets),
    },
    order: { parse: parseOrder, describe: 'order of the zones, e.g. dmesg,console,pmsg,ftrace' },
    ...zoneParameters,
  } satisfies ParameterTable<RamoopsOptions>,
  attach: (path, given) => {
    const options = isDescribed(given, layoutParameters)
      ? given
      : { ...given, ...probeLayout(path, given, openRegion) }
    return onRegion(
      openRegion(path, options),
      region => new RamoopsDriver(region, layoutOf(path, makeLayout, options, region.length)),
    )
  },
  format: (path, options, force) => {
    requireLayout(path, options, layoutParameters)
    const length = lengthToFormat(path, options)
    makeRamoops(path, layoutOf(path, makeLayout, options, length), force)
  },
  probe: (path, options) => probeRegion(path, options, openRegion),
}
