/** What crashed: the first report in a kernel's log, its title, its fingerprint, and what it says of the machine. */
import type { Content } from '../pstore/content.js'
import { guiltyOf, titleName } from './blame.js'
import { factsOf, type Facts } from './facts.js'
import { fingerprintOf } from './fingerprint.js'
import type { Frame } from './frames.js'
import { openers, sure, unsure, type Kind, type Opener } from './kinds.js'
import { longestLine, parseLines, type LogLine } from './lines.js'
import { findReport } from './scan.js'
import { isOfObject, tracesOf, type Trace } from './traces.js'

/** A kernel's report of what went wrong. Its texts are a crashed machine's own: no terminal may see them raw. */
export interface CrashReport extends Facts {
  readonly kind: Kind
  /** What happened, in the form that syzbot made everybody's: the same bug has the same title. */
  readonly title: string
  /** The line by which the report begins, without prefixes. */
  readonly headline: string
  /** Where that line is in the text, in bytes. */
  readonly offset: number
  /** The function to blame, as the trace has it; null where the report names none. */
  readonly guilty: string | null
  /** Where the CPU stood; null where the report does not tell. */
  readonly pointer: Frame | null
  readonly traces: readonly Trace[]
  /** ABRT's, of the report's first trace. */
  readonly fingerprint: string | null
  /** Seconds from boot to the report; null where its lines have no time. */
  readonly uptime: number | null
}

/** The report's own lines: those of whoever began it, where printk tells. Stalls are told by several CPUs. */
const ownLines = (lines: readonly LogLine[], { kind }: Opener): readonly LogLine[] => {
  const by = lines[0]!.caller
  if (by === null || kind === 'rcu stall' || kind === 'soft lockup' || kind === 'hard lockup')
    return lines
  return lines.filter(({ caller }) => caller === by)
}

/** The most characters of a line that a title takes. */
const longestTitle = 120

/** A line's text without what differs from crash to crash: addresses, numbers, who ran. */
const withoutNumbers = (text: string): string =>
  text
    .slice(0, longestTitle)
    .replace(/[: ]+\S{0,40}=?0x[0-9a-f]{1,16}.*$/, '')
    .replace(/\b\d+\b/g, 'NUM')
    .replace(/[\s:.,]+$/, '')

/** What KASAN says of the access, on the line below: `Read of size 8 at addr …`. */
const accessOf = (lines: readonly LogLine[]): string => {
  const access = lines.find(({ text }) => /^(?:Read|Write) (?:of size|at addr)/.test(text))
  return access ? `${access.text.slice(0, access.text.indexOf(' '))} ` : ''
}

/** A title of an opener's form. */
const titleOf = (
  { line, title }: Opener,
  lines: readonly LogLine[],
  headline: string,
  guilty: string | null,
): string => {
  const groups = line.exec(headline) ?? []
  // In one pass: what a crash puts in may look like one of these itself.
  return title
    .replace(/( in )?\{f\}|\{rw\} |\{next\}|\{1\}|\$(\d)/g, (form, before = '', digit = '') => {
      if (form === '{rw} ') return accessOf(lines)
      if (form === '{next}') return withoutNumbers(lines[1]?.text ?? 'panic')
      if (form === '{1}') return withoutNumbers(groups[1] ?? '')
      if (digit) return titleName(groups[Number(digit)] ?? '')
      return guilty === null ? '' : `${before}${titleName(guilty)}`
    })
    .replace(/: $/, '')
}

/**
 * The first report in a text; null where there is none. Time and memory are linear in the text's length, and
 * of a report 256 KiB are looked at.
 *
 * @param beginning where reports may begin, if not all are wanted
 */
export const firstReport = (content: Content, beginning?: RegExp): CrashReport | null => {
  const found = beginning
    ? findReport(content, beginning)
    : (findReport(content, sure) ?? findReport(content, unsure))
  if (!found) return null
  const all = parseLines(found.text)
  const { text, time } = all[0]!
  const takes = (line: string): Opener | undefined => openers.find(one => one.line.test(line))
  // A line that has a stamp in its midst was cut there: what began the report may stand before.
  const raw = found.text.slice(0, 2 * longestLine).split('\n', 1)[0]!
  const whole = takes(text)
  const headline = whole ? text : raw.trimEnd()
  // A log may end after `kernel BUG at `: the space is of what the report began by.
  const opener = whole ?? takes(raw)!
  const lines = ownLines(all, opener)
  const traces = tracesOf(lines)
  const guilty = guiltyOf(opener.blame, lines, traces)
  const frames = (traces.find(trace => !isOfObject(trace)) ?? traces[0])?.frames ?? []
  return {
    kind: opener.kind,
    title: titleOf(opener, lines, headline, guilty),
    headline,
    offset: found.offset,
    guilty,
    pointer: frames.find(({ role }) => role === 'pointer') ?? null,
    traces,
    fingerprint: fingerprintOf(frames),
    uptime: time,
    ...factsOf(lines, found.banner),
  }
}
