/** Making a store: the file, the lock, and zeros, on which a driver then writes its own numbers. */
import { inWords } from '../native/words.js'
import fs from 'node:fs'
import { StoreError } from '../pstore/errors.js'
import { SourceLock } from './lock.js'
import { hasHoles } from './holes.js'
import { Region } from './region.js'

export interface MakeOptions {
  /** Where the store starts in the source, in bytes. */
  offset?: number
  /** Its length; undefined: all of a file or device that is there. */
  length?: number | undefined
  /** How long a new file is made, behind the offset, where that is longer. */
  fileLength?: number
  /** Wipe what is in it. Without, only zeros are overwritten. */
  force: boolean
  /** Wipe from the end, for stores whose header must outlive what it says of the rest. */
  fromEnd?: boolean
}

/** Bytes that are wiped or looked at in one go. */
const chunk = 1 << 20

/**
 * Make a store in a new file, or in a file or device that is there. A file gets all of its room on the
 * disk now, so that no writer ever finds that full.
 *
 * @param fill writes the driver's numbers on zeros; it holds the lock of that epoch
 * @throws StoreError where that is not allowed or not possible; a file that it made is gone again
 */
export const makeStore = (
  path: string,
  { offset = 0, length, fileLength = length, force, fromEnd = false }: MakeOptions,
  fill: (region: Region, epoch: number) => void,
): void => {
  const made = fileLength !== undefined && createFile(path, offset + fileLength)
  try {
    const region = new Region(path, { offset, ...(length === undefined ? {} : { length }) })
    try {
      if (region.readOnly) throw region.refusal
      const lock = SourceLock.of(path, region.fd, true)
      try {
        const epoch = lock.hold()
        region.checkSize()
        if (!isZero(region)) {
          if (!force) throw new StoreError(`${path}: is not empty: --force wipes what is in it`)
          wipe(region, fromEnd)
        } else if (hasHoles(region.fd)) wipe(region, fromEnd)
        fill(region, epoch)
        region.sync()
      } finally {
        lock.close()
      }
    } finally {
      region.close()
    }
  } catch (error) {
    if (made) fs.unlinkSync(path)
    throw error
  }
}

/** Make the file; false where there is one. */
const createFile = (path: string, size: number): boolean => {
  let fd: number
  try {
    fd = fs.openSync(path, 'wx', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new StoreError(`${path}: cannot be made: ${inWords(error)}`)
  }
  try {
    fs.ftruncateSync(fd, size)
  } catch (error) {
    fs.unlinkSync(path)
    throw new StoreError(`${path}: cannot be made: ${inWords(error)}`)
  } finally {
    fs.closeSync(fd)
  }
  return true
}

/** The chunks of a region: where each starts, and its length. */
const chunksOf = (region: Region): { at: number; length: number }[] =>
  Array.from({ length: Math.ceil(region.length / chunk) }, (_, i) => ({
    at: i * chunk,
    length: Math.min(chunk, region.length - i * chunk),
  }))

const zeros = (region: Region): Buffer => Buffer.alloc(Math.min(chunk, region.length))

const isZero = (region: Region): boolean => {
  const none = zeros(region)
  return chunksOf(region).every(({ at, length }) =>
    region.load(at, length).equals(none.subarray(0, length)),
  )
}

const wipe = (region: Region, fromEnd: boolean): void => {
  const none = zeros(region)
  const chunks = chunksOf(region)
  for (const { at, length } of fromEnd ? chunks.toReversed() : chunks)
    region.store(at, none, 0, length)
}
