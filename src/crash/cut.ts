/**
 * A report whose beginning is lost: a dump holds the newest of the log, as much as fits, and may begin amid an oops. What
 * is left of it tells more than the panic's line behind it.
 */
import { guiltyOf, titleName } from './blame.js'
import { longestLine, parseLines } from './lines.js'
import type { CrashReport } from './report.js'
import { tracesOf } from './traces.js'

/** What the kernel says when it cannot go on after an oops. */
const fatal =
  /^Kernel panic - not syncing: (?:[\w./: -]{1,80}: )?(?:Fatal (?:exception|error)|Kernel Fault|Bad Address|Page fault: )/
/** The most lines before it that are taken for the oops, and how long before, in seconds. */
const mostLines = 200
const soon = 10

/** A panic's report, told by the oops that brought it, where the text begins amid that. */
export const withCutOops = (text: Buffer, report: CrashReport): CrashReport => {
  if (!fatal.test(report.headline)) return report
  const start = Math.max(0, report.offset - mostLines * longestLine)
  const before = text.toString('utf8', start, report.offset)
  const lines = parseLines(before)
    .slice(-mostLines)
    .filter(({ time }) => time === null || report.uptime === null || report.uptime - time <= soon)
  const traces = tracesOf(lines)
  const pointer = traces.flatMap(({ frames }) => frames).find(({ role }) => role === 'pointer')
  // The trace may have lost its first frames, but the pointer is told again behind it.
  const told = pointer ? [{ title: '', frames: [pointer] }, ...traces] : traces
  const headline = { text: report.headline, time: null, caller: null }
  const guilty = guiltyOf('trace', [headline, ...lines], told)
  if (guilty === null) return report
  return {
    ...report,
    kind: 'oops',
    title: `Oops in ${titleName(guilty)}`,
    guilty,
    pointer: pointer ?? null,
    traces,
  }
}
