/** The contiguous memory in a source: a raw dump is one segment, an ELF core has several. */
import type { Region } from '../../../region/region.js'

export interface Segment {
  /** Where it lies in the source. */
  offset: number
  length: number
  /** The address of its first byte in the machine's memory. */
  address: number
}

export const pageSize = 4096

/** A raw dump's only segment. */
export const wholeSource = (region: Region): Segment[] => [
  { offset: 0, length: region.length, address: 0 },
]

/** Is an offset in the source the start of a page of memory? Regions begin at pages. */
export const isPageAligned = ({ offset, address }: Segment, at: number): boolean =>
  (at - offset + address) % pageSize === 0
