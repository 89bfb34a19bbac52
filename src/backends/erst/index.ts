/** ERST: the file behind QEMU's acpi-erst device. */
import type { SplitRingParameters } from '../../pstore/split-ring.js'
import { onRegion, openRegion, type DriverModule, type Whereabouts } from '../module.js'
import {
  parseSize,
  splitRingParameters,
  whereabouts,
  type ParameterTable,
} from '../../pstore/parameters.js'
import { ErstDriver } from './driver.js'
import { makeErst } from './mkfs.js'

export interface ErstParameters extends Whereabouts, SplitRingParameters {
  /** Bytes of a record and its header, in a store that is made. */
  record_size?: number
}

export const erst: DriverModule<ErstParameters> = {
  backend: 'erst',
  parameters: {
    ...whereabouts,
    record_size: {
      parse: parseSize,
      describe: 'size of a record and its header',
      sizes: 'dmesg',
    },
    ...splitRingParameters,
  } satisfies ParameterTable<ErstParameters>,
  // QEMU writes the file as it likes: a mapping would add nothing.
  attach: (path, options) =>
    onRegion(
      openRegion(path, { ...options, map: false }),
      region => new ErstDriver(region, options),
    ),
  format: (path, { mem_size, record_size }, force) => makeErst(path, mem_size, record_size, force),
}
