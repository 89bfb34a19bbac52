/** What the core needs to show ftrace zones; decoders/ftrace.ts makes it. */
import type { Content } from './content.js'
import type { KernelOffset } from './kernel-offset.js'
import type { Endian } from './types.js'

/** Bits of an address on the machine that wrote a store. */
export type WordSize = 32 | 64

/** The form of an ftrace record (doc/formats.md 7.4): `ip` and `parent_ip`, and what follows them. */
export interface FtraceForm {
  /** Bytes of a record. */
  readonly size: number
  /** Bytes of an address. */
  readonly word: 4 | 8
  /** Does a time of 64 bits follow the addresses? */
  readonly time: boolean
  /**
   * Where the CPU is: in the time's low byte, in a `u32` that follows the addresses, or in those low bits of
   * `ip` that the number masks.
   */
  readonly cpu: 'time' | 'field' | 1 | 3
}

/** A ring of one CPU, or of all. */
export interface FtraceZone {
  /** Oldest first. */
  readonly bytes: Buffer
  /** LINUX_VERSION_CODE of the kernel that wrote it; 0 where the medium does not say. */
  readonly kernel: number
}

/** Of a file's zones so many tell the form of its records, by so many bytes at the end of each. */
export const sampledZones = 16
export const sampledBytes = 1536

/** Records of one form, in one order. */
export interface FtraceRecords {
  /** Whole binary records. */
  readonly bytes: Buffer
  readonly endian: Endian
  readonly form: FtraceForm
  /** Are the addresses encoded (doc/formats.md 7.5)? By record where they differ; null: nobody says. */
  readonly encoded: Uint8Array | boolean | null
}

/** ftrace's text, made as it is read, with what it is made of: enough to make it elsewhere. */
export interface RenderedFtrace extends Content {
  readonly records: FtraceRecords
  readonly offsets: readonly KernelOffset[]
}

/** Is a record's content ftrace's text? */
export const isFtrace = (content: Content): content is RenderedFtrace => 'records' in content

/** What turns ftrace zones into the text that a file shows. */
export interface FtraceText {
  /**
   * The form of a file's records, by the end of some of its zones: the whole zones, and only what
   * {@link sampledBytes} and {@link sampledZones} leave of them, give the same.
   *
   * @param zones those that are not empty
   */
  form(zones: readonly FtraceZone[], endian: Endian, wordSize: WordSize | undefined): FtraceForm
  merge(zones: readonly FtraceZone[], endian: Endian, form: FtraceForm): FtraceRecords
  /** @param offsets how far the kernels that wrote this store say that they were moved */
  render(records: FtraceRecords, offsets: readonly KernelOffset[]): RenderedFtrace
}
