/** A zstd frame's header (RFC 8878, 3.1.1.1). */

const magic = 0xfd2fb528
const magicSize = 4

/** The byte that says how large a window is: no writer has one of 2^32 bytes or more. */
const mostWindow = 0xaf

/** Bytes of a dictionary's number, by the flag that says so. */
const dictionarySizes = [0, 1, 2, 4] as const

export interface Header {
  /** How far back a match may reach, in bytes. */
  readonly window: number
  /** Bytes of text; null where it is not said. */
  readonly contentSize: number | null
  readonly hasChecksum: boolean
  /** The byte behind it. */
  readonly next: number
}

/** Does a stream begin as a frame does? */
export const isFrame = (stream: Buffer): boolean =>
  stream.length >= magicSize && stream.readUInt32LE(0) === magic

/** A little-endian number of 1, 2, 4 or 8 bytes; of those beyond 2^53 only the size matters. */
const numberAt = (bytes: Buffer, at: number, size: number): number =>
  size === 8
    ? bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32
    : bytes.readUIntLE(at, size)

/**
 * Decode a frame's header.
 *
 * @returns where the stream breaks, as a number, where it is none
 */
export const decodeHeader = (stream: Buffer): Header | number => {
  const end = stream.length
  if (end === magicSize) return end
  const flags = stream[magicSize]!
  // A bit that is kept for later, and a dictionary that nobody has.
  if ((flags & 0x08) !== 0) return magicSize
  const isSingle = (flags & 0x20) !== 0
  const dictionary = magicSize + (isSingle ? 1 : 2)
  const sizeAt = dictionary + dictionarySizes[(flags & 3) as 0 | 1 | 2 | 3]
  const form = flags >> 6
  const size = form === 0 ? Number(isSingle) : 1 << form
  const next = sizeAt + size
  if (next > end) return end
  if (stream.subarray(dictionary, sizeAt).some(byte => byte !== 0)) return dictionary
  const contentSize = size === 0 ? null : numberAt(stream, sizeAt, size) + (form === 1 ? 256 : 0)
  const hasChecksum = (flags & 0x04) !== 0
  if (!isSingle && stream[magicSize + 1]! > mostWindow) return magicSize + 1
  // One segment is a window of its own.
  const window = (isSingle ? contentSize : null) ?? windowAt(stream)
  return { window, contentSize, hasChecksum, next }
}

const windowAt = (stream: Buffer): number => {
  const byte = stream[magicSize + 1]!
  const base = 2 ** (10 + (byte >> 3))
  return base + (base / 8) * (byte & 7)
}
