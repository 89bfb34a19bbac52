/** A command on a pseudo-terminal of its own, in front of whoever started it, as script(1) runs one. */
import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import type { Socket } from 'node:net'
import os from 'node:os'
import { createInterface } from 'node:readline'
import tty from 'node:tty'
import { StoreError } from '../../pstore/errors.js'
import { drain, feed, type Output } from './output.js'
import {
  copySize,
  hasInput,
  inputOf,
  modesOf,
  openTerminal,
  rawModes,
  setModes,
  silentModes,
  type Modes,
} from './pty.js'

/** Signals that end a program that takes no care of them, and that Node lets one take care of. */
const endings = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGTERM',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGVTALRM',
  'SIGIO',
  'SIGPWR',
  'SIGXCPU',
  'SIGSTKFLT',
  'SIGSYS',
  'SIGTRAP',
  'SIGABRT',
] as const

/**
 * Runs a command as an interactive shell runs a job, for `sh -m`: in a process group of its own, and with a
 * parent in another one. Without such a parent the kernel has nobody stopped by ^Z (the group is orphaned).
 * On descriptor 3 it tells the command's process id, and that it was stopped; an answer lets it go on.
 */
const jobControl = `
exec 4>&2 2>/dev/null
sh -c 'echo $$ >&3; exec "$@" 2>&4 3>&- 4>&-' sh "$@"
status=$?
while jobs %% >/dev/null; do
  echo stopped >&3
  read -r answer <&3 || exit
  fg >/dev/null
  status=$?
done
exit $status`

/** How often is looked whether the terminal takes more input, in ms. */
const inputPause = 5
/** How often, at least, is looked whether somebody reads on after the end of the input, in ms. */
const endPause = 200

/** The terminal that the command was started from; there may be none. */
export class OuterTerminal {
  /** Its modes, as they were; null where standard input is no terminal. */
  readonly modes: Modes | null = modesOf(0)
  readonly #raw = this.modes && rawModes(this.modes)
  #isRaw = false
  /** What knows its size. */
  readonly #sized = this.modes ? 0 : 1

  /** Pass on every key; until {@link leave}, or the process ends. */
  enter(): void {
    if (!this.#raw) return
    if (!this.#isRaw) process.on('exit', this.leave)
    setModes(0, this.#raw)
    this.#isRaw = true
  }

  /** Make it what it was. */
  readonly leave = (): void => {
    if (!this.#isRaw || !this.modes) return
    setModes(0, this.modes)
    this.#isRaw = false
    process.off('exit', this.leave)
  }

  /** Do something, like printing a line, with the terminal as it was. */
  aside(work: () => void): void {
    const wasRaw = this.#isRaw
    this.leave()
    work()
    if (wasRaw) this.enter()
  }

  /** Give another terminal its size. */
  giveSize(to: number): void {
    copySize(this.#sized, to)
  }
}

/**
 * Run a command until it ends, and all that it printed was taken.
 *
 * @param command an executable, and its arguments
 * @param broken settles when nobody takes the output any more, with the signal that the command should die
 *   of; the session then ends, and its terminal hangs up
 * @returns its exit status, or 128 + n where signal n ended it
 * @throws StoreError (EIO) where it cannot be started
 */
export const runSession = async (
  command: readonly string[],
  outer: OuterTerminal,
  output: Output,
  broken: Promise<'SIGPIPE' | 'SIGHUP'>,
): Promise<number> => {
  const { master, name } = openTerminal()
  // Kept open: a command that closes its terminal may open it again.
  const slave = fs.openSync(name, fs.constants.O_RDWR | fs.constants.O_NOCTTY)
  if (outer.modes) setModes(slave, outer.modes)
  // What comes from a pipe is not shown without us either.
  else setModes(slave, silentModes(modesOf(slave)!))
  outer.giveSize(slave)

  // The shell becomes the leader of a session with that terminal; setsid(1) is gone by then.
  const child = spawn('setsid', ['-c', 'sh', '-mc', jobControl, 'sh', ...command], {
    stdio: [slave, slave, slave, 'pipe'],
  })
  const ended = endOf(child)
  const printed = new tty.ReadStream(master)
  feed(printed, output)
  printed.on('error', () => {})
  const removeHandlers = handleSignals(child, outer, slave, output)
  outer.enter()
  const input = new Input(master, slave, outer.modes === null)
  try {
    const status = await Promise.race([ended, broken.then(statusOf)])
    drain(printed, master, output)
    return status
  } finally {
    output.flush()
    input.close()
    removeHandlers()
    outer.leave()
    printed.destroy()
    fs.closeSync(slave)
  }
}

/** What a shell says of a process that a signal ended. */
const statusOf = (signal: NodeJS.Signals): number => 128 + os.constants.signals[signal]

const endOf = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    child.on('exit', (code, signal) => resolve(signal ? statusOf(signal) : (code ?? 1)))
    child.on('error', ({ message }) =>
      reject(new StoreError(`setsid: ${message}: util-linux has it`, 'EIO')),
    )
  })

/** Pass signals on to the command, and keep the terminals' sizes and modes right. */
const handleSignals = (
  child: ChildProcess,
  outer: OuterTerminal,
  slave: number,
  output: Output,
): (() => void) => {
  const handlers = new Map<NodeJS.Signals, () => void>()
  let command: number | null = null
  for (const signal of endings)
    handlers.set(signal, () => {
      output.flush()
      if (command === null) child.kill(signal)
      else kill(command, signal)
    })
  const goOn = (): void => {
    outer.enter()
    outer.giveSize(slave)
  }
  /** Be suspended like any program: by the kernel, which knows whether somebody is there to continue it. */
  const suspend = (pid: number): void => {
    output.flush()
    outer.leave()
    process.off('SIGTSTP', handlers.get('SIGTSTP')!)
    kill(pid, 'SIGTSTP')
    process.on('SIGTSTP', handlers.get('SIGTSTP')!)
    goOn()
  }
  handlers.set('SIGTSTP', () => suspend(process.pid))
  handlers.set('SIGCONT', goOn)
  handlers.set('SIGWINCH', () => outer.giveSize(slave))
  for (const [signal, handler] of handlers) process.on(signal, handler)
  const channel = child.stdio[3] as Socket
  channel.on('error', () => {})
  createInterface(channel).on('line', said => {
    if (said !== 'stopped') {
      command = Number(said)
      return
    }
    // All that the terminal would have stopped: `pstorefs tty … | tee`.
    suspend(0)
    channel.write('go on\n')
  })
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler)
    channel.destroy()
  }
}

/** Send a signal to a process, or with 0 to this one's group, that may have ended. */
const kill = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch {
    // It has.
  }
}

/** Standard input, typed into the terminal. */
class Input {
  readonly #queue: Buffer[] = []
  #timer: NodeJS.Timeout | undefined
  /** How the terminal took its input when it was last told that there is no more. */
  #toldLines: boolean | null = null

  /**
   * @param ends standard input's end is the end of the terminal's input; where it is a terminal itself,
   *   whoever types says when it ends
   */
  constructor(
    readonly master: number,
    readonly slave: number,
    readonly ends: boolean,
  ) {
    process.stdin.on('data', this.#type).on('end', this.#end).on('error', this.#end)
  }

  readonly #type = (bytes: Buffer): void => {
    this.#queue.push(bytes)
    if (this.#queue.length === 1) this.#push()
  }

  #push(): void {
    while (this.#queue.length > 0) {
      if (!this.#write(this.#queue[0])) {
        process.stdin.pause()
        this.#timer = setTimeout(() => this.#push(), inputPause)
        return
      }
      this.#queue.shift()
    }
    process.stdin.resume()
  }

  /** Write what the terminal takes, and keep the rest; false where there is a rest. */
  #write(bytes: Buffer): boolean {
    let n: number
    try {
      n = fs.writeSync(this.master, bytes)
    } catch (error) {
      // Where the terminal is gone, so is who would have read it.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return true
      n = 0
    }
    if (n < bytes.length) this.#queue[0] = bytes.subarray(n)
    return n === bytes.length
  }

  readonly #end = (): void => {
    if (this.ends) this.#tellEnd(inputPause)
  }

  /**
   * Tell whoever reads that there is no more, as ^D does: each one that reads lines, but only once one
   * that takes keys, to whom it may mean anything.
   */
  #tellEnd(pause: number): void {
    const modes = this.#queue.length === 0 && !hasInput(this.slave) ? modesOf(this.slave) : null
    const { lines, end } = modes ? inputOf(modes) : { lines: false, end: 0 }
    const tell = end !== 0 && (lines || this.#toldLines !== false)
    if (tell) {
      this.#queue.push(Buffer.of(end))
      this.#push()
      this.#toldLines = lines
    }
    const next = tell ? inputPause : Math.min(2 * pause, endPause)
    this.#timer = setTimeout(() => this.#tellEnd(next), pause)
  }

  close(): void {
    clearTimeout(this.#timer)
    process.stdin.off('data', this.#type).off('end', this.#end).off('error', this.#end).pause()
  }
}
