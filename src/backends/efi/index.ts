/** EFI variables: efivarfs or a copy of it, or the variable store of a firmware image. */
import fs from 'node:fs'
import type { SplitRingParameters } from '../../pstore/split-ring.js'
import { onRegion, openRegion, type DriverModule, type Whereabouts } from '../module.js'
import { splitRingParameters, whereabouts, type ParameterTable } from '../../pstore/parameters.js'
import { EfiDriver } from './driver.js'
import { VariableFolder } from './variable-folder.js'
import { VariableStore } from './variable-store.js'

/** `mem_address` is where a variable store starts in its file. */
export interface EfiParameters extends Pick<Whereabouts, 'mem_address'>, SplitRingParameters {}

export const efi: DriverModule<EfiParameters> = {
  backend: 'efi_pstore',
  parameters: {
    mem_address: whereabouts.mem_address,
    ...splitRingParameters,
  } satisfies ParameterTable<EfiParameters>,
  attach: (path, options) => {
    if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory())
      return new EfiDriver(new VariableFolder(path, options.readOnly), options)
    // A guest's firmware owns its store: it is for reading only.
    const { mem_address } = options
    const where = { readOnly: true, ...(mem_address === undefined ? {} : { mem_address }) }
    return onRegion(
      openRegion(path, where),
      region => new EfiDriver(new VariableStore(region), options, region.offset),
    )
  },
}
