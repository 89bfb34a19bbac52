/** Terminals beyond what Node knows: pseudo-terminals, their modes and sizes, and the console's redirection. */
import fs from 'node:fs'
import { errnoName, libc } from '../../native/libc.js'
import { StoreError } from '../../pstore/errors.js'

/** Requests of ioctl(2); PowerPC has its own numbers for the size. */
const [TIOCGWINSZ, TIOCSWINSZ] =
  process.arch === 'ppc64' ? [0x40087468, 0x80087467] : [0x5413, 0x5414]
const TIOCCONS = 0x541d
/** In c_lflag. */
const ICANON = 0o2
const ECHO = 0o10
/** The places of c_lflag, a 32-bit word, and of c_cc[VEOF], a byte, in `struct termios`. */
const localFlags = 3
const endOfFile = 17 + 4
const POLLIN = 1

/** A terminal's modes: `struct termios`, with room for any architecture's. */
export type Modes = Buffer

/** A terminal's modes; null where the descriptor is no terminal. */
export const modesOf = (fd: number): Modes | null => {
  // An ArrayBuffer of its own is aligned for words.
  const modes = Buffer.from(new ArrayBuffer(256))
  return libc().tcgetattr(fd, modes) === 0 ? modes : null
}

/** Set a terminal's modes after its pending output; nothing happens where the terminal is gone. */
export const setModes = (fd: number, modes: Modes): void => {
  const afterOutput = 1
  libc().tcsetattr(fd, afterOutput, modes)
}

/** The same modes, with every byte passed unchanged in both directions. */
export const rawModes = (modes: Modes): Modes => {
  const raw = Buffer.from(new ArrayBuffer(modes.length))
  modes.copy(raw)
  libc().cfmakeraw(raw)
  return raw
}

const words = (modes: Modes): Uint32Array => new Uint32Array(modes.buffer, modes.byteOffset, 4)

/** The same modes, without echo of typed text. */
export const silentModes = (modes: Modes): Modes => {
  const silent = Buffer.from(new ArrayBuffer(modes.length))
  modes.copy(silent)
  words(silent)[localFlags]! &= ~ECHO
  return silent
}

/** Whether the terminal gathers lines for its reader, and the character that ends its input. */
export const inputOf = (modes: Modes): { lines: boolean; end: number } => ({
  lines: (words(modes)[localFlags]! & ICANON) !== 0,
  end: modes[endOfFile]!,
})

/** Whether the terminal has unread input. */
export const hasInput = (fd: number): boolean => {
  const request = Buffer.from(new ArrayBuffer(8))
  new Int32Array(request.buffer)[0] = fd
  new Int16Array(request.buffer)[2] = POLLIN
  return libc().poll(request, 1, 0) > 0
}

/** Give a terminal the size of another; nothing happens where the other is no terminal. */
export const copySize = (from: number, to: number): void => {
  const size = Buffer.alloc(8)
  if (libc().ioctl(from, TIOCGWINSZ, size) === 0) libc().ioctl(to, TIOCSWINSZ, size)
}

/** A pseudo-terminal that is nobody's controlling terminal. */
export interface PseudoTerminal {
  /** The non-blocking descriptor of its other end: output is read from it, input is written to it. */
  readonly master: number
  /** Its name: `/dev/pts/3`. */
  readonly name: string
}

/** @throws StoreError (EIO) where the system has no more pseudo-terminals, or none yet, as early in an initramfs */
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
    throw new StoreError(`no pseudo-terminal: ${errnoName(c.errno())}`, 'EIO')
  return { master, name: name.toString('latin1', 0, name.indexOf(0)) }
}

/**
 * The device that /dev/console stands for while no program has taken it: a serial port, or the screen.
 *
 * @returns its path; null where the machine has no console, or /sys is not mounted
 */
export const consoleDevice = (): string | null => {
  let active: string
  try {
    active = fs.readFileSync('/sys/class/tty/console/active', 'latin1')
  } catch {
    return null
  }
  // The kernel may print to several consoles; /dev/console is the last one.
  const last = active.trim().split(' ').at(-1)
  return last ? `/dev/${last}` : null
}

/**
 * Redirect output to /dev/console to a terminal, as `xterm -C` does.
 *
 * @throws StoreError EPERM where that is not allowed, EBUSY where another program has the console already
 */
export const takeConsole = (fd: number): void => {
  if (libc().ioctl(fd, TIOCCONS, null) === 0) return
  const errno = errnoName(libc().errno())
  if (errno === 'EBUSY')
    throw new StoreError('/dev/console: already taken by another program', 'EBUSY')
  throw new StoreError(`/dev/console: cannot be taken: ${errno}: only root may take it`, 'EPERM')
}

/** End the redirection, if it can be; the kernel ends it by itself when the terminal is gone. */
export const giveConsoleBack = (): void => {
  let fd: number
  try {
    fd = fs.openSync('/dev/console', fs.constants.O_WRONLY | fs.constants.O_NOCTTY)
  } catch {
    // An initramfs has handed its /dev on, and what was printed to the terminal has yet to be kept.
    return
  }
  libc().ioctl(fd, TIOCCONS, null)
  fs.closeSync(fd)
}
