/** Standard input as a source: `-`. */
import { inWords } from './words.js'
import fs from 'node:fs'
import tty from 'node:tty'
import { StoreError } from '../pstore/errors.js'
import { Temporary } from './temporary.js'

/** What a SOURCE is called that is standard input. */
export const standardInput = '-'

/** Can a source be read to find out what it is? A device's memory is not, and nobody waits for a FIFO. */
export const isFileOrDisk = (path: string): boolean => {
  if (path === standardInput) return true
  const stat = fs.statSync(path, { throwIfNoEntry: false })
  return stat !== undefined && (stat.isFile() || stat.isBlockDevice())
}

/** What is read at a time, in bytes. */
const chunkSize = 2 ** 20
/** Milliseconds between two looks at a pipe that does not wait. */
const pause = 5

/** A pipe's bytes, which come once. */
let kept: Temporary | null = null

/**
 * Standard input's bytes, to be read from the first: a file as it is, a pipe to its end.
 *
 * @param flags of open(2)
 * @returns a new descriptor, for reading
 * @throws StoreError where it is a terminal, cannot be read, or has more bytes than there is room for
 */
export const openStandardInput = (flags: number): number => {
  if (flags & (fs.constants.O_RDWR | fs.constants.O_WRONLY))
    throw new StoreError('-: standard input can only be read', 'EROFS')
  const stat = fs.fstatSync(0)
  if (stat.isFile() || stat.isBlockDevice()) return again(0)
  if (tty.isatty(0))
    throw new StoreError('-: standard input is a terminal: send a file into it: < FILE', 'EIO')
  kept ??= readPipe()
  return again(kept.fd)
}

const again = (fd: number): number => fs.openSync(`/proc/self/fd/${fd}`, fs.constants.O_RDONLY)

const readPipe = (): Temporary => {
  const file = new Temporary(standardInput)
  const bytes = Buffer.allocUnsafe(chunkSize)
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  try {
    for (;;) {
      let n: number
      try {
        n = fs.readSync(0, bytes, 0, chunkSize, null)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'EINTR') continue
        // Who shares the pipe has it not wait.
        if (code === 'EAGAIN') {
          Atomics.wait(sleeper, 0, 0, pause)
          continue
        }
        throw new StoreError(`-: standard input cannot be read: ${inWords(error)}`, 'EIO')
      }
      if (n === 0) break
      file.append(bytes.subarray(0, n))
    }
    file.finish()
    // When a pipe's bytes were made nobody knows, and not when they were read: 1970 is no time.
    fs.futimesSync(file.fd, 0, 0)
    return file
  } catch (error) {
    file.close()
    throw error
  }
}
