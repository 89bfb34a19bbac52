/** A report's call traces. */
import { parseFrames, type Frame } from './frames.js'
import type { LogLine } from './lines.js'

/** A call trace. */
export interface Trace {
  /** The line above it that says what it is: `Call Trace:`, `Allocated by task 5:`. */
  readonly title: string
  /** The innermost first. */
  readonly frames: readonly Frame[]
}

/** Lines by which another trace begins. */
const heading =
  /^(?:Call [tT]race|CPU: \d{1,6} (?:UID: \d{1,10} )?PID: |Preemption disabled|Backtrace|backtrace|stack backtrace|Stack traceback|Task dump|NMI backtrace|Allocated (?:by|in)|Freed (?:by|in)|Last potentially|Second to last|Uninit was|Local variable|page last (?:allocated|free)|(?:read|write)(?: \(\w+\))? to |The buggy address|Memory state|Kernel panic|Showing all locks|(?:(?:NMI )?watchdog: |rcu: )?(?:INFO|BUG|WARNING): |Sending NMI|task:\S|(?:the )?existing dependency chain|-> #\d|other info that|(?:\.\.\. which became|to a) |\{.{1,40}\} state was registered|kfence-#\d|allocated by task|freed by task|Last Breaking-Event|RCU grace-period|rcu: RCU grace|\S.{0,24} +[RSDTtXZPI] +(?:running|stack|[0-9a-f]{8}|\d))/

/** The heading that a trace has in any report; some architectures put the first frame behind it. */
const callTrace = /^Call [tT]race:? */
/** Headings that follow the pointer of the trace that they begin. */
const follows = /^(?:Call [tT]race|CPU: )/

/** Is a trace slab's, of who made or freed an object? The report's own comes after those. */
export const isOfObject = ({ title }: Trace): boolean =>
  /^(?:INFO: )?(?:Allocated|Freed) in /.test(title)

/** The most frames of a report: a trace that is printed has some dozens. */
const mostFrames = 4096

/** The traces in a report, in order. A line that belongs to none ends none: other CPUs print between. */
export const tracesOf = (lines: readonly LogLine[]): Trace[] => {
  const traces: { title: string; frames: Frame[] }[] = []
  let title = ''
  let fresh = true
  let frames = 0
  for (const { text } of lines) {
    if (frames >= mostFrames) break
    const isHeading = heading.test(text)
    if (isHeading) {
      title = text
      // `Call Trace:` follows the registers, whose pointer belongs to it; and `CPU: …` may follow `IP: …`.
      fresh ||= !(follows.test(text) && traces.at(-1)?.frames.at(-1)?.role !== 'call')
      if (!callTrace.test(text)) continue
    }
    const found = parseFrames(text.replace(callTrace, ''))
    if (found.length === 0) continue
    if (fresh) traces.push({ title, frames: [] })
    fresh = false
    const trace = traces.at(-1)!
    // ARM names each function twice: as the caller of the one, and as the callee of the other.
    if (found.length === 2 && trace.frames.at(-1)?.name === found[0]!.name) found.shift()
    trace.frames.push(...found)
    frames += found.length
  }
  return traces
}
