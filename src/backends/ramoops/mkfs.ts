/** Making a region: zeros, and a header for each zone. */
import { makeStore } from '../../region/make.js'
import type { RamoopsLayout } from './layout.js'
import { Zone } from './zone.js'

/**
 * Make a region with a layout, in a new file, or in a file or device that is there.
 *
 * @param force wipe what is in it; without, only zeros are overwritten
 * @throws StoreError where that is not allowed or not possible; a file that it made is gone again
 */
export const makeRamoops = (path: string, layout: RamoopsLayout, force: boolean): void =>
  makeStore(path, { offset: layout.memAddress, length: layout.memSize, force }, (region, epoch) => {
    // Zeros are their own parity; an append of nothing signs a zone.
    for (const place of layout.zones)
      new Zone(region, place, layout.ecc, layout.endian).append(Buffer.alloc(0), epoch)
  })
