/**
 * Waiting for requests in the thread that everything else of this program runs in, too: for the kernel's device
 * and, in the same poll(2), for all that Node's event loop waits for.
 *
 * libuv cannot watch /dev/fuse itself (no handle of its takes it), and a read in its pool of threads costs a
 * request twice as much. So this waits for libuv, on the descriptor that it would wait on.
 */
import fs from 'node:fs'
import { libc } from '../native/libc.js'

const readable = 1
/** After so many ms in a row this program's other work gets its turn. */
const longestRun = 5
/**
 * The longest wait, in ms. What was begun in the last turn of the event loop is known to the descriptor only after
 * the next one; two are made, and whatever came later still is found after this time.
 */
const longestWait = 1000
/** The same while a timer runs: the descriptor does not tell of timers. */
const timerWait = 1

const waitNow = (): number => {
  const waiting = process.getActiveResourcesInfo()
  if (waiting.includes('Immediate')) return 0
  return waiting.includes('Timeout') ? timerWait : longestWait
}

/** The device's next request; 0: there is none; −1: the file system is gone. */
const next = (fd: number, room: Buffer): number => {
  try {
    return fs.readSync(fd, room, 0, room.length, null)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENODEV' || code === 'ECONNABORTED' || code === 'EBADF') return -1
    // ENOENT: the caller was killed before the request could be read.
    if (code === 'EAGAIN' || code === 'EINTR' || code === 'ENOENT') return 0
    throw error
  }
}

export interface Serving {
  /** Resolves when the first request has been answered, which the kernel makes of its own accord. */
  readonly answered: Promise<void>
  /** Resolves when the file system is gone. */
  readonly ended: Promise<void>
}

/**
 * Serve a device until its file system is gone.
 *
 * @param fd non-blocking
 * @param room where requests are put
 * @param handle answers the request of so many bytes there; a promise where that takes a turn of the event loop
 * @param isStopped asked in each of its turns: true ends the serving
 */
export const serveDevice = (
  fd: number,
  room: Buffer,
  {
    handle,
    isStopped,
  }: { handle: (length: number) => Promise<void> | undefined; isStopped: () => boolean },
): Serving => {
  const { poll, uvBackendFd } = libc()
  // struct pollfd: a descriptor, what is waited for, what came.
  const fds = new Int16Array(8)
  const descriptors = new Int32Array(fds.buffer)
  descriptors[0] = fd
  descriptors[2] = uvBackendFd()
  fds[2] = fds[6] = readable
  const buffer = Buffer.from(fds.buffer)
  let isAnswered = false
  let tellAnswered = (): void => {}
  const answered = new Promise<void>(resolve => (tellAnswered = resolve))

  /** Answer requests for a while; gives false once the file system is gone. */
  const run = (): boolean => {
    const end = performance.now() + longestRun
    let wait = waitNow()
    for (;;) {
      // Nothing came, or a signal.
      if (poll(buffer, 2, wait) <= 0) return true
      if (fds[3]) {
        const length = next(fd, room)
        if (length < 0) return false
        if (length > 0) {
          // A promise is kept in a turn of the event loop.
          if (handle(length)) wait = 0
          if (!isAnswered) {
            isAnswered = true
            tellAnswered()
            return true
          }
        }
      }
      if (fds[7] || performance.now() > end) return true
    }
  }
  const ended = new Promise<void>((resolve, reject) => {
    const turn = (): void => {
      try {
        if (!isStopped() && run()) setImmediate(() => setImmediate(turn))
        else resolve()
      } catch (error) {
        reject(error as Error)
      }
    }
    setImmediate(turn)
  })
  return { answered, ended }
}
