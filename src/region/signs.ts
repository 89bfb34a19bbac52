/** Where zones' signatures stand in a source. */
import type { Endian, ZoneKind } from '../pstore/types.js'
import { loadReadable } from './readable.js'
import type { Region } from './region.js'

/** A signature, and what stands behind it. */
export interface Sign {
  /** The kinds of zones that are signed so. */
  readonly kinds: readonly ZoneKind[]
  /** Bytes that the zone holds, by its header. */
  readonly size: number
  /** Could a zone's numbers be those behind it? */
  readonly isPossible: boolean
}

/** The signatures of one kind of medium. */
export interface Signs {
  /** Bytes of a header. */
  readonly headerSize: number
  /** The header at an offset in some bytes; null where no zone has such a one. */
  at(bytes: Buffer, at: number, endian: Endian): Sign | null
  /** How many bytes of ftrace each of so many CPUs has, by each rule that a kernel has had; today's first. */
  shares(total: number, cpus: number): readonly number[]
}

/** Bytes that are searched at once. */
export const blockSize = 2 ** 20
/** Bytes in which signatures are looked for, also where no zone lacks one; and how many are enough. */
const mostSearched = 2 ** 26
export const leastSearched = 2 ** 22
export const mostFound = 4096

export interface Found {
  readonly at: number
  readonly endian: Endian
}

/** What all plain signatures have in common, and how far behind a signature's start it stands. */
const common = [
  { endian: 'little', needle: Buffer.from('BGC'), behind: 1 },
  { endian: 'big', needle: Buffer.from('CGB'), behind: 0 },
] as const

/** Where signatures stand in a region, as far as it is searched: so many bytes. */
export const searchSigns = (region: Region, signs: Signs, most = mostSearched): Found[] => {
  const { headerSize } = signs
  const found: Found[] = []
  let left = most
  const block = Buffer.allocUnsafe(Math.min(blockSize, region.length))
  for (let from = 0; left > 0;) {
    const data = region.nextData(from)
    if (!data) break
    const length = Math.min(blockSize, region.length - data.from)
    if (length < headerSize) break
    const bytes = block.subarray(0, length)
    loadReadable(region, bytes, data.from)
    for (const { endian, needle, behind } of common)
      for (let n = bytes.indexOf(needle); n >= 0; n = bytes.indexOf(needle, n + 1)) {
        const at = n - behind
        // The next block has a cut header whole.
        if (at < 0 || at + headerSize > length) continue
        if (signs.at(bytes, at, endian)?.isPossible) found.push({ at: data.from + at, endian })
        if (found.length === mostFound) return found
      }
    left -= length
    from = data.from + Math.max(1, length - headerSize + 1)
    if (data.from + length === region.length) break
  }
  return found
}

/** Where signatures stand in a source, in bytes. Closes it. */
export const signsIn = (source: Region | null, signs: Signs, most = mostSearched): number[] => {
  if (!source) return []
  try {
    return searchSigns(source, signs, most).map(({ at }) => at)
  } finally {
    source.close()
  }
}
