/** What a region has lost of its pattern: bits by direction, and where. */
import type { Region } from '../../../region/region.js'
import { pageSize, type Pages } from './pattern.js'

/** Neighbouring pages that have lost something. */
export interface LostRange {
  /** Where they begin in the region, in bytes. */
  readonly offset: number
  readonly length: number
  /** Wrong bits in them. */
  readonly bits: number
  /** How many of the pages are lost as a whole: what is there now is something else. */
  readonly lostPages: number
  /** The page of them with the most wrong bits. */
  readonly worst: { readonly offset: number; readonly bits: number }
}

export interface Losses {
  /** Bits that were 1 and are 0, and the other way. */
  readonly toZero: number
  readonly toOne: number
  readonly pages: number
  readonly changedPages: number
  readonly lostPages: number
  /** In the order in which they lie. */
  readonly ranges: readonly LostRange[]
}

/** Other bytes differ from a pattern in half of their bits: a page of which so large a share is wrong is lost. */
const lostShare = 1 / 4

/** How many bits of a byte are set. */
const bitsIn = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0
  for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1
  return bits
})

/** @throws StoreError (EIO) where the source cannot be read */
export const lossesOf = (region: Region, pages: Pages): Losses => {
  const count = Math.ceil(region.length / pageSize)
  const ranges: LostRange[] = []
  let toZero = 0
  let toOne = 0
  let changedPages = 0
  let lostPages = 0
  for (let number = 0; number < count; number++) {
    const was = pages.page(number)
    const offset = number * pageSize
    const is = region.load(offset, was.length)
    if (is.equals(was)) continue
    let down = 0
    let up = 0
    for (const [i, byte] of was.entries()) {
      down += bitsIn[byte & ~is[i]!]!
      up += bitsIn[~byte & is[i]!]!
    }
    toZero += down
    toOne += up
    changedPages++
    const bits = down + up
    const isLost = bits > 8 * was.length * lostShare
    lostPages += Number(isLost)
    const here = { offset, length: was.length, bits, lostPages: Number(isLost) }
    const last = ranges.at(-1)
    if (last && last.offset + last.length === offset)
      ranges[ranges.length - 1] = {
        offset: last.offset,
        length: last.length + here.length,
        bits: last.bits + bits,
        lostPages: last.lostPages + here.lostPages,
        worst: bits > last.worst.bits ? { offset, bits } : last.worst,
      }
    else ranges.push({ ...here, worst: { offset, bits } })
  }
  return { toZero, toOne, pages: count, changedPages, lostPages, ranges }
}

/** Which bytes of a stretch are not what they were: 1 for each. */
export const wrongBytes = (
  region: Region,
  pages: Pages,
  offset: number,
  length: number,
): Uint8Array => {
  const was = pages.slice(offset, length)
  return region.load(offset, length).map((byte, i) => Number(byte !== was[i]))
}
