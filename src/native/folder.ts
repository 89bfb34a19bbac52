/**
 * A folder in which things are kept and erased by, whoever else has users on this machine: an archive, the state of
 * attach=boot. Its name is not trusted, but looked at from the root on: it is used only where nobody else could
 * change what lies there, or put another folder in its place. All work then goes through its descriptor, by
 * /proc/self/fd/N/NAME, which is openat(2) for all of Node's functions; no link in it is followed, nothing in it is
 * waited for, and each file that is made is a new one.
 */
import fs from 'node:fs'
import path from 'node:path'
import { StoreError } from '../pstore/errors.js'
import { errnoName, libc } from './libc.js'
import { openFile, readSome, readToEnd, type Opened } from './open.js'

/** What is made of a path that is not there: nothing, its last folder, or all of them. */
export type Making = 'nothing' | 'last' | 'all'

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = fs.constants
/** Linux follows as many links in a path. */
const mostLinks = 40
/** Bytes that are read at once where a file is not to be whole in memory. */
const pieceLength = 65536

/** flock(2): try, and do not wait; what it answers where another one has the lock, or a signal came. */
const LOCK_EX_NB = 2 | 4
const busy = new Set(['EAGAIN', 'EWOULDBLOCK', 'EINTR'])

const writableByOthers = 0o022
const sticky = 0o1000

const me = (): number => process.geteuid?.() ?? 0

/** Why somebody else could change a folder; null where nobody could. */
const doubtOf = ({ uid, mode }: fs.Stats): string | null => {
  if (uid !== me())
    return `belongs to another user (${uid}): make it yours (chown ${me()}), or give another folder`
  return mode & writableByOthers
    ? 'others may write to it: take that from them (chmod go-w), or give another folder'
    : null
}

/** Why somebody else could put something in the place of what lies below a folder; null where nobody could. */
const doubtBelow = (stat: fs.Stats): string | null => {
  const { uid, mode } = stat
  if (uid !== 0 && uid !== me())
    return `belongs to another user (${uid}), who could replace it: give a folder elsewhere`
  // What is one's own in a sticky folder stays: /tmp.
  return mode & writableByOthers && !(mode & sticky)
    ? 'is writable by others, who could replace it: chmod go-w that, or give a folder elsewhere'
    : null
}

const refusal = (folder: string, why: string): StoreError =>
  new StoreError(`${folder}: not used: ${why}`, 'EACCES')

const missing = (folder: string): StoreError =>
  new StoreError(`${folder}: no such file or directory`, 'ENOENT')

/**
 * Where a folder really is. Each step is looked at before the next is taken: nobody else can change what a folder
 * that passed holds, so what was seen there is there still.
 *
 * @throws StoreError (EACCES) where somebody else could change the way, (ENOENT, ENOTDIR) where it leads nowhere
 */
const trace = (folder: string, making: Making): string => {
  // A shell's variable that is not set is not this folder.
  if (folder === '') throw new StoreError("folder '': must be a path", 'ENOENT')
  const parts = (path.isAbsolute(folder) ? folder : `${process.cwd()}/${folder}`).split('/')
  let at = '/'
  let links = 0
  const stepBelow = (): void => {
    const why = doubtBelow(fs.lstatSync(at))
    if (why !== null) throw refusal(folder, `its parent ${at} ${why}`)
  }
  for (let part; (part = parts.shift()) !== undefined;) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      at = path.dirname(at)
      continue
    }
    stepBelow()
    const next = path.join(at, part)
    const stat = fs.lstatSync(next, { throwIfNoEntry: false })
    if (!stat) {
      if (making === 'nothing' || (making === 'last' && parts.some(Boolean))) throw missing(folder)
      makeFolder(next)
      syncFolder(at)
    } else if (stat.isSymbolicLink()) {
      if (stat.uid !== 0 && stat.uid !== me())
        throw refusal(
          folder,
          `${next} is another user's link (${stat.uid}): give the folder itself`,
        )
      if (++links > mostLinks) throw new StoreError(`${folder}: is behind too many links`, 'EIO')
      const target = fs.readlinkSync(next)
      if (path.isAbsolute(target)) at = '/'
      parts.unshift(...target.split('/'))
      continue
    } else if (!stat.isDirectory()) throw new StoreError(`${folder}: not a directory`, 'ENOTDIR')
    at = next
  }
  return at
}

const makeFolder = (folder: string): void => {
  try {
    fs.mkdirSync(folder, 0o700)
  } catch (error) {
    // Somebody came first: what is there now is looked at as anything else.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

const syncFolder = (folder: string): void => {
  const fd = fs.openSync(folder, O_RDONLY | O_DIRECTORY)
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

/** An open folder. Where nothing else is said, its methods throw the system's errors. */
export class Folder {
  readonly #at: string

  private constructor(
    /** As it was given, for messages. */
    readonly path: string,
    readonly fd: number,
    /** Whether it was found to be nobody else's; those in it are looked at likewise. */
    readonly isOurs: boolean,
  ) {
    this.#at = `/proc/self/fd/${fd}`
  }

  /**
   * Open a folder that belongs to this process's user, and that nobody else can change or replace. What is made of
   * it is for that user only.
   *
   * @throws StoreError (EACCES) where others could, (ENOENT, ENOTDIR) where it is none; or the system's error
   */
  static ours(folder: string, making: Making): Folder {
    return Folder.#open(trace(folder, making), folder, true)
  }

  /** Open any folder, to look into it. Throws as {@link ours} does. */
  static any(folder: string): Folder {
    return Folder.#open(folder, folder, false)
  }

  static #open(place: string, shown: string, isOurs: boolean): Folder {
    const fd = fs.openSync(place, O_RDONLY | O_DIRECTORY | (isOurs ? O_NOFOLLOW : 0))
    try {
      const stat = fs.fstatSync(fd)
      const why = isOurs ? doubtOf(stat) : null
      if (why !== null) throw refusal(shown, why)
      const found = fs.statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false })
      if (found?.ino !== stat.ino)
        throw new StoreError(`${shown}: cannot be used: is /proc mounted?`, 'EIO')
      return new Folder(shown, fd, isOurs)
    } catch (error) {
      fs.closeSync(fd)
      throw error
    }
  }

  /** One name, and not a way through others. */
  #of(name: string): string {
    if (!isName(name)) throw new StoreError(`${this.path}: '${name}' is no name of a file`)
    return `${this.#at}/${name}`
  }

  #shown(name: string): string {
    return path.join(this.path, name)
  }

  /** What it holds, in no order. */
  entries(): fs.Dirent[] {
    return fs.readdirSync(this.#at, { withFileTypes: true })
  }

  has(name: string): boolean {
    return fs.lstatSync(this.#of(name), { throwIfNoEntry: false }) !== undefined
  }

  /** Open a folder in it, which has to be ours where this one is. Throws a StoreError (EACCES) where it is not. */
  folder(name: string): Folder {
    const place = this.#of(name)
    const fd = fs.openSync(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    const why = this.isOurs ? doubtOf(fs.fstatSync(fd)) : null
    if (why === null) return new Folder(this.#shown(name), fd, this.isOurs)
    fs.closeSync(fd)
    throw refusal(this.#shown(name), why)
  }

  /** Make a folder in it, and open that. */
  make(name: string): Folder {
    fs.mkdirSync(this.#of(name), 0o700)
    return this.folder(name)
  }

  #file(name: string): Opened {
    return openFile(this.#of(name), O_RDONLY | O_NOFOLLOW, this.#shown(name))
  }

  /**
   * A file's bytes.
   *
   * @param mostBytes that it may have
   * @throws StoreError (ENOENT) where there is none, or where it is a link, no file, or larger
   */
  read(name: string, mostBytes: number): Buffer {
    const { fd, stat } = this.#file(name)
    try {
      return readToEnd(this.#shown(name), fd, stat, mostBytes)
    } finally {
      fs.closeSync(fd)
    }
  }

  /** A file's bytes in pieces, of which each is overwritten by the next. Throws as {@link read} does. */
  *pieces(name: string): Generator<Buffer, void, void> {
    const { fd } = this.#file(name)
    try {
      const piece = Buffer.allocUnsafe(pieceLength)
      for (let n; (n = readSome(this.#shown(name), fd, piece)) > 0;) yield piece.subarray(0, n)
    } finally {
      fs.closeSync(fd)
    }
  }

  /**
   * Make a file that is not there yet; its bytes are on the disk when this returns.
   *
   * @param mode whom it is for, whatever the umask; else for this user only
   */
  write(name: string, pieces: Iterable<Uint8Array>, mode?: number): void {
    const fd = fs.openSync(this.#of(name), 'wx', 0o600)
    try {
      if (mode !== undefined) fs.fchmodSync(fd, mode)
      for (const piece of pieces) fs.writeFileSync(fd, piece)
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
  }

  /** Put a file in the place of one, if there is one: at any moment, and on the disk, it is the old or the new. */
  replace(name: string, pieces: Iterable<Uint8Array>, mode?: number): void {
    const made = `.${name}.new`
    // What a kill left, or what somebody put there.
    fs.rmSync(this.#of(made), { force: true })
    try {
      this.write(made, pieces, mode)
      fs.renameSync(this.#of(made), this.#of(name))
    } catch (error) {
      // On a full disk it would keep the room that others need.
      fs.rmSync(this.#of(made), { force: true })
      throw error
    }
    this.sync()
  }

  /** On the disk when this returns. */
  rename(from: string, to: string): void {
    fs.renameSync(this.#of(from), this.#of(to))
    this.sync()
  }

  /** Remove a file, if it is there, or a folder with all that it holds. Throws a StoreError where that is not ours. */
  remove(name: string): void {
    const stat = fs.lstatSync(this.#of(name), { throwIfNoEntry: false })
    if (!stat) return
    if (!stat.isDirectory()) return fs.unlinkSync(this.#of(name))
    const inner = this.folder(name)
    try {
      for (const entry of inner.entries()) inner.remove(entry.name)
    } finally {
      inner.close()
    }
    fs.rmdirSync(this.#of(name))
  }

  /** Bytes of the files in it, but for those in folders. */
  size(): number {
    return this.entries().reduce((sum, entry) => {
      const stat = entry.isFile()
        ? fs.lstatSync(this.#of(entry.name), { throwIfNoEntry: false })
        : null
      return sum + (stat?.size ?? 0)
    }, 0)
  }

  /**
   * Take its lock (flock(2)), which is let go when this is closed, or its process ends.
   *
   * @returns false where another one has it; where there are no locks everybody gets it
   */
  tryLock(): boolean {
    const { flock, errno } = libc()
    return flock(this.fd, LOCK_EX_NB) === 0 || !busy.has(errnoName(errno()))
  }

  /** Let its names reach the disk. */
  sync(): void {
    fs.fsyncSync(this.fd)
  }

  close(): void {
    fs.closeSync(this.fd)
  }
}

/** Can a folder hold something of that name? */
export const isName = (name: string): boolean =>
  name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)
