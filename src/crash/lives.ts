/**
 * Lives of a machine, by printk's clock: it starts at 0 with each.
 *
 * What a console showed while a dump's lines were printed is in the dump, too: whoever finds other lines there for
 * that time has another life's console, however long that went on (doc/formats.md 11).
 */
import { clockOf, type Clock } from './clock.js'
import type { LogLine } from './lines.js'

/** A line, and when it was printed. */
type Said = Pick<LogLine, 'text' | 'time'>

/** Seconds by which the clock of one life goes back, from one processor to the next. */
const skew = 1

/** Lines of one life after another: where the clock goes back, or a kernel says what it is, a life begins. */
const livesIn = <L extends Said>(lines: readonly L[]): L[][] => {
  const lives: L[][] = [[]]
  let latest = -1
  for (const line of lines) {
    const { text, time } = line
    if (time !== null) {
      const isFirst = time === 0 && text.startsWith('Linux version ')
      if (latest > 0 && (time < latest - skew || isFirst)) {
        lives.push([])
        latest = -1
      }
      latest = Math.max(latest, time)
    }
    lives.at(-1)!.push(line)
  }
  return lives
}

/** What tells a line from others. */
export const spoken = ({ time, text }: Said): string => `${time} ${text}`

/**
 * The lines of a log that a dump's machine printed in the life that the dump ends; all where a clock is missing.
 *
 * @param dump the dump's lines, the oldest first
 * @param log a console's
 * @param goesOn the machine may have gone on after the dump, for as long as it takes to fill the log again
 */
export const linesOfLife = <L extends Said>(
  dump: readonly Said[],
  log: readonly L[],
  goesOn: boolean,
): L[] => {
  const clock = clockOf(dump)
  if (!clock || !clockOf(log)) return [...log]
  const said = new Set(dump.filter(({ time }) => time !== null).map(spoken))
  return livesIn(log)
    .filter(life => isSame(clock, said, life, goesOn))
    .flat()
}

/** The lines of one life that were printed after a moment. One without a time goes with the one before it. */
export const linesAfter = <L extends Said>(lines: readonly L[], end: number): L[] => {
  let isAfter = false
  return lines.filter(({ time }) => (isAfter = time === null ? isAfter : time > end))
}

/** Is a life that which a dump ends? */
const isSame = (
  { first, last }: Clock,
  said: ReadonlySet<string>,
  life: readonly Said[],
  goesOn: boolean,
): boolean => {
  const timed = life.filter(({ time }) => time !== null)
  const meanwhile = timed.filter(({ time }) => time! >= first && time! <= last)
  // Damage, and a console that cuts lines, make some differ.
  if (meanwhile.length > 0)
    return 2 * meanwhile.filter(line => said.has(spoken(line))).length >= meanwhile.length
  if (timed.length === 0) return true
  // Of the time before the dump: of a life that had ended, or one that has not come so far.
  return timed.at(-1)!.time! >= first && (goesOn || timed[0]!.time! <= last)
}
