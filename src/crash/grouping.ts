/**
 * Crashes: which records of a store belong to one.
 *
 * A dump that takes several records is stored part by part, the newest text as part 1. Parts belong together by their
 * titles and ids, by the time at which they were stored, and by printk's own clock: the text of part 2 ends before
 * that of part 1 begins. A clock that is set, or a medium that is slow, tears none apart; a second life that counts
 * from 1 again joins none (doc/formats.md 11).
 */
import type { StoredRecord } from '../pstore/backend.js'
import type { Content } from '../pstore/content.js'
import type { Unreadable } from '../pstore/unreadable.js'
import { decodeTitle, longestTitle, reasons, type DumpTitle } from '../pstore/dump.js'
import { assertStoreError } from '../pstore/errors.js'
import type { Timespec } from '../pstore/time.js'
import { peekClock, type Clock } from './clock.js'
import { endWithin, isConsequence } from './earlier.js'
import { parseLines, type LogLine } from './lines.js'
import { linesOfLife } from './lives.js'
import { textOfAll } from './text.js'

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
  /** Which parts are not there, from and to; older ones than the oldest that is there are not known of. */
  readonly missing: readonly (readonly [from: number, to: number])[]
  /** The rings; only the newest crash has them, as rings hold the newest text. */
  readonly rings: StoredRecord[]
  /** The names of rings that were filled in another life of the machine, and are apart. */
  readonly others: string[]
  /** What belongs to it and cannot be read. */
  readonly unreadable: Unreadable[]
  /**
   * Until when, in seconds since boot, the reports in its dump are those of dumps before it in that life; null: none is
   * known of.
   */
  readonly after: number | null
}

/** A dump's title as Linux makes it. The text is hostile: a reason that Linux does not know becomes `dump`. */
const titleOf = (text: Content): DumpTitle | null => {
  const title = decodeTitle(text.slice(0, longestTitle))
  if (!title) return null
  const reason = title.reason.toLowerCase()
  return { ...title, reason: (reasons as readonly string[]).includes(reason) ? reason : 'dump' }
}

/** Seconds from `b` to `a`; an unknown time is earlier than any known one. */
const difference = (a: Timespec | null, b: Timespec | null): number => {
  if (a === null || b === null) return Number(a !== null) - Number(b !== null)
  return Number(a.sec - b.sec) + (a.nsec - b.nsec) / 1e9
}

/** A record of a dump. */
interface Part {
  readonly record: StoredRecord
  /** Null where it cannot be inflated. */
  readonly title: DumpTitle | null
  readonly clock: Clock | null
}

/** A dump's records while they are collected. */
interface Group {
  readonly parts: Part[]
  readonly unreadable: Unreadable[]
}

/** The earliest second that an id of ERST's can begin with: 2001. */
const firstSecond = 10n ** 9n

/**
 * When the machine booted that gave an id, in seconds; null where the id does not say. ERST's count on from there
 * (drivers/firmware/efi/cper.c, cper_next_record_id).
 */
const bootOf = (id: bigint): bigint | null => {
  const boot = id >> 63n ? (id >> 24n) & 0xff_ffff_ffffn : id >> 32n
  return boot >= firstSecond ? boot : null
}

/** Seconds that a medium takes for a part: most take none. */
const longestStore = 5
/** Seconds within which a slow medium has stored the next part. */
const slowestStore = 60
/** Seconds by which the clocks of two processors may differ. */
const skew = 0.1
/** Seconds that lie between two lines of one report, or of one boot, at most. */
const longestPause = 1

/** When a record was stored, as far as it tells: by ids that count, else by its time. */
const byStore = (a: StoredRecord, b: StoredRecord): number => {
  const byId = a.id < b.id ? -1 : Number(a.id > b.id)
  const counted = bootOf(a.id) !== null && bootOf(b.id) !== null
  return counted ? byId : difference(a.time, b.time) || byId
}

/** How badly an older text goes with a newer one of the same title, from 0; null: they are of two dumps. */
const misfit = (newer: Part, older: Part): number | null => {
  const boot = bootOf(newer.record.id)
  const parts = older.title!.part - newer.title!.part
  const gap = newer.clock && older.clock ? newer.clock.first - older.clock.last : null
  if (gap !== null && gap < -skew) return null
  if (boot !== null && bootOf(older.record.id) !== null) {
    const stored = Number(older.record.id - newer.record.id)
    // Other records may have come in between, but not before.
    return bootOf(older.record.id) === boot && stored >= parts ? (stored - parts) / 2 ** 32 : null
  }
  const adjoins = gap !== null && parts === 1 && gap <= longestPause
  const { time } = newer.record
  if (time === null || older.record.time === null) return gap === null ? null : 4
  const apart = Math.abs(difference(older.record.time, time))
  if (apart <= longestStore) return 1 + apart / 10
  if (adjoins) return apart <= slowestStore ? 2 : 3
  return gap !== null && apart <= slowestStore ? 3.5 : null
}

/** Parts of the same dump, or of others of the same reason and number, together. */
const byTitle = (parts: readonly Part[]): Part[][] => {
  const found = new Map<string, Part[]>()
  for (const part of parts) {
    const key = `${part.title!.reason} ${part.title!.count}`
    const same = found.get(key)
    if (same) same.push(part)
    else found.set(key, [part])
  }
  return [...found.values()]
}

/** How many records before and behind a part are tried as the one with the text after its own. */
const mostTried = 32
/** The most pairs of parts of one title that are tried in all. */
const mostPairs = 2 ** 18
/** How much worse a part goes with the one before it for each that is missing in between. */
const perMissing = 0.2

/** Put parts of one title together, each with that whose text follows. They come in the order in which they were stored. */
const assemble = (parts: readonly Part[]): Group[] => {
  const reach = Math.max(1, Math.min(mostTried, Math.floor(mostPairs / parts.length)))
  const pairs = parts.flatMap((older, at) =>
    parts.slice(Math.max(0, at - reach), at + reach).flatMap(newer => {
      const step = older.title!.part - newer.title!.part
      const badness = step > 0 ? misfit(newer, older) : null
      return badness === null ? [] : [{ newer, older, cost: badness + (step - 1) * perMissing }]
    }),
  )
  const olderOf = new Map<Part, Part>()
  const placed = new Set<Part>()
  for (const { newer, older } of pairs.toSorted((a, b) => a.cost - b.cost)) {
    if (placed.has(older) || olderOf.has(newer)) continue
    olderOf.set(newer, older)
    placed.add(older)
  }
  return parts.flatMap(newest => {
    if (placed.has(newest)) return []
    const group: Group = { parts: [], unreadable: [] }
    for (let part: Part | undefined = newest; part; part = olderOf.get(part)) group.parts.push(part)
    return [group]
  })
}

/** The newest dump next to which a record without a title was stored: by ids that count, or by the time. */
const besideOf = (
  groups: readonly Group[],
  { id, time }: Pick<StoredRecord, 'id' | 'time'>,
): Group | null => {
  const isBeside = ({ record }: Part): boolean =>
    bootOf(id) !== null && bootOf(record.id) !== null
      ? record.id === id - 1n || record.id === id + 1n
      : time !== null &&
        record.time !== null &&
        Math.abs(difference(time, record.time)) <= longestStore
  return groups.findLast(({ parts }) => parts.some(isBeside)) ?? null
}

/** Which numbers up to the greatest are missing, from and to. */
const missingOf = (parts: readonly Part[]): [from: number, to: number][] => {
  const there = parts.flatMap(({ title }) => title?.part ?? []).toSorted((a, b) => a - b)
  return there.flatMap((part, n): [number, number][] => {
    const from = (there[n - 1] ?? 0) + 1
    return from < part ? [[from, part - 1]] : []
  })
}

const crashOf = ({ parts, unreadable }: Group, inParts: boolean): Omit<Crash, 'after'> => {
  const title = parts[0]!.title
  const number = (part: Part): number => part.title?.part ?? 0
  const dumps = parts.toSorted((a, b) => number(b) - number(a)).map(({ record }) => record)
  const time = parts.map(({ record }) => record.time).find(known => known !== null) ?? null
  return {
    time,
    reason: title?.reason ?? 'dump',
    count: title?.count ?? 1,
    dumps,
    missing: inParts ? missingOf(parts) : [],
    rings: [],
    others: [],
    unreadable,
  }
}

/** Which parts of a crash's dump are missing, in words; an empty text where none is. */
export const describeMissing = ({ missing }: Pick<Crash, 'missing'>): string => {
  if (missing.length === 0) return ''
  const ranges = missing.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`))
  const isOne = missing.length === 1 && missing[0]![0] === missing[0]![1]
  return `part${isOne ? '' : 's'} ${ranges.join(', ')} of the dump ${isOne ? 'is' : 'are'} missing`
}

/** May a machine have gone on after a dump for this reason? */
export const goesOnAfter = (reason: string | null): boolean =>
  reason === null || reason === 'oops' || reason === 'dump'

const ringsAlone = (): Crash => ({
  time: null,
  reason: null,
  count: 1,
  dumps: [],
  missing: [],
  rings: [],
  others: [],
  unreadable: [],
  after: null,
})

/** How many crashes before one are tried for the dump before its own. */
const mostBefore = 3

/** {@link Crash.after}, by the crashes before it. */
const afterOf = (
  { count, dumps }: Pick<Crash, 'count' | 'dumps'>,
  before: readonly Crash[],
  open: (record: StoredRecord) => Content,
): number | null => {
  if (count === 1) return null
  try {
    const text = textOfAll(dumps, open)
    for (const other of before.slice(-mostBefore).toReversed()) {
      if (other.count >= count) continue
      const end = endWithin(text, textOfAll(other.dumps, open))
      if (end !== null) return isConsequence(text, end) ? other.after : end
    }
  } catch (error) {
    assertStoreError(error)
  }
  return null
}

/** Were the rings filled in another life of the machine than that which a dump ends? Only a console tells. */
const isOfAnotherLife = (
  { dumps, reason }: Crash,
  rings: readonly StoredRecord[],
  open: (record: StoredRecord) => Content,
): boolean => {
  const linesOf = (of: readonly StoredRecord[]): LogLine[] =>
    parseLines(textOfAll(of, open).toString('latin1'))
  try {
    const console = linesOf(rings.filter(({ type }) => type === 'console'))
    return (
      console.length > 0 && linesOfLife(linesOf(dumps), console, goesOnAfter(reason)).length === 0
    )
  } catch (error) {
    assertStoreError(error)
    return false
  }
}

/**
 * Group a store's records by crash, oldest crash first.
 *
 * @param parts whether a dump may take several records of the store ({@link Backend.parts})
 * @param open gives a record's text
 * @param unreadable the records that cannot be read; those of which `open` finds that are added
 */
export const crashesOf = (
  records: Iterable<StoredRecord>,
  parts: boolean,
  open: (record: StoredRecord) => Content,
  unreadable: Unreadable[] = [],
): Crash[] => {
  const all = [...records]
  const stored = all
    .filter(({ type }) => type === 'dmesg')
    .toSorted(byStore)
    .flatMap((record): Part[] => {
      try {
        if (record.compressed) return [{ record, title: null, clock: null }]
        const text = open(record)
        return [{ record, title: titleOf(text), clock: parts ? peekClock(text) : null }]
      } catch (error) {
        assertStoreError(error)
        const { type, id, name, time } = record
        unreadable.push({ type, id, name, time, error })
        return []
      }
    })
  const [titled, untitled] = [
    stored.filter(({ title }) => title),
    stored.filter(({ title }) => !title),
  ]
  const alone = (part: Part): Group => ({ parts: [part], unreadable: [] })
  const groups = parts ? byTitle(titled).flatMap(assemble) : titled.map(alone)
  for (const part of untitled) {
    const beside = parts ? besideOf(groups, part.record) : null
    if (beside) beside.parts.push(part)
    else groups.push(alone(part))
  }
  if (parts)
    for (const what of unreadable)
      if (what.type === 'dmesg') besideOf(groups, what)?.unreadable.push(what)
  const crashes: Crash[] = []
  for (const group of groups.toSorted((a, b) => byStore(a.parts[0]!.record, b.parts[0]!.record))) {
    const crash = crashOf(group, parts)
    crashes.push({ ...crash, after: afterOf(crash, crashes, open) })
  }
  const rings = all.filter(({ type }) => type !== 'dmesg')
  const newest = crashes.at(-1)
  // A machine that goes on has emptied them when it began its next life.
  const isOfNext = newest !== undefined && isOfAnotherLife(newest, rings, open)
  if (isOfNext) newest.others.push(...rings.map(({ name }) => name))
  if (rings.length > 0 && (!newest || isOfNext)) crashes.push(ringsAlone())
  crashes.at(-1)?.rings.push(...rings)
  newest?.unreadable.push(...unreadable.filter(({ type }) => type !== 'dmesg'))
  return crashes
}
