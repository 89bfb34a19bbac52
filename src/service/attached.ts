/** The backends of a mount, which change when the config file is read again. */
import path from 'node:path'
import { parseSource } from '../attach.js'
import { Reserve } from '../native/descriptors.js'
import type { Backend } from '../pstore/backend.js'
import { select, selectSoon, type Failure } from '../pstore/select.js'
import type { Soon } from '../pstore/soon.js'
import { fileOf, type MountHow } from './attach-as.js'
import { log, tell } from './log.js'
import type { BackendChoice, MountPlan, SourceCandidate } from './plan.js'
import type { Served } from './served.js'

/** How many backends that fail are named. */
const listed = 10

const tellFailures = (failures: readonly Failure[]): void => {
  for (const { name, error } of failures.slice(0, listed))
    tell(`backend ${name}: not attached: ${error.message}`)
  if (failures.length > listed) tell(`… ${failures.length - listed} more backends are not attached`)
}

/** `backend=` as text. */
const wantedOf = (chosen: BackendChoice): string | undefined =>
  chosen === null ? undefined : [chosen].flat().join()

/** Attach the backends that were chosen, and report those that cannot be. */
export const attachSelected = (
  candidates: readonly SourceCandidate[],
  chosen: BackendChoice,
  attachOne: (candidate: SourceCandidate) => Backend,
): Backend[] => {
  const { attached, failures } = select(candidates, wantedOf(chosen), attachOne)
  tellFailures(failures)
  return attached
}

export class Attached {
  /** For each backend a key of all that it was attached with. */
  readonly #keys = new Map<Served, string>()

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
    const { candidates, backend, readOnly, mode, state } = plan
    const how = { readOnly, attach: mode, ...(state === undefined ? {} : { state }) }
    const made = new Map<Served, string>()
    const reserve = new Reserve()
    // The working folder changes once the mount is served.
    const absolute = candidates.map(candidate => {
      const { driver, path: file } = parseSource(candidate.source)
      return { ...candidate, source: `${driver}:${path.resolve(file)}` }
    })
    const attachOne = async (candidate: SourceCandidate): Promise<Served> => {
      const key = JSON.stringify([candidate, how, fileOf(parseSource(candidate.source).path)])
      for (const [attached, of] of this.#keys) if (of === key) return attached
      reserve.grow()
      try {
        const attached = await this.attachOne(candidate, how)
        made.set(attached, key)
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
      for (const [served, key] of made) this.#keys.set(served, key)
      return { backends: attached, added: [...made.keys()] }
    } finally {
      reserve.release()
    }
  }

  has(backend: Served): boolean {
    return this.#keys.has(backend)
  }

  /** Detach all backends but these. */
  closeAllBut(kept: readonly Served[]): void {
    for (const backend of this.#keys.keys())
      if (!kept.includes(backend)) {
        this.#keys.delete(backend)
        backend.close()
        if (kept.length) log('info', `${backend.name}: detached`)
      }
  }
}
