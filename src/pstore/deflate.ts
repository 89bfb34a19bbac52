/** Compression of dumps: a raw deflate stream, as Linux's pstore writes since 6.6 (FORMATS.md 1.7). */
import zlib from 'node:zlib'
import { InflateRaw } from 'minizlib'
import { contentOf, joined, type SizedContent } from './content.js'

/** Bytes of a stream that are inflated at once: of the densest, that is 16 MiB of text. */
const pieceSize = 1 << 14
/** A text of at most so many bytes may as well be whole: of thousands, each is cheaper so. */
const shortText = 1 << 16
const none = Buffer.alloc(0)

/** One way through a stream, from its start. */
class Inflation {
  readonly #inflater: InflateRaw
  #texts: Buffer[] = []
  #broken = false
  /** Bytes of the stream that went in, and of text that came out. */
  taken = 0
  given = 0

  /**
   * @param limit the most bytes that may come out; more counts as broken
   * @param cutShort whether the stream may lack its end
   */
  constructor(
    readonly stream: Buffer,
    readonly limit: number,
    cutShort: boolean,
  ) {
    this.#inflater = new InflateRaw({
      finishFlush: cutShort ? zlib.constants.Z_SYNC_FLUSH : zlib.constants.Z_FINISH,
    })
    this.#inflater.on('data', (text: Buffer) => {
      this.#texts.push(text)
      this.given += text.length
    })
    this.#inflater.on('error', () => (this.#broken = true))
  }

  get ended(): boolean {
    return this.taken === this.stream.length
  }

  /** Inflate so many more bytes of the stream; false where it is broken. The last go with its end. */
  feed(bytes: number): boolean {
    const end = Math.min(this.taken + bytes, this.stream.length)
    this.#texts = []
    this.#inflater.write(this.stream.subarray(this.taken, end))
    if (end === this.stream.length && !this.#broken) this.#inflater.end()
    if (this.#broken || this.given > this.limit) return false
    this.taken = end
    return true
  }

  /** What came out of the bytes that were fed last. */
  get text(): Buffer {
    return this.#texts.length === 1 ? this.#texts[0] : Buffer.concat(this.#texts)
  }
}

/** The text of a stream that is known to be sound, inflated as it is read. */
class Inflated implements SizedContent {
  readonly length: number
  #inflation: Inflation | null = null
  /** The piece that was inflated last, and where in the text it is. */
  #text: Buffer
  #start = 0

  /** @param inflation that has come to the stream's end */
  constructor(
    readonly stream: Buffer,
    inflation: Inflation,
  ) {
    this.length = inflation.given
    this.#text = stream.length <= pieceSize ? inflation.text : none
  }

  slice(offset: number, length: number): Buffer {
    if (offset >= this.length) return none
    if (offset < this.#start) {
      this.#inflation = null
      this.#start = 0
      this.#text = none
    }
    while (offset >= this.#start + this.#text.length) {
      this.#inflation ??= new Inflation(this.stream, this.length, true)
      this.#start += this.#text.length
      this.#inflation.feed(pieceSize)
      this.#text = this.#inflation.text
    }
    return this.#text.subarray(offset - this.#start, offset - this.#start + length)
  }

  all(): Buffer {
    return joined(this)
  }
}

/**
 * Inflate a raw deflate stream. What follows the stream's end is ignored, as Linux does.
 *
 * @param limit the most bytes that may come out; a longer text counts as broken
 * @returns null where the stream is broken, cut short or too long
 */
export const inflate = (stream: Buffer, limit: number): SizedContent | null => {
  if (limit <= shortText)
    try {
      return contentOf(zlib.inflateRawSync(stream, { maxOutputLength: limit }))
    } catch {
      return null
    }
  const inflation = new Inflation(stream, limit, false)
  do if (!inflation.feed(pieceSize)) return null
  while (!inflation.ended)
  return new Inflated(stream, inflation)
}

/**
 * The text of a broken stream, up to the damage: of the longest beginning that zlib takes.
 *
 * @param limit the most bytes that may come out
 * @returns the text, and how many bytes of the stream it came from
 */
export const salvage = (stream: Buffer, limit: number): { text: SizedContent; used: number } => {
  // What it takes in one piece it takes in any, and zlib loses what came out of the piece that breaks.
  const take = (from: number, size: number): number => {
    const inflation = new Inflation(stream, limit, true)
    while (inflation.taken < from) inflation.feed(Math.min(pieceSize, from - inflation.taken))
    while (!inflation.ended && inflation.feed(size));
    return inflation.taken
  }
  // In steps of a byte from the start, a broken stream in each of thousands of zones would take minutes.
  const used = [pieceSize, pieceSize >> 5, pieceSize >> 10, 1].reduce(take, 0)
  const sound = stream.subarray(0, used)
  const inflation = new Inflation(sound, limit, true)
  do inflation.feed(pieceSize)
  while (!inflation.ended)
  return { text: new Inflated(sound, inflation), used }
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
