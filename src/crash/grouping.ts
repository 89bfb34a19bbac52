/** Crashes: which records of a store belong to one. */
import type { StoredRecord } from '../pstore/backend.js'
import type { Unreadable } from '../pstore/unreadable.js'
import { decodeTitle, reasons, type DumpTitle } from '../pstore/dump.js'
import { assertStoreError } from '../pstore/errors.js'
import type { Timespec } from '../pstore/time.js'

/** The records that one crash left in a store. */
export interface Crash {
  /** The time of the crash; null where no record tells it. */
  readonly time: Timespec | null
  /** `panic`, `oops`, …; `dump` where the dump's title has no known reason; null where there is no dump. */
  readonly reason: string | null
  /** The number of the dump in that life of the machine, from 1. */
  readonly count: number
  /** The parts of the dump, oldest text first. */
  readonly dumps: StoredRecord[]
  /** The rings; only the newest crash has them, as rings hold the newest text. */
  readonly rings: StoredRecord[]
  /** What belongs to it and cannot be read. */
  readonly unreadable: Unreadable[]
}

/** A dump's title as Linux makes it. The text is hostile: a reason that Linux does not know becomes `dump`. */
const titleOf = (text: Buffer): DumpTitle | null => {
  const title = decodeTitle(text)
  if (!title) return null
  const reason = title.reason.toLowerCase()
  return { ...title, reason: (reasons as readonly string[]).includes(reason) ? reason : 'dump' }
}

/** Seconds from `b` to `a`; an unknown time is earlier than any known one. */
const difference = (a: Timespec | null, b: Timespec | null): number => {
  if (a === null || b === null) return Number(a !== null) - Number(b !== null)
  return Number(a.sec - b.sec) + (a.nsec - b.nsec) / 1e9
}

/** A dump's records while they are collected. */
interface Group {
  /** The time of the first part. */
  readonly time: Timespec | null
  /** The time of the newest part so far. */
  last: Timespec | null
  readonly title: DumpTitle | null
  readonly records: { record: StoredRecord; part: number }[]
  /** The parts that have been found. */
  readonly parts: Set<number>
  readonly unreadable: Unreadable[]
}

/** The most seconds between two parts of a dump: each part has the time at which it was stored. */
const longestStore = 5
/** How many of the newest dumps may still get a part. Two dumps within 5 s are already rare. */
const mostOpen = 32

/** The newest dump that has the record's title and still lacks its part; null where there is none. */
const dumpOf = (
  groups: readonly Group[],
  { time }: Pick<StoredRecord, 'time'>,
  title: DumpTitle | null,
): Group | null => {
  if (time === null) return null
  return (
    groups.slice(-mostOpen).findLast(
      group =>
        group.last !== null &&
        difference(time, group.last) <= longestStore &&
        // A record that cannot be inflated shows no title: its time alone decides.
        (title === null ||
          (group.title?.reason === title.reason &&
            group.title.count === title.count &&
            !group.parts.has(title.part))),
    ) ?? null
  )
}

/** The dump with a record next to which it was stored, by its id: ERST's are counted. */
const neighbourOf = (groups: readonly Group[], { id }: Unreadable): Group | null =>
  groups.find(({ records }) =>
    records.some(({ record }) => record.id === id - 1n || record.id === id + 1n),
  ) ?? null

/**
 * Group a store's records by crash, oldest crash first.
 *
 * @param parts whether a dump may take several records of the store ({@link Backend.parts})
 * @param read gives a record's text, at least as much of it as the title takes
 * @param unreadable the records that cannot be read; those of which `read` finds that are added
 */
export const crashesOf = (
  records: Iterable<StoredRecord>,
  parts: boolean,
  read: (record: StoredRecord) => Buffer,
  unreadable: Unreadable[] = [],
): Crash[] => {
  const all = [...records]
  const groups: Group[] = []
  const titled = all
    .filter(({ type }) => type === 'dmesg')
    .flatMap(record => {
      try {
        return { record, title: record.compressed ? null : titleOf(read(record)) }
      } catch (error) {
        assertStoreError(error)
        const { type, id, name, time } = record
        unreadable.push({ type, id, name, time, error })
        return []
      }
    })
    // Titled records come first, so that untitled ones find a dump to join.
    .toSorted(
      (a, b) =>
        difference(a.record.time, b.record.time) ||
        Number(a.title === null) - Number(b.title === null),
    )
  for (const { record, title } of titled) {
    const { time } = record
    const found = parts ? dumpOf(groups, record, title) : null
    const fresh = { time, last: time, title, records: [], parts: new Set<number>(), unreadable: [] }
    const group: Group = found ?? fresh
    if (!found) groups.push(group)
    group.last = time
    group.records.push({ record, part: title?.part ?? 0 })
    if (title) group.parts.add(title.part)
  }
  for (const what of parts ? unreadable : [])
    if (what.type === 'dmesg')
      (dumpOf(groups, what, null) ?? neighbourOf(groups, what))?.unreadable.push(what)
  const crashes = groups.map(({ time, title, records, unreadable }): Crash => ({
    time,
    reason: title?.reason ?? 'dump',
    count: title?.count ?? 1,
    dumps: records.toSorted((a, b) => b.part - a.part).map(({ record }) => record),
    rings: [],
    unreadable,
  }))
  const rings = all.filter(({ type }) => type !== 'dmesg')
  if (crashes.length === 0 && rings.length > 0)
    crashes.push({ time: null, reason: null, count: 1, dumps: [], rings: [], unreadable: [] })
  const newest = crashes.at(-1)
  newest?.rings.push(...rings)
  newest?.unreadable.push(...unreadable.filter(({ type }) => type !== 'dmesg'))
  return crashes
}
