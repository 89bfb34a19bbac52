/** Whose turn it is: where the next dump goes, so that of all dumps the oldest gives way. */
import type { Timespec } from './time.js'

/** What is known of a dump's place. */
export interface DumpZone {
  /** When the dump here was made, an erased one too where that is still known; null: never one. */
  readonly time: Timespec | null
  /** Nothing is lost by writing here. */
  readonly free: boolean
  /** It cannot be read: a dump there may be lost. Absent: it can. */
  readonly bad?: true
}

/** Negative where `a` is earlier, positive where it is later. */
const compare = (a: Timespec, b: Timespec): number =>
  a.sec === b.sec ? a.nsec - b.nsec : a.sec < b.sec ? -1 : 1

/**
 * The index of the newest dump; −1 where there is none. Clocks tick too slowly to tell two dumps of a
 * loop apart. Of equally late places it is the one that was written last by whoever asks; else the one
 * whose next is not as late, since they were written in turn.
 *
 * @param last the index that was written last, −1 where that is not known
 */
const newestOf = (turns: readonly DumpZone[], last: number): number => {
  let latest: Timespec | null = null
  for (const { time } of turns)
    if (time && (latest === null || compare(time, latest) > 0)) latest = time
  if (latest === null) return -1
  const isLatest = (i: number): boolean => {
    const { time } = turns[i % turns.length]!
    return time !== null && compare(time, latest) === 0
  }
  if (last >= 0 && isLatest(last)) return last
  const ends = turns.findIndex((_, i) => isLatest(i) && !isLatest(i + 1))
  return ends >= 0 ? ends : turns.length - 1
}

/**
 * The index of the place that the next dump goes to: the first free one after the newest dump, else
 * the one right after it, whose dump is the oldest. One that cannot be read is passed over, unless all are so.
 *
 * @param turns every place, in the order in which they are written; at least one
 * @param last the index that was written last by whoever asks, −1 where that is not known
 */
export const nextDumpZone = (turns: readonly DumpZone[], last: number): number => {
  const first = (newestOf(turns, last) + 1) % turns.length
  let oldest = -1
  for (let i = 0; i < turns.length; i++) {
    const next = (first + i) % turns.length
    const { free, bad } = turns[next]!
    if (free) return next
    if (!bad && oldest < 0) oldest = next
  }
  return oldest < 0 ? first : oldest
}
