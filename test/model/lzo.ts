/**
 * A raw LZO1X stream, a second time and from its description (Linux's Documentation/staging/lzo.rst, version 0),
 * a byte at a time; and random streams with their text. doc/formats.md 7.1 says where Linux has them.
 */
import type { Random } from '../random.js'
import { repeated } from './lz4.js'

/** What a stream holds up to its end; null where it is none, or holds more than the limit. */
export const decodeLzo = (stream: Buffer, limit: number): Buffer | null => {
  const text: number[] = []
  const input = [...stream]
  const next = (): number => {
    const byte = input.shift()
    if (byte === undefined) throw new RangeError('the stream ends')
    return byte
  }
  const copy = (distance: number, length: number): void => {
    if (distance > text.length || text.length + length > limit) throw new RangeError('too far')
    for (let i = 0; i < length; i++) text.push(text.at(-distance)!)
  }
  const literals = (length: number): void => {
    for (let i = 0; i < length; i++) {
      text.push(next())
      if (text.length > limit) throw new RangeError('too long')
    }
  }
  const long = (bits: number): number => {
    let length = bits
    for (;;) {
      const byte = next()
      if (byte !== 0) return length + byte
      length += 255
    }
  }
  try {
    let state = 0
    if (input.length > 0 && input[0] >= 18) {
      const length = next() - 17
      literals(length)
      state = Math.min(length, 4)
    }
    for (;;) {
      const code = next()
      let after: number
      if (code >= 128) {
        const distance = (next() << 3) + ((code & 0b11100) >> 2) + 1
        copy(distance, 5 + ((code >> 5) & 3))
        after = code & 3
      } else if (code >= 64) {
        const distance = (next() << 3) + ((code & 0b11100) >> 2) + 1
        copy(distance, 3 + ((code >> 5) & 1))
        after = code & 3
      } else if (code >= 16) {
        const isNear = code >= 32
        const most = isNear ? 31 : 7
        const length = 2 + (code & most || long(most))
        const word = next() + 256 * next()
        const far = 16384 + ((code & 8) << 11) + (word >> 2)
        if (!isNear && far === 16384) return length === 3 ? Buffer.from(text) : null
        copy(isNear ? (word >> 2) + 1 : far, length)
        after = word & 3
      } else if (state === 0) {
        literals(3 + (code || long(15)))
        state = 4
        continue
      } else {
        const distance = (next() << 2) + (code >> 2)
        if (state === 4) copy(distance + 2049, 3)
        else copy(distance + 1, 2)
        after = code & 3
      }
      literals(after)
      state = after
    }
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

const end = Buffer.of(0x11, 0, 0)

/** A length beyond what an instruction holds: 255 for each zero, and the rest. */
const long = (rest: number): number[] => [
  ...Array<number>(Math.ceil(rest / 255) - 1).fill(0),
  ((rest - 1) % 255) + 1,
]

const runOf = (literals: Buffer): Buffer => {
  const rest = literals.length - 18
  const code = rest <= 0 ? [literals.length - 3] : [0, ...long(rest)]
  return Buffer.concat([Buffer.from(code), literals])
}

/** A text of more than three bytes as one run of literals. */
export const storeLzo = (text: Buffer): Buffer => Buffer.concat([runOf(text), end])

/** A stream that no compressor would write, and its text, which begins with a title. */
export const makeLzo = (random: Random, title: Buffer): { stream: Buffer; text: Buffer } => {
  const isShort = title.length < 239 && random.below(2) === 0
  const parts = [isShort ? Buffer.concat([Buffer.of(17 + title.length), title]) : runOf(title)]
  let text = title
  let state = 4
  for (let i = random.below(40); i > 0; i--) {
    if (state === 0 && random.below(2) === 0) {
      const run = random.bytes(random.pick([4, 18, 19, 273, 274, 528, random.between(4, 3000)]))
      parts.push(runOf(run))
      text = Buffer.concat([text, run])
      state = 4
      continue
    }
    const after = random.bytes(random.below(4))
    const matches = matchesFor(random, text.length, state, after.length)
    const { code, distance, length } = random.pick(matches)
    parts.push(Buffer.from(code), after)
    text = Buffer.concat([repeated(text, distance, length), after])
    state = after.length
  }
  parts.push(end)
  return { stream: Buffer.concat(parts), text }
}

interface Match {
  code: number[]
  distance: number
  length: number
}

/** One match of each instruction that reaches no farther than the text goes back. */
const matchesFor = (random: Random, reach: number, state: number, after: number): Match[] => {
  const upTo = (most: number): number => random.between(1, Math.min(most, reach))
  const matches: Match[] = []
  const small = upTo(2048)
  const spread = (small - 1) & 7
  const two = random.below(2)
  matches.push({
    code: [64 | (two << 5) | (spread << 2) | after, (small - 1) >> 3],
    distance: small,
    length: 3 + two,
  })
  const four = random.below(4)
  matches.push({
    code: [128 | (four << 5) | (spread << 2) | after, (small - 1) >> 3],
    distance: small,
    length: 5 + four,
  })
  const near = upTo(16384)
  const length = random.pick([3, 33, 34, 288, 289, random.between(3, 2000)])
  const word = ((near - 1) << 2) | after
  matches.push({
    code: [
      32 | (length <= 33 ? length - 2 : 0),
      ...(length > 33 ? long(length - 33) : []),
      word & 255,
      word >> 8,
    ],
    distance: near,
    length,
  })
  if (reach > 16385) {
    const far = random.between(16385, Math.min(49151, reach))
    const beyond = far - 16384
    const word = ((beyond & 16383) << 2) | after
    const high = beyond & 16384 ? 8 : 0
    const length = random.pick([3, 9, 10, 264, 265, random.between(3, 2000)])
    matches.push({
      code: [
        16 | high | (length <= 9 ? length - 2 : 0),
        ...(length > 9 ? long(length - 9) : []),
        word & 255,
        word >> 8,
      ],
      distance: far,
      length,
    })
  }
  if (state > 0 && state < 4) {
    const distance = upTo(1024)
    matches.push({
      code: [(((distance - 1) & 3) << 2) | after, (distance - 1) >> 2],
      distance,
      length: 2,
    })
  }
  if (state === 4 && reach >= 2049) {
    const distance = random.between(2049, Math.min(3072, reach))
    matches.push({
      code: [(((distance - 2049) & 3) << 2) | after, (distance - 2049) >> 2],
      distance,
      length: 3,
    })
  }
  return matches
}
