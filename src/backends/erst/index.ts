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
import { StoreError } from '../../pstore/errors.js'
import { makeErst } from './mkfs.js'
import { isStore, loadHeader, SlotMap } from './slot-map.js'

export interface ErstParameters extends Whereabouts, SplitRingParameters {
  /** Bytes of a record and its header, in a store that is made. */
  record_size?: number
}

export const erst: DriverModule<ErstParameters> = {
  backend: 'erst',
  store: 'an ERST store',
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
  recognises: head => isStore(head),
  describe: (path, { mem_address, mem_size }) => {
    const where = {
      ...(mem_address === undefined ? {} : { mem_address }),
      ...(mem_size === undefined ? {} : { mem_size }),
    }
    const region = openRegion(path, { ...where, readOnly: true })
    try {
      const header = loadHeader(region)
      if (header.state === 'foreign') throw new StoreError(`${path}: ${header.why}`)
      if (header.state === 'unused') return null
      const { slots, damage } = header
      const used = new SlotMap(region, slots).used()
      return {
        facts: { record_size: slots.recordSize, slots: slots.end - slots.first, used },
        evidence: ['it begins with ERSTSTOR', ...(damage === null ? [] : [damage])],
      }
    } finally {
      region.close()
    }
  },
  format: (path, { mem_size, record_size }, force) => makeErst(path, mem_size, record_size, force),
}
