/** A backend as a mount serves it, wherever it is attached. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend, RecordFacts } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import { recordsOf, type Records } from '../pstore/records.js'
import type { Soon } from '../pstore/soon.js'
import { damageOf } from './damage.js'

export interface Served extends Records {
  /**
   * Look for damage, while others have their turn.
   *
   * @returns lines for the log
   * @throws StoreError, a rejection, where the store cannot be read or is detached
   */
  damage(): AsyncGenerator<string, void, void>
  /** Detach it. */
  close(): void
}

/** For how long an erasure is tried while another process holds the store, in ms. */
const busyPatience = 5000
/** How often, in ms. Nobody else waits in between. */
const busyInterval = 20

/** For how long zones are looked at in a row, and for how long not, in ms: whoever reads meanwhile hardly waits. */
const scanLength = 5
const scanPause = 50

const isBusy = (error: unknown): boolean => error instanceof StoreError && error.errno === 'EBUSY'

/**
 * Erase once the store is free: a thread that serves others tries once, and whoever asked may wait.
 *
 * @throws StoreError (EBUSY) where another process does not let go of it
 */
export const eraseWhenFree = (erase: () => Soon<boolean>): Soon<boolean> => {
  const again = async (): Promise<boolean> => {
    for (const end = performance.now() + busyPatience; ;) {
      await sleep(busyInterval)
      try {
        return await erase()
      } catch (error) {
        if (!isBusy(error) || performance.now() > end) throw error
      }
    }
  }
  const orAgain = (error: unknown): Promise<boolean> => {
    if (!isBusy(error)) throw error
    return again()
  }
  try {
    const erased = erase()
    return erased instanceof Promise ? erased.catch(orAgain) : erased
  } catch (error) {
    return orAgain(error)
  }
}

/** A backend that is attached in this thread. */
export const servedHere = (backend: Backend): Served => {
  const records = recordsOf(backend)
  let isClosed = false
  return {
    ...records,
    erase: (record: RecordFacts) => eraseWhenFree(() => records.erase(record)),
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
    close: () => {
      isClosed = true
      backend.close()
    },
  }
}
