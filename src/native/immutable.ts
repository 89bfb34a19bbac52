/** The flag that keeps root, too, from deleting a file: what chattr(1) calls `i`. */
import fs from 'node:fs'
import { loadLibc } from './libc.js'

/** `_IOR('f', 1, long)` and `_IOW('f', 2, long)` of linux/fs.h; the data are an int all the same. */
const hasOwnNumbers = ['ppc64', 'mips', 'mipsel'].includes(process.arch)
const [reads, writes] = hasOwnNumbers ? [0x40000000, 0x80000000] : [0x80000000, 0x40000000]
const long = ['arm', 'ia32', 'mips', 'mipsel'].includes(process.arch) ? 4 : 8
const FS_IOC_GETFLAGS = reads + (long << 16) + 0x6601
const FS_IOC_SETFLAGS = writes + (long << 16) + 0x6602
const FS_IMMUTABLE_FL = 0x10

/**
 * Set or clear a file's flag.
 *
 * @returns whether that changed anything: false where the flag is so already, the file system knows none,
 *   or it is not allowed
 */
export const setImmutable = (file: string, immutable: boolean): boolean => {
  const call = loadLibc().libc.func('int ioctl(int, unsigned long, ...)')
  const ioctl = (request: number, flags: Int32Array): boolean =>
    call(fd, request, 'void *', flags) === 0
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = fs.constants
  let fd: number
  try {
    fd = fs.openSync(file, O_RDONLY | O_NONBLOCK | O_NOFOLLOW)
  } catch {
    return false
  }
  try {
    const flags = new Int32Array(2)
    if (!ioctl(FS_IOC_GETFLAGS, flags)) return false
    const isSo = (flags[0] & FS_IMMUTABLE_FL) !== 0
    if (isSo === immutable) return false
    flags[0] ^= FS_IMMUTABLE_FL
    return ioctl(FS_IOC_SETFLAGS, flags)
  } finally {
    fs.closeSync(fd)
  }
}
