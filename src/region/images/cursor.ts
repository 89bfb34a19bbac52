/** A way through a file that goes forward, one buffer at a time. */
import fs from 'node:fs'
import { explain } from '../../native/open.js'

/** Bytes that are read at a time. */
const chunkSize = 2 ** 20

/** The file ends before what was to be read. */
export class CutShort extends Error {}

export class Cursor {
  readonly #buffer = Buffer.allocUnsafe(chunkSize)
  /** Where the buffer's bytes start in the file, and how many there are. */
  #start = 0
  #length = 0

  /**
   * @param size the file's, in bytes
   * @param at where it stands, in bytes from the file's start
   */
  constructor(
    readonly path: string,
    readonly fd: number,
    readonly size: number,
    public at = 0,
  ) {}

  /**
   * Go over the next bytes.
   *
   * @param length at most 64 KiB
   * @returns a view, valid until the next call
   * @throws CutShort where there are fewer
   * @throws StoreError (EIO) where they cannot be read
   */
  bytes(length: number): Buffer {
    const view = this.peek(length)
    this.at += length
    return view
  }

  /** The same without going over them. */
  peek(length: number): Buffer {
    const { at } = this
    if (at + length > this.size) throw new CutShort()
    if (at < this.#start || at + length > this.#start + this.#length) this.#fill()
    // It was cut short since it was opened.
    if (at + length > this.#start + this.#length) throw new CutShort()
    return this.#buffer.subarray(at - this.#start, at - this.#start + length)
  }

  /** @throws CutShort where fewer bytes follow */
  skip(length: number): void {
    if (this.at + length > this.size) throw new CutShort()
    this.at += length
  }

  u8(): number {
    return this.bytes(1)[0]!
  }

  /** Big-endian. */
  u16(): number {
    return this.bytes(2).readUInt16BE()
  }

  u32(): number {
    return this.bytes(4).readUInt32BE()
  }

  u64(): bigint {
    return this.bytes(8).readBigUInt64BE()
  }

  /** A text behind a byte that says its length. */
  text(): string {
    return this.bytes(this.u8()).toString('latin1')
  }

  #fill(): void {
    this.#start = this.at
    this.#length = 0
    while (this.#length < chunkSize) {
      let n: number
      try {
        const left = chunkSize - this.#length
        n = fs.readSync(this.fd, this.#buffer, this.#length, left, this.at + this.#length)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EINTR') continue
        throw explain(this.path, error)
      }
      if (n === 0) return
      this.#length += n
    }
  }
}
