/** Compression of dumps: a raw deflate stream, as Linux's pstore writes since 6.6 (FORMATS.md 1.7). */
import zlib from 'node:zlib'

/**
 * Inflate a raw deflate stream. What follows the stream's end is ignored, as Linux does.
 *
 * @param limit the most bytes that may come out; a longer text counts as broken
 * @returns null where the stream is broken, cut short or too long
 */
export const inflate = (stream: Uint8Array, limit: number): Buffer | null => {
  try {
    // One buffer for all of the text: pieces would be joined, and take twice the memory. What is not
    // written to takes none.
    return zlib.inflateRawSync(stream, { maxOutputLength: limit, chunkSize: Math.max(64, limit) })
  } catch {
    return null
  }
}

/** What comes out of a stream's first bytes; null where they are broken, or too much comes out. */
const inflatePrefix = (stream: Uint8Array, length: number, limit: number): Buffer | null => {
  try {
    return zlib.inflateRawSync(stream.subarray(0, length), {
      finishFlush: zlib.constants.Z_SYNC_FLUSH,
      maxOutputLength: limit,
      chunkSize: Math.max(64, limit),
    })
  } catch {
    return null
  }
}

/**
 * The text of a broken stream, up to the damage: zlib tells only that there is some, so this looks for
 * the longest beginning that it takes.
 *
 * @param limit the most bytes that may come out
 * @returns the text, and how many bytes of the stream it came from
 */
export const salvage = (stream: Uint8Array, limit: number): { text: Buffer; used: number } => {
  let [sound, broken] = [0, stream.length + 1]
  while (broken - sound > 1) {
    const middle = Math.floor((sound + broken) / 2)
    if (inflatePrefix(stream, middle, limit)) sound = middle
    else broken = middle
  }
  return { text: inflatePrefix(stream, sound, limit) ?? Buffer.alloc(0), used: sound }
}

/** A stored block of nothing. */
const emptyBlock = Buffer.of(0, 0, 0, 0xff, 0xff)

/**
 * Deflate into a raw stream that {@link inflate} and Linux read back.
 *
 * Linux reads the line before a stream with sscanf, whose `\n` eats any white space that follows: a
 * short text's stream often starts with 0x0b, and would lose it. Such a stream gets an empty block first.
 */
export const deflate = (text: Uint8Array): Buffer => {
  const stream = zlib.deflateRawSync(text, { level: 9 })
  return isSpace(stream[0]) ? Buffer.concat([emptyBlock, stream]) : stream
}

/** isspace() as the kernel's ctype table has it: 0xa0 (Latin-1's no-break space) is one too. */
export const isSpace = (c: number): boolean => (c >= 9 && c <= 13) || c === 0x20 || c === 0xa0
