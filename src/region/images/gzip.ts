/** gzip files (RFC 1952), unpacked here: one member or several, zeros behind them. */
import fs from 'node:fs'
import {
  Z_BUF_ERROR,
  Z_OK,
  Z_STREAM_END,
  ZStream,
  zlibInflate,
  zlibInflateInit2,
  zlibInflateReset,
} from 'pako'
import { explain } from '../../native/open.js'
import type { ImageOpener } from './image.js'
import { unpack, type Unpacking } from './unpacked.js'

/** The magic, and deflate, the only method. */
const magic = Buffer.of(0x1f, 0x8b, 8)
/** As zlib has it: gzip's header and checksum, a window of 2^15 bytes. */
const gzipWrapped = 31
const inputSize = 2 ** 18
const outputSize = 2 ** 20

/** A way through a gzip file, which is read from its first byte. */
export class GzipFile implements Unpacking {
  readonly #zlib = new ZStream()
  readonly #input = new Uint8Array(inputSize)
  readonly #output = new Uint8Array(outputSize)
  /** Bytes of the file that have been read. */
  #read = 0
  #ended = false
  trouble: string | null = null

  constructor(
    readonly path: string,
    readonly fd: number,
  ) {
    zlibInflateInit2(this.#zlib, gzipWrapped)
    this.#zlib.input = this.#input
    this.#zlib.next_in = 0
    this.#zlib.avail_in = 0
  }

  get taken(): number {
    return this.#read - this.#zlib.avail_in
  }

  /** Read on behind what is left; false at the file's end. */
  #fill(): boolean {
    const { next_in: from, avail_in: left } = this.#zlib
    this.#input.copyWithin(0, from, from + left)
    this.#zlib.next_in = 0
    let n: number
    try {
      n = fs.readSync(this.fd, this.#input, left, inputSize - left, this.#read)
    } catch (error) {
      throw explain(this.path, error)
    }
    this.#read += n
    this.#zlib.avail_in = left + n
    return n > 0
  }

  next(): Uint8Array | null {
    if (this.#ended) return null
    const zlib = this.#zlib
    zlib.output = this.#output
    zlib.next_out = 0
    zlib.avail_out = outputSize
    while (zlib.avail_out > 0 && !this.#ended) {
      if (zlib.avail_in === 0 && !this.#fill()) this.#end(`gzip: its stream ends early`)
      else {
        const status = zlibInflate(zlib, 0)
        if (status === Z_STREAM_END) this.#nextMember()
        else if (status !== Z_OK && !(status === Z_BUF_ERROR && zlib.avail_in === 0))
          this.#end(`gzip: its stream breaks at byte ${this.taken} (${zlib.msg})`)
      }
    }
    return zlib.next_out > 0 ? this.#output.subarray(0, zlib.next_out) : null
  }

  #end(trouble: string | null): void {
    this.#ended = true
    this.trouble = trouble
  }

  /** Behind a member may be zeros, to fill a block, and then another one. */
  #nextMember(): void {
    const zlib = this.#zlib
    for (;;) {
      while (zlib.avail_in > 0 && this.#input[zlib.next_in] === 0) {
        zlib.next_in++
        zlib.avail_in--
      }
      if (zlib.avail_in >= magic.length || !this.#fill()) break
    }
    const start = this.#input.subarray(zlib.next_in, zlib.next_in + zlib.avail_in)
    if (start.length === 0) this.#end(null)
    else if (magic.equals(start.subarray(0, magic.length))) zlibInflateReset(zlib)
    else this.#end(`gzip: ends at byte ${this.taken}: other bytes follow, which are left out`)
  }

  end(): void {}
}

export const gzip: ImageOpener = {
  recognises: head => head.subarray(0, magic.length).equals(magic),
  open: (path, fd, size, progress) => unpack(path, 'gzip', new GzipFile(path, fd), size, progress),
}
