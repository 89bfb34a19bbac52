/**
 * Compressed dumps of every kernel. The media do not say which codec one is in (doc/formats.md 7.1): it is found
 * from the bytes, and must be proven.
 *
 * - A checksum or a magic proves a codec, and so does a text that begins as a dump does.
 * - What no codec is proven for is a raw deflate stream, whatever comes out of it, as Linux since 6.6 has it.
 * - The same order decides whose text there is before the damage of a stream that is sound for none.
 */
import type { SizedContent } from '../content.js'
import type { Codec, CodecName, Walk } from './codec.js'
import { salvage as salvageDeflate } from './deflate.js'
import { e842 } from './e842.js'
import { lz4 } from './lz4.js'
import { lzo } from './lzo.js'
import { isDumpText } from './title.js'
import { zlib } from './zlib.js'
import { zstd } from './zstd/index.js'

export type { CodecName } from './codec.js'

const deflate: Codec = {
  name: 'deflate',
  isOpened: null,
  isChecked: false,
  walk: salvageDeflate,
}

/** In the order in which they are told and tried. */
const codecs: readonly Codec[] = [deflate, zlib, zstd, lz4, lzo, e842]

/** What is tried. */
export const codecNames: readonly CodecName[] = codecs.map(({ name }) => name)

/** What is in a stream, sound or broken. */
export interface Salvaged extends Walk {
  /** Null where none explains it; then the rest is what becomes of it as deflate. */
  readonly codec: CodecName | null
}

/** One codec's way through the stream. */
interface Attempt extends Walk {
  readonly codec: Codec
  readonly isDump: boolean
}

/** Null where the stream is none of this codec's. */
const attempt = (codec: Codec, stream: Buffer, limit: number): Attempt | null => {
  if (codec.isOpened?.(stream) === false) return null
  const walked = codec.walk(stream, limit)
  return walked && { ...walked, codec, isDump: isDumpText(walked.text) }
}

const isProven = ({ codec, breaks, isDump }: Attempt): boolean =>
  breaks === null && (codec.isChecked || isDump)

/** The one with the longest text, and the first of those. */
const longest = (attempts: readonly Attempt[]): Attempt | undefined =>
  attempts.toSorted((a, b) => b.text.length - a.text.length)[0]

/**
 * Find out a stream's codec, and its text up to its end or its damage. What follows an end is ignored.
 *
 * @param limit the most bytes that may come out; a stream that makes more is taken for broken there
 */
export const salvage = (stream: Buffer, limit: number): Salvaged => {
  const walked = salvageDeflate(stream, limit)
  const asDeflate: Attempt = { ...walked, codec: deflate, isDump: isDumpText(walked.text) }
  const found = choose(
    asDeflate,
    () => codecs.flatMap(codec => (codec === deflate ? [] : (attempt(codec, stream, limit) ?? []))),
    stream,
  )
  const { text, breaks, mismatch } = found ?? asDeflate
  return { codec: found?.codec.name ?? null, text, breaks, mismatch }
}

/** The attempt that is right. What most streams are, deflate of a dump, takes no others. */
const choose = (
  asDeflate: Attempt,
  tryOthers: () => Attempt[],
  stream: Buffer,
): Attempt | undefined => {
  if (isProven(asDeflate)) return asDeflate
  const others = tryOthers()
  const proven = others.find(isProven)
  if (proven || asDeflate.breaks === null) return proven ?? asDeflate
  return (
    longest([asDeflate, ...others].filter(({ isDump }) => isDump)) ??
    others.find(({ codec }) => codec.isOpened?.(stream))
  )
}

/**
 * The text of a stream, whatever its codec.
 *
 * @returns null where no codec explains it, or where it is broken, cut short or makes more than the limit
 */
export const decompress = (stream: Buffer, limit: number): SizedContent | null => {
  const { text, breaks } = salvage(stream, limit)
  return breaks === null ? text : null
}
