/** Mappings: a source's bytes as memory. */
import { createRequire } from 'node:module'
import type Mmap from 'mmap-io'
import { errnoName, libc } from '../native/libc.js'

const require = createRequire(import.meta.url)

/** Loaded when the first region is mapped: most commands map none, and it takes 40 ms. */
const mmapIo = (): typeof Mmap => require('mmap-io') as typeof Mmap

/** What mmap-io takes: it keeps sizes and offsets in a C int, so larger ones are silently cut. */
const intLimit = 2 ** 31 - 1
/** What mmap(2) gives where it fails: a pointer of −1. */
const failed = 2n ** 64n - 1n

/** Addresses that are to be unmapped once their views are gone. */
const unmappings = new FinalizationRegistry<() => void>(unmap => unmap())

/**
 * Map bytes of a source; unmapped when the Buffer is collected.
 *
 * @param offset where they start in it, on any byte
 * @throws Error with the name of an errno
 */
export const mapBytes = (fd: number, offset: number, length: number, readOnly: boolean): Buffer => {
  const { PAGESIZE, PROT_READ, PROT_WRITE } = mmapIo()
  const skew = offset % PAGESIZE
  const size = skew + length
  const protection = readOnly ? PROT_READ : PROT_READ | PROT_WRITE
  const far = size > intLimit || offset > intLimit
  return (far ? mapFar : mapNear)(size, protection, fd, offset - skew).subarray(skew)
}

type MapBytes = (size: number, protection: number, fd: number, start: number) => Buffer

const mapNear: MapBytes = (size, protection, fd, start) => {
  const { map, MAP_SHARED } = mmapIo()
  try {
    return map(size, protection, MAP_SHARED, fd, start)
  } catch (error) {
    // `mmap failed, 1`
    throw new Error(errnoName(Number(/\d+$/.exec((error as Error).message)?.[0])), { cause: error })
  }
}

/** By libc's own mmap: a machine's region may lie anywhere in its memory. */
const mapFar: MapBytes = (size, protection, fd, start) => {
  const { mmap, munmap, errno, view: viewOf } = libc()
  const address = mmap(size, protection, mmapIo().MAP_SHARED, fd, start)
  if (address === failed) throw new Error(errnoName(errno()))
  const view = viewOf(address, size)
  unmappings.register(view, () => munmap(address, size))
  return Buffer.from(view)
}
