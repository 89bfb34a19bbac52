/** Which files a new output may take the place of. */
import fs from 'node:fs'
import { openNow, readSome } from '../../native/open.js'

const hasContent = (file: string): boolean => {
  try {
    const stat = fs.statSync(file)
    return stat.isFile() && stat.size > 0
  } catch {
    // What keeps it from being looked at is said where it is opened.
    return false
  }
}

/**
 * May an output that begins with `start` take a file's place? One that is not there, is empty, is no file, or begins
 * like that. None may take a region's, whose user forgot to name FILE.
 *
 * @param start ASCII
 * @throws StoreError where the file cannot be read
 */
export const isReplaceable = (file: string, start: string): boolean => {
  if (!hasContent(file)) return true
  const { fd } = openNow(file)
  try {
    const found = Buffer.alloc(start.length)
    readSome(file, fd, found)
    return found.toString('latin1') === start
  } finally {
    fs.closeSync(fd)
  }
}
