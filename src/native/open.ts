/**
 * Opens what others may have replaced meanwhile: a source, a manifest, a state file, a config file. What a path
 * names is looked at once it is open, by its descriptor, and nothing is decided from a look at the path: between
 * the two somebody may have put a FIFO in its place, which would keep whoever opens it waiting for ever.
 */
import fs from 'node:fs'
import { StoreError } from '../pstore/errors.js'
import { openStandardInput, standardInput } from './stdin.js'
import { inWords } from './words.js'

/** What was opened, and what it is. */
export interface Opened {
  readonly fd: number
  readonly stat: fs.Stats
}

/** Errnos that keep their meaning for whoever asked; all others are the file's trouble. */
const passed = ['EACCES', 'EPERM', 'EROFS', 'EISDIR', 'EMFILE'] as const

/** Is there a folder? */
export const isFolder = (path: string): boolean => {
  try {
    return fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  } catch {
    // What keeps it from being looked at is said where it is opened.
    return false
  }
}

/** `PATH: WHY` for a failed system call. */
export const explain = (path: string, error: unknown): StoreError => {
  const { code } = error as NodeJS.ErrnoException
  const isAbsent = code === 'ENOENT' || code === 'ENOTDIR'
  const errno = passed.find(known => known === code) ?? (isAbsent ? 'ENOENT' : 'EIO')
  return new StoreError(`${path}: ${inWords(error)}`, errno)
}

/**
 * What an open file is, and how long. A network's file may be gone, though it is open.
 *
 * @param path for messages
 * @throws StoreError (EIO) where that cannot be told
 */
export const statOf = (path: string, fd: number): fs.BigIntStats => {
  try {
    return fs.fstatSync(fd, { bigint: true })
  } catch (error) {
    throw explain(path, error)
  }
}

/** What tells a file's content from a later one, as far as fstat(2) knows. */
export const versionOf = ({ dev, ino, size, mtimeNs, ctimeNs }: fs.BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join(':')

/**
 * Open whatever is there, and never wait for it: O_NONBLOCK, which means nothing to files and disks. Node adds
 * O_CLOEXEC. The path `-` is standard input, which is waited for.
 *
 * @param flags more of open(2)
 * @param shown the name in messages, where `path` is a descriptor's
 * @throws StoreError where it cannot be opened
 */
export const openNow = (path: string, flags = fs.constants.O_RDONLY, shown = path): Opened => {
  const { O_NONBLOCK, O_NOCTTY } = fs.constants
  let fd: number
  try {
    fd =
      path === standardInput
        ? openStandardInput(flags)
        : fs.openSync(path, flags | O_NONBLOCK | O_NOCTTY)
  } catch (error) {
    if (error instanceof StoreError) throw error
    // What a socket answers; the words alone come from the path.
    if ((error as NodeJS.ErrnoException).code === 'ENXIO' && isSocket(path)) throw pipe(shown)
    throw explain(shown, error)
  }
  try {
    return { fd, stat: fs.fstatSync(fd) }
  } catch (error) {
    fs.closeSync(fd)
    throw explain(shown, error)
  }
}

/** A path's stat(2), where there is something; of `-` standard input's. */
export const statAt = (path: string): fs.BigIntStats => {
  if (path !== standardInput) return fs.statSync(path, { bigint: true })
  const { fd } = openNow(path)
  try {
    return fs.fstatSync(fd, { bigint: true })
  } finally {
    fs.closeSync(fd)
  }
}

/**
 * Open a file or a device.
 *
 * @param flags more of open(2)
 * @param shown as of {@link openNow}
 * @throws StoreError where it cannot be opened, or is a folder, a pipe or a socket
 */
export const openFile = (path: string, flags = fs.constants.O_RDONLY, shown = path): Opened => {
  const opened = openNow(path, flags, shown)
  const { fd, stat } = opened
  if (stat.isFile() || stat.isBlockDevice() || stat.isCharacterDevice()) return opened
  fs.closeSync(fd)
  throw stat.isDirectory()
    ? new StoreError(`${shown}: is a folder, not a file`, 'EISDIR')
    : pipe(shown)
}

/**
 * A small file's bytes, read to its end: what stat says of a length is not so in /proc, and may change.
 *
 * @param mostBytes that it may have
 * @throws StoreError where it cannot be read, is no file or device, or has more
 */
export const readWhole = (path: string, mostBytes: number): Buffer => {
  const { fd, stat } = openFile(path)
  try {
    return readToEnd(path, fd, stat, mostBytes)
  } finally {
    fs.closeSync(fd)
  }
}

/**
 * Read what comes next of an open file.
 *
 * @param from where in `into` its bytes go
 * @returns how many they are; 0: there are no more
 * @throws StoreError where it cannot be read
 */
export const readSome = (path: string, fd: number, into: Buffer, from = 0): number => {
  for (;;)
    try {
      return fs.readSync(fd, into, from, into.length - from, null)
    } catch (error) {
      // A signal came first.
      if ((error as NodeJS.ErrnoException).code !== 'EINTR') throw explain(path, error)
    }
}

/** As {@link readWhole}, of what is open already, from where it stands. */
export const readToEnd = (
  path: string,
  fd: number,
  { size }: fs.Stats,
  mostBytes: number,
): Buffer => {
  const tooLarge = (): StoreError => {
    const most = mostBytes < 2 ** 20 ? `${mostBytes} bytes` : `${mostBytes / 2 ** 20} MiB`
    return new StoreError(`${path}: is too large: more than ${most}`)
  }
  if (size > mostBytes) throw tooLarge()
  // With a byte more than is expected no second buffer is made, and one read tells that there is no more.
  let bytes = Buffer.allocUnsafe(Math.min(size || 4095, mostBytes) + 1)
  let length = 0
  for (;;) {
    const n = readSome(path, fd, bytes, length)
    if (n === 0) return bytes.subarray(0, length)
    length += n
    if (length === size) return bytes.subarray(0, length)
    if (length > mostBytes) throw tooLarge()
    if (length === bytes.length) bytes = Buffer.concat([bytes], Math.min(2 * length, mostBytes + 1))
  }
}

const isSocket = (path: string): boolean =>
  fs.statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false

const pipe = (path: string): StoreError =>
  new StoreError(`${path}: is a pipe or socket, not a file`, 'EIO')
