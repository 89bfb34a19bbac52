/**
 * Mounts a tree with fuse-native: turns its paths and callbacks into calls of the tree's methods.
 *
 * native-notes/fuse-native.md lists the surprises of libfuse and fuse-native.
 */
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { constants, fcntlSync } from 'fs-ext'
import Fuse, { type Operations, type Reply, type ReplyWith, type Stats } from 'fuse-native'
import type { Attributes, OpenFile, Tree } from '../tree/tree.js'
import { chunksOf, type Content, type SizedContent } from '../pstore/content.js'
import { StoreError } from '../pstore/errors.js'
import { fromMs, type Timespec } from '../pstore/time.js'
import { refusal, unmountWhenKilled } from './fusermount.js'
import { CoveringSession } from './session.js'

export interface MountOptions {
  /** The source as /proc/mounts shows it. */
  source: string
  /** Mount options for the kernel and libfuse, as mount(8) spells them (`ro`, `allow_other`, …). */
  options?: string[]
  /** Mount even where something is mounted already, and hide that. */
  cover?: boolean
  /** Let libfuse print its requests on stderr. */
  debug?: boolean
  /** Called with a problem of the source while the mount is in use. */
  report?: (problem: string) => void
}

/** A mount that answers. */
export interface Mount {
  /** Resolves once the file system is unmounted, by any process. */
  readonly ended: Promise<void>
  /** Unmount, even while files are open. */
  unmount(): Promise<void>
}

/** Milliseconds between two looks for an unmount by another process, which libfuse does not report. */
const watchInterval = 100
/** fuse-native copies libfuse's options into a buffer of 1,024 bytes, and cuts longer ones. */
const longestOptions = 800
/** The share of a source's name in that; of a longer path the last part is shown. */
const longestSource = 400
/** How many closed files may wait for their release; the kernel's maximum. */
const mostClosed = 65535
/** The name to which libfuse renames an open file instead of unlinking it. */
const hiddenName = /^\/(?:[^/]+\/)?\.fuse_hidden[0-9a-f]+$/
/** A number that is 0 in 32 bits, for fields in which fuse-native takes 0 for a missing value. */
const zero = 2 ** 32

/**
 * A time in ms, as fuse-native takes it: an unsigned number. Times before 1970 or after the year 287396 become
 * the first or the last moment of that range (native-notes/fuse-native.md).
 */
const toMs = ({ sec, nsec }: Timespec): number => {
  const ms = sec * 1000n + BigInt(Math.floor(nsec / 1_000_000))
  if (ms < 0n) return 0
  return ms > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Number(ms)
}

const toStats = (a: Attributes): Stats => ({
  ino: a.ino,
  mode: a.mode,
  nlink: a.nlink || zero,
  uid: a.uid,
  gid: a.gid,
  size: a.size,
  dev: 0,
  rdev: 0,
  blksize: 4096,
  blocks: 0,
  atime: toMs(a.atime),
  mtime: toMs(a.mtime),
  ctime: toMs(a.ctime),
})

/** An errno as fuse-native takes it. */
const errno = (name: keyof typeof os.constants.errno): number => -os.constants.errno[name]

/** Refuse an operation, with the errno of Linux's pstorefs. */
const refuse =
  (name: keyof typeof os.constants.errno) =>
  (...args: [...unknown[], Reply]): void =>
    (args.at(-1) as Reply)(errno(name))

/**
 * An open file whose text is longer than Linux's st_size. While it is open, fstat(2) tells the text's true
 * length: systemd-pstore copies with sendfile(2), which the kernel's FUSE serves from its page cache and up to
 * that size, and then unlinks the file.
 */
interface LongerText {
  fd: number
  /** Linux's st_size. */
  size: number
  length(): number
}

/** The length of a content; null where only rendering it tells. */
const lengthOf = (content: Content): number | null =>
  'length' in content ? (content as SizedContent).length : null

const measure = (content: Content): number => {
  let length = 0
  for (const piece of chunksOf(content)) length += piece.length
  return length
}

const once = <T>(work: () => T): (() => T) => {
  let done: { result: T } | null = null
  return () => (done ??= { result: work() }).result
}

/** The tree's answers to the kernel's requests. */
class TreeOperations implements Operations {
  readonly #open = new Map<number, { path: string; file: OpenFile }>()
  /** Open files that were unlinked, by libfuse's names for them. */
  readonly #hidden = new Map<string, OpenFile>()
  /** For each path the file opened last, where its text is, or may be, longer than its st_size. */
  readonly #longer = new Map<string, LongerText>()
  #lastFd = 0
  constructor(
    readonly tree: Tree,
    readonly report: (problem: string) => void,
  ) {}

  /** Answer with the result of a piece of work, or with the errno of its error. */
  #answer<T>(cb: ReplyWith<T>, work: () => T): void {
    let result: T
    try {
      result = work()
    } catch (error) {
      const known = error instanceof StoreError
      const { message, stack } = error as Error
      // An unforeseen error is reported whole. An errno tells the caller enough, except for EIO.
      if (!known) this.report(stack ?? message)
      else if (error.errno === 'EIO') this.report(message)
      cb(errno(known ? error.errno : 'EIO'))
      return
    }
    cb(0, result)
  }

  getattr = (path: string, cb: ReplyWith<Stats>): void => {
    const file = this.#hidden.get(path)
    this.#answer(cb, () => {
      const attributes = file ? file.attributes() : this.tree.getattr(path)
      const longer = this.#longer.get(path)
      // A size that truncate(2) set stays.
      const size = longer?.size === attributes.size ? longer.length() : attributes.size
      return toStats({ ...attributes, size })
    })
  }

  readdir = (path: string, cb: ReplyWith<string[]>): void =>
    this.#answer(cb, () => this.tree.readdir(path))

  open = (path: string, _flags: number, cb: ReplyWith<number>): void => {
    // fuse-native drops a descriptor of 0.
    let fd = this.#lastFd
    do fd = fd === 0x7fffffff ? 1 : fd + 1
    while (this.#open.has(fd))
    this.#lastFd = fd
    this.#answer(cb, () => {
      const file = this.tree.open(path)
      this.#open.set(fd, { path, file })
      const { size } = file.attributes()
      const length = lengthOf(file.content)
      if (length === null || length > size)
        this.#longer.set(path, { fd, size, length: once(() => length ?? measure(file.content)) })
      return fd
    })
  }

  read = (
    _path: string,
    fd: number,
    buffer: Buffer,
    length: number,
    position: number,
    cb: (result: number) => void,
  ): void => {
    const file = this.#open.get(fd)?.file
    if (!file) {
      cb(errno('EBADF'))
      return
    }
    let done = 0
    while (done < length) {
      const piece = file.content.slice(position + done, length - done)
      if (piece.length === 0) break
      done += piece.copy(buffer, done)
    }
    cb(done)
  }

  release = (path: string, fd: number, cb: Reply): void => {
    this.#open.delete(fd)
    if (this.#longer.get(path)?.fd === fd) this.#longer.delete(path)
    cb(0)
  }

  unlink = (path: string, cb: Reply): void => {
    // The hidden name of a file that was unlinked while open: its record is erased already.
    if (this.#hidden.delete(path)) cb(0)
    else this.#answer(cb, () => this.tree.unlink(path))
  }

  rename = (from: string, to: string, cb: Reply): void => {
    // libfuse unlinks an open file by a rename, so that it stays readable.
    const open = [...this.#open.values()].find(({ path }) => path === from)
    if (!open || !hiddenName.test(to)) {
      cb(errno('EPERM'))
      return
    }
    this.#answer(cb, () => {
      this.tree.unlink(from)
      this.#hidden.set(to, open.file)
    })
  }

  access = (path: string, mode: number, cb: Reply): void => {
    // Called only without default_permissions: all is allowed but to execute a file that nobody may execute.
    const execute = 1
    this.#answer(cb, () => {
      const { mode: permissions } = this.tree.getattr(path)
      if (mode & execute && !(permissions & 0o111)) throw new StoreError(path, 'EACCES')
    })
  }

  chmod = (path: string, mode: number, cb: Reply): void =>
    this.#answer(cb, () => this.tree.chmod(path, mode))

  chown = (path: string, uid: number, gid: number, cb: Reply): void => {
    const unchanged = 0xffffffff
    const given = (id: number): number | null => (id === unchanged ? null : id)
    this.#answer(cb, () => this.tree.chown(path, given(uid), given(gid)))
  }

  utimens = (path: string, atime: unknown, mtime: unknown, cb: Reply): void =>
    this.#answer(cb, () => this.tree.utimes(path, fromMs(atime as number), fromMs(mtime as number)))

  truncate = (path: string, size: number, cb: Reply): void =>
    this.#answer(cb, () => this.tree.truncate(path, size))

  ftruncate = (path: string, _fd: number, size: number, cb: Reply): void =>
    this.#answer(cb, () => this.tree.truncate(path, size))

  /** As Linux's pstorefs: no space, and none used. */
  statfs = (_path: string, cb: ReplyWith<{ [field: string]: number }>): void =>
    cb(0, {
      bsize: 4096,
      frsize: 4096,
      blocks: 0,
      bfree: 0,
      bavail: 0,
      files: 0,
      ffree: 0,
      favail: 0,
      fsid: 0,
      flag: 0,
      namemax: 255,
    })

  listxattr = (_path: string, cb: ReplyWith<string[]>): void => cb(0, [])

  // Operations that Linux's pstorefs refuses, with its errnos (test/fixtures/fsops.txt).
  write = refuse('EINVAL')
  fsync = refuse('EINVAL')
  create = refuse('EACCES')
  mkdir = refuse('EPERM')
  mknod = refuse('EPERM')
  symlink = refuse('EPERM')
  link = refuse('EPERM')
  rmdir = refuse('EPERM')
}

/** In libfuse's option list a comma or backslash inside a value is escaped. */
const escape = (value: string): string => value.replace(/[\\,]/g, '\\$&')

/** This process's file descriptors, and the files behind them. */
const descriptors = (): Map<string, string> =>
  new Map(
    fs.readdirSync('/proc/self/fd').flatMap(fd => {
      const link = linkOf(fd)
      // The descriptor of the folder itself is closed by now.
      return link === null ? [] : [[fd, link]]
    }),
  )
const linkOf = (fd: string): string | null => {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return null
  }
}

/**
 * Wait until a mount answers. A child asks: a process that is killed while a thread of it waits for its own mount
 * never ends, nor does the mount.
 */
const askFor = async (mountpoint: string): Promise<void> => {
  // mount(8) clears PATH.
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin' }
  await promisify(execFile)('stat', ['--', mountpoint], { env })
}

/**
 * Mount a tree.
 *
 * @returns once the mount answers
 * @throws StoreError where the mount fails; libfuse has printed its own message on stderr by then
 */
export const mount = async (
  tree: Tree,
  mountpoint: string,
  { source, options = [], cover = false, debug = false, report = () => {} }: MountOptions,
): Promise<Mount> => {
  const list = [
    'pstorefs',
    `fsname=${escape(Buffer.byteLength(source) > longestSource ? path.basename(source) : source)}`,
    // One inode number for both names of a record.
    'use_ino',
    // Each open serves the bytes of its moment, also beyond st_size (ftrace's text is longer).
    'direct_io',
    // Files are released by background requests, of which the kernel sends 12 at a time and holds the rest back:
    // with a crowd of readers, ever more closed files would stay open here.
    `max_background=${mostClosed}`,
    ...options,
  ]
  if (Buffer.byteLength(list.join()) > longestOptions)
    throw new StoreError(`${mountpoint}: so many options are too long for a mount`)
  const operations = new TreeOperations(tree, report)
  const session = new (cover ? CoveringSession : Fuse)(mountpoint, operations, {
    // Every answer comes at once, so none needs a timer.
    timeout: false,
    subtype: list.join(),
    autoUnmount: true,
    // The kernel must not cache: the tree shows the region of this moment. (A number 0 would be dropped.)
    attrTimeout: '0.0',
    entryTimeout: '0.0',
    debug,
  })
  const before = descriptors()
  let device: string | undefined
  try {
    await new Promise<void>((resolve, reject) =>
      session.mount(error => (error ? reject(error) : resolve())),
    )
    const opened = [...descriptors()].filter(
      ([fd, link]) => before.get(fd) !== link && /^(\/dev\/fuse$|socket:)/.test(link),
    )
    // A child that inherited them would keep the unserved mount alive when this process is killed.
    for (const [fd] of opened) fcntlSync(Number(fd), 'setfd', constants.FD_CLOEXEC)
    device = opened.find(([, link]) => link === '/dev/fuse')?.[0]
    // libfuse reports success before it has answered the kernel's first request.
    await askFor(mountpoint)
  } catch (error) {
    const why = (await refusal(mountpoint, options)) ?? (error as Error).message
    throw new StoreError(`${mountpoint}: cannot be mounted: ${why}`, 'EIO')
  }
  const stopWatch = unmountWhenKilled(mountpoint)
  // libfuse closes its end when the file system is gone, and reports it in no other way.
  const ended = new Promise<void>(resolve => {
    const timer = setInterval(() => {
      if (device !== undefined && linkOf(device) === '/dev/fuse') return
      clearInterval(timer)
      stopWatch()
      resolve()
    }, watchInterval)
  })
  const unmount = (): Promise<void> =>
    new Promise((resolve, reject) => session.unmount(error => (error ? reject(error) : resolve())))
  return { ended, unmount }
}
