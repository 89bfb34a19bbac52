/**
 * Raw deflate streams, as Linux's pstore writes since 6.6 (doc/formats.md 1.7), and the same within zlib's
 * header and checksum, as it did before 4.18 (7.1).
 */
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
import { contentOf, type SizedContent } from '../content.js'
import { pieceSize } from './output.js'
import { Unpacked } from './unpacked.js'
import type { Walk } from './codec.js'

const none = Buffer.alloc(0)
/** As zlib has it: no header, a window of 2^15 bytes. */
const rawDeflate = -15
/** A header, which may name a smaller window, and a checksum. */
const wrappedDeflate = 15

/** Ways through streams, one at a time. */
class Inflation {
  readonly #zlib = new ZStream()
  /** What zlib said last. */
  #status: number = Z_OK

  constructor(windowBits: number) {
    zlibInflateInit2(this.#zlib, windowBits)
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

  /** The checksum at the stream's end is not its text's. */
  get mismatch(): boolean {
    return this.broken && this.#zlib.msg === 'incorrect data check'
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
const inflated = (stream: Buffer, length: number, windowBits: number): SizedContent =>
  new Unpacked(stream, length, () => {
    const inflation = new Inflation(windowBits)
    inflation.begin(stream)
    let left = length
    return () => {
      const text = Buffer.alloc(Math.min(pieceSize, left))
      left -= inflation.fill(text)
      return text
    }
  })

/** What takes a first look at each stream, and where its text and a byte that is too much go: 60 KB that need not be made for each. */
const scratch = new Uint8Array(pieceSize)
const spare = new Uint8Array(1)

const walkWith = (windowBits: number) => {
  const first = new Inflation(windowBits)
  return (stream: Buffer, limit: number): Walk => {
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
        : inflated(stream, length, windowBits)
    // What would say more than it may has been read by now, but for bytes that are stored as they are.
    const { taken } = first
    const isWrong = first.fill(spare) > 0 || first.broken
    const breaks = isWrong ? Math.max(0, taken - 1) : first.ended ? null : taken
    const { mismatch } = first
    first.end()
    return { text, breaks, mismatch }
  }
}

/**
 * The text of a raw deflate stream up to where it breaks, or up to its end. What follows the end is ignored, as
 * Linux does.
 *
 * @param limit the most bytes that may come out; a stream that makes more is taken for broken there
 */
export const salvage = walkWith(rawDeflate)

/** The same of a stream within zlib's header and checksum. */
export const salvageZlib = walkWith(wrappedDeflate)

/** A stored block of nothing. */
const emptyBlock = Buffer.of(0, 0, 0, 0xff, 0xff)

/**
 * Deflate into a raw stream that {@link salvage} and Linux read back.
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
