/** `pstorefs archive --watch` for tests: started, watched, ended. */
import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import type { Test } from 'tap'
import { program, until } from '../program.js'

export interface Watcher {
  readonly child: ChildProcess
  /** All that it printed so far. */
  stdout(): string
  stderr(): string
  /** Signal it, and wait for its end; gives the exit code, or the signal. */
  end(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
}

/** Run `pstorefs archive ARGS… --watch`; killed when the test ends. */
export const watch = (t: Test, args: readonly string[]): Watcher => {
  const child = spawn(process.execPath, [program, 'archive', ...args, '--watch'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()))
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()))
  const gone = new Promise<number | NodeJS.Signals | null>(resolve =>
    child.once('close', (code, signal) => resolve(code ?? signal)),
  )
  const end = (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> => {
    child.kill(signal)
    return gone
  }
  t.teardown(() => end('SIGKILL'))
  return { child, stdout: () => stdout, stderr: () => stderr, end }
}

/** The crashes in an archive, without what is under way. */
export const crashesIn = (archive: string): string[] =>
  fs.existsSync(archive)
    ? fs
        .readdirSync(archive)
        .filter(name => !name.startsWith('.'))
        .toSorted()
    : []

/** Wait until an archive has so many crashes; gives their names. */
export const crashesCome = async (t: Test, archive: string, count: number): Promise<string[]> => {
  await until(() => crashesIn(archive).length >= count)
  const found = crashesIn(archive)
  t.equal(found.length, count, `${count} crashes: ${found.join()}`)
  return found
}
