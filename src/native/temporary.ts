/**
 * Files for what is unpacked or comes through a pipe: nameless, so that the kernel removes them with whoever made
 * them, and with holes for zeros, of which a machine's memory has many.
 */
import { inWords } from './words.js'
import crypto from 'node:crypto'
import fs from 'node:fs'
import { StoreError } from '../pstore/errors.js'

/** The longest text, in bytes: zeros take no room on the disk, but time. */
export const mostBytes = 2 ** 38
/** What is left free on the file system: a twentieth of it, and no more than this, in bytes. */
const mostReserve = 2 ** 28
/** How many bytes are written between two looks at what is free. */
const lookEvery = 2 ** 24
/** What is looked at whether it is zeros, in bytes. */
const pieceSize = 2 ** 16
const zeros = Buffer.alloc(pieceSize)

/** Large files are made where a reset does not empty memory for them: /tmp is memory on many systems. */
const temporaryFolder = (): string => process.env.TMPDIR || '/var/tmp'

/** Make a file that has no name any more. Close its descriptor, and it is gone. */
const makeNameless = (shown: string): number => {
  const file = `${temporaryFolder()}/pstorefs-${crypto.randomBytes(12).toString('hex')}`
  try {
    const fd = fs.openSync(file, 'wx+', 0o600)
    fs.unlinkSync(file)
    return fd
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new StoreError(
      `${shown}: cannot be unpacked to ${temporaryFolder()}: ${inWords(error)}: set TMPDIR to a folder with room`,
      code === 'ENOSPC' ? 'ENOSPC' : 'EIO',
    )
  }
}

/** A nameless file that grows, until it is closed. */
export class Temporary {
  readonly fd: number
  /** In bytes, with holes. */
  length = 0
  #written = 0
  #nextLook = 0

  /** @param shown the path that messages name */
  constructor(readonly shown: string) {
    this.fd = makeNameless(shown)
  }

  /**
   * Add bytes.
   *
   * @throws StoreError (ENOSPC) where they are too many, or more than there is room for
   */
  append(bytes: Uint8Array): void {
    if (this.length + bytes.length > mostBytes)
      throw new StoreError(
        `${this.shown}: more than ${mostBytes / 2 ** 30} GiB come out of it: unpack what you need of it`,
        'ENOSPC',
      )
    // From one stretch of zeros to the next.
    let from = 0
    for (let at = 0; at < bytes.length; at += pieceSize) {
      const piece = bytes.subarray(at, at + pieceSize)
      if (zeros.compare(piece, 0, piece.length, 0, piece.length) !== 0) continue
      this.#write(bytes.subarray(from, at), this.length + from)
      from = at + piece.length
    }
    this.#write(bytes.subarray(from), this.length + from)
    this.length += bytes.length
  }

  #write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return
    if (this.#written >= this.#nextLook) this.#checkRoom()
    this.#written += bytes.length
    try {
      for (let at = 0; at < bytes.length;)
        at += fs.writeSync(this.fd, bytes, at, bytes.length - at, position + at)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
        ? this.#noRoom('is full')
        : new StoreError(
            `${this.shown}: cannot be unpacked to ${temporaryFolder()}: ${inWords(error)}`,
            'EIO',
          )
    }
  }

  #checkRoom(): void {
    const { bavail, bsize, blocks } = fs.statfsSync(temporaryFolder())
    const reserve = Math.min((blocks * bsize) / 20, mostReserve)
    if (bavail * bsize < reserve)
      throw this.#noRoom(`would have less than ${Math.ceil(reserve / 2 ** 20)} MiB left`)
    this.#nextLook = this.#written + lookEvery
  }

  #noRoom(why: string): StoreError {
    return new StoreError(
      `${this.shown}: has no room to be unpacked: ${temporaryFolder()} ${why}: set TMPDIR to a folder with more`,
      'ENOSPC',
    )
  }

  /** No more is to come: the end of it may be zeros. */
  finish(): void {
    fs.ftruncateSync(this.fd, this.length)
  }

  close(): void {
    fs.closeSync(this.fd)
  }
}
