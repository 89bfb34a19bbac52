/**
 * Messages: to stderr in the foreground, with priorities where stderr is systemd's journal; from the background
 * to syslog, which on most systems is the journal, too.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { withoutControls } from '../pstore/printable.js'

/** The used ones of syslog's priorities. */
const priorities = { error: 3, warning: 4, notice: 5, info: 6 }
export type Priority = keyof typeof priorities

/** Milliseconds for which nothing more is said about the same. */
const quiet = 60_000
/** How much can be said in that time. */
const remembered = 1000

/** Whether stderr is the journal; systemd names its file in JOURNAL_STREAM (systemd.exec(5)). */
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
    // stderr has no reader any more.
  }
}

/** logger(1), which writes to /dev/log: Node has no datagram sockets of that family. */
const loggerArgs = ['--prio-prefix', '--tag', 'pstorefs', `--id=${process.pid}`]
/** mount(8) clears PATH. */
const env = { PATH: '/usr/local/bin:/usr/bin:/bin' }
/** Milliseconds that logger may take for a message after which the process ends. */
const lastPatience = 2000

/** Bytes that wait for a logger that takes none, as the system's log hangs: what comes then is lost. */
const mostWaiting = 65536

const startLogger = (): ChildProcess => {
  const logger = spawn('logger', loggerArgs, { stdio: ['pipe', 'ignore', 'ignore'], env })
  // Without logger, /dev/log or a descriptor for the pipe the messages are lost.
  logger.on('error', () => {}).unref()
  logger.stdin?.on('error', () => {})
  return logger
}

let background = false
let logger: ChildProcess | null = null
/** How many messages were lost since the last that was not. */
let lost = 0

const toSyslog = (line: string): void => {
  if (!logger?.stdin || logger.exitCode !== null || logger.signalCode !== null)
    logger = startLogger()
  const { stdin } = logger
  if (!stdin || stdin.writableLength > mostWaiting) {
    lost++
    return
  }
  if (lost > 0) stdin.write(withPriority('warning', `messages that could not be logged: ${lost}`))
  lost = 0
  stdin.write(line)
}

/** Log to syslog from now on: the process has left its terminal. */
export const logFromBackground = (): void => {
  background = true
}

/** A message may quote a file's name or a config file's line, which must not drive the terminal. */
export const oneLine = (message: string): string =>
  withoutControls(message.trim().replaceAll(/\s*\n\s*/g, ': '))

/** Syslog's form of a line. */
const withPriority = (priority: Priority, text: string): string =>
  `<${priorities[priority]}>${text}\n`

/** Log a message. */
export const log = (priority: Priority, message: string): void => {
  const text = oneLine(message)
  const line = withPriority(priority, text)
  if (background) toSyslog(line)
  else onStderr(stderrIsJournal() ? line : `pstorefs: ${text}\n`)
}

/** Log an error, which the user sees as `pstorefs: WHAT: WHY`. */
export const tell = (message: string): void => log('error', message)

/** The same for an error that ends the process: returns once syslog has it, and without the event loop. */
export const tellLast = (message: string): void => {
  if (!background) {
    tell(message)
    return
  }
  const input = withPriority('error', oneLine(message))
  spawnSync('logger', loggerArgs, {
    input,
    stdio: ['pipe', 'ignore', 'ignore'],
    env,
    timeout: lastPatience,
    killSignal: 'SIGKILL',
  })
}

/** What a message `WHAT: WHY` is about. */
export const subjectOf = (message: string): string => message.split(': ', 1)[0]!

/** When something was last said about what a key names, in ms. */
const told = new Map<string, number>()

/**
 * Log a message that may come again and again, at most once a minute for each key, and a thousand in all.
 *
 * @param key what the message is about. Not its text: a guest's numbers would make each one new.
 */
export const logOnce = (priority: Priority, key: string, message: string): void => {
  const now = performance.now()
  for (const [key, last] of told) {
    // The oldest come first.
    if (now - last < quiet) break
    told.delete(key)
  }
  if (told.has(key) || told.size >= remembered) return
  told.set(key, now)
  log(priority, message)
  if (told.size === remembered)
    log('warning', 'so many messages that others of this minute are left out')
}
