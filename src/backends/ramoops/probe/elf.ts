/**
 * Where an ELF core (QEMU's dump-guest-memory, a vmcore) has memory: its PT_LOAD segments.
 *
 * Source: elf(5). Both sizes and both byte orders; every number is checked against the file.
 */
import type { Region } from '../../../region/region.js'
import type { Segment } from './segments.js'

/** Offsets of the fields that differ between 32 and 64 bits; `entry` is a program header's length. */
interface Class {
  address: 4 | 8
  phoff: number
  phentsize: number
  phnum: number
  entry: number
  offset: number
  paddr: number
  filesz: number
}
const classes: { readonly [id: number]: Class } = {
  1: {
    address: 4,
    phoff: 28,
    phentsize: 42,
    phnum: 44,
    entry: 32,
    offset: 4,
    paddr: 12,
    filesz: 16,
  },
  2: {
    address: 8,
    phoff: 32,
    phentsize: 54,
    phnum: 56,
    entry: 56,
    offset: 8,
    paddr: 24,
    filesz: 32,
  },
}
const magic = Buffer.from('\x7fELF')
const headerSize = 64
const core = 4
const load = 1

/**
 * The memory in an ELF core, ascending by its offset in the file; null where the source is no core.
 *
 * @throws StoreError (EIO) where the source cannot be read
 */
export const elfSegments = (region: Region): Segment[] | null => {
  if (region.length < headerSize) return null
  const header = region.load(0, headerSize)
  const kind = classes[header[4]!]
  if (!header.subarray(0, 4).equals(magic) || !kind || (header[5] !== 1 && header[5] !== 2))
    return null
  const little = header[5] === 1
  const u16 = (bytes: Buffer, at: number): number =>
    little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at)
  const u32 = (bytes: Buffer, at: number): number =>
    little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at)
  // No file reaches beyond 2^53: a rounded number fails the checks as the exact one does.
  const word = (bytes: Buffer, at: number): number =>
    kind.address === 4
      ? u32(bytes, at)
      : Number(little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at))
  if (u16(header, 16) !== core) return null

  const table = word(header, kind.phoff)
  const entrySize = u16(header, kind.phentsize)
  const count = u16(header, kind.phnum)
  if (entrySize < kind.entry || table + entrySize * count > region.length) return null
  const entries = region.load(table, entrySize * count)
  const segments: Segment[] = []
  for (let at = 0; at < entries.length; at += entrySize) {
    if (u32(entries, at) !== load) continue
    const offset = word(entries, at + kind.offset)
    const length = Math.min(word(entries, at + kind.filesz), region.length - offset)
    if (length > 0) segments.push({ offset, length, address: word(entries, at + kind.paddr) })
  }
  segments.sort((a, b) => a.offset - b.offset)
  // Segments may overlap: bytes are searched once.
  return segments.filter(({ offset }, i) => {
    const before = segments[i - 1]
    return !before || offset >= before.offset + before.length
  })
}
