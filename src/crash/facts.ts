/** What a report's own lines say of the machine and of who ran: lib/dump_stack.c, dump_stack_print_info. */
import type { LogLine } from './lines.js'

/** What ran, and on what. Null where the report does not tell. */
export interface Facts {
  /** The task's name, as /proc/PID/comm has it. */
  readonly command: string | null
  readonly pid: number | null
  readonly cpu: number | null
  /** The kernel's taint as it prints it: `G        W`; the empty text where it says that there is none. */
  readonly taint: string | null
  readonly hardware: string | null
  /** The kernel's version. */
  readonly kernel: string | null
}

/** `CPU: 1 UID: 0 PID: 51 Comm: kworker/1:1 Kdump: loaded Not tainted 6.13.0 #0`; a name may have blanks. */
const ran =
  /CPU: (\d{1,6}) (?:UID: \d{1,10} )?PID: (\d{1,10}) Comm: (.{0,64}?) +(?:Kdump: loaded +)?(?:Not tainted|Tainted: )/
/** Before 3.11: `Pid: 737, comm: modprobe Not tainted 3.2.2 #1`, and on ARM `CPU: 0    Not tainted  (3.4.5 #3)`. */
const ranOnce = /^Pid: (\d{1,10}), comm: (.{0,64}?) +(?:Not tainted|Tainted: )/
const onceOn = /^CPU: (\d{1,6}) +(?:Not tainted|Tainted: )/
/** `Process swapper (pid: 1, stack limit = 0xc0012345)`. */
const process = /^Process (.{1,64}?) \(pid: (\d{1,10})[,)]/
/** `WARNING: f.c:1 at f+0x1/0x2, CPU#0: jfsCommit/112`, and `CPU#1 stuck for 134s! [comm:10431]`. */
const opened =
  /CPU#(\d{1,6})(?:: (.{1,64})\/(\d{1,10})$| stuck for \d{1,9}s! \[(.{1,64}):(\d{1,10})\])/
/** `INFO: task comm:pid blocked`, `by task comm/pid`. */
const task = /(?:INFO: task (.{1,64}):(\d{1,10}) blocked|by task (.{1,64})\/(\d{1,10})(?: |$))/
/** Red Hat's has dashes, too: `Tainted: G        W  O--------------   3.10.0`. */
const tainted = /Not tainted|Tainted: ([A-Z ]{1,40}?)(?=, |\[| *-| +[(\d]| *$)/
const version =
  /(?:Not tainted,?|Tainted: [A-Z -]{1,60}(?:, \[[^\]]{0,200}\])?) *\(?(\d{1,3}\.\d{1,4}[^\s#)]{0,100})/
const banner = /Linux version (\d{1,3}\.\d{1,4}\S{0,100})/
const hardware = /^Hardware name: (.{1,200})/

/**
 * Read a report for its facts.
 *
 * @param lines the report's
 * @param linux the kernel's `Linux version …` line, where there is one
 */
export const factsOf = (lines: readonly LogLine[], linux: string | null): Facts => {
  const first = (pattern: RegExp): RegExpExecArray | null => {
    for (const { text } of lines) {
      const found = pattern.exec(text)
      if (found) return found
    }
    return null
  }
  const who = first(ran)
  const where = first(opened)
  const whom = first(task)
  const once = first(ranOnce)
  const last = who || once ? null : first(process)
  const taint = first(tainted)
  const command =
    whom?.[1] ?? whom?.[3] ?? who?.[3] ?? once?.[2] ?? where?.[2] ?? where?.[4] ?? last?.[1]
  const pid =
    whom?.[2] ?? whom?.[4] ?? who?.[2] ?? once?.[1] ?? where?.[3] ?? where?.[5] ?? last?.[2]
  const cpu = who?.[1] ?? where?.[1] ?? first(onceOn)?.[1]
  return {
    command: command ?? null,
    pid: pid === undefined ? null : Number(pid),
    cpu: cpu === undefined ? null : Number(cpu),
    taint: taint && (taint[1]?.trim() ?? ''),
    hardware: first(hardware)?.[1] ?? null,
    kernel: first(version)?.[1] ?? banner.exec(linux ?? '')?.[1] ?? null,
  }
}
