/**
 * The numbers of a UEFI variable store, as EDK II lays it out in a flash chip or a file: a firmware
 * volume's header, a store's header, and variables one after the other, each made valid and
 * deleted by clearing bits of its state.
 *
 * All little-endian. Source: EDK II MdeModulePkg/Include/Guid/VariableFormat.h,
 * MdePkg/Include/Pi/PiFirmwareVolume.h, MdeModulePkg/Universal/Variable/RuntimeDxe/VariableParsing.c.
 */

import { encodeGuid } from '../guid.js'

/** gEfiSystemNvDataFvGuid: a volume that holds variables. */
const volumeGuid = encodeGuid('fff12b8d-7696-4c8b-a985-2747075b4f50')
/** gEfiAuthenticatedVariableGuid: variables have a time stamp and a counter (all of today's firmware). */
const authenticatedGuid = encodeGuid('aaf32c78-947b-439a-a180-2e144ec37792')
/** gEfiVariableGuid: they have not. */
const plainGuid = encodeGuid('ddcf3616-3275-4164-98b6-fe85707ffe7d')

const volumeSignature = Buffer.from('_FVH')

/** Bytes of a volume's header that are looked at; its block map follows. */
export const volumeHeaderLength = 56
export const storeHeaderLength = 28

export interface VolumeHeader {
  /** The volume's length in bytes, up to 2^64 − 1. */
  length: bigint
  /** Where the store's header starts, in bytes from the volume's start. */
  headerLength: number
}

/**
 * Decode a firmware volume's header. Its checksum and what it says it is are not looked at: the
 * store's own header tells.
 *
 * @param bytes {@link volumeHeaderLength} of them
 * @returns null where there is none
 */
export const decodeVolumeHeader = (bytes: Buffer): VolumeHeader | null =>
  bytes.subarray(40, 44).equals(volumeSignature)
    ? { length: bytes.readBigUInt64LE(32), headerLength: bytes.readUInt16LE(48) }
    : null

/** Encode a firmware volume's header, with a block map of one entry and a right checksum. */
export const encodeVolumeHeader = (length: number, blockSize = 4096): Buffer => {
  const bytes = Buffer.alloc(72)
  bytes.set(volumeGuid, 16)
  bytes.writeBigUInt64LE(BigInt(length), 32)
  bytes.set(volumeSignature, 40)
  bytes.writeUInt32LE(0x4feff, 44)
  bytes.writeUInt16LE(bytes.length, 48)
  bytes[55] = 2
  bytes.writeUInt32LE(Math.floor(length / blockSize), 56)
  bytes.writeUInt32LE(blockSize, 60)
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16LE(at)
  bytes.writeUInt16LE(-sum & 0xffff, 50)
  return bytes
}

export interface StoreHeader {
  /** Whether variables have a time stamp and a counter in their headers. */
  authenticated: boolean
  /** The store's length in bytes, its header included. */
  size: number
}

/**
 * Decode a variable store's header.
 *
 * @param bytes {@link storeHeaderLength} of them
 * @returns null where there is none
 */
export const decodeStoreHeader = (bytes: Buffer): StoreHeader | null => {
  const guid = bytes.subarray(0, 16)
  const authenticated = guid.equals(authenticatedGuid)
  return authenticated || guid.equals(plainGuid)
    ? { authenticated, size: bytes.readUInt32LE(16) }
    : null
}

export const encodeStoreHeader = ({ authenticated, size }: StoreHeader): Buffer => {
  const bytes = Buffer.alloc(storeHeaderLength)
  bytes.set(authenticated ? authenticatedGuid : plainGuid)
  bytes.writeUInt32LE(size, 16)
  bytes[20] = 0x5a // formatted
  bytes[21] = 0xfe // healthy
  return bytes
}

/** What a variable starts with. */
const startId = 0x55aa
const added = 0x3f
/** Added, and a newer copy is being written: this one counts until that is complete. */
const addedInTransition = 0x3e

export interface VariableHeader {
  /** The bits cleared so far tell what has become of it: see {@link presence}. */
  state: number
  attributes: number
  /** Bytes of the name, which follows the header: UTF-16, and a NUL. */
  nameSize: number
  /** Bytes of the data, which follows the name. */
  dataSize: number
  vendor: Buffer
}

/** Whether a variable is there: `yes`, or only where no complete newer copy is (`else`), or `no`. */
export const presence = (state: number): 'yes' | 'else' | 'no' =>
  state === added ? 'yes' : state === addedInTransition ? 'else' : 'no'

/** Bytes of a variable's header. */
export const variableHeaderLength = (authenticated: boolean): number => (authenticated ? 60 : 32)

/**
 * Decode a variable's header.
 *
 * @param bytes {@link variableHeaderLength} of them
 * @returns null where there is none: the list of variables ends
 */
export const decodeVariableHeader = (
  bytes: Buffer,
  authenticated: boolean,
): VariableHeader | null => {
  if (bytes.readUInt16LE(0) !== startId) return null
  const sizes = authenticated ? 36 : 8
  const state = bytes.readUInt8(2)
  const attributes = bytes.readUInt32LE(4)
  const nameSize = bytes.readUInt32LE(sizes)
  const dataSize = bytes.readUInt32LE(sizes + 4)
  const vendor = bytes.subarray(sizes + 8, sizes + 24)
  // As the firmware does: erased flash is all ones, so this header was never finished.
  if (state === 0xff || [attributes, nameSize, dataSize].includes(0xffffffff))
    return { state: 0xff, attributes, nameSize: 0, dataSize: 0, vendor }
  return { state, attributes, nameSize, dataSize, vendor }
}

/** Where a variable starts at the earliest: at the next multiple of 4 from the volume's start. */
export const alignVariable = (offset: number): number => Math.ceil(offset / 4) * 4

/** A variable's name: up to its NUL, or all of it. */
export const decodeName = (bytes: Buffer): string => {
  const length = bytes.length & ~1
  let end = 0
  while (end < length && bytes.readUInt16LE(end) !== 0) end += 2
  return bytes.toString('utf16le', 0, end)
}

/** A whole variable: header, name and data, without the bytes that align the next one. */
export const encodeVariable = (
  {
    name,
    data,
    vendor,
    state = added,
    attributes = 7,
  }: { name: string; data: Uint8Array; vendor: string; state?: number; attributes?: number },
  authenticated: boolean,
): Buffer => {
  const header = Buffer.alloc(variableHeaderLength(authenticated))
  const text = Buffer.from(`${name}\0`, 'utf16le')
  const sizes = authenticated ? 36 : 8
  header.writeUInt16LE(startId, 0)
  header[2] = state
  header.writeUInt32LE(attributes, 4)
  header.writeUInt32LE(text.length, sizes)
  header.writeUInt32LE(data.length, sizes + 4)
  header.set(encodeGuid(vendor), sizes + 8)
  return Buffer.concat([header, text, data])
}
