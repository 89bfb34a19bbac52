/** A crash's story: the report amid the lines around it. */
import { ownReport, type OwnReport } from './earlier.js'
import { parseLine } from './lines.js'

/** A line of a log. It is a crashed machine's own: no terminal may see it raw. */
export interface StoryLine {
  /** As printed, without the level before it and the line end. */
  readonly line: string
  /** What the kernel said in it. */
  readonly text: string
  /** 0, an emergency, to 7, for debugging; null where the line does not tell. */
  readonly level: number | null
  /** Seconds since boot; null where the line does not tell. */
  readonly time: number | null
  /** True for the frame of the function to blame. */
  readonly guilty: boolean
}

export interface Story extends OwnReport {
  /** All lines, the oldest first. */
  readonly lines: readonly StoryLine[]
  /** The line by which the report begins, by index; without a report the end of all. */
  readonly start: number
  /** The first line behind the report. */
  readonly end: number
}

/** The line by which a report ends (kernel/panic.c: print_oops_end_marker, panic). */
const endMarker = /^---\[ end (?:trace|Kernel panic)/
/** Lines of a report that has no end. */
const longestReport = 200
const level = /^<(\d{1,3})>/

/** A text's lines. */
export const storyLines = (text: Buffer): StoryLine[] =>
  text
    .toString('utf8')
    .split(/\r?\n/)
    .filter((line, i, all) => line !== '' || i < all.length - 1)
    .map(raw => {
      const says = level.exec(raw)
      const line = raw.slice(says?.[0].length ?? 0)
      const { text, time } = parseLine(line)
      return { line, text, level: says ? Number(says[1]) & 7 : null, time, guilty: false }
    })

/** What no text has: controls, but for tabs and escape sequences, and bytes that are no UTF-8. */
// oxlint-disable-next-line no-control-regex -- controls are what is looked for
const unreadable = /[\0-\x08\x0b-\x1a\x1c-\x1f\ufffd]/g

/** Are lines a text, damaged perhaps, and not what some program packed? */
export const isReadable = (lines: readonly Pick<StoryLine, 'line'>[]): boolean => {
  let length = 0
  let wrong = 0
  for (const { line } of lines) {
    length += line.length
    wrong += line.match(unreadable)?.length ?? 0
  }
  return wrong <= length / 4
}

/**
 * Read a dump's or a console's text. Time and memory are linear in its length.
 *
 * @param after as of {@link ownReport}
 */
export const storyOf = (text: Buffer, after: number | null = null): Story => {
  const { report, earlier } = ownReport(text, after)
  const all = storyLines(text)
  if (!report) return { report, earlier, lines: all, start: all.length, end: all.length }
  // Amid a line, where that is long.
  const start = text.toString('latin1', 0, report.offset).split('\n').length - 1
  const said = (i: number): string => all[i]!.text
  let end = start + 1
  while (end < all.length && end - start < longestReport && !endMarker.test(said(end - 1))) end++
  const { guilty } = report
  let blamed = -1
  for (let i = start; guilty !== null && i < end && blamed < 0; i++)
    if (said(i).includes(`${guilty}+0x`)) blamed = i
  const lines = all.map((line, i) => (i === blamed ? { ...line, guilty: true } : line))
  return { report, earlier, lines, start, end }
}
