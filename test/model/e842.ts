/**
 * sw842's bit stream, a second time and as its description has it (Linux's lib/842/842.h): bits as text, and the
 * rings of the hardware as they are filled; and random streams with their text. doc/formats.md 7.1 says where Linux
 * has them.
 */
import type { Random } from '../random.js'

/** The letters of a template: D and I for literals and indexes of 2, 4 (twice as wide) and 8 bytes. */
const templates = (
  'D8 D4D2I2 D4I2D2 D4I2I2 D4I4 D2I2D4 D2I2D2I2 D2I2I2D2 D2I2I2I2 D2I2I4 I2D2D4 I2D4I2 I2D2I2D2 ' +
  'I2D2I2I2 I2D2I4 I2I2D4 I2I2D2I2 I2I2I2D2 I2I2I2I2 I2I2I4 I4D4 I4D2I2 I4I2D2 I4I2I2 I4I4 I8'
)
  .split(' ')
  .map(template => template.match(/../g)!)

/** Entries of the ring of each size. */
const entries: { [size: number]: number } = { 2: 256, 4: 512, 8: 256 }
const widths: { [size: number]: number } = { 2: 8, 4: 9, 8: 8 }

/** What whole groups of eight bytes leave in the rings: entry by entry, the oldest written over. */
class Rings {
  readonly #rings = new Map([2, 4, 8].map(size => [size, [] as Buffer[]]))
  #count = 0

  put(group: Buffer): void {
    for (const [size, ring] of this.#rings)
      for (let at = 0; at < 8; at += size)
        ring[((this.#count * 8 + at) / size) % entries[size]] = group.subarray(at, at + size)
    this.#count++
  }

  /** Undefined where nothing was put there yet. */
  get(size: number, index: number): Buffer | undefined {
    return this.#rings.get(size)![index]
  }

  filled(size: number): number {
    return this.#rings.get(size)!.length
  }
}

/** crc32_be of Linux with initial value 0, a bit at a time. */
export const crcOf = (bytes: Buffer): number => {
  let crc = 0
  for (const byte of bytes)
    for (let bit = 7; bit >= 0; bit--) {
      const out = (crc >>> 31) ^ ((byte >> bit) & 1)
      crc = ((crc << 1) ^ (out ? 0x04c11db7 : 0)) >>> 0
    }
  return crc
}

/** What a stream holds up to its end; null where it is none, or holds more than the limit. */
export const decode842 = (stream: Buffer, limit: number): Buffer | null => {
  const bits = Array.from(stream, byte => byte.toString(2).padStart(8, '0')).join('')
  let at = 0
  const read = (n: number): number => {
    if (at + n > bits.length) throw new RangeError('the stream ends')
    at += n
    return Number.parseInt(bits.slice(at - n, at), 2)
  }
  const bytes = (n: number): Buffer => Buffer.from(Array.from({ length: n }, () => read(8)))
  const rings = new Rings()
  let text: Buffer = Buffer.alloc(0)
  const put = (more: Buffer): void => {
    const before = text.length
    text = Buffer.concat([text, more])
    if (text.length > limit) throw new RangeError('too long')
    for (let from = before - (before % 8); from + 8 <= text.length; from += 8)
      rings.put(text.subarray(from, from + 8))
  }
  try {
    for (;;) {
      const template = read(5)
      if (template < templates.length) {
        // Indexes are those of before the group.
        const parts = templates[template].map(part => {
          const size = Number(part[1])
          if (part[0] === 'D') return bytes(size)
          const found = rings.get(size, read(widths[size]))
          if (!found) throw new RangeError('nothing there')
          return found
        })
        put(Buffer.concat(parts))
      } else if (template === 0x1b) {
        const times = read(6) + 1
        if (text.length < 8) return null
        for (let i = 0; i < times; i++) put(text.subarray(text.length - 8))
      } else if (template === 0x1c) put(Buffer.alloc(8))
      else if (template === 0x1d) {
        const count = read(3)
        if (count === 0) return null
        put(bytes(count))
      } else if (template === 0x1e) return read(32) === crcOf(text) ? text : null
      else return null
    }
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

const binary = (n: number, width: number): string => n.toString(2).padStart(width, '0')
const literal = (bytes: Buffer): string => Array.from(bytes, byte => binary(byte, 8)).join('')

/** Bits in a stream of whole groups of 8 bytes. */
const packed = (bits: string): Buffer => {
  const padded = bits.padEnd(Math.ceil(bits.length / 64) * 64, '0')
  return Buffer.from(padded.match(/.{8}/g)!.map(byte => Number.parseInt(byte, 2)))
}

const ended = (bits: string, text: Buffer): Buffer =>
  packed(bits + binary(0x1e, 5) + binary(crcOf(text), 32))

/** Bits that hold a text as it is. */
const stored = (text: Buffer): string => {
  let bits = ''
  let at = 0
  for (; at + 8 <= text.length; at += 8) bits += binary(0, 5) + literal(text.subarray(at, at + 8))
  const rest = text.subarray(at)
  return rest.length > 0 ? bits + binary(0x1d, 5) + binary(rest.length, 3) + literal(rest) : bits
}

/** A text as it is, in a stream. */
export const store842 = (text: Buffer): Buffer => ended(stored(text), text)

/** A stream that no compressor would write, and its text, which begins with a title. */
export const make842 = (random: Random, title: Buffer): { stream: Buffer; text: Buffer } => {
  const rings = new Rings()
  const start = title.subarray(0, title.length - (title.length % 8))
  const groups: Buffer[] = []
  const put = (group: Buffer): void => {
    rings.put(group)
    groups.push(group)
  }
  for (let at = 0; at < start.length; at += 8) put(start.subarray(at, at + 8))
  let bits = stored(start)
  for (let i = random.below(800); i > 0; i--) {
    const kind = random.below(40)
    if (kind === 0) {
      bits += binary(0x1c, 5)
      put(Buffer.alloc(8))
    } else if (kind === 1) {
      const times = random.below(64)
      bits += binary(0x1b, 5) + binary(times, 6)
      const last = groups.at(-1)!
      for (let i = 0; i <= times; i++) put(last)
    } else {
      const template = random.below(templates.length)
      bits += binary(template, 5)
      const parts = templates[template].map(part => {
        const size = Number(part[1])
        if (part[0] === 'D') {
          const bytes = random.bytes(size)
          bits += literal(bytes)
          return bytes
        }
        const index = random.below(rings.filled(size))
        bits += binary(index, widths[size])
        return rings.get(size, index)!
      })
      put(Buffer.concat(parts))
    }
  }
  const tail = random.bytes(random.below(8))
  const text = Buffer.concat([...groups, tail])
  return { stream: ended(bits + stored(tail), text), text }
}
