/** What a dump's or a console's text says of how its machine died, for a summary. */
import { ownReport } from './earlier.js'
import type { Kind } from './kinds.js'
import { parseLine } from './lines.js'
import { longestText } from './text.js'

/** Facts that a text tells of its machine's end. */
export interface Diagnosis {
  /** {@link CrashReport.kind} */
  readonly kind: Kind | null
  /** What happened, the same for the same bug: {@link CrashReport.title}. */
  readonly title: string | null
  /** The line by which the crash's report begins: `BUG: unable to handle …`. */
  readonly cause: string | null
  /** {@link CrashReport.fingerprint} */
  readonly fingerprint: string | null
  /** The kernel's version. */
  readonly kernel: string | null
  /** Seconds from boot to the last line. */
  readonly uptime: number | null
}

/** What a crash was, in a line. */
export const describeCrash = ({
  title,
  cause,
  reason,
}: Pick<Diagnosis, 'title' | 'cause'> & { readonly reason: string | null }): string =>
  title ?? cause ?? (reason === null ? 'no dump' : `${reason}, without a report`)

/** Lines that name the kernel: `CPU: 0 PID: 1 Comm: sh Not tainted 6.1.0-13-amd64 #1`, or a boot's first line. */
const kernelLines = [
  /(?:Not tainted +|Tainted: [A-Z ]* )(\d+\.\d+[^\s#]*)/,
  /Linux version (\d+\.\d+\S*)/,
]

/** The start of a line that is looked at, in characters. */
const longestLine = 1024

/** A text's last lines, without line ends. */
export const linesOf = (text: Buffer): string[] =>
  text
    .toString('utf8', Math.max(0, text.length - longestText))
    .split(/\r?\n|\r/)
    .map(line => line.slice(0, longestLine))

/**
 * Read a text for its machine's end. The time is linear in the text's length, whatever the text is.
 *
 * @param after until when the reports in it are of other crashes: {@link Crash.after}
 */
export const diagnose = (text: Buffer, after: number | null = null): Diagnosis => {
  const { report } = ownReport(text, after)
  const lines = linesOf(text)
  const kernel = kernelLines.flatMap(pattern => lines.map(line => pattern.exec(line)?.[1] ?? []))
  const stamped = lines.findLast(line => parseLine(line).time !== null)
  return {
    kind: report?.kind ?? null,
    title: report?.title ?? null,
    cause: report?.headline ?? null,
    fingerprint: report?.fingerprint ?? null,
    kernel: report?.kernel ?? kernel.flat()[0] ?? null,
    uptime: stamped === undefined ? null : parseLine(stamped).time,
  }
}
