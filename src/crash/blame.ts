/** Which function of a report is to blame. */
import { plainName, symbolIn, type Frame } from './frames.js'
import {
  isCall,
  isDispatcher,
  isGeneric,
  isInterrupt,
  isMaker,
  isReporter,
  isWait,
} from './generic.js'
import type { Blame } from './kinds.js'
import type { LogLine } from './lines.js'
import { isOfObject, type Trace } from './traces.js'

/** Traces of threads that only watch, or wait for work. */
const watching =
  /^_*(?:rcu_gp_kthread|watchdog(?!\w)|default_idle|cpuidle_enter|do_idle|arch_cpu_idle|cpu_idle_loop)/
/** RCU's own thread, which is shown where it got no time: it stalls nobody. */
const starved = /^_*rcu_gp_kthread/

/** One name for all of a family. */
const families: readonly (readonly [RegExp, string])[] = [
  [/^_*synchronize_(?:s?rcu|sched|net|rcu_expedited)\b.*/, 'synchronize_rcu'],
  [/^_*smp_call_function.*/, 'smp_call_function'],
]

/** A function's name as a title has it. */
export const titleName = (name: string): string => {
  const plain = plainName(name)
  return families.find(([pattern]) => pattern.test(plain))?.[1] ?? plain
}

/** How sure frames are: `returns` adds where the CPU would return to, `guesses` what was merely on the stack. */
type Trust = 'sure' | 'returns' | 'guesses'

/** Frames that may be blamed: where the CPU stood, or a call; and where it returns to, where it stood nowhere. */
const candidates = (frames: readonly Frame[], trust: Trust): Frame[] => {
  const stood = frames.some(({ role }) => role === 'pointer')
  return frames.filter(
    ({ name, reliable, role }) =>
      (reliable || (trust === 'guesses' && !/^__(?:pfx|cfi)_/.test(name))) &&
      (role !== 'return' || !stood || trust !== 'sure'),
  )
}

/** Is a function no clue, in a report that is blamed so? */
const skipper =
  (blame: Blame) =>
  ({ name }: Frame): boolean => {
    const plain = plainName(name)
    if (blame === 'leak' && isMaker(plain)) return true
    if (blame === 'wait' && isWait(plain)) return true
    return isGeneric(plain)
  }

/** By what is looked for a CPU that takes no other interrupt. */
const nmi = /nmi$/
/** The timer's interrupt, which looks for stalls, and which another timer may stall. */
const ticks = /^_*(?:hrtimer_interrupt|update_process_times|tick_)/

/** What the CPU did when the timer's interrupt or an NMI came, where a trace tells. */
const belowInterrupt = (frames: readonly Frame[]): readonly Frame[] => {
  const at = frames.findIndex(({ name }) => isInterrupt(plainName(name)))
  const below = frames.slice(at + 1)
  const called = below.some(({ name }) => isCall(name))
  const ticked = frames.slice(0, at + 1).some(({ name }) => ticks.test(name))
  const unmasked = nmi.test(frames[at]?.name ?? '')
  return (ticked || called || unmasked) && below.length > 0 ? below : frames
}

/** The frame that names a path: that which the innermost dispatcher called; else the first that is a clue. */
const pathOf = (frames: readonly Frame[], skip: (frame: Frame) => boolean): Frame | undefined => {
  const call = frames.find(({ name }) => /^_*smp_call_function/.test(name))
  if (call) return call
  const at = frames.findIndex(({ name }) => isDispatcher(plainName(name)) || isDispatcher(name))
  const called = frames[at - 1]
  return called && !skip(called) ? called : frames.find(frame => !skip(frame))
}

/** Where locks were taken or released: `(lock){+.+.}, at: foo+0x1/0x2`, or on the line below; the first that is a clue. */
const lockedAt = (lines: readonly LogLine[]): string | null => {
  for (const [i, { text }] of lines.entries()) {
    if (text.startsWith('which lock already depends') || text.startsWith('stack backtrace')) break
    const at = text.search(/ at:(?: |$)/)
    if (at < 0) continue
    const name = symbolIn(text.slice(at)) ?? symbolIn(lines[i + 1]?.text ?? '')
    if (name !== null && !isGeneric(plainName(name))) return name
  }
  return null
}

/** Lockdep's traces of where locks were taken before; the report's own comes after them. */
const earlier =
  /^(?:-> #\d|\{.{1,40}\} state was registered|\.\.\. which became|to a |Preemption disabled)/

/** The first frame that is a clue; undefined where none is. */
const foundIn = (traces: readonly Frame[][], blame: Blame): Frame | undefined => {
  const skip = skipper(blame)
  const all = traces.filter(({ length }) => length > 0)
  const busy = all.filter(frames => !frames.some(({ name }) => watching.test(name)))
  const pathed =
    blame === 'path' ? [...busy, ...all].map(frames => pathOf(belowInterrupt(frames), skip)) : []
  return pathed.find(frame => frame) ?? all.flat().find(frame => !skip(frame))
}

/** What a worker was told to do: `Workqueue: events demo_work [demo]`. (kernel/workqueue.c, print_worker_info) */
const workIn = (lines: readonly LogLine[]): string | undefined => {
  for (const { text } of lines) {
    const work = /^Workqueue: \S{1,64} ([A-Za-z_][\w.]{0,255})/.exec(text)
    if (work) return work[1]
  }
  return undefined
}

/**
 * The function to blame, as printed; null where the report names none.
 *
 * @param lines the report's, its first one first
 */
export const guiltyOf = (
  blame: Blame,
  lines: readonly LogLine[],
  traces: readonly Trace[],
): string | null => {
  if (blame === 'line') return null
  const locked = blame === 'lock' ? lockedAt(lines) : null
  if (locked !== null) return locked
  const named = blame === 'trace' || blame === 'path' ? symbolIn(lines[0]!.text) : null
  if (named !== null && !isGeneric(plainName(named))) return named
  const own = traces.filter(trace => {
    if (blame === 'path' && trace.frames.some(({ name }) => starved.test(name))) return false
    return (
      blame === 'history' || blame === 'lock' || !(earlier.test(trace.title) || isOfObject(trace))
    )
  })
  const within = (trust: Trust): Frame[][] => own.map(({ frames }) => candidates(frames, trust))
  const found =
    foundIn(within('sure'), blame)?.name ??
    foundIn(within('returns'), blame)?.name ??
    workIn(lines) ??
    foundIn(within('guesses'), blame)?.name
  if (found !== undefined) return found
  const some = within('sure').flat()
  return named ?? (some.find(({ name }) => !isReporter(plainName(name))) ?? some[0])?.name ?? null
}
