/** A backend as a mount serves it, wherever it is attached. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend } from '../pstore/backend.js'
import { describeUnreadable, type Unreadable } from '../pstore/unreadable.js'
import { StoreError } from '../pstore/errors.js'
import { recordsOf, type Records } from '../pstore/records.js'
import type { Soon } from '../pstore/soon.js'
import { damageOf } from './damage.js'
import { allDoubtsOf } from './doubts.js'
import { logOnce } from './log.js'

export interface Served extends Records {
  /**
   * Look for damage, while others have their turn.
   *
   * @returns lines for the log
   * @throws StoreError, a rejection, where the store cannot be read or is detached
   */
  damage(): AsyncGenerator<string, void, void>
  /** What a user has to know of it before its records, in a line each. */
  doubts(): Promise<string[]>
  /** Detach it. */
  close(): void
}

/** For how long an erasure is tried while another process holds the store, in ms. */
const erasePatience = 5000
/**
 * The same of a look into a ring, which then is taken as it is, and what is uncertain of it cut. A writer of this
 * program lets go every 10 ms.
 */
const readPatience = 1000
/** How often, in ms. Nobody else waits in between. */
const busyInterval = 1
/** For how long nobody waits after a wait that was in vain, in ms: whoever holds the store keeps it. */
const resigned = 2000

const isBusy = (error: unknown): boolean => error instanceof StoreError && error.code === 'EBUSY'

/** Do something again and again while it throws EBUSY. */
const insist = async <T>(work: () => Soon<T>, patience: number): Promise<T> => {
  for (const end = performance.now() + patience; ;) {
    await sleep(busyInterval)
    try {
      return await work()
    } catch (error) {
      if (!isBusy(error) || performance.now() > end) throw error
    }
  }
}

/** Do something, and something else where it throws EBUSY, at once or later. */
const orWhenBusy = <T>(work: () => Soon<T>, instead: (error: unknown) => Soon<T>): Soon<T> => {
  const caught = (error: unknown): Soon<T> => {
    if (!isBusy(error)) throw error
    return instead(error)
  }
  try {
    const done = work()
    return done instanceof Promise ? done.catch(caught) : done
  } catch (error) {
    return caught(error)
  }
}

/**
 * What waits for a store while another process writes to it. The thread that looks into the store tries once;
 * whoever asked may wait, and nobody else does.
 */
export class Patience {
  #resignedUntil = -Infinity

  /** @throws StoreError (EBUSY) where another process does not let go of it */
  erase(erase: () => Soon<boolean>): Soon<boolean> {
    return orWhenBusy(erase, () => insist(erase, erasePatience))
  }

  /** @param open told whether it must be alone */
  open<T>(open: (alone: boolean) => Soon<T>): Soon<T> {
    if (performance.now() < this.#resignedUntil) return open(false)
    const alone = (): Soon<T> => open(true)
    return orWhenBusy(alone, () =>
      orWhenBusy(
        () => insist(alone, readPatience),
        () => {
          this.#resignedUntil = performance.now() + resigned
          return open(false)
        },
      ),
    )
  }
}

/** For how long zones are looked at in a row, and for how long not, in ms: whoever reads meanwhile hardly waits. */
const scanLength = 5
const scanPause = 50

/** Log that a listing leaves a record out, at most once a minute. */
const tellUnreadable = (what: Unreadable): void =>
  logOnce('warning', what.name, describeUnreadable(what))

/** A backend that is attached in this thread. */
export const servedHere = (backend: Backend): Served => {
  const records = recordsOf(backend, tellUnreadable)
  const patience = new Patience()
  let isClosed = false
  return {
    ...records,
    open: name => patience.open(alone => records.open(name, alone)),
    erase: record => patience.erase(() => records.erase(record)),
    // Few ask.
    crash: async name => (await import('./what-crashed.js')).whatCrashed(backend, name),
    async *damage() {
      let end = performance.now() + scanLength
      for (const line of damageOf(backend)) {
        if (line !== null) yield line
        if (performance.now() > end) {
          await sleep(scanPause)
          end = performance.now() + scanLength
        }
        if (isClosed) return
      }
    },
    doubts: async () => allDoubtsOf(backend),
    close: () => {
      isClosed = true
      backend.close()
    },
  }
}
