/** The immutable flag of a file, `i` in chattr(1): not even root can delete a file that has it. */
import fs from 'node:fs'
import { libc, longSize } from './libc.js'
import { openFile } from './open.js'

/** `_IOR('f', 1, long)` and `_IOW('f', 2, long)` of linux/fs.h; the data are an int in spite of `long`. */
const hasOwnNumbers = ['ppc64', 'mips', 'mipsel'].includes(process.arch)
const [reads, writes] = hasOwnNumbers ? [0x40000000, 0x80000000] : [0x80000000, 0x40000000]
const FS_IOC_GETFLAGS = reads + (longSize << 16) + 0x6601
const FS_IOC_SETFLAGS = writes + (longSize << 16) + 0x6602
const FS_IMMUTABLE_FL = 0x10

/**
 * Set or clear a file's flag.
 *
 * @returns true where the flag changed: not where it was right already, where the file system has no flags,
 *   or where the change is not allowed
 */
export const setImmutable = (file: string, immutable: boolean): boolean => {
  let fd: number
  try {
    ;({ fd } = openFile(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW))
  } catch {
    return false
  }
  try {
    const flags = new Int32Array(2)
    if (libc().ioctl(fd, FS_IOC_GETFLAGS, flags) !== 0) return false
    const isSo = (flags[0]! & FS_IMMUTABLE_FL) !== 0
    if (isSo === immutable) return false
    flags[0]! ^= FS_IMMUTABLE_FL
    return libc().ioctl(fd, FS_IOC_SETFLAGS, flags) === 0
  } finally {
    fs.closeSync(fd)
  }
}
