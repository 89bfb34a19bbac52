/** What backends need to show ftrace zones; decoders/ftrace.ts makes it. */
import type { Content } from './content.js'
import type { Endian } from './types.js'

/** ftrace's text, made as it is read, with what it is made of: enough to make it elsewhere. */
export interface RenderedFtrace extends Content {
  /** Whole binary records. */
  readonly records: Buffer
  readonly endian: Endian
  /** What comes after the last line. */
  readonly tail: Buffer
}

/** Is a record's content ftrace's text? */
export const isFtrace = (content: Content): content is RenderedFtrace => 'records' in content

/** What turns merged ftrace records into the text that a file shows, and how zones are merged. */
export interface FtraceText {
  /** Bytes of one binary record. */
  recordSize: number
  merge(zones: readonly Buffer[], endian: Endian): Buffer
  /** @param tail what comes after the last line */
  render(records: Buffer, endian: Endian, tail: Buffer): RenderedFtrace
}
