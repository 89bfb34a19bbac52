/** What came out of a compressed file, in a nameless file beside it. */
import fs from 'node:fs'
import { explain } from '../../native/open.js'
import { Temporary } from '../../native/temporary.js'
import { StoreError } from '../../pstore/errors.js'
import { nextDataIn } from '../holes.js'
import type { Image, UnpackProgress } from './image.js'

/** A way through a compressed file. */
export interface Unpacking {
  /** The next bytes, good until the next call; null at the end, or where it breaks. */
  next(): Uint8Array | null
  /** Bytes of the file that went in. */
  readonly taken: number
  /** Once it has ended: what is wrong with the file; null where it is sound. */
  readonly trouble: string | null
  /** Let go of what it works with. */
  end(): void
}

/**
 * Unpack a file to its end, or to where it breaks.
 *
 * @throws StoreError where nothing comes out of it for damage, or there is no room for it
 */
export const unpack = (
  path: string,
  kind: string,
  unpacking: Unpacking,
  size: number,
  progress?: UnpackProgress,
): Image => {
  let file: Temporary | null = null
  try {
    file = new Temporary(path)
    for (let bytes = unpacking.next(); bytes; bytes = unpacking.next()) {
      file.append(bytes)
      progress?.(unpacking.taken, size)
    }
    file.finish()
    const { trouble } = unpacking
    if (trouble !== null && file.length === 0)
      throw new StoreError(
        `${path}: is a ${kind} file of which nothing can be unpacked: ${trouble}`,
      )
    return new Unpacked(path, kind, file, trouble)
  } catch (error) {
    file?.close()
    throw error
  } finally {
    unpacking.end()
  }
}

class Unpacked implements Image {
  readonly length: number
  readonly unpacked: number
  readonly doubts: readonly string[]

  constructor(
    readonly path: string,
    readonly kind: string,
    readonly file: Temporary,
    trouble: string | null,
  ) {
    this.length = file.length
    this.unpacked = file.fd
    this.doubts =
      trouble === null ? [] : [`${trouble}: only what came before, ${file.length} bytes, is shown`]
  }

  read(bytes: Buffer, offset: number, length: number): void {
    try {
      for (let done = 0; done < length;) {
        const n = fs.readSync(this.unpacked, bytes, done, length - done, offset + done)
        if (n === 0)
          throw new StoreError(`${this.path}: ends before ${offset + length} bytes`, 'EIO')
        done += n
      }
    } catch (error) {
      throw error instanceof StoreError ? error : explain(this.path, error)
    }
  }

  nextData(offset: number): { from: number; to: number } | null {
    return nextDataIn(this.unpacked, offset, this.length)
  }

  close(): void {
    this.file.close()
  }
}
