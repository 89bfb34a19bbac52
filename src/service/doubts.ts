/** What a user has to know of a store before its records: what speaks against it, or why there are none. */
import type { Backend } from '../pstore/backend.js'
import { assertStoreError } from '../pstore/errors.js'

/** Lines that begin with the source's path. */
export interface Doubts {
  /** As of `Backend.doubts`. */
  readonly against: readonly string[]
  /** As of `Backend.unused`, where nothing speaks against it. */
  readonly unused: readonly string[]
}

/** @returns nothing of a source that cannot be read: its records tell */
export const doubtsOf = (backend: Backend): Doubts => {
  const lines = (said: readonly string[]): string[] =>
    said.map(line => `${backend.identity.path}: ${line}`)
  try {
    const against = backend.doubts()
    const unused = against.length > 0 ? null : backend.unused()
    return { against: lines(against), unused: lines(unused === null ? [] : [unused]) }
  } catch (error) {
    assertStoreError(error)
    return { against: [], unused: [] }
  }
}

/** The same, whatever it is. */
export const allDoubtsOf = (backend: Backend): string[] => Object.values(doubtsOf(backend)).flat()
