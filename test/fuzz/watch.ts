/** Runs a target's loop in a process of its own, and sees what that process cannot say: hangs and deaths. */
import '../environment.js'
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Report } from './loop.js'

export interface Outcome extends Report {
  /** The process's largest resident size, in bytes. */
  memory: number
  /** The file that the input of a finding was written to. */
  file: string | null
}

/** One execution may take so much of a processor, and so long where it waits, in seconds. */
const mostWork = 5
const mostTime = 60
/** The largest resident size, in bytes: inputs are some KiB. */
const mostMemory = 2 ** 30
const ticksPerSecond = 100

/** Seconds of processor time that a process has had. */
const workOf = (pid: number): number => {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) / ticksPerSecond
}

const memoryOf = (pid: number): number => {
  const [, size = 0] = /VmHWM:\s*(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
  return Number(size) * 1024
}

/** The number of the execution at hand, and its input. */
const lookAt = (current: string): { execution: number; input: Buffer } => {
  const bytes = fs.readFileSync(current)
  if (bytes.length < 8) return { execution: 0, input: Buffer.alloc(0) }
  return { execution: bytes.readUInt32LE(0), input: bytes.subarray(8, 8 + bytes.readUInt32LE(4)) }
}

/** Explore a target for so many seconds, or until something is found. */
export const fuzz = async (name: string, seconds: number, seed: number): Promise<Outcome> => {
  const inMemory = '/dev/shm'
  const folder = fs.mkdtempSync(
    path.join(fs.existsSync(inMemory) ? inMemory : os.tmpdir(), 'pstorefs-fuzz-'),
  )
  const current = path.join(folder, 'current')
  fs.writeFileSync(current, '')
  const loop = fork(
    path.join(import.meta.dirname, 'loop.js'),
    [name, String(seconds), String(seed), current],
    {
      env: { ...process.env, TMPDIR: folder },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    },
  )
  let report: Report | undefined
  let killed: string | undefined
  let memory = 0
  loop.on('message', message => (report = message as Report))
  const ended = new Promise<string>(resolve => {
    loop.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })

  let seen = { execution: -1, work: 0, time: 0 }
  const look = (): void => {
    let work: number
    try {
      work = workOf(loop.pid!)
      memory = Math.max(memory, memoryOf(loop.pid!))
    } catch {
      return // It has ended.
    }
    const { execution } = lookAt(current)
    // Not by the clock on the wall, which may be set meanwhile.
    const now = performance.now() / 1000
    if (execution !== seen.execution) seen = { execution, work, time: now }
    // Before the first there are the modules to load.
    if (execution === 0) return
    if (work - seen.work > mostWork || now - seen.time > mostTime)
      killed = `hangs: one execution had ${(work - seen.work).toFixed(1)} s of a processor`
    else if (memory > mostMemory) killed = `takes ${memory} bytes of memory`
    if (killed) loop.kill('SIGKILL')
  }
  const looking = setInterval(look, 250)
  try {
    const how = await ended
    const { execution, input } = lookAt(current)
    report ??= {
      executions: execution,
      reached: 0,
      total: 0,
      kept: 0,
      finding: { reason: killed ?? `died: ${how}`, input: input.toString('base64') },
    }
    return { ...report, memory, file: report.finding && keep(name, report.finding.input) }
  } finally {
    clearInterval(looking)
    fs.rmSync(folder, { recursive: true })
  }
}

const keep = (name: string, input: string): string => {
  const bytes = Buffer.from(input, 'base64')
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
  const folder = path.join(os.tmpdir(), `pstorefs-found-${process.getuid!()}`, name)
  fs.mkdirSync(folder, { recursive: true })
  const file = path.join(folder, hash)
  fs.writeFileSync(file, bytes)
  return file
}

/** What came of it, in words. */
export const describe = (name: string, seed: number, outcome: Outcome): string => {
  const { executions, reached, total, kept, memory, finding, file } = outcome
  const done =
    `${name}: ${executions} executions, ${reached} of ${total} statements and branches reached, ` +
    `${kept} inputs kept, ${Math.round(memory / 2 ** 20)} MB; seed ${seed}`
  if (!finding) return done
  const short = finding.input.length <= 4096 ? `\nbase64: ${finding.input}` : ''
  return `${done}\n${finding.reason}\ninput: ${file} (a test, once it is in test/fuzz/found/${name}/)${short}`
}
