/** Crashes: which records belong to one, and what its text says of it. */
import type { StoredRecord } from '../pstore/backend.js'
import { decodeTitle, reasons, type DumpTitle } from '../pstore/dump.js'
import type { Timespec } from '../pstore/time.js'

/** What one crash left in a store. */
export interface Crash {
  /** When it happened; null where nothing says so. */
  readonly time: Timespec | null
  /** `panic`, `oops`, …; `dump` where its title says nothing known; null where there is no dump. */
  readonly reason: string | null
  /** Which dump of that machine's life it was, from 1. */
  readonly count: number
  /** Its dump's parts, the oldest text first. */
  readonly dumps: StoredRecord[]
  /** The newest crash has the rings: what they hold was said last. */
  readonly rings: StoredRecord[]
}

/** The title of a dump as Linux makes it; of any other text it names, nothing is believed. */
const titleOf = (text: Buffer): DumpTitle | null => {
  const title = decodeTitle(text)
  if (!title) return null
  const reason = title.reason.toLowerCase()
  return { ...title, reason: (reasons as readonly string[]).includes(reason) ? reason : 'dump' }
}

/** Negative where `a` is earlier, or not known and `b` is; in seconds where both are known. */
const difference = (a: Timespec | null, b: Timespec | null): number => {
  if (a === null || b === null) return Number(a !== null) - Number(b !== null)
  return Number(a.sec - b.sec) + (a.nsec - b.nsec) / 1e9
}

/** A dump's records while they are put together. */
interface Group {
  /** Of its first part, and of its last. */
  readonly time: Timespec | null
  last: Timespec | null
  readonly title: DumpTitle | null
  readonly records: { record: StoredRecord; part: number }[]
  /** The parts that have been found. */
  readonly parts: Set<number>
}

/** How long a store may take for a part of a dump, in seconds: each is stored with a time of its own. */
const longestStore = 5
/** Among how many dumps that of a part is sought: the machine that makes two in 5 s has yet to be seen. */
const mostOpen = 32

/** The dump that a record is one more part of: of those with its title, and not yet that part, the latest. */
const dumpOf = (
  groups: readonly Group[],
  record: StoredRecord,
  title: DumpTitle | null,
): Group | null => {
  const { time } = record
  if (time === null) return null
  return (
    groups.slice(-mostOpen).findLast(
      group =>
        group.last !== null &&
        difference(time, group.last) <= longestStore &&
        // Whose it is cannot be read of what cannot be inflated: it goes with what was dumped then.
        (title === null ||
          (group.title?.reason === title.reason &&
            group.title.count === title.count &&
            !group.parts.has(title.part))),
    ) ?? null
  )
}

/**
 * Group a store's records by the crash that they tell of, in the order of their time.
 *
 * @param parts whether a dump may take several records of the store ({@link Backend.parts})
 * @param read gives a record's text, or as much as its title takes
 */
export const crashesOf = (
  records: Iterable<StoredRecord>,
  parts: boolean,
  read: (record: StoredRecord) => Buffer,
): Crash[] => {
  const all = [...records]
  const groups: Group[] = []
  const titled = all
    .filter(({ type }) => type === 'dmesg')
    .map(record => ({ record, title: record.compressed ? null : titleOf(read(record)) }))
    // What has a title is first, so that what has none finds it.
    .toSorted(
      (a, b) =>
        difference(a.record.time, b.record.time) ||
        Number(a.title === null) - Number(b.title === null),
    )
  for (const { record, title } of titled) {
    const { time } = record
    const found = parts ? dumpOf(groups, record, title) : null
    const group = found ?? { time, last: time, title, records: [], parts: new Set() }
    if (!found) groups.push(group)
    group.last = time
    group.records.push({ record, part: title?.part ?? 0 })
    if (title) group.parts.add(title.part)
  }
  const crashes = groups.map(({ time, title, records }): Crash => ({
    time,
    reason: title?.reason ?? 'dump',
    count: title?.count ?? 1,
    dumps: records.toSorted((a, b) => b.part - a.part).map(({ record }) => record),
    rings: [],
  }))
  const rings = all.filter(({ type }) => type !== 'dmesg')
  const newest = crashes.at(-1)
  if (newest) newest.rings.push(...rings)
  else if (rings.length) crashes.push({ time: null, reason: null, count: 1, dumps: [], rings })
  return crashes
}

/** What a dump's text, or a console's, says of how the machine died. */
export interface Diagnosis {
  /** The line that says why: `Kernel panic - not syncing: …`. */
  readonly cause: string | null
  /** The kernel's version. */
  readonly kernel: string | null
  /** Seconds from boot to the last line. */
  readonly uptime: number | null
}

/** What says why, the most telling first. */
const causes = [
  /Kernel panic - .*/,
  /BUG: .*/,
  /Unable to handle kernel .*/,
  /Internal error: .*/,
  // Without a limit, a line of Oopses would take as many steps as it is long, from each of them.
  /(?:general protection fault|Oops).{0,100}: .*/,
  /Hardware Error.*/,
]

/** `CPU: 0 PID: 1 Comm: sh Not tainted 6.1.0-13-amd64 #1`, or the line that a boot begins with. */
const kernelLines = [
  /(?:Not tainted +|Tainted: [A-Z ]* )(\d+\.\d+[^\s#]*)/,
  /Linux version (\d+\.\d+\S*)/,
]

/** What printk puts before a line: its level, the time since boot, the task or CPU. */
const stamp = /^(?:<\d+>)?\[ *(\d+)\.(\d+)\](?:\[ *[TC]\d+\])? ?/

/** How much of a line counts, and of a text: its end. In bytes. */
const longestLine = 1024
export const longestText = 2 ** 20

/** A text's last lines, without what printk and the terminal put around them. */
export const linesOf = (text: Buffer): string[] =>
  text
    .toString('utf8', Math.max(0, text.length - longestText))
    .split(/\r?\n|\r/)
    .map(line => line.slice(0, longestLine))

/** Read from a text what it says of its machine's end. Whatever is in it, this is linear in its length. */
export const diagnose = (text: Buffer): Diagnosis => {
  const lines = linesOf(text)
  const find = (pattern: RegExp): RegExpExecArray | undefined => {
    for (const line of lines) {
      const found = pattern.exec(line)
      if (found) return found
    }
    return undefined
  }
  const first = (patterns: readonly RegExp[], group: number): string | null => {
    for (const pattern of patterns) {
      const found = find(pattern)
      if (found) return found[group].trimEnd()
    }
    return null
  }
  const stamped = stamp.exec(lines.findLast(line => stamp.test(line)) ?? '')
  return {
    cause: first(causes, 0),
    kernel: first(kernelLines, 1),
    uptime: stamped ? Number(`${stamped[1]}.${stamped[2]}`) : null,
  }
}
