/**
 * A lock on a source that works across processes (ARCHITECTURE.md 5): flock(2) on the source itself, which
 * the kernel drops when its holder dies, so that none is ever stale.
 *
 * Within a process all regions of one source share one lock: flock knows descriptors, not
 * processes, so two of our own would wait for each other for ever.
 */
import fs from 'node:fs'
import { flockSync } from 'fs-ext'
import { StoreError } from '../pstore/errors.js'

/** How long a writer waits for another, in ms, before it gives up with EBUSY. */
const writerPatience = 5000
/** How long a reader waits for a consistent moment, in ms, before it reads what is there. */
const readerPatience = 250
/** How often is looked whether a lock is free, in ms. */
const pollInterval = 0.2
/** How many appends a process makes before it looks whether others want the lock. */
const turnsOf = 256
/** For how long one process may keep the lock while others wait, in ms. */
const longestHold = 10

const locks = new Map<string, SourceLock>()
const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** What flock answers on file systems that have no locks: then a file under /run stands for the source. */
const unlockable = new Set(['EOPNOTSUPP', 'ENOTSUP', 'ENOLCK', 'EINVAL', 'ENOSYS', 'EBADF'])

/** Where lock files lie: /run for root, the user's own runtime folder for others. */
const lockFolder = (): string =>
  `${process.getuid?.() === 0 ? '/run' : (process.env.XDG_RUNTIME_DIR ?? '/tmp')}/pstorefs`

/** Open the locks of all regions now: later it may not be permitted. */
export const openLocks = (): void => {
  for (const lock of locks.values()) lock.open()
}

export class SourceLock {
  /** Grows with each acquisition: what was read under an earlier one may have changed since. */
  epoch = 0
  #users = 0
  /** A user's descriptor, from which our own is made when it is first needed. */
  #source = -1
  /** Our own, on which the lock is taken; -1 until then. */
  #fd = -1
  #writable = false
  #held = false
  /** How many pieces of work are being done under one hold. */
  #pinned = 0
  #turns = 0
  #heldSince = 0
  #releasing: NodeJS.Immediate | null = null

  private constructor(
    readonly path: string,
    readonly key: string,
  ) {}

  /**
   * The lock of the source that is open as `fd`. Close it when done.
   *
   * @param writable whether `fd` is open for writing, which {@link hold} takes
   */
  static of(path: string, fd: number, writable: boolean): SourceLock {
    const stat = fs.fstatSync(fd)
    const key =
      stat.isBlockDevice() || stat.isCharacterDevice()
        ? `device-${stat.rdev}`
        : `file-${stat.dev}-${stat.ino}`
    let lock = locks.get(key)
    if (!lock) locks.set(key, (lock = new SourceLock(path, key)))
    if (writable ? !lock.#writable : lock.#users === 0) lock.#use(fd, writable)
    lock.#users++
    return lock
  }

  #use(fd: number, writable: boolean): void {
    this.#source = fd
    this.#writable = writable
    if (this.#fd < 0) return
    // On NFS one that cannot be written takes no exclusive lock.
    fs.closeSync(this.#fd)
    this.#fd = -1
    this.open()
  }

  /**
   * Open the source once more: flock belongs to an open file, and a region's may be closed before the
   * lock's last user is. By descriptor: the same inode, whatever the path names by now. Only when it is
   * needed: of a thousand regions in a mount few are ever locked.
   */
  open(): void {
    if (this.#fd >= 0) return
    const { O_RDWR, O_RDONLY } = fs.constants
    try {
      this.#fd = fs.openSync(`/proc/self/fd/${this.#source}`, this.#writable ? O_RDWR : O_RDONLY)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const why = code === 'ENOENT' ? 'is /proc mounted?' : code
      throw new StoreError(`${this.path}: cannot be locked: ${why}`, 'EIO')
    }
  }

  #tryLock(mode: 'shnb' | 'exnb'): boolean {
    try {
      flockSync(this.#fd, mode)
      return true
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EAGAIN' || code === 'EWOULDBLOCK' || code === 'EINTR') return false
      if (code && unlockable.has(code) && this.#standIn()) return this.#tryLock(mode)
      throw new StoreError(`${this.path}: cannot be locked: ${code}`, 'EIO')
    }
  }

  /** Use a lock file for a source that cannot be locked; false where that is done already. */
  #standIn(): boolean {
    const folder = lockFolder()
    const file = `${folder}/${this.key}.lock`
    if (fs.readlinkSync(`/proc/self/fd/${this.#fd}`) === file) return false
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
    const { O_RDWR, O_CREAT, O_NOFOLLOW } = fs.constants
    const fd = fs.openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
    fs.closeSync(this.#fd)
    this.#fd = fd
    return true
  }

  /**
   * Take the lock, or give up after `patience` ms.
   *
   * There is no queue: whoever asks again and again finds a moment, as nobody keeps it for longer than
   * {@link longestHold}, and writers that go on pause then.
   */
  #acquire(mode: 'shnb' | 'exnb', patience: number): boolean {
    this.open()
    const end = performance.now() + patience
    while (!this.#tryLock(mode)) {
      if (performance.now() > end) return false
      Atomics.wait(sleeper, 0, 0, pollInterval)
    }
    return true
  }

  #unlock(): void {
    flockSync(this.#fd, 'un')
  }

  /**
   * Do something while no writer of this kind is at work. After {@link readerPatience} it is done
   * anyway: a writer that hangs must not make the region unreadable.
   */
  shared<T>(work: () => T): T {
    if (this.#held) return work()
    let locked = false
    try {
      locked = this.#acquire('shnb', readerPatience)
    } catch {
      // A source that cannot be locked can still be read.
    }
    try {
      return work()
    } finally {
      if (locked) this.#unlock()
    }
  }

  /**
   * Take the lock for writing and keep it until this turn of the event loop ends, so that a run of
   * appends pays for it once (flock and its release cost some 30 appends). A long run lets others in
   * every {@link longestHold} ms.
   *
   * @returns the epoch
   * @throws StoreError (EBUSY) where another process does not let go of it
   */
  hold(): number {
    if (this.#held) {
      if (this.#pinned) return this.epoch
      if (++this.#turns % turnsOf || performance.now() - this.#heldSince < longestHold)
        return this.epoch
      this.release()
      // As long as who waits may sleep: none of them misses it.
      Atomics.wait(sleeper, 0, 0, pollInterval)
    }
    if (!this.#acquire('exnb', writerPatience))
      throw new StoreError(`${this.path}: another process holds it exclusively`, 'EBUSY')
    this.#held = true
    this.#heldSince = performance.now()
    this.#releasing ??= setImmediate(() => {
      this.#releasing = null
      this.release()
    })
    return ++this.epoch
  }

  /**
   * Do something that takes more than one store, while no other process does: nobody else gets the lock
   * before it is done.
   *
   * @throws StoreError (EBUSY) where another process does not let go of it
   */
  exclusively<T>(work: () => T): T {
    this.hold()
    this.#pinned++
    try {
      return work()
    } finally {
      this.#pinned--
      this.release()
    }
  }

  /** Let go before the turn ends. */
  release(): void {
    if (!this.#held || this.#pinned) return
    this.#held = false
    this.#unlock()
  }

  close(): void {
    if (--this.#users > 0) {
      // The descriptor that ours would be made from may be about to go.
      this.open()
      return
    }
    this.release()
    if (this.#releasing) clearImmediate(this.#releasing)
    locks.delete(this.key)
    if (this.#fd >= 0) fs.closeSync(this.#fd)
  }
}
