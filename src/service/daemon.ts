/**
 * Going to the background: the same command runs again in a process of its own, which reports its start on a
 * pipe. The first process waits for the report, and prints a failure on the terminal.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import type { Readable } from 'node:stream'
import { StoreError } from '../pstore/errors.js'
import { tell } from './log.js'

/** The descriptor of the pipe on which a daemon reports. */
const statusFd = 3
/** The variable that tells a process that it is a daemon: the command's arguments, in JSON. */
const variable = 'PSTOREFS_DAEMON'
const ready = 'ready'
/** Before each message on stderr. */
const mark = 'pstorefs: '

const told = process.env[variable]

/** The end of the first process's pipe, where there is one: Node's pipes are sockets. */
const openReport = (): number | null => {
  delete process.env[variable]
  try {
    return told !== undefined && fs.fstatSync(statusFd).isSocket() ? statusFd : null
  } catch {
    return null
  }
}

/** Null once it is closed: the next file that is opened has its number, and may be a region. */
let report = openReport()
const daemon = report !== null

/** Whether this process was started by {@link startDaemon}. */
export const isDaemon = (): boolean => daemon

/** The arguments that the first process has read already; null where this is the first one. */
export const takenOver = (): unknown => (daemon ? JSON.parse(told!) : null)

/**
 * Send the report, of which there is only one.
 *
 * @returns false where nobody waits for it (any more)
 */
const send = (text: string): boolean => {
  if (report === null) return false
  const fd = report
  report = null
  try {
    fs.writeSync(fd, text)
    return true
  } catch {
    // The first process was killed.
    return false
  } finally {
    fs.closeSync(fd)
  }
}

/** Report to the first process that the mount answers. */
export const reportReady = (): void => {
  send(ready)
}

/**
 * Report a failure, which the first process prints.
 *
 * @returns false where no process waits for a report: the failure must be told in another way
 */
export const reportFailure = (message: string): boolean => send(message)

/** Read a daemon's report, to `ready` or to the pipe's end (other processes may hold the pipe open). */
const readStatus = async (pipe: Readable): Promise<string> => {
  let status = ''
  for await (const chunk of pipe.setEncoding('utf8') as AsyncIterable<string>) {
    status += chunk
    if (status === ready) break
  }
  return status
}

/** What runs this program, without the words of its command line: a single executable is its own program. */
export const thisProgram = (): string[] => {
  const [node, program] = process.argv
  const script = program === undefined || program === node ? [] : [program]
  return [process.execPath, ...process.execArgv, ...script]
}

/**
 * Run this command again in the background.
 *
 * @param args its arguments, as they were read
 * @returns once the daemon reports that it is ready
 * @throws StoreError with the failure that the daemon reports
 */
export const startDaemon = async (args: object): Promise<void> => {
  const [command = '', ...start] = thisProgram()
  const child = spawn(command, [...start, ...process.argv.slice(2)], {
    detached: true,
    env: { ...process.env, [variable]: JSON.stringify(args) },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>((resolve, reject) => {
    child.on('exit', () => resolve())
    child.on('error', error =>
      reject(new StoreError(`cannot go to the background: ${error.message}`)),
    )
  })
  // Awaited below; until then the rejection counts as handled.
  ended.catch(() => {})
  const interrupted = (): void => {
    child.kill('SIGTERM')
  }
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted)
  // libfuse and fusermount print here, too, and know best why a mount failed.
  let said = ''
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
  const status = await readStatus(child.stdio[statusFd] as Readable)
  if (status === ready) {
    if (said) process.stderr.write(said)
    child.stderr!.destroy()
    child.unref()
    return
  }
  await ended
  // Its own messages are whole lines; what others printed belongs to the failure.
  const lines = said.split('\n').filter(line => line.trim())
  const own = lines.filter(line => line.startsWith(mark))
  for (const line of own) tell(line.slice(mark.length))
  said = lines.filter(line => !own.includes(line)).join('\n')
  const why = child.signalCode ? `killed by ${child.signalCode}` : `ended with ${child.exitCode}`
  throw new StoreError([status || `the daemon was ${why}`, said].filter(Boolean).join(': '))
}
