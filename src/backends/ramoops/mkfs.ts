/** mkfs for a region: zeros, and a header for each zone. */
import { makeStore } from '../../region/make.js'
import type { RamoopsLayout } from './layout.js'
import { remember } from './remembered.js'
import { Zone } from './zone.js'

/**
 * Make a region with a layout, in a new file or in an existing file or device.
 *
 * @param force overwrite old content; without it, only zeros are overwritten
 * @param options the layout, to be kept with a file
 * @throws StoreError where the source has content or cannot be written; a new file is removed again
 */
export const makeRamoops = (
  path: string,
  layout: RamoopsLayout,
  force: boolean,
  options?: string,
): void =>
  makeStore(path, { offset: layout.memAddress, length: layout.memSize, force }, (region, epoch) => {
    // An append of nothing signs a zone. Zeros are their own parity.
    const { zones, ecc, endian, oldParity } = layout
    for (const extent of zones)
      new Zone(region, extent, ecc, endian, oldParity).append(Buffer.alloc(0), epoch)
    if (options !== undefined) remember(region.fd, options)
  })
