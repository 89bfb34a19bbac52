/** What a dump's or a console's text says of how its machine died. */

/** Facts that a text tells of its machine's end. */
export interface Diagnosis {
  /** The line that says why: `Kernel panic - not syncing: …`. */
  readonly cause: string | null
  /** The kernel's version. */
  readonly kernel: string | null
  /** Seconds from boot to the last line. */
  readonly uptime: number | null
}

/** Lines that name the cause, the most telling first. */
const causes = [
  /Kernel panic - .*/,
  /BUG: .*/,
  /Unable to handle kernel .*/,
  /Internal error: .*/,
  // The limit keeps this linear: without it a line full of `Oops` is searched to its end from each of them.
  /(?:general protection fault|Oops).{0,100}: .*/,
  /Hardware Error.*/,
]

/** Lines that name the kernel: `CPU: 0 PID: 1 Comm: sh Not tainted 6.1.0-13-amd64 #1`, or a boot's first line. */
const kernelLines = [
  /(?:Not tainted +|Tainted: [A-Z ]* )(\d+\.\d+[^\s#]*)/,
  /Linux version (\d+\.\d+\S*)/,
]

/** printk's prefix of a line: the level, the time since boot, the task or CPU. */
const stamp = /^(?:<\d+>)?\[ *(\d+)\.(\d+)\](?:\[ *[TC]\d+\])? ?/

/** The start of a line that is looked at, in characters. */
const longestLine = 1024
/** The end of a text that is looked at, in bytes. */
export const longestText = 2 ** 20

/** A text's last lines, without line ends. */
export const linesOf = (text: Buffer): string[] =>
  text
    .toString('utf8', Math.max(0, text.length - longestText))
    .split(/\r?\n|\r/)
    .map(line => line.slice(0, longestLine))

/** Read a text for its machine's end. The time is linear in the text's length, whatever the text is. */
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
      const found = find(pattern)?.[group]
      if (found !== undefined) return found.trimEnd()
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
