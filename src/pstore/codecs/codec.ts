/** The ways of compressing a dump, and what one makes of a stream. */
import type { SizedContent } from '../content.js'

/** What a dump can be compressed with. */
export type CodecName = 'deflate' | 'zlib' | 'zstd' | 'lz4' | 'lzo' | '842'

export interface Walk {
  /** The text up to the stream's end or its break. */
  readonly text: SizedContent
  /**
   * Where the stream breaks: the offset of a byte that is wrong (or of the one before it, where the text is too
   * long), or the stream's length where it is only cut short; null where it is sound.
   */
  readonly breaks: number | null
  /** True where all that is wrong is that the stream's checksum is not its text's. */
  readonly mismatch: boolean
}

/** What is known of one, beside how it is undone. */
export interface Codec {
  readonly name: CodecName
  /** Does a stream begin with what only this codec writes? Null where nothing of the kind is written. */
  readonly isOpened: ((stream: Buffer) => boolean) | null
  /** Is a sound stream proven by what it has within: a magic or a checksum? Else its text must prove it. */
  readonly isChecked: boolean
  /**
   * Go through a stream up to its end or its break.
   *
   * @param limit the most bytes that may come out; a stream that makes more is taken for broken there
   * @returns null where it is none of this codec's
   */
  walk(stream: Buffer, limit: number): Walk | null
}
