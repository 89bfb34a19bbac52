/**
 * A lock on a source that works across processes (ARCHITECTURE.md 5): flock(2) on the source itself, which
 * the kernel drops when its holder dies, so that none is ever stale.
 *
 * Within a process all regions of one source share one lock: flock knows descriptors, not
 * processes, so two of our own would wait for each other for ever.
 */
import fs from 'node:fs'
import { errnoName, libc } from '../native/libc.js'
import { statOf } from '../native/open.js'
import { codeInWords, inWords } from '../native/words.js'
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

/** flock(2)'s operations: two tries, neither of which waits, and letting go. */
const LOCK_SH_NB = 1 | 4
const LOCK_EX_NB = 2 | 4
const LOCK_UN = 8
type Try = typeof LOCK_SH_NB | typeof LOCK_EX_NB

/** False in a thread that serves others. */
let patient = true

/**
 * From now on nobody waits for a lock in this thread: each attempt is one try. For a thread that serves a mount,
 * in which one who waits keeps all others waiting. flock(2) needs no permission to write, so whoever can read a
 * source could make them wait.
 */
export const neverWait = (): void => {
  patient = false
}

const locks = new Map<string, SourceLock>()
const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** What flock answers on file systems that have no locks: then a file under /run stands for the source. */
const unlockable = new Set(['EOPNOTSUPP', 'ENOTSUP', 'ENOLCK', 'EINVAL', 'ENOSYS', 'EBADF'])

/** Where lock files lie: /run for root, the user's own runtime folder for others. */
const lockFolder = (): string =>
  `${process.getuid?.() === 0 ? '/run' : (process.env.XDG_RUNTIME_DIR ?? '/tmp')}/pstorefs`

/**
 * Open a lock file in that folder, which is made where it is not there. Whoever else could write to the folder
 * could keep us waiting, or have us write through a link: /tmp is everybody's.
 *
 * @throws StoreError (EACCES, EIO) where it is another's, or cannot be used
 */
const openLockFile = (name: string): number => {
  const folder = lockFolder()
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = fs.constants
  try {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
    const stat = fs.lstatSync(folder)
    if (!stat.isDirectory() || stat.uid !== process.geteuid?.() || stat.mode & 0o022)
      throw new StoreError(
        `${folder}: cannot hold locks: others could change it; remove it, or make it yours alone`,
        'EACCES',
      )
    // What lies in a folder of our own is our own.
    return fs.openSync(`${folder}/${name}`, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
  } catch (error) {
    if (error instanceof StoreError) throw error
    throw new StoreError(`${folder}: cannot hold locks: ${inWords(error)}`, 'EIO')
  }
}

/** Open the locks of all regions now: later it may not be permitted. */
export const openLocks = (): void => {
  for (const lock of locks.values()) lock.open()
}

export class SourceLock {
  /** Grows with each acquisition, and as another takes the hold over: what was read before may have changed since. */
  epoch = 0
  /** For whom the hold was last asked for. */
  #by: object | null = null
  #users = 0
  /** A user's descriptor, from which our own is made when it is first needed. */
  #source = -1
  /** Our own, on which the lock is taken; -1 until then. */
  #fd = -1
  /** True where that is a lock file's. */
  #standsIn = false
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
   * @throws StoreError (EIO) where it is not told which file that is
   */
  static of(path: string, fd: number, writable: boolean): SourceLock {
    const stat = statOf(path, fd)
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
      this.#standsIn = false
    } catch (error) {
      const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
      const why = isMissing ? 'is /proc mounted?' : inWords(error)
      throw new StoreError(`${this.path}: cannot be locked: ${why}`, 'EIO')
    }
  }

  #tryLock(operation: Try): boolean {
    if (libc().flock(this.#fd, operation) === 0) return true
    const code = errnoName(libc().errno())
    if (code === 'EAGAIN' || code === 'EWOULDBLOCK' || code === 'EINTR') return false
    if (unlockable.has(code) && !this.#standsIn) {
      this.#standIn()
      return this.#tryLock(operation)
    }
    throw new StoreError(`${this.path}: cannot be locked: ${codeInWords(code) ?? code}`, 'EIO')
  }

  /** Use a lock file for a source that cannot be locked. */
  #standIn(): void {
    const fd = openLockFile(`${this.key}.lock`)
    fs.closeSync(this.#fd)
    this.#fd = fd
    this.#standsIn = true
  }

  /**
   * Take the lock, or give up after `patience` ms.
   *
   * There is no queue: whoever asks again and again finds a moment, as nobody keeps it for longer than
   * {@link longestHold}, and writers that go on pause then.
   */
  #acquire(operation: Try, patience: number): boolean {
    this.open()
    const end = performance.now() + patience
    while (!this.#tryLock(operation)) {
      if (!patient || performance.now() > end) return false
      Atomics.wait(sleeper, 0, 0, pollInterval)
    }
    return true
  }

  #unlock(): void {
    libc().flock(this.#fd, LOCK_UN)
  }

  /**
   * Do something while no writer of this kind is at work. After {@link readerPatience} it is done
   * anyway: a writer that hangs must not make the region unreadable.
   *
   * @param work is told whether it is alone. If not, a writer may be in the midst of its stores
   */
  shared<T>(work: (alone: boolean) => T): T {
    if (this.#held) return work(true)
    let locked = false
    try {
      locked = this.#acquire(LOCK_SH_NB, readerPatience)
    } catch {
      // A source that cannot be locked can still be read.
    }
    try {
      return work(locked)
    } finally {
      if (locked) this.#unlock()
    }
  }

  /**
   * Take the lock for writing and keep it until this turn of the event loop ends, so that a run of
   * appends pays for it once (flock and its release cost some 30 appends). A long run lets others in
   * every {@link longestHold} ms.
   *
   * @param by whose knowledge of the source the epoch is for: of several users in a process each may write
   * @param wait how long others may keep it, in ms
   * @returns the epoch
   * @throws StoreError (EBUSY) where another process does not let go of it
   */
  hold(by: object = this, wait = writerPatience): number {
    if (this.#held) {
      if (this.#by !== by) {
        this.#by = by
        this.epoch++
      }
      if (this.#pinned) return this.epoch
      if (++this.#turns % turnsOf || performance.now() - this.#heldSince < longestHold)
        return this.epoch
      this.release()
      // As long as who waits may sleep: none of them misses it.
      if (patient) Atomics.wait(sleeper, 0, 0, pollInterval)
    }
    if (!this.#acquire(LOCK_EX_NB, wait))
      throw new StoreError(`${this.path}: another process holds it exclusively`, 'EBUSY')
    this.#held = true
    this.#by = by
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
