/** The fronts of a region's zones for dumps. */
import { frontLength, type Fronts } from '../pstore/fronts.js'
import type { ZoneExtent } from '../pstore/types.js'
import type { Region } from './region.js'

export const frontsOf = (region: Region, dumps: readonly ZoneExtent[]): Fronts => ({
  count: dumps.length,
  load: (place, into) => {
    const { offset, size } = dumps[place]!
    const length = Math.min(frontLength, size)
    region.loadInto(into, offset, length)
    into.fill(0, length)
  },
})
