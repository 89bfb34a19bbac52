/**
 * A tree, mounted with fuse-native: paths and callbacks on its side, the tree's methods on ours.
 *
 * What libfuse and fuse-native do that a reader would not expect is in native-notes/fuse-native.md.
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
  /** What /proc/mounts shows as the source. */
  source: string
  /** Mount options for the kernel and libfuse, as mount(8) spells them (`ro`, `allow_other`, …). */
  options?: string[]
  /** Mount also where something is mounted already, which is hidden then. */
  cover?: boolean
  /** Print what libfuse does on stderr. */
  debug?: boolean
  /** Told of what went wrong in the source while the mount was in use. */
  report?: (problem: string) => void
}

/** A mount that answers. */
export interface Mount {
  /** Resolves once the file system is gone, whoever unmounted it. */
  readonly ended: Promise<void>
  /** Unmount, also where files are open. */
  unmount(): Promise<void>
}

/** How often is looked whether somebody else has unmounted, in ms: libfuse tells nobody. */
const watchInterval = 100
/** fuse-native keeps libfuse's options in a buffer of 1,024 bytes, and cuts what is longer. */
const longestOptions = 800
/** What of it a source's name may take; of a longer path the last part stands for it. */
const longestSource = 400
/** How many files that were closed may wait to be so here; the most that the kernel can be asked for. */
const mostClosed = 65535
/** What libfuse renames an open file to when it is unlinked; the tree's business is the unlinking. */
const hiddenName = /^\/(?:[^/]+\/)?\.fuse_hidden[0-9a-f]+$/
/** A number that is 0 in 32 bits, for fields where fuse-native takes 0 as not given. */
const zero = 2 ** 32

/**
 * A time in ms, as fuse-native takes it: an unsigned number. What lies before 1970 or after the year
 * 287396 is shown as the first or the last moment that there is (native-notes/fuse-native.md).
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

/** Refuse whatever is asked, with the errno that Linux's pstorefs has for it. */
const refuse =
  (name: keyof typeof os.constants.errno) =>
  (...args: [...unknown[], Reply]): void =>
    (args.at(-1) as Reply)(errno(name))

/**
 * An open file whose text is longer than what Linux says of it. While it is open fstat(2) says how long
 * the text is: the kernel's FUSE serves sendfile(2), with which systemd-pstore copies, from its page cache
 * and up to that size, and after that the file is unlinked.
 */
interface LongerText {
  fd: number
  /** Linux's st_size. */
  size: number
  length(): number
}

/** How long a content is; null where that takes making it. */
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

/** The tree's answers to what the kernel asks. */
class TreeOperations implements Operations {
  readonly #open = new Map<number, { path: string; file: OpenFile }>()
  /** Open files that were unlinked, by the names that libfuse has for them. */
  readonly #hidden = new Map<string, OpenFile>()
  /** The last opened of each path whose text is longer than its st_size, or may be. */
  readonly #longer = new Map<string, LongerText>()
  #lastFd = 0
  constructor(
    readonly tree: Tree,
    readonly report: (problem: string) => void,
  ) {}

  /** Answer with what a piece of work returns, or with the errno of what it throws. */
  #answer<T>(cb: ReplyWith<T>, work: () => T): void {
    let result: T
    try {
      result = work()
    } catch (error) {
      const known = error instanceof StoreError
      const { message, stack } = error as Error
      // What nobody foresaw is told whole; what a user asked for in vain is told to the user only.
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
      // What truncate(2) set stays.
      const size = longer?.size === attributes.size ? longer.length() : attributes.size
      return toStats({ ...attributes, size })
    })
  }

  readdir = (path: string, cb: ReplyWith<string[]>): void =>
    this.#answer(cb, () => this.tree.readdir(path))

  open = (path: string, _flags: number, cb: ReplyWith<number>): void => {
    // A descriptor of 0 is one that fuse-native forgets.
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
    // The last of a file that was unlinked while open: it has been erased already.
    if (this.#hidden.delete(path)) cb(0)
    else this.#answer(cb, () => this.tree.unlink(path))
  }

  rename = (from: string, to: string, cb: Reply): void => {
    // libfuse's way to unlink a file that is open, so that it stays readable.
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
    // Asked only without default_permissions. Root may do all but execute what nobody may.
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

  // What Linux's pstorefs refuses, with its errnos (test/fixtures/fsops.txt).
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

/** This process's file descriptors, and what each is. */
const descriptors = (): Map<string, string> =>
  new Map(
    fs.readdirSync('/proc/self/fd').flatMap(fd => {
      const link = linkOf(fd)
      // The folder's own is closed by now.
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
 * Wait until a mount answers. Another process asks: one that is killed while a thread of its own waits for
 * its own mount never ends, nor does the mount.
 */
const askFor = async (mountpoint: string): Promise<void> => {
  // mount(8) leaves no PATH.
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin' }
  await promisify(execFile)('stat', ['--', mountpoint], { env })
}

/**
 * Mount a tree.
 *
 * @returns once the mount answers
 * @throws StoreError where it cannot be mounted; libfuse's own words are on stderr by then
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
    // Each open serves the bytes it found, also past st_size (ftrace's text is longer than that).
    'direct_io',
    // Closing is asked for in the background, where the kernel lets 12 requests wait for an answer, and keeps
    // the rest: with a crowd of readers more and more closed files would stay open here.
    `max_background=${mostClosed}`,
    ...options,
  ]
  if (Buffer.byteLength(list.join()) > longestOptions)
    throw new StoreError(`${mountpoint}: so many options are too long for a mount`)
  const operations = new TreeOperations(tree, report)
  const session = new (cover ? CoveringSession : Fuse)(mountpoint, operations, {
    // Every answer is given at once, so none needs a timer.
    timeout: false,
    subtype: list.join(),
    autoUnmount: true,
    // What the region holds now: nothing is remembered. (0 as a number would be dropped.)
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
    // A child that had them, too, would keep the mount, which nobody serves, when this process is killed.
    for (const [fd] of opened) fcntlSync(Number(fd), 'setfd', constants.FD_CLOEXEC)
    device = opened.find(([, link]) => link === '/dev/fuse')?.[0]
    // libfuse says so before it has answered the kernel's first request.
    await askFor(mountpoint)
  } catch (error) {
    const why = (await refusal(mountpoint, options)) ?? (error as Error).message
    throw new StoreError(`${mountpoint}: cannot be mounted: ${why}`, 'EIO')
  }
  const stopWatch = unmountWhenKilled(mountpoint)
  // libfuse closes its end when the file system is gone, and that is all it tells of it.
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
