/** What a dump in a store tells of its crash, as `pstorefs list` has it. */
import { describeCrash, diagnose } from '../crash/diagnosis.js'
import { crashesOf, type Crash } from '../crash/grouping.js'
import { textOfAll } from '../crash/text.js'
import type { Backend, RecordFacts, StoredRecord } from '../pstore/backend.js'
import type { Content } from '../pstore/content.js'
import type { CrashFacts } from '../pstore/records.js'

/** May a dump be in several records? Of copies nobody knows what they were copied from. */
export const takesParts = (backend: Backend): boolean =>
  backend.capacity('dmesg')?.parts ?? backend.identity.driver === 'records'

/**
 * How many records around a dump are looked at: who serves must not read a store of thousands for one title. Dumps of
 * earlier crashes may be quoted by it; its own parts lie on both sides.
 */
const reach = { whole: { before: 7, after: 0 }, parts: { before: 32, after: 32 } }

const byTime = (a: RecordFacts, b: RecordFacts): number => {
  const at = ({ time }: RecordFacts): bigint =>
    time ? time.sec * 1_000_000_000n + BigInt(time.nsec) : -1n
  return Number(at(a) - at(b)) || Number(a.id - b.id)
}

/** What the records around a store's dump told that was asked for last: its reason, its title and its parts are alike. */
interface Told {
  /** Those records, as they were. */
  readonly versions: string
  readonly facts: CrashFacts | null
  /** The dump's records. */
  readonly names: readonly string[]
}

const last = new WeakMap<Backend, Told>()

/**
 * What a dump tells; null where there is no such dump.
 *
 * @throws StoreError where it cannot be read
 */
export const whatCrashed = (backend: Backend, name: string): CrashFacts | null => {
  const parts = takesParts(backend)
  const dumps = [...backend.records(() => {})]
    .filter(({ type }) => type === 'dmesg')
    .toSorted(byTime)
  const at = dumps.findIndex(record => record.name === name)
  if (at < 0) return null
  const { before, after } = parts ? reach.parts : reach.whole
  const near = dumps.slice(Math.max(0, at - before), at + after + 1)
  const versions = near.map(({ name, version }) => `${name} ${version}`).join('\n')
  const known = last.get(backend)
  if (known?.versions === versions && known.names.includes(name)) return known.facts
  const open = (record: StoredRecord): Content => record.open()
  const crash = crashesOf(near, parts, open).find(({ dumps }) =>
    dumps.some(record => record.name === name),
  )
  const facts = crash ? factsOf(crash, textOfAll(crash.dumps, open)) : null
  last.set(backend, { versions, facts, names: crash?.dumps.map(({ name }) => name) ?? [name] })
  return facts
}

const factsOf = ({ reason, after }: Crash, text: Buffer): CrashFacts => {
  const { title, cause } = diagnose(text, after)
  const said = reason ?? 'dump'
  return {
    reason: `${said.slice(0, 1).toUpperCase()}${said.slice(1)}`,
    title: describeCrash({ title, cause, reason: said }),
  }
}
