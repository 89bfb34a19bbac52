/** ramoops: a region of zones in memory, in a guest's memory, or in a dump of either. */
import fs from 'node:fs'
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
import { PastEnd } from '../../pstore/errors.js'
import { RamoopsDriver } from './driver.js'
import { elsewhereOf } from './elsewhere.js'
import { resolveGiven } from './given.js'
import { layoutParameters, makeLayout, presets, type RamoopsParameters } from './layout.js'
import { makeRamoops } from './mkfs.js'
import { parseZones, printRuns } from './zone-list.js'
import type { Findings, FoundRegion } from './probe/found.js'
import { probeLayout, probeRegion } from './probe/index.js'
import { recall } from './remembered.js'
import { kernelParametersOf, optionsOf } from './written.js'
import { testRegion, type RetentionTest } from './retention/index.js'
import type { Region } from '../../region/region.js'

export type RamoopsOptions = RamoopsParameters & FtraceParameters

/** The region that `format` made in a source, if any. */
const known = (region: Region): FoundRegion | null => recall(region, ramoops.parameters)

/** Open a part of a source; an address of the machine's memory is perhaps meant where the source has ended. */
const openAt: typeof openRegion = (path, options) => {
  try {
    return openRegion(path, options)
  } catch (error) {
    if (!(error instanceof PastEnd)) throw error
    throw new PastEnd(
      `${error.message}: a dump of just the region starts at 0; --base says where a RAM dump starts`,
    )
  }
}

export const ramoops: DriverModule<RamoopsOptions, Findings, RetentionTest> = {
  backend: 'ramoops',
  store: 'a ramoops region',
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
    zones: {
      parse: parseZones,
      print: printRuns,
      describe:
        'every zone as it lies there, e.g. dmesg:80Kx2,console:512K,gap:4K,pmsg:192K: instead of sizes and order',
    },
    boot_log_size: {
      parse: parseSize,
      describe: "Rockchip: size of all boot log zones, the region's first; 0: none",
      sizes: 'boot-log',
    },
    boot_log_count: { parse: parseCount, describe: 'Rockchip: number of boot logs (default 1)' },
    ...zoneParameters,
    layout: {
      parse: parseText,
      describe:
        'a file that says the layout: a device tree, a command line, modprobe.d, a log, what probe --json printed',
    },
    base: {
      parse: parseSize,
      describe: "the address of the source's first byte, where it is a dump of RAM (default 0)",
    },
  } satisfies ParameterTable<RamoopsOptions>,
  attach: (path, said) => {
    const given = resolveGiven(path, said, ramoops.parameters, openRegion)
    const options: typeof given & { against?: string } = isDescribed(given, layoutParameters)
      ? given
      : { ...given, ...probeLayout(path, given, openAt, known) }
    return onRegion(openAt(path, options), region => {
      const layout = layoutOf(path, makeLayout, options, region.length)
      const elsewhere = options === given && elsewhereOf(path, layout, openRegion, known)
      return new RamoopsDriver(region, layout, options.word_size, {
        force: given.force,
        ...(elsewhere && { elsewhere }),
        ...(options.against !== undefined && { against: options.against }),
      })
    })
  },
  format: (path, said, force) => {
    const open = fs.existsSync(path) ? openRegion : null
    const options = resolveGiven(path, said, ramoops.parameters, open)
    requireLayout(path, options, layoutParameters)
    const length = lengthToFormat(path, options)
    const layout = layoutOf(path, makeLayout, options, length)
    const line = optionsOf(options, layout)
    makeRamoops(path, layout, force, line)
    const kernel = kernelParametersOf(options, layout)
    return [line, kernel ?? 'no parameters of a kernel make this layout']
  },
  testRetention: (path, said, how) => {
    const options = resolveGiven(path, said, ramoops.parameters, openRegion)
    return testRegion(
      readOnly => openAt(path, { ...options, readOnly }),
      length =>
        isDescribed(options, layoutParameters) ? layoutOf(path, makeLayout, options, length) : null,
      () => probeRegion(path, options, openAt).regions.length > 0,
      how,
    )
  },
  probe: (path, said) => {
    const notes: string[] = []
    const report = (line: string): void => void notes.push(line)
    const options = resolveGiven(path, { ...said, report }, ramoops.parameters, openRegion)
    const findings = probeRegion(path, options, openAt, known)
    return { ...findings, notes: [...notes, ...findings.notes] }
  },
}
