/**
 * A raw LZO1X stream, as Linux's pstore wrote with lzo: no container, no length, no checksum, and an end of its
 * own.
 *
 * Source: doc/formats.md 7.1; Documentation/staging/lzo.rst; lib/lzo/lzo1x_decompress_safe.c (bitstream version 0).
 */
import type { Codec } from './codec.js'
import { Output } from './output.js'
import { walk, type Decoding, type Steps } from './walk.js'

/** How far back the farthest match reaches. */
const window = 0xbfff
/** What an instruction that has run more than three literals leaves behind: the next short match is another. */
const afterRun = 4
/** The end: the farthest match's instruction, three bytes long, without a distance. */
const endLength = 3

/** A match: what it copies, how many literals follow it, and where in the stream they are. */
interface Match {
  readonly distance: number
  readonly length: number
  readonly literals: number
  readonly at: number
}

/** A length that does not fit into its instruction, from there on: zero bytes of 255 each, then the rest. */
const longLength = (stream: Buffer, start: number): { length: number; at: number } => {
  let at = start
  while (stream[at] === 0) at++
  return { length: (at - start) * 255 + (stream[at] ?? NaN), at: at + 1 }
}

/** The match of an instruction of which none is a run of literals; NaN in it where the stream ends before. */
const matchAt = (stream: Buffer, start: number, state: number): Match => {
  const code = stream[start]!
  const low = stream[start + 1] ?? NaN
  if (code >= 64) {
    const distance = low * 8 + ((code >> 2) & 7) + 1
    const length = code >= 128 ? 5 + ((code >> 5) & 3) : 3 + ((code >> 5) & 1)
    return { distance, length, literals: code & 3, at: start + 2 }
  }
  if (code < 16) {
    const isFar = state === afterRun
    const distance = low * 4 + (code >> 2) + (isFar ? 2049 : 1)
    return { distance, length: isFar ? 3 : 2, literals: code & 3, at: start + 2 }
  }
  const mask = code >= 32 ? 31 : 7
  let length = code & mask
  let at = start + 1
  if (length === 0) {
    const long = longLength(stream, at)
    length = mask + long.length
    at = long.at
  }
  const pair = (stream[at] ?? NaN) + (stream[at + 1] ?? NaN) * 256
  const distance = (pair >> 2) + (code >= 32 ? 1 : 16384 + ((code & 8) << 11))
  return {
    distance: pair >= 0 ? distance : NaN,
    length: length + 2,
    literals: pair & 3,
    at: at + 2,
  }
}

function* decode(stream: Buffer, out: Output): Steps {
  const end = stream.length
  let at = 0
  /** Literals that the last instruction ran; {@link afterRun} for more than three. */
  let state = 0
  const [first = 0] = stream
  if (first > 17) {
    at = 1
    const literals = Math.min(first - 17, end - at)
    out.literals(stream, at, literals)
    if (out.left > 0 && (yield* out.drain())) return out.fail(0)
    at += literals
    state = Math.min(first - 17, afterRun)
  }
  while (at < end) {
    const start = at
    const code = stream[at]!
    let literals: number
    if (code < 16 && state === 0) {
      const long = code === 0 ? longLength(stream, at + 1) : { length: code - 15, at: at + 1 }
      literals = long.length + 18
      at = long.at
      state = afterRun
    } else {
      const match = matchAt(stream, at, state)
      const { distance, length } = match
      if (!(distance > 0 && length > 0)) return out.fail(end)
      if (distance === 16384 && code >= 16 && code < 32)
        return length === endLength ? undefined : out.fail(start)
      if (distance > out.reach) return out.fail(start)
      out.match(distance, length)
      if (out.left > 0 && (yield* out.drain())) return out.fail(start)
      state = literals = match.literals
      at = match.at
    }
    // Where the stream ends within them, what is there of them is text all the same.
    const there = Math.max(0, literals <= end - at ? literals : end - at)
    out.literals(stream, at, there)
    if (out.left > 0 && (yield* out.drain())) return out.fail(start)
    at += there
    if (there !== literals) return out.fail(end)
  }
  return out.fail(end)
}

const begin = (stream: Buffer, limit: number): Decoding => {
  const out = new Output(limit, window)
  return { out, steps: decode(stream, out) }
}

export const lzo: Codec = {
  name: 'lzo',
  isOpened: null,
  isChecked: false,
  walk: (stream, limit) => walk(stream, () => begin(stream, limit), true),
}
