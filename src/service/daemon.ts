/**
 * Going to the background: the same command runs again in a process of its own, which reports its start on a
 * pipe. The first process waits for the report, and prints a failure on the terminal.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import type { Readable } from 'node:stream'
import { StoreError } from '../pstore/errors.js'

/** The descriptor of the pipe on which a daemon reports. */
const statusFd = 3
/** The variable that tells a process that it is a daemon. */
const variable = 'PSTOREFS_DAEMON'
const ready = 'ready'

let daemon = process.env[variable] !== undefined
delete process.env[variable]

/** Whether this process was started by {@link startDaemon}. */
export const isDaemon = (): boolean => daemon

/** Report to the first process that the mount answers. */
export const reportReady = (): void => {
  if (!daemon) return
  fs.writeSync(statusFd, ready)
  fs.closeSync(statusFd)
}

/** Report a failure, which the first process prints. */
export const reportFailure = (message: string): void => {
  fs.writeSync(statusFd, message)
  daemon = false
}

/** Read a daemon's report, to `ready` or to the pipe's end (other processes may hold the pipe open). */
const readStatus = async (pipe: Readable): Promise<string> => {
  let status = ''
  for await (const chunk of pipe.setEncoding('utf8') as AsyncIterable<string>) {
    status += chunk
    if (status === ready) break
  }
  return status
}

/**
 * Run this command again in the background.
 *
 * @returns once the daemon reports that it is ready
 * @throws StoreError with the failure that the daemon reports
 */
export const startDaemon = async (): Promise<void> => {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    env: { ...process.env, [variable]: '1' },
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
  const why = child.signalCode ? `killed by ${child.signalCode}` : `ended with ${child.exitCode}`
  throw new StoreError([status || `the daemon was ${why}`, said.trim()].filter(Boolean).join(': '))
}
