/** What the log says of a backend's damage once it is attached. */
import type { Backend } from '../pstore/backend.js'

/** The most damaged zones of a backend that are named. */
const listed = 5

/**
 * Look at a backend's zones, one at a time, so that others have their turn in between.
 *
 * @returns after each zone a line for the log, or null where there is nothing to say
 * @throws StoreError where the store cannot be read
 */
export function* damageOf(backend: Backend): Generator<string | null, void, void> {
  let damaged = 0
  for (const { name, state, findings } of backend.survey.conditions())
    yield state === 'damaged' && ++damaged <= listed
      ? `${name}: damaged: ${findings.join('; ')}`
      : null
  if (damaged > listed) yield `${backend.name}: ${damaged} damaged zones in all`
}
