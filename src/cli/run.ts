/** A run of the program: its command, and a line and an exit code for each error. */
import fs from 'node:fs'
import v8 from 'node:v8'
import { isOutOfFiles, outOfFiles } from '../native/descriptors.js'
import { inWords } from '../native/words.js'
import { StoreError } from '../pstore/errors.js'
import { reportFailure, takenOver } from '../service/daemon.js'
import { tell, tellLast } from '../service/log.js'

/** Exit codes: 1 for a failure, 2 for wrong usage. */
const failed = 1
const wrongUsage = 2
/** The same in mount(8)'s exit codes, which it passes on from its helpers. */
const mountFailed = 32
const mountWrongUsage = 1

/** Whether mount(8) called this program, directly or by mount.fuse(8) and a shell. */
const byMount = (): boolean => {
  let pid = process.ppid
  for (let generations = 0; generations < 2; generations++) {
    const status = readStatus(pid)
    if (/^Name:\tmount$/m.test(status)) return true
    pid = Number(/^PPid:\t(\d+)$/m.exec(status)?.[1] ?? 0)
  }
  return false
}

const readStatus = (pid: number): string => {
  try {
    return fs.readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}

/** What to say of an error: of a file that the system refuses, what it says; of a mistake of this program, where it is. */
const messageOf = (error: unknown): string => {
  if (error instanceof StoreError) return error.message
  if (isOutOfFiles(error)) return outOfFiles().message
  if (!(error instanceof Error)) return String(error)
  const { path } = error as NodeJS.ErrnoException
  return path === undefined ? (error.stack ?? error.message) : `${path}: ${inWords(error)}`
}

const fail = (error: unknown): never => {
  const message = messageOf(error)
  if (!reportFailure(message)) tellLast(message)
  process.exit(byMount() ? mountFailed : failed)
}

const misused = (problem: string): never => {
  tell(problem)
  process.exit(byMount() ? mountWrongUsage : wrongUsage)
}

const main = async (): Promise<void> => {
  const args = takenOver()
  if (args !== null) return (await import('./commands/mount.js')).serveTakenOver(args)
  const { choose } = await import('./line.js')
  const run = await choose(misused)
  await run?.()
}

// Garbage is collected soon: a hostile region must not make the heap grow (SECURITY.md).
v8.setFlagsFromString('--heap-growing-percent=20')
v8.setFlagsFromString('--semi-space-growth-factor=1')
process.on('uncaughtException', fail)
main().catch(fail)
