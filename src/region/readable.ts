/** What can be read of a stretch of a region: a bad sector of a disk hides nothing elsewhere. */
import { assertStoreError } from '../pstore/errors.js'
import type { Region } from './region.js'

/** What a disk gives or does not, in bytes. */
const sectorSize = 512
/** So many sectors may be bad: a disk tries for seconds to read each. */
const mostBad = 64

/**
 * Fill a buffer with the bytes from an offset on; zeros where a sector cannot be read.
 *
 * @throws StoreError (EIO) where too many cannot be
 */
export const loadReadable = (region: Region, bytes: Buffer, offset: number): void => {
  try {
    region.loadInto(bytes, offset, bytes.length)
  } catch (error) {
    assertStoreError(error)
    bySectors(region, bytes, offset)
  }
}

const bySectors = (region: Region, bytes: Buffer, offset: number): void => {
  let bad = 0
  for (let at = 0, length: number; at < bytes.length; at += length) {
    // Sectors are the source's.
    length = Math.min(sectorSize - ((region.offset + offset + at) % sectorSize), bytes.length - at)
    const sector = bytes.subarray(at, at + length)
    try {
      region.loadInto(sector, offset + at, length)
    } catch (error) {
      assertStoreError(error)
      if (++bad > mostBad) throw error
      sector.fill(0)
    }
  }
}
