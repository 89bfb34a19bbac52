/**
 * The header of a ramoops zone: signature, start, size.
 *
 * Source: doc/formats.md 1.3; fs/pstore/ram_core.c (struct persistent_ram_buffer,
 * persistent_ram_post_init).
 */
import type { Endian, ZoneKind, ZoneState } from '../../pstore/types.js'

/** Bytes of sig, start and size, before a zone's data. */
export const zoneHeaderSize = 12
/** Offset of start, which size follows, within the header. */
export const numbersOffset = 4

/** `DBGC`: the signature of dmesg, console, pmsg and tty zones. */
export const signature = 0x43474244

/** LINUX_VERSION_CODE of Linux 6.12.0: this program signs ftrace zones with it. */
const ftraceVersion = (6 << 16) | (12 << 8)

/** A header as it lies on the media, unchecked. */
export interface RawHeader {
  /** The signature xor `DBGC`: 0, or in an ftrace zone the version of the kernel that signed it. */
  code: number
  start: number
  size: number
}

/** A zone's header, checked. */
export interface ZoneHeader {
  state: ZoneState
  /** Where the next byte goes, which is the oldest once the ring is full. */
  start: number
  /** Number of valid bytes; 0 unless the state is `valid`. */
  size: number
  /** The kernel version that signed an ftrace zone (LINUX_VERSION_CODE); 0 for other kinds. */
  readonly kernel: number
}

/** The highest version that is believed: one major beyond today's, and twice the minors that any has had. */
const newestMajor = 8
const largestMinor = 40

/**
 * Is this a version that a kernel has had, or may soon have? LINUX_VERSION_CODE is major, minor and patch
 * level, a byte each. Linux 2.6.35 brought ftrace's forerunners.
 */
export const isVersionCode = (code: number): boolean => {
  const major = code >>> 16
  const minor = (code >>> 8) & 0xff
  if (major === 2) return minor === 6 && (code & 0xff) >= 35
  return major > 2 && major <= newestMajor && minor <= largestMinor
}

/** How many bits of a zone's signature are wrong, by {@link RawHeader.code}: 0 where it is `DBGC`. */
export const wrongBits = (code: number): number => {
  let bits = 0
  for (let left = code; left !== 0; left &= left - 1) bits++
  return bits
}

/** Decode the header at an offset in some bytes. Its numbers may be anything: {@link judgeHeader}. */
export const decodeZoneHeader = (bytes: Buffer, at: number, endian: Endian): RawHeader => {
  const big = endian === 'big'
  return {
    code: ((big ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)) ^ signature) >>> 0,
    start: big ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4),
    size: big ? bytes.readUInt32BE(at + 8) : bytes.readUInt32LE(at + 8),
  }
}

/**
 * Check a header's numbers, before anything uses them.
 *
 * @param dataLength bytes of the zone's ring
 */
export const judgeHeader = (
  { code, start, size }: RawHeader,
  kind: ZoneKind,
  dataLength: number,
): ZoneHeader => {
  const isSigned = kind === 'ftrace' ? isVersionCode(code) : code === 0
  if (!isSigned) return { state: 'unsigned', start: 0, size: 0, kernel: 0 }
  if (start === 0 && size === 0) return { state: 'empty', start, size, kernel: code }
  if (size > dataLength || start > size)
    return { state: 'invalid', start: 0, size: 0, kernel: code }
  // An empty ring's start is 0: `start > size` has caught any other.
  return { state: 'valid', start, size, kernel: code }
}

/** Scratch of {@link encodeNumbers}: an append allocates nothing. */
const numbers = new Uint8Array(8)
const numbersView = new DataView(numbers.buffer)

/**
 * Encode start and size, for {@link numbersOffset}. They come together so that the writer stores both
 * at once: a kill then never leaves half of them.
 *
 * @returns 8 bytes that the next call overwrites
 */
export const encodeNumbers = (start: number, size: number, endian: Endian): Uint8Array => {
  numbersView.setUint32(0, start, endian === 'little')
  numbersView.setUint32(4, size, endian === 'little')
  return numbers
}

/** Encode a zone's signature: 4 bytes, the caller's own. */
export const encodeSignature = (kind: ZoneKind, endian: Endian): Buffer => {
  const bytes = Buffer.alloc(4)
  const value = kind === 'ftrace' ? (signature ^ ftraceVersion) >>> 0 : signature
  if (endian === 'big') bytes.writeUInt32BE(value)
  else bytes.writeUInt32LE(value)
  return bytes
}
