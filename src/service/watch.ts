/** A mount's sources, looked at once a second: where another file has taken a source's place, that one is served. */
import { assertStoreError } from '../pstore/errors.js'
import { log, logOnce } from './log.js'
import { lookInterval, type Place } from './replaced.js'

/** What is served, and where its source is. */
export interface Watched<B> {
  readonly backend: B
  readonly place: Place
}

/**
 * Watch until the process ends.
 *
 * @param all what is served now
 * @param renew serves what is at a backend's place by now; one at a time
 */
export const watch = <B extends object>(
  all: () => readonly Watched<B>[],
  renew: (backend: B) => Promise<void>,
): void => {
  /** What is being looked at: a medium that does not answer is not asked again. */
  const busy = new Set<B>()
  /** What has been told to be gone. */
  const gone = new WeakSet<B>()
  const look = async ({ backend, place }: Watched<B>): Promise<void> => {
    const { path } = place
    const fate = await place.lookSoon()
    if (fate === 'gone' && !gone.has(backend)) {
      gone.add(backend)
      log('warning', `${path}: is gone: what was there is served until a new one comes`)
    }
    if (fate === 'same') gone.delete(backend)
    if (fate !== 'replaced') return
    try {
      await renew(backend)
      log('notice', `${path}: was replaced: the new one is served from now on`)
    } catch (error) {
      assertStoreError(error)
      logOnce(
        'warning',
        path,
        `${path}: was replaced, and the new one is not attached: ${error.message}`,
      )
    }
  }
  setInterval(() => {
    for (const watched of all()) {
      if (busy.has(watched.backend)) continue
      busy.add(watched.backend)
      void look(watched).finally(() => busy.delete(watched.backend))
    }
  }, lookInterval).unref()
}
