/**
 * libfuse's operations, which name files by their paths, answered by the tree, which knows them by inode.
 *
 * native-notes/fuse-native.md lists the surprises of libfuse and fuse-native.
 */
import os from 'node:os'
import type { Operations, Reply, ReplyWith, Stats } from 'fuse-native'
import { chunksOf, type Content, type SizedContent } from '../../pstore/content.js'
import { StoreError } from '../../pstore/errors.js'
import { whenDone, type Soon } from '../../pstore/soon.js'
import { fromMs, type Timespec } from '../../pstore/time.js'
import { Tree, type Attributes, type Changes, type OpenFile } from '../../tree/tree.js'

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

/** The tree's answers to libfuse's requests. */
export class TreeOperations implements Operations {
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
  #answer<T>(cb: ReplyWith<T>, work: () => Soon<T>): void {
    const fail = (error: unknown): void => {
      const known = error instanceof StoreError
      const { message, stack } = error as Error
      // An unforeseen error is reported whole. An errno tells the caller enough, but for EIO and EMFILE.
      if (!known) this.report(stack ?? message)
      else if (error.code === 'EIO' || error.code === 'EMFILE') this.report(message)
      cb(errno(known ? error.code : 'EIO'))
    }
    let result: Soon<T>
    try {
      result = work()
    } catch (error) {
      fail(error)
      return
    }
    if (result instanceof Promise) result.then(late => cb(0, late), fail)
    else cb(0, result)
  }

  /** What stat(2) shows of a path. */
  #lookup(path: string): Soon<Attributes> {
    const [first, ...others] = path.split('/').filter(Boolean)
    if (first === undefined) return this.tree.attributes(Tree.root)
    return others.reduce<Soon<Attributes>>(
      (found, name) => whenDone(found, ({ ino }: Attributes) => this.tree.lookup(ino, name)),
      this.tree.lookup(Tree.root, first),
    )
  }

  #change(cb: Reply, path: string, changes: Changes): void {
    this.#answer(cb, () =>
      whenDone(this.#lookup(path), ({ ino }) =>
        whenDone(this.tree.change(ino, changes), () => undefined),
      ),
    )
  }

  /** Erase the record that a path names. */
  #erase(path: string): Soon<undefined> {
    const slash = path.lastIndexOf('/')
    return whenDone(this.#lookup(path.slice(0, slash)), ({ ino }) =>
      whenDone(this.tree.unlink(ino, path.slice(slash + 1)), () => undefined),
    )
  }

  getattr = (path: string, cb: ReplyWith<Stats>): void => {
    this.#answer(cb, () =>
      whenDone(this.#hidden.get(path)?.attributes() ?? this.#lookup(path), attributes => {
        const longer = this.#longer.get(path)
        // A size that truncate(2) set stays.
        const size = longer?.size === attributes.size ? longer.length() : attributes.size
        return toStats({ ...attributes, size })
      }),
    )
  }

  readdir = (path: string, cb: ReplyWith<string[]>): void =>
    this.#answer(cb, () =>
      whenDone(this.#lookup(path), ({ ino }) =>
        // libfuse adds the folder and its parent.
        whenDone(this.tree.list(ino), entries => entries.slice(2).map(({ name }) => name)),
      ),
    )

  open = (path: string, _flags: number, cb: ReplyWith<number>): void =>
    this.#answer(cb, () =>
      whenDone(this.#lookup(path), ({ ino }) =>
        whenDone(this.tree.open(ino), file => {
          const { size, content } = file
          const fd = this.#nextFd()
          this.#open.set(fd, { path, file })
          const length = lengthOf(content)
          if (length === null || length > size)
            this.#longer.set(path, { fd, size, length: once(() => length ?? measure(content)) })
          return fd
        }),
      ),
    )

  /** A number of 32 bits; fuse-native drops one of 0. */
  #nextFd(): number {
    let fd = this.#lastFd
    do fd = fd === 0x7fffffff ? 1 : fd + 1
    while (this.#open.has(fd))
    return (this.#lastFd = fd)
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
    const file = this.#open.get(fd)?.file
    this.#open.delete(fd)
    if (this.#longer.get(path)?.fd === fd) this.#longer.delete(path)
    file?.close()
    // Somebody can rename a file like libfuse, and nobody unlinks that name.
    for (const [name, { ino }] of this.#hidden)
      if (ino === file?.ino && !this.#isOpen(ino)) this.#hidden.delete(name)
    cb(0)
  }

  #isOpen(ino: number): boolean {
    return [...this.#open.values()].some(({ file }) => file.ino === ino)
  }

  unlink = (path: string, cb: Reply): void => {
    // The hidden name of a file that was unlinked while open: its record is erased already.
    if (this.#hidden.delete(path)) cb(0)
    else this.#answer(cb, () => this.#erase(path))
  }

  rename = (from: string, to: string, cb: Reply): void => {
    // libfuse unlinks an open file by a rename, so that it stays readable.
    const open = [...this.#open.values()].find(({ path }) => path === from)
    if (!open || !hiddenName.test(to)) {
      cb(errno('EPERM'))
      return
    }
    this.#answer(cb, () =>
      whenDone(this.#erase(from), () => {
        this.#hidden.set(to, open.file)
      }),
    )
  }

  access = (path: string, mode: number, cb: Reply): void => {
    // Called only without default_permissions: all is allowed but to execute a file that nobody may execute.
    const execute = 1
    this.#answer(cb, () =>
      whenDone(this.#lookup(path), ({ mode: permissions }) => {
        if (mode & execute && !(permissions & 0o111)) throw new StoreError(path, 'EACCES')
      }),
    )
  }

  chmod = (path: string, mode: number, cb: Reply): void => this.#change(cb, path, { mode })

  chown = (path: string, uid: number, gid: number, cb: Reply): void => {
    const unchanged = 0xffffffff
    this.#change(cb, path, {
      ...(uid === unchanged ? {} : { uid }),
      ...(gid === unchanged ? {} : { gid }),
    })
  }

  utimens = (path: string, atime: number, mtime: number, cb: Reply): void =>
    this.#change(cb, path, { atime: fromMs(atime), mtime: fromMs(mtime) })

  truncate = (path: string, size: number, cb: Reply): void => this.#change(cb, path, { size })

  ftruncate = (path: string, _fd: number, size: number, cb: Reply): void =>
    this.#change(cb, path, { size })

  /** In bytes where it is known how full the store is; else as Linux's pstorefs: no space, and none used. */
  statfs = (_path: string, cb: ReplyWith<{ [field: string]: number }>): void => {
    const usage = this.tree.usage()
    const { size, free } = usage ?? { size: 0, free: 0 }
    const blockSize = usage ? 1 : 4096
    cb(0, {
      bsize: blockSize,
      frsize: blockSize,
      blocks: size,
      bfree: free,
      bavail: free,
      files: 0,
      ffree: 0,
      favail: 0,
      fsid: 0,
      flag: 0,
      namemax: 255,
    })
  }

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
