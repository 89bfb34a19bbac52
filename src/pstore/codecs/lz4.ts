/**
 * One raw LZ4 block, as Linux's pstore wrote with lz4 and with lz4hc, which cannot be told apart: no frame, no
 * length, no checksum. It ends where the record ends.
 *
 * Source: doc/formats.md 7.1; lib/lz4/lz4_decompress.c (LZ4_decompress_generic), whose rules for a block's end are kept.
 */
import type { Codec } from './codec.js'
import { Output } from './output.js'
import { walk, type Decoding, type Steps } from './walk.js'

/** How far back a match reaches: its distance has 16 bits. */
const window = 0xffff
/** The bytes of a match at least. */
const minMatch = 4
/** What follows the literals of any sequence but the last: a distance, a token, and five literals. */
const leastRest = 8

function* decode(stream: Buffer, out: Output): Steps {
  const end = stream.length
  let at = 0
  /** A length: four bits, and bytes that are added to it while they are 255. NaN where the stream ends before. */
  const lengthOf = (nibble: number): number => {
    let length = nibble
    if (nibble === 15)
      for (let more = 255; more === 255; length += more) more = at < end ? stream[at++]! : NaN
    return length
  }
  while (at < end) {
    const start = at
    const token = stream[at++]!
    const literals = lengthOf(token >> 4)
    const rest = end - at - literals
    // Where the stream ends within them, what is there of them is text all the same.
    out.literals(stream, at, rest >= 0 ? literals : end - at)
    if (out.left > 0 && (yield* out.drain())) return out.fail(start)
    if (!(rest >= 0)) return out.fail(end)
    if (rest === 0) return
    if (rest < leastRest) return out.fail(start)
    at += literals
    const place = at
    const distance = stream[at]! | (stream[at + 1]! << 8)
    at += 2
    if (distance === 0 || distance > out.reach) return out.fail(place)
    const length = lengthOf(token & 15) + minMatch
    if (!(at < end)) return out.fail(end)
    out.match(distance, length)
    if (out.left > 0 && (yield* out.drain())) return out.fail(start)
  }
  return out.fail(end)
}

const begin = (stream: Buffer, limit: number): Decoding => {
  const out = new Output(limit, window)
  return { out, steps: decode(stream, out) }
}

export const lz4: Codec = {
  name: 'lz4',
  isOpened: null,
  isChecked: false,
  walk: (stream, limit) => walk(stream, () => begin(stream, limit), true),
}
