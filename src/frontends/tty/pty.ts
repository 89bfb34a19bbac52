/**
 * What libc knows of terminals and Node does not: pseudo-terminals, their modes and sizes, and who gets
 * what is written to the console (native-notes/koffi.md).
 */
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import type Koffi from 'koffi'
import { StoreError } from '../../pstore/errors.js'

/** ioctl(2)'s requests; PowerPC has numbers of its own for the size. */
const [TIOCGWINSZ, TIOCSWINSZ] =
  process.arch === 'ppc64' ? [0x40087468, 0x80087467] : [0x5413, 0x5414]
const TIOCCONS = 0x541d
/** In c_lflag. */
const ICANON = 0o2
const ECHO = 0o10
/** Where `struct termios` has c_lflag, as a 32-bit word, and c_cc[VEOF]. */
const localFlags = 3
const endOfFile = 17 + 4
const POLLIN = 1

interface Libc {
  unlockpt(fd: number): number
  ptsname_r(fd: number, name: Buffer, size: number): number
  tcgetattr(fd: number, modes: Buffer): number
  tcsetattr(fd: number, when: number, modes: Buffer): number
  cfmakeraw(modes: Buffer): void
  poll(fds: Buffer, count: number, timeout: number): number
  ioctl(fd: number, request: number, data: Buffer | null): number
  errno(): string
}

let loaded: Libc | null = null

/** Loaded when the first terminal is looked at: most commands look at none. */
const libc = (): Libc => {
  if (loaded) return loaded
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
  const c = koffi.load(null)
  const ioctl = c.func('int ioctl(int, unsigned long, ...)')
  const names = new Map(Object.entries(os.constants.errno).map(([name, n]) => [n, name]))
  loaded = {
    unlockpt: c.func('int unlockpt(int)'),
    ptsname_r: c.func('int ptsname_r(int, _Out_ char *, size_t)'),
    tcgetattr: c.func('int tcgetattr(int, _Out_ void *)'),
    tcsetattr: c.func('int tcsetattr(int, int, void *)'),
    cfmakeraw: c.func('void cfmakeraw(_Inout_ void *)'),
    poll: c.func('int poll(_Inout_ void *, unsigned long, int)'),
    ioctl: (fd, request, data) => ioctl(fd, request, 'void *', data) as number,
    errno: () => names.get(koffi.errno()) ?? String(koffi.errno()),
  }
  return loaded
}

/** A terminal's modes: libc's `struct termios`, with room for any. */
export type Modes = Buffer

/** A terminal's modes; null where a descriptor is no terminal. */
export const modesOf = (fd: number): Modes | null => {
  // Aligned, for the words in it.
  const modes = Buffer.from(new ArrayBuffer(256))
  return libc().tcgetattr(fd, modes) === 0 ? modes : null
}

/** Set a terminal's modes once what was written to it is out; a terminal that is gone stays as it is. */
export const setModes = (fd: number, modes: Modes): void => {
  const afterOutput = 1
  libc().tcsetattr(fd, afterOutput, modes)
}

/** The same modes, but every byte passes as it is, in both directions. */
export const rawModes = (modes: Modes): Modes => {
  const raw = Buffer.from(new ArrayBuffer(modes.length))
  modes.copy(raw)
  libc().cfmakeraw(raw)
  return raw
}

const words = (modes: Modes): Uint32Array => new Uint32Array(modes.buffer, modes.byteOffset, 4)

/** The same modes, but what is typed is not shown. */
export const silentModes = (modes: Modes): Modes => {
  const silent = Buffer.from(new ArrayBuffer(modes.length))
  modes.copy(silent)
  words(silent)[localFlags] &= ~ECHO
  return silent
}

/** Does the terminal gather lines for its reader, and which character ends its input? */
export const inputOf = (modes: Modes): { lines: boolean; end: number } => ({
  lines: (words(modes)[localFlags] & ICANON) !== 0,
  end: modes[endOfFile],
})

/** Has the terminal input that nobody has read yet? */
export const hasInput = (fd: number): boolean => {
  const request = Buffer.from(new ArrayBuffer(8))
  new Int32Array(request.buffer)[0] = fd
  new Int16Array(request.buffer)[2] = POLLIN
  return libc().poll(request, 1, 0) > 0
}

/** Give one terminal the size of another; nothing where that is none. */
export const copySize = (from: number, to: number): void => {
  const size = Buffer.alloc(8)
  if (libc().ioctl(from, TIOCGWINSZ, size) === 0) libc().ioctl(to, TIOCSWINSZ, size)
}

/** Both ends of a pseudo-terminal that nobody has for a controlling terminal. */
export interface PseudoTerminal {
  /** What is written to the terminal is read from this descriptor, and the other way round; it never blocks. */
  readonly master: number
  /** Its name: `/dev/pts/3`. */
  readonly name: string
}

/** @throws StoreError (EIO) where the system has no more of them, or none yet, as early in an initramfs */
export const openTerminal = (): PseudoTerminal => {
  const { O_RDWR, O_NOCTTY, O_NONBLOCK } = fs.constants
  let master: number
  try {
    master = fs.openSync('/dev/ptmx', O_RDWR | O_NOCTTY | O_NONBLOCK)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'ENODEV' || code === 'ENOENT' ? `${code}: is /dev/pts mounted?` : message
    throw new StoreError(`no pseudo-terminal: ${why}`, 'EIO')
  }
  const c = libc()
  const name = Buffer.alloc(64)
  if (c.unlockpt(master) !== 0 || c.ptsname_r(master, name, name.length) !== 0)
    throw new StoreError(`no pseudo-terminal: ${c.errno()}`, 'EIO')
  return { master, name: name.toString('latin1', 0, name.indexOf(0)) }
}

/**
 * Where /dev/console is, but for a program that took it: a serial port, or the screen.
 *
 * @returns its path; null where the machine has none, or /sys is not mounted
 */
export const consoleDevice = (): string | null => {
  let active: string
  try {
    active = fs.readFileSync('/sys/class/tty/console/active', 'latin1')
  } catch {
    return null
  }
  // Several may print the kernel's messages; the last one is what /dev/console stands for.
  const last = active.trim().split(' ').at(-1)
  return last ? `/dev/${last}` : null
}

/**
 * Have what programs write to /dev/console go to a terminal instead, as `xterm -C` does.
 *
 * @throws StoreError (EPERM, EBUSY) where that is not allowed, or somebody else has it already
 */
export const takeConsole = (fd: number): void => {
  if (libc().ioctl(fd, TIOCCONS, null) === 0) return
  const errno = libc().errno()
  if (errno === 'EBUSY')
    throw new StoreError('/dev/console: another program has taken it already', 'EBUSY')
  throw new StoreError(`/dev/console: cannot be taken: ${errno}: only root may`, 'EPERM')
}

/** Have it go where it went before. The kernel does so by itself when the terminal is gone. */
export const giveConsoleBack = (): void => {
  const fd = fs.openSync('/dev/console', fs.constants.O_WRONLY | fs.constants.O_NOCTTY)
  libc().ioctl(fd, TIOCCONS, null)
  fs.closeSync(fd)
}
