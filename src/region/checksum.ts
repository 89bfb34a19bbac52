/** The sum of a stretch of a region, of which nothing is kept. */
import zlib from 'node:zlib'
import type { Region } from './region.js'

/** How many bytes are summed at once. */
const chunk = Buffer.allocUnsafe(65536)

/** The CRC of a region's bytes, of which none is kept. Throws a StoreError (EIO). */
export const checksum = (region: Region, offset: number, length: number): number => {
  let sum = 0
  for (let at = 0; at < length; at += chunk.length) {
    const n = Math.min(chunk.length, length - at)
    region.loadInto(chunk, offset + at, n)
    sum = zlib.crc32(chunk.subarray(0, n), sum)
  }
  return sum
}
