/** A command on a pseudo-terminal of its own, shown on the terminal that it was started from, as in script(1). */
import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import type { Socket } from 'node:net'
import os from 'node:os'
import { deadly } from '../../native/signals.js'
import { StoreError } from '../../pstore/errors.js'
import { Printed, type Output } from './output.js'
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

/**
 * A script for `sh -m` that runs a command as an interactive shell runs a job: in a process group of its own,
 * with a parent in another group. Without such a parent the group is orphaned, and the kernel ignores ^Z.
 * The script writes the command's process id to descriptor 3, and a line when the command is stopped; an
 * answer there continues the command.
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

/** Signals that are meant for this process, too, and have their own action once its command has ended: to end, or stop. */
const own: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGTSTP']
/** Milliseconds between two tries to write input to a full terminal. */
const inputPause = 5
/** The most milliseconds between two looks for a reader after the end of the input. */
const endPause = 200

/** The terminal that the session was started from, if any. */
export class OuterTerminal {
  /** Its modes at the start; null where standard input is no terminal. */
  readonly modes: Modes | null = modesOf(0)
  readonly #raw = this.modes && rawModes(this.modes)
  #isRaw = false
  /** The descriptor that knows its size. */
  readonly #sized = this.modes ? 0 : 1

  /** Pass on every key, until {@link leave} or the end of the process. */
  enter(): void {
    if (!this.#raw) return
    if (!this.#isRaw) process.on('exit', this.leave)
    setModes(0, this.#raw)
    this.#isRaw = true
  }

  /** Restore its modes. */
  readonly leave = (): void => {
    if (!this.#isRaw || !this.modes) return
    setModes(0, this.modes)
    this.#isRaw = false
    process.off('exit', this.leave)
  }

  /** Do something, like printing a line, with its modes restored. */
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
 * Run a command until it has ended and all its output was taken.
 *
 * @param command an executable, and its arguments
 * @param broken settles when the output has no reader any more, with the signal that the command should die
 *   of; the session then ends, and its terminal hangs up
 * @returns the command's exit status, or 128 + n where signal n ended it
 * @throws StoreError (EIO) where the command cannot be started
 */
export const runSession = async (
  command: readonly string[],
  outer: OuterTerminal,
  output: Output,
  broken: Promise<'SIGPIPE' | 'SIGHUP'>,
): Promise<number> => {
  const { master, name } = openTerminal()
  // Kept open, so that a command that closes its terminal can open it again.
  const slave = fs.openSync(name, fs.constants.O_RDWR | fs.constants.O_NOCTTY)
  if (outer.modes) setModes(slave, outer.modes)
  // A command that reads a pipe does not show its input either.
  else setModes(slave, silentModes(modesOf(slave)!))
  outer.giveSize(slave)

  // setsid(1) is replaced by the shell, which leads a session with that terminal.
  const child = spawn('setsid', ['-c', 'sh', '-mc', jobControl, 'sh', ...command], {
    stdio: [slave, slave, slave, 'pipe'],
  })
  const ended = endOf(child)
  const printed = new Printed(master, output)
  const removeHandlers = handleSignals(child, outer, slave, output)
  outer.enter()
  const input = new Input(master, slave, outer.modes === null)
  try {
    const status = await Promise.race([ended, broken.then(statusOf)])
    printed.finish()
    return status
  } finally {
    output.flush()
    input.close()
    removeHandlers()
    outer.leave()
    printed.close()
    fs.closeSync(slave)
  }
}

/** A shell's exit status for a process that a signal ended. */
export const statusOf = (signal: NodeJS.Signals): number => 128 + os.constants.signals[signal]

const endOf = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    child.on('exit', (code, signal) => resolve(signal ? statusOf(signal) : (code ?? 1)))
    child.on('error', ({ message }) =>
      reject(new StoreError(`setsid: ${message}: install util-linux`, 'EIO')),
    )
  })

/** Pass signals on to the command, and keep the terminals' sizes and modes in step. */
const handleSignals = (
  child: ChildProcess,
  outer: OuterTerminal,
  slave: number,
  output: Output,
): (() => void) => {
  const handlers = new Map<NodeJS.Signals, () => void>()
  let command: number | null = null
  for (const signal of deadly)
    handlers.set(signal, () => {
      output.flush()
      if (command === null) child.kill(signal)
      else kill(command, signal)
    })
  const goOn = (): void => {
    outer.enter()
    outer.giveSize(slave)
  }
  /** Stop by the kernel's own action: it ignores the signal where no shell could continue this process. */
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
  let said = ''
  channel.on('data', (bytes: Buffer) => {
    const lines = (said + bytes.toString('latin1')).split('\n')
    said = lines.pop()!
    for (const line of lines) {
      if (line === 'stopped') {
        // The whole process group, as ^Z stops a pipeline: `pstorefs tty … | tee`.
        suspend(0)
        channel.write('go on\n')
      } else command = Number(line)
    }
  })
  return () => {
    for (const [signal, handler] of handlers) {
      // One that was for the command has come too late, and takes nothing from what is still to be seen.
      if (!own.includes(signal)) process.on(signal, () => {})
      process.off(signal, handler)
    }
    channel.destroy()
  }
}

/** Send a signal to a process, or for 0 to this one's group; nothing happens where it has ended. */
const kill = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}

/** Types standard input into the terminal. */
class Input {
  readonly #queue: Buffer[] = []
  #timer: NodeJS.Timeout | undefined
  /** Whether the terminal gathered lines when it was last told of the input's end; null: not told yet. */
  #toldLines: boolean | null = null

  /**
   * @param ends true where the end of standard input is to be passed on; a terminal's user types ^D instead
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
      if (!this.#write(this.#queue[0]!)) {
        process.stdin.pause()
        this.#timer = setTimeout(() => this.#push(), inputPause)
        return
      }
      this.#queue.shift()
    }
    process.stdin.resume()
  }

  /** Write as much as the terminal takes, and queue the rest; false where there is a rest. */
  #write(bytes: Buffer): boolean {
    let n: number
    try {
      n = fs.writeSync(this.master, bytes)
    } catch (error) {
      // A terminal that is gone has no reader: drop the bytes.
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
   * Tell the terminal's readers of the input's end, as ^D does. Each reader of lines is told; a reader of keys,
   * to which ^D may mean anything, only once.
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
