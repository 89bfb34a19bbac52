/**
 * Which backends are attached, and what goes to all of them: the rules of `backend=` (pstorefs-mount(8)).
 *
 * Without it everything is as it always was: the first that works, alone. Who wants several asks for them.
 */
import type { Backend } from './backend.js'
import { assertStoreError, StoreError } from './errors.js'
import type { Soon } from './soon.js'
import { recordTypes, type RecordType } from './types.js'

/** What can be attached, by its name. */
export interface Candidate {
  readonly name: string
}

/** One that could not be attached, and why. */
export interface Failure {
  readonly name: string
  readonly error: StoreError
}

/** @template B what was attached: a backend, or the records of one */
export interface Selection<B> {
  /** In the order of `backend=`: the first has its records in the root too. */
  readonly attached: B[]
  /** Told to the user, and no reason to stop. */
  readonly failures: Failure[]
}

/** How many backends one mount can have. */
const mostBackends = 1000
/** How many are attached at a time: all at once would take all descriptors before there is one more backend. */
const mostAtATime = 16
/** How many names or reasons an error lists. */
const listed = 10

const soundName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
/** What a record's file could be called: a folder of that name could hide it. */
const recordName = new RegExp(
  `^(${recordTypes.join('|')}|ttyprobe)-.*-\\d+(\\.\\d+)?(\\.enc\\.z)?$`,
)

/**
 * Is this a name for a backend? It becomes a folder's, and a part of its files'.
 *
 * @returns null, or why it is none
 */
export const badName = (name: string): string | null => {
  if (name === 'all') return 'means every backend in `backend=`'
  if (!soundName.test(name))
    return 'invalid backend name: up to 64 letters, digits, _ . and -, starting with a letter or digit'
  return recordName.test(name) ? 'invalid backend name: a record could have it' : null
}

const list = (names: readonly string[], separator: string): string =>
  names.length > listed
    ? `${names.slice(0, listed).join(separator)} … (${names.length} in all)`
    : names.join(separator)

/** Check the names themselves, before anything is attached. */
const checkNames = (configured: readonly Candidate[]): void => {
  if (configured.length === 0) throw new StoreError('no backend is configured')
  if (configured.length > mostBackends)
    throw new StoreError(`${configured.length} backends: ${mostBackends} at most`)
  const names = new Set<string>()
  for (const { name } of configured) {
    const why = badName(name)
    if (why) throw new StoreError(`backend '${name}': ${why}`)
    if (names.has(name)) throw new StoreError(`backend '${name}': two have this name`)
    names.add(name)
  }
}

/** The candidates that a list names, in its order. */
const named = <C extends Candidate>(configured: readonly C[], wanted: string): C[] => {
  const byName = new Map(configured.map(candidate => [candidate.name, candidate]))
  const chosen = new Set<C>()
  for (const name of wanted.split(',').map(part => part.trim())) {
    const candidate = byName.get(name)
    if (!candidate) {
      const why = name === 'all' ? 'cannot be combined with other names' : 'not known'
      throw new StoreError(`backend '${name}': ${why}; there is ${list([...byName.keys()], ', ')}`)
    }
    if (chosen.has(candidate)) throw new StoreError(`backend '${name}': named twice`)
    chosen.add(candidate)
  }
  return [...chosen]
}

/**
 * The candidates to be tried, in their order.
 *
 * @throws StoreError where a name is wrong
 */
export const chosen = <C extends Candidate>(
  configured: readonly C[],
  wanted: string | undefined,
) => {
  checkNames(configured)
  return wanted === undefined || wanted === 'all' ? configured : named(configured, wanted)
}

/** How it went with one: exactly one of the two is there. */
interface Outcome<B> {
  readonly name: string
  readonly attached?: B
  readonly error?: unknown
}

/** Does one that went so make it needless to try the others? */
const isEnough = <B>({ attached }: Outcome<B>, wanted: string | undefined): boolean =>
  attached === undefined ? wanted !== undefined && wanted !== 'all' : wanted === undefined

/** What has come of it all. */
const settled = <B>(
  outcomes: readonly Outcome<B>[],
  wanted: string | undefined,
  release: (attached: B) => void,
): Selection<B> => {
  const attached = outcomes.flatMap(outcome => outcome.attached ?? [])
  const failures: Failure[] = []
  try {
    for (const { name, error } of outcomes) {
      if (error === undefined) continue
      assertStoreError(error)
      if (wanted !== undefined && wanted !== 'all')
        throw new StoreError(`backend ${name}: ${error.message}`, error.code)
      failures.push({ name, error })
    }
    if (attached.length === 0) throw nothingAttached(failures)
  } catch (error) {
    for (const one of attached) release(one)
    throw error
  }
  return { attached, failures }
}

/**
 * Attach what `backend=` asks for.
 *
 * @param configured all that there are, in the order of their configuration
 * @param wanted `backend=`'s value. Undefined: the first that attaches; `all`: every one, but for those
 *   that fail; `a,b`: those, in that order, and none may fail
 * @param attachOne throws a StoreError where it cannot
 * @param release lets go of what was attached in vain
 * @throws StoreError where a name is wrong, a named one fails, or none attaches; then none is attached
 */
export const select = <C extends Candidate>(
  configured: readonly C[],
  wanted: string | undefined,
  attachOne: (candidate: C) => Backend,
  release: (backend: Backend) => void = backend => backend.close(),
): Selection<Backend> => {
  const outcomes: Outcome<Backend>[] = []
  for (const candidate of chosen(configured, wanted)) {
    const { name } = candidate
    let outcome: Outcome<Backend>
    try {
      outcome = { name, attached: attachOne(candidate) }
    } catch (error) {
      outcome = { name, error }
    }
    outcomes.push(outcome)
    if (isEnough(outcome, wanted)) break
  }
  return settled(outcomes, wanted, release)
}

/**
 * The same where each is attached elsewhere: of those that are attached in any case some at a time.
 *
 * @throws as {@link select} does, a rejection
 */
export const selectSoon = async <C extends Candidate, B extends object>(
  configured: readonly C[],
  wanted: string | undefined,
  attachOne: (candidate: C) => Soon<B>,
  release: (attached: B) => void,
): Promise<Selection<B>> => {
  const attempt = async (candidate: C): Promise<Outcome<B>> => {
    const { name } = candidate
    try {
      return { name, attached: await attachOne(candidate) }
    } catch (error) {
      return { name, error }
    }
  }
  const candidates = chosen(configured, wanted)
  // What is attached in vain costs most where the first is enough.
  const atATime = wanted === undefined ? 1 : mostAtATime
  const outcomes: Outcome<B>[] = []
  for (let i = 0; i < candidates.length; i += atATime) {
    outcomes.push(...(await Promise.all(candidates.slice(i, i + atATime).map(attempt))))
    if (outcomes.some(outcome => isEnough(outcome, wanted))) break
  }
  return settled(outcomes, wanted, release)
}

/** Of a single backend its own reason says it all. */
const nothingAttached = (failures: readonly Failure[]): StoreError => {
  const [first, ...others] = failures
  if (first && others.length === 0) return first.error
  return new StoreError(
    `none of ${failures.length} backends can be attached: ` +
      list(
        failures.map(({ name, error }) => `${name}: ${error.message}`),
        '; ',
      ),
    first?.error.code,
  )
}

/**
 * Write to every attached backend that has a place for the type. One that fails does not keep the others
 * from their copy. A store that can only be read is no place for anything.
 *
 * @param write what to do with each; returns how many bytes it took
 * @returns the largest count
 * @throws the first error, once all have had their turn; StoreError (ENOSPC) where none has a place
 */
export const writeToAll = (
  backends: readonly Backend[],
  type: RecordType,
  write: (backend: Backend) => number,
): number => {
  const places = backends.filter(backend => !backend.readOnly && backend.capacity(type) !== null)
  if (places.length === 0) throw new StoreError(`no backend has room for ${type}`, 'ENOSPC')
  const errors: unknown[] = []
  let largest = 0
  for (const backend of places) {
    try {
      largest = Math.max(largest, write(backend))
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length) throw errors[0]
  return largest
}
