/**
 * The text that a decoder makes: no more than a limit, in pieces, of which only so much stays in memory as
 * later bytes may be copied from. A length from the media moves nothing but a count.
 */
import type { Walk } from './codec.js'

/** Bytes of a piece, at most. */
export const pieceSize = 1 << 16

const none = Buffer.alloc(0)

export class Output {
  readonly #bytes: Buffer
  /** Where the next byte goes, what of the bytes was given away, and where this piece ends. */
  #at = 0
  #given = 0
  #end: number
  /** Bytes of the text that came before those in memory. */
  #gone = 0
  /** The copy that goes on: from bytes of a stream, or from this far back. */
  #from: Buffer = none
  #next = 0
  #distance = 0
  /** Bytes of it that did not fit: {@link drain} makes room for them. */
  left = 0
  /** As {@link Walk.breaks}, once the decoder has come to its end. */
  breaks: Walk['breaks'] = null
  /** As {@link Walk.mismatch}. */
  mismatch = false

  /**
   * @param limit the most bytes of text
   * @param window how far back bytes may be copied from
   * @param told is given each piece before it is taken
   */
  constructor(
    readonly limit: number,
    readonly window: number,
    readonly told: (piece: Buffer) => void = () => {},
  ) {
    this.#bytes = Buffer.allocUnsafe(Math.min(limit, 2 * window + pieceSize))
    this.#end = Math.min(pieceSize, limit)
  }

  /** Bytes of text so far. */
  get length(): number {
    return this.#gone + this.#at
  }

  /** How far back bytes may be copied from by now. */
  get reach(): number {
    return Math.min(this.length, this.window)
  }

  /** Add bytes of a stream. Where some are {@link left}, {@link drain} is next. */
  literals(from: Buffer, start: number, length: number): void {
    this.#from = from
    this.#next = start
    this.#distance = 0
    this.left = length
    this.#copy()
  }

  /** Add bytes that came before. @param distance at least 1 and at most {@link reach} */
  match(distance: number, length: number): void {
    this.#distance = distance
    this.left = length
    this.#copy()
  }

  #copy(): void {
    const n = Math.min(this.left, this.#end - this.#at)
    const bytes = this.#bytes
    let at = this.#at
    // Byte by byte: most copies are short, and a match may reach into what it makes.
    if (this.#distance > 0)
      for (const end = at + n; at < end; at++) bytes[at] = bytes[at - this.#distance]!
    else for (const end = at + n; at < end; at++) bytes[at] = this.#from[this.#next++]!
    this.#at = at
    this.left -= n
  }

  /** The piece so far; its bytes are good until more is added. */
  take(): Buffer {
    const piece = this.#bytes.subarray(this.#given, this.#at)
    this.#given = this.#at
    this.told(piece)
    return piece
  }

  /** Give pieces away until nothing is left to copy. True where the limit is reached before. */
  *drain(): Generator<Buffer, boolean, void> {
    while (this.left > 0) {
      if (this.length === this.limit) return true
      yield this.take()
      if (this.#at === this.#bytes.length) this.#slide()
      this.#end = Math.min(
        this.#bytes.length,
        this.#at + Math.min(pieceSize, this.limit - this.length),
      )
      this.#copy()
    }
    return false
  }

  /** Keep only what may be copied from. */
  #slide(): void {
    const from = this.#at - this.reach
    this.#bytes.copyWithin(0, from, this.#at)
    this.#gone += from
    this.#at -= from
    this.#given = this.#at
  }

  /** The stream breaks here: for a decoder to return. */
  fail(at: number): undefined {
    this.breaks = at
  }

  /** The stream's checksum is not its text's: for a decoder to return. */
  failChecksum(at: number): undefined {
    this.breaks = at
    this.mismatch = true
  }
}
