/** Making an ERST store, as QEMU makes one of a file of zeros. */
import fs from 'node:fs'
import { explain } from '../../native/open.js'
import { StoreError } from '../../pstore/errors.js'
import { makeStore } from '../../region/make.js'
import { defaultRecordSize, encodeHeader } from './slot-map.js'

/**
 * Make an empty store in a new file, or in a file or device that is there.
 *
 * @param size of the store in bytes: what QEMU's memory-backend-file gets as `size`; a multiple of
 *   `recordSize` below 4 GiB. Undefined: all of a file or device that is there
 * @param recordSize bytes of a record and its header, a power of two from 4096 up. Where QEMU is told
 *   another, the store's wins
 * @param force wipe what is in it; without, only zeros are overwritten
 * @throws StoreError where that is not allowed or not possible; a file that it made is gone again
 */
export const makeErst = (
  path: string,
  size: number | undefined,
  recordSize: number = defaultRecordSize,
  force = false,
): void => {
  const there = statIfAny(path)
  if (size !== undefined && there?.isFile() && there.size !== size)
    throw new StoreError(`${path}: has ${there.size} bytes, not ${size}`)
  // Before anything is wiped: numbers that QEMU would refuse.
  const length = size ?? (there?.isFile() ? there.size : undefined)
  if (length === undefined && !there)
    throw new StoreError(`${path}: no such file; give mem_size to make it`, 'ENOENT')
  if (length !== undefined) headerFor(path, recordSize, length)
  // From the end: a kill leaves the old store with fewer records, or zeros, but never a header of zeros,
  // of which QEMU makes a store, before a map that is not.
  makeStore(path, { length, force, fromEnd: true }, region =>
    region.store(0, headerFor(path, recordSize, region.length)),
  )
}

const statIfAny = (path: string): fs.Stats | undefined => {
  try {
    return fs.statSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw explain(path, error)
  }
}

/** The header; what is wrong with the numbers is said of the source. */
const headerFor = (path: string, recordSize: number, size: number): Buffer => {
  try {
    return encodeHeader(recordSize, size)
  } catch (error) {
    throw new StoreError(`${path}: ${(error as Error).message}`)
  }
}
