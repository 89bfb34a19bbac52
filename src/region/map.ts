/** Mappings: a source's bytes as memory; by mmap-io where it is installed, else by libc's own mmap. */
import { createRequire } from 'node:module'
import type Mmap from 'mmap-io'
import { errnoName, libc } from '../native/libc.js'

const require = createRequire(import.meta.url)

/** Null: not installed, or not built for this Node. Undefined: not looked for yet. */
let found: typeof Mmap | null | undefined

/** Its binary alone, where that lies as node-gyp builds it: the package's own way to it takes 100 ms. */
const names = ['mmap-io/build/Release/mmap_io.node', 'mmap-io']

/** Loaded when the first region is mapped, as most commands map none. */
const mmapIo = (): typeof Mmap | null => {
  if (found !== undefined) return found
  found = null
  for (const name of names)
    try {
      return (found = require(name) as typeof Mmap)
    } catch {
      // Not installed, not there, or not built for this Node.
    }
  return found
}

/** mmap(2)'s numbers, the same on every architecture. */
const PROT_READ = 1
const PROT_WRITE = 2
const MAP_SHARED = 1
/** What mmap-io takes: it keeps sizes and offsets in a C int, so larger ones are silently cut. */
const intLimit = 2 ** 31 - 1
/** Addresses that are to be unmapped once their views are gone. */
const unmappings = new FinalizationRegistry<() => void>(unmap => unmap())

/**
 * Map bytes of a source; unmapped when the Buffer is collected.
 *
 * @param offset where they start in it, on any byte
 * @throws Error with the name of an errno
 */
export const mapBytes = (fd: number, offset: number, length: number, readOnly: boolean): Buffer => {
  const skew = offset % libc().getpagesize()
  const size = skew + length
  const protection = readOnly ? PROT_READ : PROT_READ | PROT_WRITE
  const near = size <= intLimit && offset <= intLimit ? mmapIo() : null
  const map = near ? mapWith(near) : mapByLibc
  return map(size, protection, fd, offset - skew).subarray(skew)
}

type MapBytes = (size: number, protection: number, fd: number, start: number) => Buffer

const mapWith =
  ({ map }: typeof Mmap): MapBytes =>
  (size, protection, fd, start) => {
    try {
      return map(size, protection, MAP_SHARED, fd, start)
    } catch (error) {
      // `mmap failed, 1`
      const errno = Number(/\d+$/.exec((error as Error).message)?.[0])
      throw new Error(errnoName(errno), { cause: error })
    }
  }

const mapByLibc: MapBytes = (size, protection, fd, start) => {
  const { mmap, munmap, errno, view: viewOf } = libc()
  const address = mmap(size, protection, MAP_SHARED, fd, start)
  // MAP_FAILED, a pointer of −1, in as many bits as the machine has. No mapping starts at an odd address.
  if (address % 2n !== 0n) throw new Error(errnoName(errno()))
  const view = viewOf(address, size)
  unmappings.register(view, () => munmap(address, size))
  return Buffer.from(view)
}
