/**
 * The header that libvirt puts before a guest's migration stream (`virsh save`, `managedsave`, a snapshot's memory).
 *
 * Source: doc/formats.md 12.3; libvirt's src/qemu/qemu_saveimage.h and .c (qemuSaveImageReadHeader).
 */

const magics: readonly string[] = ['LibvirtQemudSave', 'LibvirtQemudPart']
/** The magic, 5 numbers, and 14 that are not used. In bytes. */
export const saveHeaderLength = 92
/** libvirt's highest version of it: a larger number is of a machine of the other byte order. */
const mostVersion = 3

/** What packed the stream, by its number; null where nothing did. */
const packers: readonly (string | null)[] = [null, 'gzip', 'bzip2', 'xz', 'lzop', 'zstd', null]

export interface SaveHeader {
  /** False where libvirt did not come to its end. */
  readonly complete: boolean
  /** The program that unpacks the stream; null where it is as QEMU wrote it, undefined where it is not known. */
  readonly packer: string | null | undefined
  /** Where the stream starts, in bytes: behind the guest's XML and the room kept for it. */
  readonly stream: number
}

/** Does a file begin with one? */
export const isSave = (head: Buffer): boolean => magics.includes(head.toString('latin1', 0, 16))

/** Decode the header, {@link saveHeaderLength} bytes. */
export const decodeSaveHeader = (bytes: Buffer): SaveHeader => {
  const little = bytes.readUInt32LE(16) <= mostVersion
  const u32 = (at: number): number => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at))
  return {
    complete: bytes.toString('latin1', 0, 16) === magics[0],
    packer: packers[u32(28)],
    stream: saveHeaderLength + u32(20),
  }
}
