/** Following a ring as an iteration: what it holds, then what is appended to it. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import { Follower, pauseAfter, shortestPause, type Gap } from '../pstore/follower.js'

/** How a ring is followed. */
export interface FollowOptions {
  /** False: only what is appended from now on. Default: what the ring holds already comes first. */
  history?: boolean
  /** Ends it: the iteration then throws an AbortError, as Node's own do. */
  signal?: AbortSignal
  /** Told before the next bytes, where the ring was erased, or was written all round faster than it was read. */
  told?: (gap: Gap) => void
}

/**
 * Follow a ring (a zone of console, pmsg or tty), as `tail -f` does, also while its guest writes to it. It goes on until
 * the loop is left or the signal ends it. Looking takes a 10 to 100 ms' turn of the event loop.
 *
 * @param name of the ring's file; an empty one can be followed, too
 * @returns bytes, each a copy of its own
 * @throws StoreError (ENOENT) where the backend has no such ring, (EIO) where it cannot be read; so does the iteration
 * @example
 * ```ts
 * import { attach, follow } from 'pstorefs'
 *
 * const backend = attach('region.img', { readOnly: true })
 * for await (const bytes of follow(backend, 'console-ramoops-0')) {
 *   process.stdout.write(bytes)
 *   if (bytes.includes('Kernel panic')) break
 * }
 * backend.close()
 * ```
 */
export const follow = (
  backend: Backend,
  name: string,
  options: FollowOptions = {},
): AsyncGenerator<Buffer, void, void> => {
  const rings = backend.rings()
  const ring = rings.find(one => one.name === name)
  if (!ring) {
    const others = rings.map(one => one.name).join(', ')
    throw new StoreError(`${name}: no ring; there is ${others || 'none'}`, 'ENOENT')
  }
  // Looked at now: what is appended before the loop begins is news, too.
  return bytesOf(new Follower(ring, options.history ?? true), options)
}

async function* bytesOf(
  follower: Follower,
  { signal, told }: FollowOptions,
): AsyncGenerator<Buffer, void, void> {
  for (let pause = shortestPause; ;) {
    await sleep(pause, null, signal && { signal })
    const begin = performance.now()
    const news = follower.poll(begin)
    pause = pauseAfter(pause, news !== null, performance.now() - begin)
    if (!news) continue
    const { erased, lost, pieces } = news
    if (erased || lost !== null) told?.({ erased, lost })
    // The follower's own are changed by the next look.
    for (const piece of pieces.map(piece => Buffer.from(piece))) yield piece
  }
}
