/**
 * Going to the background: the same command again in a process of its own, which says on a pipe how
 * it went. The first process waits for that, so that what goes wrong is told on the terminal.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import type { Readable } from 'node:stream'
import { StoreError } from '../pstore/errors.js'

/** The pipe on which a daemon reports; also what tells it that it is one. */
const statusFd = 3
const variable = 'PSTOREFS_DAEMON'
const ready = 'ready'

let daemon = process.env[variable] !== undefined
delete process.env[variable]

/** Was this process started by {@link startDaemon}? */
export const isDaemon = (): boolean => daemon

/** A daemon's last word to the process that started it: the mount answers. */
export const reportReady = (): void => {
  if (!daemon) return
  fs.writeSync(statusFd, ready)
  fs.closeSync(statusFd)
}

/** A daemon that cannot go on says why, for the first process to print. */
export const reportFailure = (message: string): void => {
  fs.writeSync(statusFd, message)
  daemon = false
}

/** What a daemon says: all of it, or that it is ready (others may hold the pipe open after that). */
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
 * @returns when it reports that it is ready
 * @throws StoreError with what it reports instead
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
  // Awaited below; until then nobody else need know.
  ended.catch(() => {})
  const interrupted = (): void => {
    child.kill('SIGTERM')
  }
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted)
  // What libfuse and fusermount print comes here too, and says best why a mount failed.
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
