/** Compression of dumps: a raw deflate stream, as Linux's pstore writes since 6.6 (doc/formats.md 1.7). */
import zlib from 'node:zlib'
import {
  Z_DATA_ERROR,
  Z_OK,
  Z_STREAM_END,
  ZStream,
  zlibInflate,
  zlibInflateInit2,
  zlibInflateReset,
} from 'pako'
import { contentOf, joined, type SizedContent } from './content.js'

/** Bytes of text that are inflated at once. */
const pieceSize = 1 << 16
const none = Buffer.alloc(0)
/** As zlib has it: no header, a window of 2^15 bytes. */
const rawDeflate = -15

/** Ways through streams, one at a time. */
class Inflation {
  readonly #zlib = new ZStream()
  /** What zlib said last. */
  #status: number = Z_OK

  constructor() {
    zlibInflateInit2(this.#zlib, rawDeflate)
  }

  /** Go to a stream's start. */
  begin(stream: Buffer): void {
    zlibInflateReset(this.#zlib)
    this.#zlib.input = stream
    this.#zlib.next_in = 0
    this.#zlib.avail_in = stream.length
  }

  /** Let go of the stream. */
  end(): void {
    this.#zlib.input = none
  }

  /** It came to its end: what follows that is ignored, as Linux does. */
  get ended(): boolean {
    return this.#status === Z_STREAM_END
  }

  /** Bytes of the stream that went in. Where it is broken, the last of them is the first that is wrong. */
  get taken(): number {
    return this.#zlib.total_in
  }

  get broken(): boolean {
    return this.#status === Z_DATA_ERROR
  }

  /** Inflate the next bytes of the text; fewer than asked for where there are no more. */
  fill(text: Uint8Array<ArrayBuffer>): number {
    this.#zlib.output = text
    this.#zlib.next_out = 0
    this.#zlib.avail_out = text.length
    this.#status = zlibInflate(this.#zlib, 0)
    return this.#zlib.next_out
  }
}

/** A stream's text up to its end or its break, inflated as it is read. */
class Inflated implements SizedContent {
  #inflation: Inflation | null = null
  /** The piece that was inflated last, and where in the text it is. */
  #text: Buffer = none
  #start = 0

  /** @param length bytes of text that are known to come out */
  constructor(
    readonly stream: Buffer,
    readonly length: number,
  ) {}

  slice(offset: number, length: number): Buffer {
    if (offset >= this.length) return none
    if (offset < this.#start) {
      this.#inflation = null
      this.#start = 0
      this.#text = none
    }
    while (offset >= this.#start + this.#text.length) {
      if (!this.#inflation) {
        this.#inflation = new Inflation()
        this.#inflation.begin(this.stream)
      }
      this.#start += this.#text.length
      const text = Buffer.alloc(Math.min(pieceSize, this.length - this.#start))
      this.#inflation.fill(text)
      this.#text = text
    }
    return this.#text.subarray(offset - this.#start, offset - this.#start + length)
  }

  all(): Buffer {
    return joined(this)
  }

  get held(): readonly Buffer[] {
    return [this.stream]
  }
}

/** What takes a first look at each stream, and where its text and a byte that is too much go: 60 KB that need not be made for each. */
const first = new Inflation()
const scratch = new Uint8Array(pieceSize)
const spare = new Uint8Array(1)

/**
 * The text of a stream up to where it breaks, or up to its end. What follows the end is ignored, as Linux
 * does.
 *
 * @param limit the most bytes that may come out; a stream that makes more is taken for broken there
 * @returns the text, and where the stream breaks: the offset of the byte that is wrong (or of the
 *   one before it, where the text is too long), or the stream's length where it is only cut short; null where it
 *   is sound
 */
export const salvage = (
  stream: Buffer,
  limit: number,
): { text: SizedContent; breaks: number | null } => {
  first.begin(stream)
  let length = 0
  let room: number
  let filled: number
  do {
    room = Math.min(pieceSize, limit - length)
    filled = first.fill(scratch.subarray(0, room))
    length += filled
  } while (filled === room && length < limit)
  const text =
    length <= pieceSize
      ? contentOf(Buffer.from(scratch.subarray(0, length)))
      : new Inflated(stream, length)
  // What would say more than it may has been read by now, but for bytes that are stored as they are.
  const { taken } = first
  const isWrong = first.fill(spare) > 0 || first.broken
  const breaks = isWrong ? Math.max(0, taken - 1) : first.ended ? null : taken
  first.end()
  return { text, breaks }
}

/**
 * Inflate a raw deflate stream, as {@link salvage} does.
 *
 * @returns null where it is broken, cut short or makes more than the limit
 */
export const inflate = (stream: Buffer, limit: number): SizedContent | null => {
  const { text, breaks } = salvage(stream, limit)
  return breaks === null ? text : null
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
  return isSpace(stream[0]!) ? Buffer.concat([emptyBlock, stream]) : stream
}

/** isspace() as the kernel's ctype table has it: 0xa0 (Latin-1's no-break space) is one too. */
export const isSpace = (c: number): boolean => (c >= 9 && c <= 13) || c === 0x20 || c === 0xa0
