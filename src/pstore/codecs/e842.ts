/**
 * sw842's bit stream: groups of eight bytes by templates of literals and of indexes into what came before, an end,
 * and the CRC-32 of the text.
 *
 * Source: doc/formats.md 7.1; lib/842/842.h (the format), lib/842/842_decompress.c (sw842_decompress).
 */
import type { Codec } from './codec.js'
import { crc32be } from './crc32.js'
import { Output } from './output.js'
import { walk, type Decoding, type Steps } from './walk.js'

const templateBits = 5
/** Templates that are something else than eight bytes. */
const repeatTemplate = 0x1b
const zerosTemplate = 0x1c
const shortTemplate = 0x1d
const endTemplate = 0x1e
const repeatBits = 6
const shortBits = 3
const crcBits = 32

/** Bytes of a group. */
const groupSize = 8

/** The parts of each template: literals of 8, 4 or 2 bytes (D), and indexes of as many (I). */
const templates: readonly (readonly string[])[] = [
  'D8',
  'D4 D2 I2',
  'D4 I2 D2',
  'D4 I2 I2',
  'D4 I4',
  'D2 I2 D4',
  'D2 I2 D2 I2',
  'D2 I2 I2 D2',
  'D2 I2 I2 I2',
  'D2 I2 I4',
  'I2 D2 D4',
  'I2 D4 I2',
  'I2 D2 I2 D2',
  'I2 D2 I2 I2',
  'I2 D2 I4',
  'I2 I2 D4',
  'I2 I2 D2 I2',
  'I2 I2 I2 D2',
  'I2 I2 I2 I2',
  'I2 I2 I4',
  'I4 D4',
  'I4 D2 I2',
  'I4 I2 D2',
  'I4 I2 I2',
  'I4 I4',
  'I8',
].map(parts => parts.split(' '))

/** A part of a template; `bits` those of an index, 0 for literals. */
interface Part {
  readonly size: number
  readonly bits: number
}

const indexBits: { readonly [part: string]: number } = { I2: 8, I4: 9, I8: 8 }
const partsOf: readonly (readonly Part[])[] = templates.map(parts =>
  parts.map(part => ({ size: Number(part[1]), bits: indexBits[part] ?? 0 })),
)

/** How far back an index reaches: as much as the largest ring holds, and the group that is being made. */
const window = 2 * (groupSize << 8)

/** Bits of a stream, the highest of each byte first. */
class Bits {
  /** The bit that is next. */
  at = 0

  constructor(readonly stream: Buffer) {}

  /** Are there so many more? */
  has(n: number): boolean {
    return this.at + n <= 8 * this.stream.length
  }

  /** The next bits, at most 8; those behind the stream's end are 0. */
  #few(n: number): number {
    const byte = this.at >> 3
    const pair = (this.stream[byte]! << 8) | (this.stream[byte + 1] ?? 0)
    const bits = (pair >> (16 - (this.at & 7) - n)) & ((1 << n) - 1)
    this.at += n
    return bits
  }

  /** The next bits, at most 32. */
  read(n: number): number {
    let bits = 0
    for (let left = n; left > 0; left -= 8) {
      const few = Math.min(8, left)
      bits = bits * (1 << few) + this.#few(few)
    }
    return bits
  }
}

/**
 * Where in the text an index points to. The indexes of a size are those of a ring, which whole groups are put
 * into: what was written last stands before where the next one goes.
 *
 * @param total bytes in whole groups
 */
const placeOf = (index: number, { size, bits }: Part, total: number): number => {
  const ring = size << bits
  const offset = index * size
  if (total <= ring) return offset
  const section = total - (total % ring)
  return offset >= total - section ? section - ring + offset : section + offset
}

function* decode(stream: Buffer, out: Output, crcOf: () => number): Steps {
  const bits = new Bits(stream)
  const literal = Buffer.alloc(groupSize)
  const { length: end } = stream
  for (;;) {
    const start = bits.at >> 3
    if (!bits.has(templateBits)) return out.fail(end)
    const template = bits.read(templateBits)
    if (template === endTemplate) break
    if (template === repeatTemplate) {
      if (!bits.has(repeatBits)) return out.fail(end)
      if (out.length < groupSize) return out.fail(start)
      out.match(groupSize, groupSize * (bits.read(repeatBits) + 1))
    } else if (template === zerosTemplate) {
      out.literals(literal.fill(0), 0, groupSize)
    } else {
      if (template === shortTemplate && !bits.has(shortBits)) return out.fail(end)
      const parts = template === shortTemplate ? shortParts(bits) : partsOf[template]
      if (!parts) return out.fail(start)
      const total = out.length - (out.length % groupSize)
      for (const part of parts) {
        const { size } = part
        if (!bits.has(part.bits || 8 * size)) return out.fail(end)
        if (part.bits > 0) {
          const from = placeOf(bits.read(part.bits), part, total)
          if (from + size > total) return out.fail(start)
          out.match(out.length - from, size)
        } else {
          for (let i = 0; i < size; i++) literal[i] = bits.read(8)
          out.literals(literal, 0, size)
        }
        if (out.left > 0 && (yield* out.drain())) return out.fail(start)
      }
    }
    if (out.left > 0 && (yield* out.drain())) return out.fail(start)
  }
  if (!bits.has(crcBits)) return out.fail(end)
  yield out.take()
  if (bits.read(crcBits) !== crcOf()) return out.failChecksum((bits.at >> 3) - 1)
}

/** The single bytes with which a text ends that is no multiple of eight; null where there are none. */
const shortParts = (bits: Bits): readonly Part[] | null => {
  const count = bits.read(shortBits)
  return count === 0 || count >= groupSize
    ? null
    : Array.from({ length: count }, () => ({ size: 1, bits: 0 }))
}

const begin = (stream: Buffer, limit: number): Decoding => {
  let crc = 0
  const out = new Output(limit, window, piece => (crc = crc32be(crc, piece)))
  return { out, steps: decode(stream, out, () => crc) }
}

export const e842: Codec = {
  name: '842',
  isOpened: null,
  isChecked: true,
  walk: (stream, limit) => walk(stream, () => begin(stream, limit), false),
}
