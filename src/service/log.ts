/**
 * Where messages go: to stderr while somebody is there to read it, with priorities where that is systemd's
 * journal; from the background to syslog, which on most systems is the journal too.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { withoutControls } from '../pstore/printable.js'

/** syslog's priorities, of which these are used. */
const priorities = { error: 3, warning: 4, notice: 5, info: 6 }
export type Priority = keyof typeof priorities

/** For how long the same message is not repeated, in ms. */
const quiet = 60_000
/** Messages that are remembered for that. */
const remembered = 1000

/** Is stderr the journal? systemd tells by which file it is (systemd.exec(5), JOURNAL_STREAM). */
const stderrIsJournal = (): boolean => {
  try {
    const { dev, ino } = fs.fstatSync(2)
    return process.env.JOURNAL_STREAM === `${dev}:${ino}`
  } catch {
    return false
  }
}

const onStderr = (line: string): void => {
  try {
    fs.writeSync(2, line)
  } catch {
    // Nobody listens any more.
  }
}

/** logger(1) knows how to talk to /dev/log: Node has no sockets of that kind. */
const startLogger = (): ChildProcess | null => {
  const logger = spawn('logger', ['--prio-prefix', '--tag', 'pstorefs', `--id=${process.pid}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // mount(8) leaves no PATH.
    env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
  })
  // Where there is no logger, or no /dev/log, there is nobody to tell.
  logger.on('error', () => {}).unref()
  logger.stdin!.on('error', () => {})
  return logger
}

let background = false
let logger: ChildProcess | null = null

const toSyslog = (line: string): void => {
  if (!logger || logger.exitCode !== null || logger.signalCode !== null) logger = startLogger()
  logger?.stdin?.write(line)
}

/** From now on this process has no terminal. */
export const logFromBackground = (): void => {
  background = true
}

/** A message may quote a file's name, or a line of a config file: it is not to drive the terminal. */
const oneLine = (message: string): string =>
  withoutControls(message.trim().replaceAll(/\s*\n\s*/g, ': '))

/** Tell a message. */
export const log = (priority: Priority, message: string): void => {
  const text = oneLine(message)
  const line = `<${priorities[priority]}>${text}\n`
  if (background) toSyslog(line)
  else onStderr(stderrIsJournal() ? line : `pstorefs: ${text}\n`)
}

/** Print an error for the user: `pstorefs: WHAT: WHY`. */
export const tell = (message: string): void => log('error', message)

const told = new Map<string, number>()

/** Tell a message that may come again and again: once a minute is enough. */
export const logOnce = (priority: Priority, message: string): void => {
  const now = performance.now()
  const last = told.get(message)
  if (last !== undefined && now - last < quiet) return
  if (told.size >= remembered) told.clear()
  told.set(message, now)
  log(priority, message)
}
