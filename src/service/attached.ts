/** The backends of a mount, which change when the config file is read again. */
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { parseSource, sourceOf } from '../attach.js'
import { standardInput } from '../native/stdin.js'
import { Reserve } from '../native/descriptors.js'
import type { Backend } from '../pstore/backend.js'
import { select, selectSoon, type Failure } from '../pstore/select.js'
import type { Soon } from '../pstore/soon.js'
import type { MountHow } from './attach-as.js'
import { log, tell } from './log.js'
import { Place } from './replaced.js'
import type { BackendChoice, MountPlan, SourceCandidate } from './plan.js'
import type { Served } from './served.js'
import type { Watched } from './watch.js'

/** How many backends that fail are named. */
const listed = 10

export const describeFailure = ({ name, error }: Failure): string =>
  `backend ${name}: not attached: ${error.message}`

export const tellFailures = (failures: readonly Failure[]): void => {
  for (const failure of failures.slice(0, listed)) tell(describeFailure(failure))
  if (failures.length > listed) tell(`… ${failures.length - listed} more backends are not attached`)
}

/** `backend=` as text. */
const wantedOf = (chosen: BackendChoice): string | undefined =>
  chosen === null ? undefined : [chosen].flat().join()

/**
 * Attach the backends that were chosen, and report those that cannot be.
 *
 * @param told reports them
 */
export const attachSelected = (
  candidates: readonly SourceCandidate[],
  chosen: BackendChoice,
  attachOne: (candidate: SourceCandidate) => Backend,
  told = tellFailures,
): Backend[] => {
  const { attached, failures } = select(candidates, wantedOf(chosen), attachOne)
  told(failures)
  return attached
}

/** How a backend was attached. */
interface Attachment {
  readonly candidate: SourceCandidate
  readonly how: MountHow
  readonly place: Place
}

/** How long it may take to tell what is at a place by now, in ms: a medium that hangs keeps what was attached. */
const patience = 1000

export class Attached {
  readonly #all = new Map<Served, Attachment>()
  /** Those that could not be attached when a plan was last carried out. */
  failures: readonly Failure[] = []

  /** @param attachOne attaches a backend, here or in another thread */
  constructor(readonly attachOne: (candidate: SourceCandidate, how: MountHow) => Soon<Served>) {}

  /**
   * Attach the backends of a plan. A backend that is attached already, with the same options and from the same
   * file, is kept.
   *
   * @returns all backends of the plan, and separately the new ones
   * @throws StoreError, a rejection, as {@link select} does; then nothing has changed
   */
  async attach(plan: MountPlan): Promise<{ backends: Served[]; added: Served[] }> {
    const { candidates, backend, readOnly, mode, force, state } = plan
    const how = { readOnly, attach: mode, force, ...(state === undefined ? {} : { state }) }
    const made = new Map<Served, Attachment>()
    const reserve = new Reserve()
    // The working folder changes once the mount is served.
    const absolute = candidates.map(candidate => {
      const { driver, path: file } = parseSource(candidate.source)
      // An empty path is refused where it is attached, and no word for this folder.
      const whole = ['', standardInput].includes(file) ? file : path.resolve(file)
      return { ...candidate, source: sourceOf(driver, whole) }
    })
    const attachOne = async (candidate: SourceCandidate): Promise<Served> => {
      const known = [...this.#all].find(
        ([, other]) =>
          other.candidate.name === candidate.name &&
          isDeepStrictEqual([other.candidate, other.how], [candidate, how]),
      )
      const looked = attachmentOf(candidate, how)
      if (known) {
        const [served, { place }] = known
        const found = await Promise.race([looked, sleep(patience, null)])
        if (found === null || found.place.file === place.file) return served
      }
      const attachment = await looked
      reserve.grow()
      try {
        const attached = await this.attachOne(candidate, how)
        made.set(attached, attachment)
        return attached
      } catch (error) {
        throw reserve.shrink(error)
      }
    }
    const release = (attached: Served): void => {
      if (made.has(attached)) attached.close()
    }
    try {
      const wanted = wantedOf(backend)
      const { attached, failures } = await selectSoon(absolute, wanted, attachOne, release)
      tellFailures(failures)
      this.failures = failures
      for (const [served, attachment] of made) this.#all.set(served, attachment)
      return { backends: attached, added: [...made.keys()] }
    } finally {
      reserve.release()
    }
  }

  /**
   * Attach the file that has taken the place of a backend's. Both are attached then.
   *
   * @throws StoreError, a rejection, where that cannot be; then nothing has changed
   */
  async renew(backend: Served): Promise<Served> {
    const { candidate, how } = this.#all.get(backend)!
    const attachment = await attachmentOf(candidate, how)
    const renewed = await this.attachOne(candidate, how)
    this.#all.set(renewed, attachment)
    return renewed
  }

  /** All that is attached, and where. */
  watched(): Watched<Served>[] {
    return Array.from(this.#all, ([backend, { place }]) => ({ backend, place }))
  }

  /** Its SOURCE. */
  sourceOf(backend: Served): string {
    return this.#all.get(backend)?.candidate.source ?? ''
  }

  has(backend: Served): boolean {
    return this.#all.has(backend)
  }

  /** Detach a backend, in whose place another one is. */
  close(backend: Served): void {
    this.#all.delete(backend)
    backend.close()
  }

  /** Detach all backends but these. */
  closeAllBut(kept: readonly Served[]): void {
    for (const backend of this.#all.keys())
      if (!kept.includes(backend)) {
        this.close(backend)
        if (kept.length) log('info', `${backend.name}: detached`)
      }
  }
}

/** @param candidate is not attached yet: whatever takes its file's place from now on is seen */
const attachmentOf = async (candidate: SourceCandidate, how: MountHow): Promise<Attachment> => {
  const place = await Place.soon(parseSource(candidate.source).path)
  return { candidate, how, place }
}
