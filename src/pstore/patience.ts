/** Waiting for a store that another process holds, in a thread in which nobody else may wait for that. */
import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from './errors.js'
import type { Records } from './records.js'
import type { Soon } from './soon.js'

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
  const end = performance.now() + patience
  let busy: unknown
  do {
    await sleep(busyInterval)
    try {
      return await work()
    } catch (error) {
      if (!isBusy(error)) throw error
      busy = error
    }
  } while (performance.now() <= end)
  throw busy
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

/** Records of which who asks waits while another process writes to their store. */
export const patiently = (records: Records): Records => {
  const patience = new Patience()
  return {
    ...records,
    open: name => patience.open(alone => records.open(name, alone)),
    erase: record => patience.erase(() => records.erase(record)),
  }
}
