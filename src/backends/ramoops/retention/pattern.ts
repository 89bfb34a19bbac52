/**
 * A pattern by which a region shows what a reset does to it: pages that each begin with the same header, and go on
 * with bits of a generator's. Any page that is left whole tells what all others were.
 */
import { crc32be } from '../../../pstore/codecs/crc32.js'

export const pageSize = 4096

const magic = 'pstorefs retention pattern 1\n'
const lengthAt = 32
const timeAt = 40
const seedAt = 48
const checksumAt = 60
export const headerSize = 64

/** What a pattern's header says of it. */
export interface Pattern {
  /** Bytes of the region. */
  readonly length: number
  /** When it was written, in ms since 1970. */
  readonly time: number
  /** Of the generator, 32 bits. */
  readonly seed: number
}

export const encodeHeader = ({ length, time, seed }: Pattern): Buffer => {
  const bytes = Buffer.alloc(headerSize)
  bytes.write(magic, 'latin1')
  bytes.writeBigUInt64LE(BigInt(length), lengthAt)
  bytes.writeBigUInt64LE(BigInt(time), timeAt)
  bytes.writeUInt32LE(seed, seedAt)
  bytes.writeUInt32LE(crc32be(0, bytes.subarray(0, checksumAt)), checksumAt)
  return bytes
}

/** Null where these headerSize bytes are no header, or damaged. */
export const decodeHeader = (bytes: Buffer): Pattern | null => {
  const isWhole = bytes.readUInt32LE(checksumAt) === crc32be(0, bytes.subarray(0, checksumAt))
  if (!isWhole || bytes.toString('latin1', 0, magic.length) !== magic) return null
  return {
    length: Number(bytes.readBigUInt64LE(lengthAt)),
    time: Number(bytes.readBigUInt64LE(timeAt)),
    seed: bytes.readUInt32LE(seedAt),
  }
}

/**
 * The header that all pages of a region had, or null: of a page that is left whole, or bit by bit what most of them say.
 *
 * @param heads what is there now, of each page: its first headerSize bytes
 */
export const findHeader = (heads: Iterable<Buffer>): Pattern | null => {
  const ones = new Uint32Array(8 * headerSize)
  let pages = 0
  for (const head of heads) {
    const found = decodeHeader(head)
    if (found) return found
    pages++
    for (let bit = 0; bit < ones.length; bit++) ones[bit]! += (head[bit >> 3]! >> (bit & 7)) & 1
  }
  const most = Buffer.alloc(headerSize)
  for (const [bit, count] of ones.entries())
    if (2 * count > pages) most[bit >> 3]! |= 1 << (bit & 7)
  return decodeHeader(most)
}

/** Makes the pages of a pattern. */
export class Pages {
  readonly #header: Buffer
  readonly #page = Buffer.alloc(pageSize)

  constructor(readonly pattern: Pattern) {
    this.#header = encodeHeader(pattern)
  }

  /** A page by its number; the last one of a region may be shorter. It is made anew by the next call. */
  page(number: number): Buffer {
    const page = this.#page
    // mulberry32, from another place for each page.
    let state = (this.pattern.seed ^ Math.imul(number + 1, 0x9e3779b1)) >>> 0
    for (let at = headerSize; at < pageSize; at += 4) {
      state = (state + 0x6d2b79f5) >>> 0
      let x = Math.imul(state ^ (state >>> 15), state | 1)
      x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
      page.writeUInt32LE((x ^ (x >>> 14)) >>> 0, at)
    }
    this.#header.copy(page)
    return page.subarray(0, Math.min(pageSize, this.pattern.length - number * pageSize))
  }

  /** Bytes of it from an offset on. */
  slice(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length)
    const first = Math.floor(offset / pageSize)
    for (let number = first; number * pageSize < offset + length; number++) {
      const at = number * pageSize - offset
      this.page(number).copy(bytes, Math.max(0, at), Math.max(0, -at))
    }
    return bytes
  }
}
