/** A source's bytes in blocks, of which the last ones are kept: a hostile source has its headers asked for by the million. */
import type { Region } from '../../../region/region.js'

/** Bytes of a block: less is no cheaper to read. */
const blockSize = 4096
/** Blocks that are kept: 4 MiB. */
const mostBlocks = 1024

export class Blocks {
  readonly #kept = new Map<number, Buffer>()

  constructor(readonly region: Region) {}

  /**
   * Some bytes, not to be changed.
   *
   * @throws StoreError (EIO) where the source has become shorter or cannot be read
   */
  load(offset: number, length: number): Buffer {
    const from = offset % blockSize
    if (from + length > blockSize) return this.region.load(offset, length)
    const start = offset - from
    let block = this.#kept.get(start)
    if (!block) {
      if (this.#kept.size === mostBlocks) this.#kept.clear()
      block = this.region.load(start, Math.min(blockSize, this.region.length - start))
      this.#kept.set(start, block)
    }
    return block.subarray(from, from + length)
  }
}
