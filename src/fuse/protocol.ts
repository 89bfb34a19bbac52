/**
 * The kernel's FUSE protocol: what requests and replies look like on /dev/fuse, and nothing of what they mean.
 *
 * Source: include/uapi/linux/fuse.h, fs/fuse/dev.c, fs/fuse/dir.c. Numbers are in the machine's own byte order;
 * 64-bit ones are JavaScript numbers, as node ids, handles and offsets that this side gives out stay below 2^53.
 */
import os from 'node:os'
import type { Timespec } from '../pstore/time.js'
import type { Usage } from '../pstore/types.js'
import { attrOut, entryOut, kinds } from './kinds.js'

/** `struct fuse_in_header`, `struct fuse_out_header`. */
export const inHeader = 40
const outHeader = 16

/** The most bytes of one READ or READDIR. */
const mostRead = 1 << 20
/** So many bytes are sent from where they are: fewer are copied in less time than two pieces take. */
const worthwhile = 16384
/** What a request takes at most: nothing is written here, so each is a page of text at most, and the kernel's least is 8 KiB. */
export const requestRoom = 1 << 16

/** A request that ends before its fields do. */
export class Malformed extends Error {}

const little = os.endianness() === 'LE'
/** A 64-bit number's halves. */
const [low, high] = little ? [0, 4] : [4, 0]
const word = 2 ** 32

/** One request: a view of its bytes, which ends where they end. */
export class Request {
  readonly #view: DataView
  readonly #bytes: Buffer
  #length = 0

  /** @param bytes where the device puts requests, one after the other */
  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /**
   * Look at what was just read.
   *
   * @returns false where these bytes are no request: not even its reply could be addressed
   */
  begin(length: number): boolean {
    this.#length = length
    return length >= inHeader && this.#view.getUint32(0, little) === length
  }

  get code(): number {
    return this.#view.getUint32(4, little)
  }

  /** What the reply must repeat. */
  get unique(): bigint {
    return this.#view.getBigUint64(8, little)
  }

  get node(): number {
    return this.#long(16)
  }

  /** Bytes behind the header. */
  get room(): number {
    return this.#length - inHeader
  }

  #at(offset: number, length: number): number {
    if (offset + length > this.room) throw new Malformed(`ends at ${this.room}`)
    return inHeader + offset
  }

  u32(offset: number): number {
    return this.#view.getUint32(this.#at(offset, 4), little)
  }

  u64(offset: number): number {
    return this.#long(this.#at(offset, 8))
  }

  #long(at: number): number {
    return this.#view.getUint32(at + low, little) + this.#view.getUint32(at + high, little) * word
  }

  /** A time, of which the nanoseconds stand elsewhere. */
  time(offset: number, nsecOffset: number): Timespec {
    const sec = this.#view.getBigInt64(this.#at(offset, 8), little)
    return { sec, nsec: this.u32(nsecOffset) }
  }

  /** A name up to its zero. */
  name(offset: number): string {
    const start = this.#at(offset, 1)
    const end = this.#bytes.indexOf(0, start)
    if (end < 0 || end >= this.#length) throw new Malformed('a name without end')
    return this.#bytes.toString('utf8', start, end)
  }
}

/** What INIT agrees on (`FUSE_*` of fuse.h). */
const initFlags = {
  asyncRead: 1 << 0,
  bigWrites: 1 << 5,
  asyncDio: 1 << 15,
  parallelDirops: 1 << 18,
  maxPages: 1 << 22,
}
const wantedFlags = Object.values(initFlags).reduce((all, flag) => all | flag)

/** The protocol's version as this side knows it; of an older kernel's minor version its own is used. */
const major = 7
const minor = 38
/** Linux 3.15: from there on all structures have the lengths of {@link kinds}. */
const oldestMinor = 23
const pageSize = 4096
/**
 * How many background requests the kernel sends at a time. Files are released by them: with its own 12, ever more
 * closed files would stay open here in a crowd of readers.
 */
const mostBackground = 65535

/** What the kernel says of itself in INIT; null where it is too old, or of another protocol. */
export interface Agreement {
  minor: number
  readahead: number
  flags: number
}

export const decodeInit = (request: Request): Agreement | null => {
  const [theirMajor, theirMinor] = [request.u32(0), request.u32(4)]
  if (theirMajor !== major || theirMinor < oldestMinor) return null
  return {
    minor: Math.min(theirMinor, minor),
    readahead: request.u32(8),
    flags: request.u32(12) & wantedFlags,
  }
}

/** `FUSE_GETATTR_FH`: the question is about an open file. */
export const isAboutHandle = (request: Request): boolean => (request.u32(0) & 1) !== 0

/** `FUSE_READ_LOCKOWNER`: read(2) has it; a read for the page cache, as sendfile(2) makes it, has not. */
export const isForCaller = (request: Request): boolean => (request.u32(20) & 2) !== 0

/** `FATTR_*`. */
const fattr = {
  mode: 1,
  uid: 2,
  gid: 4,
  size: 8,
  atime: 16,
  mtime: 32,
  atimeNow: 128,
  mtimeNow: 256,
}

/** What chmod(2), chown(2), truncate(2) and utimensat(2) change. */
export interface Changes {
  mode?: number
  uid?: number
  gid?: number
  size?: number
  atime?: Timespec
  mtime?: Timespec
}

/** @param now what a time becomes that is set to the present */
export const decodeSetattr = (request: Request, now: Timespec): Changes => {
  const valid = request.u32(0)
  const has = (flag: number): boolean => (valid & flag) !== 0
  return {
    ...(has(fattr.mode) && { mode: request.u32(68) }),
    ...(has(fattr.uid) && { uid: request.u32(76) }),
    ...(has(fattr.gid) && { gid: request.u32(80) }),
    ...(has(fattr.size) && { size: request.u64(16) }),
    ...(has(fattr.atime) && { atime: has(fattr.atimeNow) ? now : request.time(32, 56) }),
    ...(has(fattr.mtime) && { mtime: has(fattr.mtimeNow) ? now : request.time(40, 60) }),
  }
}

/** What FORGET and BATCH_FORGET say: how many times less a node is known by the kernel. */
export function* decodeForget(request: Request): Generator<[node: number, times: number]> {
  if (request.code === kinds.FORGET.code) {
    yield [request.node, request.u64(0)]
    return
  }
  // A count beyond the request's end is cut there.
  const count = Math.min(request.u32(0), Math.floor((request.room - 8) / 16))
  for (let i = 0; i < count; i++) yield [request.u64(8 + i * 16), request.u64(16 + i * 16)]
}

/** `struct fuse_attr`'s fields. */
export interface NodeAttributes {
  readonly ino: number
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly atime: Timespec
  readonly mtime: Timespec
  readonly ctime: Timespec
}

const billion = 1_000_000_000
/** A size from here on is no loff_t, of which 2^63 − 1 is the last: to the kernel the inode would be bad for good (fs/fuse/dir.c, fuse_invalid_attr). */
const pastSizes = 2 ** 63
const lastSize = 2n ** 63n - 1n
/** Bytes of a name: NAME_MAX (include/uapi/linux/limits.h). */
export const longestName = 255
/** A moment: for so long what LOOKUP says holds, so that one stat(2) is one request. In nanoseconds. */
const moment = 1_000_000

/** Whole pages and more for each name: `struct fuse_dirent` and its name, padded. */
const direntLength = (name: number): number => (24 + name + 7) & ~7

/** One reply: its header, and what stands behind it. */
export class Reply {
  readonly bytes = Buffer.alloc(outHeader + mostRead)
  readonly #view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength)
  /** Bytes behind the header, in {@link bytes}. */
  #length = 0
  /** What follows those, and is sent from where it is. */
  #rest: Buffer | null = null

  /** Begin an empty one. */
  begin(): this {
    this.#length = 0
    this.#rest = null
    return this
  }

  /**
   * End it.
   *
   * @param errno 0, or a positive errno, which has nothing behind it
   * @returns its bytes in pieces, until the next one begins
   */
  end(unique: bigint, errno = 0): Buffer[] {
    const length = outHeader + (errno ? 0 : this.#length)
    const rest = errno ? null : this.#rest
    this.#view.setUint32(0, length + (rest?.length ?? 0), little)
    this.#view.setInt32(4, -errno, little)
    this.#view.setBigUint64(8, unique, little)
    const own = this.bytes.subarray(0, length)
    return rest ? [own, rest] : [own]
  }

  /** Room for the next bytes, zeroed; gives their offset. */
  #add(length: number): number {
    const at = outHeader + this.#length
    this.#length += length
    this.bytes.fill(0, at, at + length)
    return at
  }

  #u64(at: number, n: number): void {
    this.#view.setUint32(at + low, n % word, little)
    this.#view.setUint32(at + high, Math.floor(n / word), little)
  }

  #time(at: number, nsecAt: number, { sec, nsec }: Timespec): void {
    // A hostile header has more than a second's worth, which the kernel would cut.
    const carried = sec + BigInt(Math.floor(nsec / billion))
    this.#view.setBigInt64(at, BigInt.asIntN(64, carried), little)
    this.#view.setUint32(nsecAt, nsec % billion, little)
  }

  #attributes(at: number, of: NodeAttributes): void {
    const view = this.#view
    this.#u64(at, of.ino)
    if (of.size < pastSizes) this.#u64(at + 8, of.size)
    else view.setBigInt64(at + 8, lastSize, little)
    this.#time(at + 24, at + 48, of.atime)
    this.#time(at + 32, at + 52, of.mtime)
    this.#time(at + 40, at + 56, of.ctime)
    view.setUint32(at + 60, of.mode, little)
    view.setUint32(at + 64, of.nlink, little)
    view.setUint32(at + 68, of.uid, little)
    view.setUint32(at + 72, of.gid, little)
    view.setUint32(at + 80, pageSize, little)
  }

  /** `struct fuse_init_out`. */
  init({ minor, readahead, flags }: Agreement): this {
    const at = this.#add(kinds.INIT.reply)
    const view = this.#view
    view.setUint32(at, major, little)
    view.setUint32(at + 4, minor, little)
    view.setUint32(at + 8, readahead, little)
    view.setUint32(at + 12, flags, little)
    view.setUint16(at + 16, mostBackground, little)
    view.setUint16(at + 18, (mostBackground * 3) >>> 2, little)
    view.setUint32(at + 20, pageSize, little)
    view.setUint32(at + 24, 1, little)
    if (flags & initFlags.maxPages) view.setUint16(at + 28, mostRead / pageSize, little)
    return this
  }

  /**
   * `struct fuse_entry_out`. Names are never kept by the kernel; attributes for a moment.
   *
   * @param isSteady false where not even the same system call may use them again
   */
  entry(of: NodeAttributes, isSteady = true): this {
    const at = this.#add(entryOut)
    this.#u64(at, of.ino)
    this.#view.setUint32(at + 36, isSteady ? moment : 0, little)
    this.#attributes(at + 40, of)
    return this
  }

  /** `struct fuse_attr_out`. */
  attributes(of: NodeAttributes): this {
    this.#attributes(this.#add(attrOut) + 16, of)
    return this
  }

  /** `struct fuse_open_out` of a file: read as it was opened, past the kernel's cache (`FOPEN_DIRECT_IO`, `FOPEN_NOFLUSH`). */
  file(handle: number): this {
    return this.#opened(handle, 1 | 32)
  }

  /** The same of a folder. */
  folder(handle: number): this {
    return this.#opened(handle, 0)
  }

  #opened(handle: number, flags: number): this {
    const at = this.#add(kinds.OPEN.reply)
    this.#u64(at, handle)
    this.#view.setUint32(at + 8, flags, little)
    return this
  }

  /** `struct fuse_statfs_out`, in bytes as efivarfs; null: no space, and none used, as Linux's pstorefs. */
  statfs(usage: Usage | null): this {
    const at = this.#add(kinds.STATFS.reply)
    const blockSize = usage ? 1 : pageSize
    const { size, free } = usage ?? { size: 0, free: 0 }
    for (const [field, n] of [size, free, free].entries()) this.#u64(at + 8 * field, n)
    this.#view.setUint32(at + 40, blockSize, little)
    this.#view.setUint32(at + 44, longestName, little)
    this.#view.setUint32(at + 48, blockSize, little)
    return this
  }

  /** A text; with room for none, `struct fuse_getxattr_out`: how many bytes that would take. */
  text(text: string, room: number): this {
    const length = Buffer.byteLength(text)
    if (room === 0) this.#view.setUint32(this.#add(8), length, little)
    else this.bytes.write(text, this.#add(length))
    return this
  }

  /** `struct fuse_lseek_out`. */
  number(n: number): this {
    this.#u64(this.#add(8), n)
    return this
  }

  /**
   * `struct fuse_dirent`.
   *
   * @param next the offset at which a listing goes on
   * @param most bytes that the reply may have
   * @returns false where there is no room for it
   */
  dirent(name: string, ino: number, mode: number, next: number, most: number): boolean {
    const nameLength = Buffer.byteLength(name)
    const length = direntLength(nameLength)
    if (this.#length + length > Math.min(most, mostRead)) return false
    const at = this.#add(length)
    this.#u64(at, ino)
    this.#u64(at + 8, next)
    this.#view.setUint32(at + 16, nameLength, little)
    // DT_REG, DT_DIR
    this.#view.setUint32(at + 20, (mode >>> 12) & 0xf, little)
    this.bytes.write(name, at + 24)
    return true
  }

  /**
   * Bytes of a file, in pieces.
   *
   * @param slice gives at most as many bytes as it is asked for, from an offset on; none at the end
   */
  data(most: number, slice: (offset: number, length: number) => Buffer): this {
    const room = Math.min(most, mostRead)
    const first = slice(0, room)
    if (first.length === room && room >= worthwhile) {
      this.#rest = first
      return this
    }
    first.copy(this.bytes, outHeader)
    this.#length = first.length
    while (this.#length < room) {
      const piece = slice(this.#length, room - this.#length)
      if (piece.length === 0) break
      piece.copy(this.bytes, outHeader + this.#length)
      this.#length += piece.length
    }
    return this
  }
}
