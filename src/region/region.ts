/**
 * A region: bytes that outlive a crash, inside a source (a file, a block device, a device's memory).
 *
 * Regular files and block devices are read with pread(2), never through a mapping: a source that
 * somebody cuts short then gives EIO, where a mapping would kill the process with SIGBUS, which
 * JavaScript cannot catch (native-notes/mmap-io.md). Devices that only offer memory (/dev/mem, UIO, PCI
 * resources) are mapped, and so are regions that a writer asked to have mapped: an append through a
 * mapping costs a fortieth of a pwrite(2).
 */
import fs from 'node:fs'
import { explain, openFile, statOf, type Opened } from '../native/open.js'
import { codeInWords } from '../native/words.js'
import { assertStoreError, PastEnd, StoreError } from '../pstore/errors.js'
import { hasHoles, nextDataIn } from './holes.js'
import type { Image, UnpackProgress } from './images/image.js'
import { openImage } from './images/index.js'
import { SourceLock } from './lock.js'
import { mapBytes } from './map.js'

export interface RegionOptions {
  /** Where the region starts in the source, in bytes. */
  offset?: number
  /** The region's length in bytes; unset: to the end of the source. */
  length?: number
  /** Open for reading only. Default: for writing too, where the permissions allow it. */
  readOnly?: boolean
  /** Map the region, for a writer that appends a lot. Not for one that must outlive a truncation. */
  map?: boolean
  /** Told how much of a compressed source has been unpacked. */
  progress?: UnpackProgress
}

/** Bytes of one read: Node takes a length for a number of 32 bits, with a sign. */
const mostAtOnce = 2 ** 30

/** What statfs(2) says of sysfs, where PCI devices have their memory. */
const sysfs = 0x62656572

/**
 * Open a source for a region. Memory behind a device (/dev/mem) is mapped past the CPU's caches, which a reset
 * empties, as Linux's ramoops does: by O_SYNC. It is no flag for a file, whose every pwrite(2) would wait for the
 * disk, and fcntl(2) cannot add it; so a device is opened once more, and not twice at a time, as some may not be.
 */
const openSource = (path: string, flags: number): Opened => {
  const first = openFile(path, flags)
  if (!first.stat.isCharacterDevice()) return first
  fs.closeSync(first.fd)
  const device = openFile(path, flags | fs.constants.O_SYNC)
  if (device.stat.isCharacterDevice()) return device
  fs.closeSync(device.fd)
  throw new StoreError(`${path}: was replaced while it was opened`, 'EIO')
}

/** The same for writing, where that is wanted and possible. */
const openRegion = (path: string, readOnly: boolean): Opened & { readonly readOnly: boolean } => {
  if (!readOnly) {
    try {
      return { ...openSource(path, fs.constants.O_RDWR), readOnly }
    } catch (error) {
      assertStoreError(error)
      // What cannot be written can still be looked at.
      if (!['EACCES', 'EROFS', 'EPERM'].includes(error.code)) throw error
    }
  }
  return { ...openSource(path, fs.constants.O_RDONLY), readOnly: true }
}

/** Is it a PCI device's memory? sysfs shows it as a file, which can only be mapped. */
const isInSysfs = (fd: number): boolean => {
  try {
    return fs.statfsSync(`/proc/self/fd/${fd}`).type === sysfs
  } catch {
    // Without /proc there is nothing to be told.
    return false
  }
}

export class Region {
  /** Length in bytes. */
  readonly length: number
  readonly readOnly: boolean
  /** The open source; null once it is closed, when its number may be another file's. */
  #fd: number | null
  /** Where the region starts in the source, in bytes. */
  readonly offset: number
  #lock: SourceLock | null = null
  /** Null where bytes are moved by pread and pwrite. */
  #map: Buffer | null = null
  /** True for what is memory itself and nothing but: it can be mapped only, and never becomes shorter. */
  readonly isMemory: boolean
  /** True for what this machine's memory stands in front of, which a reset takes with it. */
  readonly #isDisk: boolean
  /** Null where the source's bytes are what they are. */
  readonly #image: Image | null

  /**
   * Open a region in a source.
   *
   * @throws StoreError where the source cannot be opened, is no file or device, or is shorter than
   *   what was asked for
   */
  constructor(
    readonly path: string,
    { offset = 0, length, readOnly = false, map = false, progress }: RegionOptions = {},
  ) {
    const { fd, stat, readOnly: isReadOnly } = openRegion(path, readOnly)
    this.#fd = fd
    this.offset = offset
    this.#isDisk = stat.isBlockDevice()
    this.isMemory = stat.isCharacterDevice() || isInSysfs(fd)
    let image: Image | null = null
    try {
      if (stat.isFile() && !this.isMemory) image = openImage(path, fd, stat.size, progress)
      this.#image = image
      this.readOnly = isReadOnly || this.#image !== null
      const end = this.#image?.length ?? (stat.isFile() ? stat.size : sizeOfDevice(path, stat))
      if (end === 0) throw new StoreError(`${path}: is empty`)
      if (end === null && length === undefined)
        throw new StoreError(`${path}: a device does not tell its size; give mem_size`)
      if (end !== null && offset >= end)
        throw new PastEnd(`${path}: mem_address ${hex(offset)} is past its end (${hex(end)} bytes)`)
      this.length = length ?? end! - offset
      if (end !== null && offset + this.length > end)
        throw new StoreError(
          `${path}: has ${end - offset} bytes${offset ? ` from ${hex(offset)}` : ''}, ` +
            `its layout needs ${this.length} (mem_size)`,
        )
      // A store into a hole for which the disk has no room kills the process, where pwrite gives ENOSPC.
      if (this.isMemory || (map && !this.#image && !hasHoles(fd))) this.#mapIt()
    } catch (error) {
      image?.close()
      fs.closeSync(fd)
      throw error
    }
  }

  /**
   * The open source.
   *
   * @throws StoreError (EIO) where it is closed
   */
  get fd(): number {
    if (this.#fd === null) throw new StoreError(`${this.path}: is closed`, 'EIO')
    return this.#fd
  }

  #mapIt(): void {
    try {
      this.#map = mapBytes(this.fd, this.offset, this.length, this.readOnly)
    } catch (error) {
      const { message } = error as Error
      const why =
        message === 'EPERM'
          ? "not permitted: it is RAM, or a driver's, at which iomem=relaxed would let others"
          : (codeInWords(message) ?? message)
      throw new StoreError(`${this.path}: cannot be mapped: ${why}`, 'EIO')
    }
  }

  /**
   * Copy bytes out of the region.
   *
   * @throws StoreError (EIO) where the source has become shorter or cannot be read
   */
  load(offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    this.loadInto(bytes, offset, length)
    return bytes
  }

  /** The same into the start of a buffer that the caller keeps. */
  loadInto(bytes: Buffer, offset: number, length: number): void {
    if (this.#map) {
      this.#map.copy(bytes, 0, offset, offset + length)
      return
    }
    const { fd } = this
    if (this.#image) {
      this.#image.read(bytes, this.offset + offset, length)
      return
    }
    let done = 0
    while (done < length) {
      let n: number
      try {
        const left = Math.min(length - done, mostAtOnce)
        n = fs.readSync(fd, bytes, done, left, this.offset + offset + done)
      } catch (error) {
        // A signal came first: the one call of these that libuv does not make again by itself.
        if ((error as NodeJS.ErrnoException).code === 'EINTR') continue
        throw explain(this.path, error)
      }
      if (n === 0) throw this.#shrunk()
      done += n
    }
  }

  /**
   * The next stretch at or behind an offset that has bytes on the disk: between such stretches are holes, which
   * read as zeros. Where the source cannot tell, and where it has no holes, all is one.
   *
   * @returns null where only a hole follows
   */
  nextData(offset: number): { readonly from: number; readonly to: number } | null {
    if (offset >= this.length) return null
    if (this.#map) return { from: offset, to: this.length }
    const { fd } = this
    const start = this.offset + offset
    const found = this.#image
      ? nextInImage(this.#image, start, this.offset + this.length)
      : nextDataIn(fd, start, this.offset + this.length)
    return found && { from: found.from - this.offset, to: found.to - this.offset }
  }

  /** What a reader must know of the source, where that is an image: lines without its path. */
  get notes(): readonly string[] {
    return this.#image?.notes ?? []
  }

  /** The form of its file, where that is an image: "gzip". */
  get kind(): string | null {
    return this.#image?.kind ?? null
  }

  /** Why it cannot be written, where it is read-only. */
  get refusal(): StoreError {
    const why = this.#image ? `a ${this.kind} file: unpack it to write to it` : 'read-only'
    return new StoreError(`${this.path}: is ${why}`, 'EROFS')
  }

  /** What is damaged in it or missing: lines without its path. */
  get doubts(): readonly string[] {
    return this.#image?.doubts ?? []
  }

  /**
   * Store bytes into the region: the only place where a source is changed.
   *
   * A mapped writer must have called {@link checkSize} since it took the lock.
   */
  store(offset: number, bytes: Uint8Array, start = 0, end = bytes.length): void {
    if (this.#image) throw this.refusal
    if (this.#map) {
      // One memmove: a kill leaves no part of a header's numbers behind.
      const whole = start === 0 && end === bytes.length
      this.#map.set(whole ? bytes : bytes.subarray(start, end), offset)
      return
    }
    while (start < end) {
      try {
        const n = fs.writeSync(this.fd, bytes, start, end - start, this.offset + offset)
        start += n
        offset += n
      } catch (error) {
        throw explain(this.path, error)
      }
    }
  }

  /**
   * Make sure that the source still holds the whole region, before it is written: a store past its
   * end would be a SIGBUS in a mapping, and would grow a file by pwrite.
   *
   * @throws StoreError (EIO) where it has become shorter, or that cannot be told
   */
  checkSize(): void {
    if (this.isMemory || this.#image) return
    const stat = statOf(this.path, this.fd)
    if (stat.isFile() && stat.size < this.offset + this.length) throw this.#shrunk()
  }

  /**
   * Let what was stored reach a disk before anything else is stored, as Linux's pstore_blk does: it may
   * be the disk of the machine that dies next. A file's bytes outlive whoever writes them.
   *
   * @throws StoreError (EIO) where the disk fails
   */
  settle(): void {
    if (!this.#isDisk) return
    try {
      fs.fdatasyncSync(this.fd)
    } catch (error) {
      throw explain(this.path, error)
    }
  }

  /** Let what was stored reach the medium, where one lies behind the source. */
  sync(): void {
    // A device that is memory has nothing to wait for.
    if (this.isMemory) return
    try {
      fs.fsyncSync(this.fd)
    } catch (error) {
      throw explain(this.path, error)
    }
  }

  #shrunk(): StoreError {
    return new StoreError(`${this.path}: was truncated; it is now smaller than its region`, 'EIO')
  }

  /** The source's lock, which all regions in one source share. */
  get lock(): SourceLock {
    return (this.#lock ??= SourceLock.of(this.path, this.fd, !this.readOnly))
  }

  /** Once more does nothing. */
  close(): void {
    if (this.#fd === null) return
    this.#lock?.close()
    this.#lock = null
    this.#image?.close()
    this.#map = null // unmapped when its Buffer is collected
    fs.closeSync(this.#fd)
    this.#fd = null
  }
}

/** The next stretch of an image that holds bytes; null where there is none before the end. */
const nextInImage = (
  image: Image,
  offset: number,
  end: number,
): { from: number; to: number } | null => {
  const found = image.nextData ? image.nextData(offset) : { from: offset, to: end }
  return found && found.from < end ? { from: found.from, to: Math.min(found.to, end) } : null
}

const hex = (n: number): string => `0x${n.toString(16)}`

/** A block device's size from sysfs (st_size is 0); null for devices that have none to tell. */
const sizeOfDevice = (path: string, stat: fs.Stats): number | null => {
  if (!stat.isBlockDevice()) return stat.size || null
  const major = (stat.rdev >>> 8) & 0xfff
  const minor = (stat.rdev & 0xff) | ((stat.rdev >>> 12) & 0xfff00)
  try {
    return Number(fs.readFileSync(`/sys/dev/block/${major}:${minor}/size`, 'latin1')) * 512
  } catch {
    throw new StoreError(`${path}: cannot find out the device's size; give mem_size`)
  }
}
