/** The backends of a mount, which change when the config file is read again. */
import path from 'node:path'
import { parseSource } from '../attach.js'
import { Reserve } from '../native/descriptors.js'
import type { Backend } from '../pstore/backend.js'
import { recordsOf, type Records } from '../pstore/records.js'
import { select } from '../pstore/select.js'
import { attachAs, fileOf } from './attach-as.js'
import { log, tell } from './log.js'
import type { BackendChoice, MountPlan, SourceCandidate } from './plan.js'

/** How many backends that fail are named. */
const listed = 10

/** Attach the backends that were chosen, and report those that cannot be. */
export const attachSelected = (
  candidates: readonly SourceCandidate[],
  chosen: BackendChoice,
  attachOne: (candidate: SourceCandidate) => Backend,
  release?: (backend: Backend) => void,
): Backend[] => {
  const wanted = chosen === null ? undefined : [chosen].flat().join()
  const { attached, failures } = select(candidates, wanted, attachOne, release)
  for (const { name, error } of failures.slice(0, listed))
    tell(`backend ${name}: not attached: ${error.message}`)
  if (failures.length > listed) tell(`… ${failures.length - listed} more backends are not attached`)
  return attached
}

export class Attached {
  /** For each backend a key of all that it was attached with. */
  readonly #keys = new Map<Backend, string>()
  readonly #records = new WeakMap<Backend, Records>()

  /**
   * Attach the backends of a plan. A backend that is attached already, with the same options and from the same
   * file, is kept.
   *
   * @returns all backends of the plan, and separately the new ones
   * @throws StoreError as {@link attachSelected} does; then nothing has changed
   */
  attach(plan: MountPlan): { backends: Backend[]; added: Backend[] } {
    const { candidates, backend, readOnly, mode, state } = plan
    const how = { readOnly, attach: mode, ...(state === undefined ? {} : { state }) }
    const made = new Map<Backend, string>()
    const attachOne = (candidate: SourceCandidate): Backend => {
      const { driver, path: file } = parseSource(candidate.source)
      // The working folder changes once the mount is served.
      const source = `${driver}:${path.resolve(file)}`
      const key = JSON.stringify([{ ...candidate, source }, how, fileOf(file)])
      for (const [attached, of] of this.#keys) if (of === key) return attached
      reserve.grow()
      try {
        const attached = attachAs({ ...candidate, source }, how, tell)
        made.set(attached, key)
        return attached
      } catch (error) {
        throw reserve.shrink(error)
      }
    }
    const release = (attached: Backend): void => {
      if (made.has(attached)) attached.close()
    }
    const reserve = new Reserve()
    try {
      const backends = attachSelected(candidates, backend, attachOne, release)
      for (const [attached, key] of made) this.#keys.set(attached, key)
      return { backends, added: [...made.keys()] }
    } finally {
      reserve.release()
    }
  }

  /** Their records for the tree, which knows those that stay by these. */
  records(backends: readonly Backend[]): Records[] {
    return backends.map(backend => {
      const records = this.#records.get(backend) ?? recordsOf(backend)
      this.#records.set(backend, records)
      return records
    })
  }

  has(backend: Backend): boolean {
    return this.#keys.has(backend)
  }

  /** Detach all backends but these. */
  closeAllBut(kept: readonly Backend[]): void {
    for (const backend of this.#keys.keys())
      if (!kept.includes(backend)) {
        this.#keys.delete(backend)
        backend.close()
        if (kept.length) log('info', `${backend.name}: detached`)
      }
  }
}
