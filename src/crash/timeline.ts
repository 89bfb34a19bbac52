/**
 * All that a crash's records say, by time: on printk's clock, the seconds since boot, which a dump and a console have
 * themselves. Loggers of user space have the wall clock: when it stood where is known by the dump, which was stored
 * when its last line had been printed.
 */
import type { Timespec } from '../pstore/time.js'
import { clockOf } from './clock.js'
import { spoken } from './lives.js'
import type { StoryLine } from './story.js'
import { wallTimeOf } from './wall-clock.js'

/** A record's lines, in their order. */
export interface Origin {
  /** What the record is called in a timeline: `dmesg`, `tty-1`. */
  readonly origin: string
  readonly lines: readonly StoryLine[]
}

/** A line of a timeline. */
export interface TimedLine extends StoryLine {
  readonly origin: string
  /** Seconds since boot: its own, or where it has none those of the line before it in its record. */
  readonly at: number
  /** Whether it is its own. */
  readonly isTimed: boolean
}

export interface Timeline {
  readonly lines: readonly TimedLine[]
  /** Records and lines of which it is not known when they were written. */
  readonly unplaced: readonly Origin[]
}

/** Seconds by which user space may write after a machine's last word: its clock was set, or is of another zone. */
const latest = 5

/** When a machine's clock was 0, in ms since 1970; null where a dump has no time. */
export const bootOf = (
  stored: Timespec | null,
  dump: readonly Pick<StoryLine, 'time'>[],
): number | null => {
  const end = clockOf(dump)?.last
  return stored === null || end === undefined
    ? null
    : Number(stored.sec) * 1000 + stored.nsec / 1e6 - end * 1000
}

/**
 * Put records' lines in one order. A line without a time stays behind the one before it in its record, or before the
 * first that has one. What two kernel's logs both have is there once.
 *
 * @param kernel the dump's lines, and the console's of that life
 * @param others of user space
 * @param stored when the dump was stored
 * @param goesOn the machine may have gone on after it
 */
export const timelineOf = (
  kernel: readonly Origin[],
  others: readonly Origin[],
  stored: Timespec | null,
  goesOn: boolean,
): Timeline => {
  const dump = kernel[0]?.lines ?? []
  const boot = bootOf(stored, dump)
  /** A line that does not tell its year is of the last before the dump, however long the machine had been up. */
  const near = stored === null ? 0 : Number(stored.sec) * 1000
  const end = goesOn ? Infinity : (clockOf(dump)?.last ?? Infinity) + latest
  /** Seconds since boot, null where a line has no time, NaN where that cannot be right. */
  const timeOf = ({ line, time }: StoryLine): number | null => {
    const wall = time === null ? wallTimeOf(line, near) : null
    if (wall === null) return time
    const at = boot === null ? NaN : (wall - boot) / 1000
    return at >= 0 && at <= end ? at : NaN
  }
  const placed: TimedLine[] = []
  const unplaced: Origin[] = []
  const place = (
    { origin, lines }: Origin,
    timeIn: (line: StoryLine) => number | null,
    isKnown: (line: StoryLine) => boolean,
  ): void => {
    const times = lines.map(timeIn)
    let at = times.find(time => time !== null) ?? NaN
    const left: StoryLine[] = []
    for (const [i, line] of lines.entries()) {
      at = times[i] ?? at
      if (isKnown(line)) continue
      if (Number.isNaN(at)) left.push(line)
      else placed.push({ ...line, origin, at, isTimed: times[i] !== null })
    }
    if (left.length > 0) unplaced.push({ origin, lines: left })
  }
  const said = new Set<string>()
  for (const of of kernel) {
    place(
      of,
      ({ time }) => time,
      line => line.time !== null && said.has(spoken(line)),
    )
    for (const line of of.lines) said.add(spoken(line))
  }
  for (const of of others) place(of, timeOf, () => false)
  return { lines: placed.toSorted((a, b) => a.at - b.at), unplaced }
}
