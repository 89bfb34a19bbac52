/** Making a store: zeros, and a header for each zone. */
import { makeStore } from '../../region/make.js'
import type { ZoneLayout } from './layout.js'
import { Zone } from './zone.js'

/**
 * Make a store with a layout, in a new file, or in a file or device that is there.
 *
 * @param force wipe what is in it; without, only zeros are overwritten
 * @param fileLength how long a new file is made: Linux uses no more than the layout's of a larger one
 * @throws StoreError where that is not allowed or not possible; a file that it made is gone again
 */
export const makeZones = (
  path: string,
  layout: ZoneLayout,
  force = false,
  fileLength = layout.memSize,
): void => {
  const { memAddress: offset, memSize: length } = layout
  makeStore(path, { offset, length, fileLength, force }, (region, epoch) => {
    // An append of nothing signs a zone.
    for (const place of layout.zones)
      new Zone(region, place, layout.endian).append(Buffer.alloc(0), epoch)
  })
}
