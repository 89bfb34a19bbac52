/** A backend as a mount serves it, wherever it is attached. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend } from '../pstore/backend.js'
import { describeUnreadable, type Unreadable } from '../pstore/unreadable.js'
import { patiently } from '../pstore/patience.js'
import { recordsOf, type Records } from '../pstore/records.js'
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

/** For how long zones are looked at in a row, and for how long not, in ms: whoever reads meanwhile hardly waits. */
const scanLength = 5
const scanPause = 50

/** Log that a listing leaves a record out, at most once a minute. */
const tellUnreadable = (what: Unreadable): void =>
  logOnce('warning', what.name, describeUnreadable(what))

/** A backend that is attached in this thread. */
export const servedHere = (backend: Backend): Served => {
  let isClosed = false
  return {
    ...patiently(recordsOf(backend, tellUnreadable)),
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
