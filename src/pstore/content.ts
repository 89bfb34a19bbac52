/**
 * A record's bytes of one moment. Where they are a text much longer than what it is made of, the text is
 * made as it is read: no content makes memory grow by a multiple of the region.
 */
export interface Content {
  /**
   * The bytes from `offset` on: at most `length`, at least one where there is one, so that a caller who
   * wants more goes on from there.
   */
  slice(offset: number, length: number): Buffer
  /** All of them. */
  all(): Buffer
  /** What of it is in memory as long as it is: the same bytes mean the same content. */
  readonly held: readonly Buffer[]
}

/** A content of which it is known how long it is. */
export interface SizedContent extends Content {
  readonly length: number
  /** All of its bytes, one piece after the other, where they are there already and not made as they are read. */
  readonly pieces?: readonly Buffer[] | undefined
}

/** Is it known how long a content is? */
export const isSized = (content: Content): content is SizedContent => 'length' in content

/** Bytes that are there already. */
export const contentOf = (bytes: Buffer): SizedContent => ({
  length: bytes.length,
  slice: (offset, length) => bytes.subarray(offset, offset + length),
  all: () => bytes,
  held: [bytes],
  pieces: [bytes],
})

/** The most bytes of a piece: whatever is made of one must not be whole in memory for all. */
const chunkLength = 1 << 16

/** A content in pieces, from a byte on. */
export function* chunksFrom(content: Content, from: number): Generator<Buffer, void, void> {
  let piece: Buffer
  for (let at = from; (piece = content.slice(at, chunkLength)).length > 0; at += piece.length)
    yield piece
}

/** All of a content in pieces, the first byte first. */
export const chunksOf = (content: Content): Generator<Buffer, void, void> => chunksFrom(content, 0)

/** The end of a text that comes in pieces. */
export class Tail {
  #pieces: Buffer[] = []
  #length = 0

  /** @param most how many bytes of it are kept, at least */
  constructor(readonly most: number) {}

  add(piece: Buffer): void {
    this.#pieces.push(piece)
    this.#length += piece.length
    while (this.#length - this.#pieces[0]!.length >= this.most)
      this.#length -= this.#pieces.shift()!.length
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces)
  }
}

/** All of a content in one buffer, made of its pieces. */
export const joined = (content: SizedContent): Buffer => {
  const all = Buffer.allocUnsafe(content.length)
  let filled = 0
  for (const piece of chunksOf(content)) filled += piece.copy(all, filled)
  return all
}

/** A content, and what comes after it. */
export const withTail = (content: SizedContent, tail: Buffer): SizedContent => {
  if (tail.length === 0) return content
  const both: SizedContent = {
    length: content.length + tail.length,
    slice: (offset, length) => {
      if (offset < content.length) return content.slice(offset, length)
      const at = offset - content.length
      return tail.subarray(at, at + length)
    },
    all: () => joined(both),
    held: [...content.held, tail],
    pieces: content.pieces && [...content.pieces, tail],
  }
  return both
}
