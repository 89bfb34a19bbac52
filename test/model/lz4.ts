/**
 * An LZ4 block, a second time and from its description (lz4_Block_format.md), a byte at a time; and random blocks
 * with their text. doc/formats.md 7.1 says where Linux has them.
 */
import type { Random } from '../random.js'

/** What a block holds; null where it is none, or holds more than the limit. */
export const decodeLz4 = (block: Buffer, limit: number): Buffer | null => {
  const text: number[] = []
  const input = [...block]
  const next = (): number => {
    const byte = input.shift()
    if (byte === undefined) throw new RangeError('the block ends')
    return byte
  }
  const length = (nibble: number): number => {
    let sum = nibble
    if (nibble < 15) return sum
    for (;;) {
      const byte = next()
      sum += byte
      if (byte < 255) return sum
    }
  }
  try {
    for (;;) {
      const token = next()
      const literals = length(token >> 4)
      for (let i = 0; i < literals; i++) text.push(next())
      if (text.length > limit) return null
      if (input.length === 0) return Buffer.from(text)
      // No match begins so late that fewer than five literals could follow it.
      if (input.length < 8) return null
      const distance = next() + 256 * next()
      const matched = length(token & 15) + 4
      if (distance === 0 || distance > text.length || text.length + matched > limit) return null
      for (let i = 0; i < matched; i++) text.push(text.at(-distance)!)
    }
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

const lengthBytes = (length: number): number[] => {
  if (length < 15) return []
  const rest = length - 15
  return [...Array<number>(Math.floor(rest / 255)).fill(255), rest % 255]
}

/** One sequence; without a match it is the last. */
const sequence = (literals: Buffer, match: { distance: number; length: number } | null): Buffer => {
  const matched = match ? match.length - 4 : 0
  const token = (Math.min(15, literals.length) << 4) | Math.min(15, matched)
  const after = match ? [match.distance & 0xff, match.distance >> 8, ...lengthBytes(matched)] : []
  return Buffer.concat([
    Buffer.from([token, ...lengthBytes(literals.length)]),
    literals,
    Buffer.from(after),
  ])
}

/** A text as one run of literals. */
export const storeLz4 = (text: Buffer): Buffer => sequence(text, null)

/** A block that no compressor would write, and its text, which begins with a title. */
export const makeLz4 = (random: Random, title: Buffer): { stream: Buffer; text: Buffer } => {
  const parts: Buffer[] = []
  let text: Buffer = Buffer.alloc(0)
  let literals = title
  for (let i = random.below(20); i > 0; i--) {
    text = Buffer.concat([text, literals])
    const reach = Math.min(text.length, 65535)
    const distance = random.pick([1, reach, random.between(1, reach)])
    const length = random.pick([4, 18, 19, 273, 274, random.between(4, 5000)])
    parts.push(sequence(literals, { distance, length }))
    text = repeated(text, distance, length)
    literals = random.bytes(random.pick([0, 1, 14, 15, 269, 270, random.below(600)]))
  }
  const last = Buffer.concat([literals, random.bytes(5)])
  return {
    stream: Buffer.concat([...parts, sequence(last, null)]),
    text: Buffer.concat([text, last]),
  }
}

/** A text, and bytes of it again. */
export const repeated = (text: Buffer, distance: number, length: number): Buffer => {
  const more = Buffer.concat([text, Buffer.alloc(length)])
  for (let i = text.length; i < more.length; i++) more[i] = more[i - distance]
  return more
}
