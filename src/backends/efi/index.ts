/**
 * EFI variables: efivarfs or a copy of it, the variable store of a firmware image, or a file that lists them (QEMU's
 * JSON, AWS's blob).
 */
import { isFolder } from '../../native/open.js'
import type { SplitRingParameters } from '../../pstore/split-ring.js'
import { onRegion, openRegion, type DriverModule, type Whereabouts } from '../module.js'
import { splitRingParameters, whereabouts, type ParameterTable } from '../../pstore/parameters.js'
import { EfiDriver } from './driver.js'
import { listsVariables, VariableFile } from './variable-file.js'
import { holdsVariables, VariableFolder } from './variable-folder.js'
import { findVariableStore, isVariableStore, VariableStore } from './variable-store.js'

/** `mem_address` is where a variable store starts in its file. */
export interface EfiParameters extends Pick<Whereabouts, 'mem_address'>, SplitRingParameters {}

export const efi: DriverModule<EfiParameters> = {
  backend: 'efi_pstore',
  store: 'a store of EFI variables',
  parameters: {
    mem_address: whereabouts.mem_address,
    ...splitRingParameters,
  } satisfies ParameterTable<EfiParameters>,
  attach: (path, options) => {
    if (isFolder(path)) return new EfiDriver(new VariableFolder(path, options.readOnly), options)
    // A guest's firmware owns its store: it is for reading only.
    return onRegion(
      openRegion(path, { ...options, readOnly: true, map: false }),
      region =>
        new EfiDriver(VariableFile.in(region) ?? new VariableStore(region), options, region.offset),
    )
  },
  recognises: (head, { isDirectory }, path) =>
    isDirectory ? holdsVariables(path) : isVariableStore(head) || listsVariables(head),
  resembles: (_, path) => {
    const region = openRegion(path, { readOnly: true, map: false })
    try {
      const at = findVariableStore(region)?.toString(16)
      return at === undefined
        ? null
        : `a UEFI variable store begins at 0x${at}: give --mem-address 0x${at}`
    } finally {
      region.close()
    }
  },
  describe: (path, { mem_address }) => {
    const where = mem_address === undefined ? {} : { mem_address }
    const driver = efi.attach(path, { ...where, readOnly: true }) as EfiDriver
    try {
      const { dumps, pieces, room } = driver.variables.list()
      const bytes = [...dumps, ...pieces].reduce((sum, { size }) => sum + size, 0)
      return {
        facts: { dumps: dumps.length, bytes, ...room },
        evidence: [
          isFolder(path)
            ? 'a folder of files NAME-GUID'
            : driver.variables instanceof VariableFile
              ? 'a list of variables'
              : 'a firmware volume (_FVH) with variables',
        ],
      }
    } finally {
      driver.close()
    }
  },
}
