/** Where a file has bytes on its disk, and where only holes, which read as zeros. */
import fs from 'node:fs'
import os from 'node:os'
import { libc } from '../native/libc.js'

/** What lseek(2) looks for. */
const seekData = 3
const seekHole = 4

/** Does a file take less of its disk than its length? A device never does, and nothing of which that cannot be told. */
export const hasHoles = (fd: number): boolean => {
  try {
    const { size, blocks } = fs.fstatSync(fd)
    return blocks * 512 < size
  } catch {
    // Whoever reads it is told why.
    return false
  }
}

/**
 * The next stretch of a file, at or behind an offset and before an end, that has bytes on the disk. Where the file
 * system cannot tell, and where there are no holes, all is one.
 *
 * @returns null where only a hole follows
 */
export const nextDataIn = (
  fd: number,
  offset: number,
  end: number,
): { from: number; to: number } | null => {
  if (offset >= end) return null
  if (!hasHoles(fd)) return { from: offset, to: end }
  const from = libc().lseek(fd, offset, seekData)
  if (from < offset)
    return libc().errno() === os.constants.errno.ENXIO ? null : { from: offset, to: end }
  if (from >= end) return null
  const to = libc().lseek(fd, from, seekHole)
  return { from, to: to > from ? Math.min(to, end) : end }
}
