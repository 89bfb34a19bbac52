/** A way through a stream with one codec: the text that it makes, and where it breaks. */
import { contentOf } from '../content.js'
import type { Walk } from './codec.js'
import { Output } from './output.js'
import { beginsAsDump } from './title.js'
import { Unpacked } from './unpacked.js'

/** A decoder's steps: it gives pieces, and says at the end in its output where the stream breaks. */
export type Steps = Generator<Buffer, undefined, void>

/** Where a decoder's text goes, and its steps. */
export interface Decoding {
  readonly out: Output
  readonly steps: Steps
}

/** The pieces of a text, one a call; an empty one at the end. */
const piecesOf = ({ out, steps }: Decoding): (() => Buffer) => {
  return () => steps.next().value ?? out.take()
}

/**
 * Go through a stream.
 *
 * @param begin begins to decode it
 * @param mustBeDump leave it early where the text does not begin as a dump does
 * @returns null where it was left
 */
export const walk = (stream: Buffer, begin: () => Decoding, mustBeDump: boolean): Walk | null => {
  const decoding = begin()
  const next = piecesOf(decoding)
  const first = Buffer.from(next())
  if (mustBeDump && !beginsAsDump(first)) return null
  let { length } = first
  for (let piece = next(); piece.length > 0; piece = next()) length += piece.length
  const text =
    length === first.length
      ? contentOf(first)
      : new Unpacked(stream, length, () => {
          const again = piecesOf(begin())
          return () => Buffer.from(again())
        })
  const { breaks, mismatch } = decoding.out
  return { text, breaks, mismatch }
}
