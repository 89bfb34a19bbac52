/**
 * Several dumps of one life. Each holds the newest of the whole log (kernel/printk/printk.c, kmsg_dump_get_buffer), and
 * so the reports of the dumps before it, as far back as it reaches. A dump's own report begins behind the last line of
 * the dump before (doc/formats.md 11).
 */
import { contentOf } from '../pstore/content.js'
import { withCutOops } from './cut.js'
import { clockOf } from './clock.js'
import { longestLine, parseLine, parseLines } from './lines.js'
import { spoken } from './lives.js'
import { grave } from './kinds.js'
import { firstReport, type CrashReport } from './report.js'

/** By what a kernel ends that cannot go on after an oops: that oops is what happened. */
const consequence =
  /^Kernel panic - not syncing: (?:(?:[\w./: -]{1,80}: )?Fatal (?:exception|error)|Attempted to kill |Aiee, killing )/
/** Seconds within which it does. */
const soon = 1

/** Where a text's lines begin that were printed after a time, in bytes; its end where none was. */
const placeAfter = (text: Buffer, after: number): number => {
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\n', at)
    const next = end < 0 ? text.length : end + 1
    const { time } = parseLine(text.toString('latin1', at, Math.min(next, at + longestLine)))
    if (time !== null && time > after) return at
    at = next
  }
  return text.length
}

/** The report that a dump was made of. */
export interface OwnReport {
  readonly report: CrashReport | null
  /** The first report of those before it, of which other dumps were made; null where the text has none. */
  readonly earlier: CrashReport | null
}

/** Seconds within which what a machine dies of may be the consequence of a warning. */
const causal = 10

/**
 * The report by which a text is told: the first, but no warning that the machine survived for longer, where it died of
 * something else.
 */
const tellingReport = (text: Buffer): CrashReport | null => {
  const content = contentOf(text)
  const first = firstReport(content)
  if (first?.uptime == null) return first && withCutOops(text, first)
  const end = firstReport(content, grave)
  if (end?.uptime == null || end.uptime - first.uptime <= causal) return withCutOops(text, first)
  const from = placeAfter(text, end.uptime - causal)
  const report = firstReport(contentOf(text.subarray(from)))
  return report && { ...report, offset: report.offset + from }
}

/**
 * Find a dump's own report.
 *
 * @param after when the dump before it ended, in seconds since boot; null: there is none, or the text does not reach back
 */
export const ownReport = (text: Buffer, after: number | null): OwnReport => {
  const from = after === null ? 0 : placeAfter(text, after)
  const report = tellingReport(text.subarray(from))
  return {
    report: report && { ...report, offset: report.offset + from },
    earlier: from > 0 ? firstReport(contentOf(text.subarray(0, from))) : null,
  }
}

/** A dump's last lines, by which it is known in another. */
const last = 8

/** When a dump ended whose life another dump goes on with, in seconds since boot; null where the two are of two lives. */
export const endWithin = (text: Buffer, before: Buffer): number | null => {
  const timed = parseLines(before.toString('latin1')).filter(({ time }) => time !== null)
  const ends = timed.slice(-last)
  const said = new Set(parseLines(text.toString('latin1')).map(spoken))
  // Damage makes some differ.
  const isThere = 2 * ends.filter(line => said.has(spoken(line))).length >= ends.length
  return isThere ? (clockOf(ends)?.last ?? null) : null
}

/** Does a dump's own report say only that the kernel could not go on after what it reported before? */
export const isConsequence = (text: Buffer, after: number): boolean => {
  const { report } = ownReport(text, after)
  return (
    report?.uptime != null && report.uptime <= after + soon && consequence.test(report.headline)
  )
}
