/**
 * A backend's records as the tree asks for them: at once where the backend is attached in this thread, later
 * where another thread looks into it, so that a slow medium keeps nobody else waiting.
 */
import type { Backend, RecordFacts } from './backend.js'
import type { Unreadable } from './unreadable.js'
import type { Content } from './content.js'
import type { Soon } from './soon.js'
import type { Usage } from './types.js'

/** A record and its bytes, of one moment. */
export interface Snapshot {
  readonly record: RecordFacts
  readonly content: Content
}

/** What a dump tells of its crash, each in a line. */
export interface CrashFacts {
  /** Why the kernel dumped, as it says it: `Panic`. */
  readonly reason: string
  /** What crashed, as `pstorefs list` has it. */
  readonly title: string
}

/** Each method throws, or rejects with, a StoreError where the store cannot be read or written. */
export interface Records {
  readonly name: string
  readonly readOnly: boolean
  /** The files' names in the order in which Linux enumerates; a ring's content is not looked at for it. */
  names(): Soon<string[]>
  /** The record that a file name stands for at this moment; null where there is none. */
  find(name: string): Soon<RecordFacts | null>
  /** The same and its bytes; `alone` as in {@link Backend.open}. */
  open(name: string, alone?: boolean): Soon<Snapshot | null>
  /**
   * Take a record out of the store, as {@link StoredRecord.erase} does.
   *
   * @returns false where another record, or none, is there now
   */
  erase(record: RecordFacts): Soon<boolean>
  /** What crashed, of the dump with a name; null where there is none. Absent: nobody here can tell. */
  crash?(name: string): Soon<CrashFacts | null>
  /** As {@link Backend.usage}; absent where another thread looks into the backend. */
  usage?(): Usage | null
}

/**
 * The records of a backend that is attached in this thread.
 *
 * @param told is told of each record that a listing meets and cannot read
 */
export const recordsOf = (
  backend: Backend,
  told: (what: Unreadable) => void = () => {},
): Records => ({
  name: backend.name,
  readOnly: backend.readOnly,
  names: () => namesIn(backend, told),
  find: name => backend.find(name),
  open: (name, alone) => backend.open(name, alone),
  erase: record => backend.erase(record),
  usage: () => backend.usage(),
})

/** Of a store of which some records can be read their names; where none can, the error that says why. */
const namesIn = (backend: Backend, told: (what: Unreadable) => void): string[] => {
  let failed: Unreadable | null = null
  const names = Array.from(
    backend.names(what => {
      failed ??= what
      told(what)
    }),
  )
  if (failed !== null && names.length === 0) throw (failed as Unreadable).error
  return names
}
