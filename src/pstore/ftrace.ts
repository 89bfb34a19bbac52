/** What backends need to show ftrace zones; decoders/ftrace.ts makes it. */
import type { Content } from './content.js'
import type { Endian } from './types.js'

/** What turns merged ftrace records into the text that a file shows, and how zones are merged. */
export interface FtraceText {
  /** Bytes of one binary record. */
  recordSize: number
  merge(zones: readonly Buffer[], endian: Endian): Buffer
  /** @param tail what comes after the last line */
  render(records: Buffer, endian: Endian, tail: Buffer): Content
}
