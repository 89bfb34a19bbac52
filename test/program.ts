/** The real program for tests: run it, mount with it, and leave nothing behind. */
import './environment.js'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Test } from 'tap'

/** The project's folder. */
export const project = path.resolve(import.meta.dirname, '..')

/**
 * The program as it is shipped, which also starts in half the time; PSTOREFS_PROGRAM=dist/cli/main.js is each module as it
 * is built, whose stack traces have lines.
 */
export const program = path.resolve(project, process.env.PSTOREFS_PROGRAM ?? 'bundle/pstorefs.js')

export interface Outcome {
  status: number | null
  stdout: Buffer
  stderr: string
}

/** Run any command to its end. */
export const run = (command: string, args: string[], input?: Uint8Array): Outcome => {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    maxBuffer: 2 ** 30,
    ...(input ? { input } : {}),
  })
  if (error) throw error
  return { status, stdout, stderr: stderr.toString() }
}

/** The path of a tool; empty where there is none. */
export const where = (tool: string): string => run('which', [tool]).stdout.toString().trim()

/** Run `pstorefs ARGS…`. */
export const pstorefs = (args: string[], input?: Uint8Array): Outcome =>
  run(process.execPath, [program, ...args], input)

/**
 * Run `pstorefs ARGS…` while the kernel refuses system calls on a path, as strace's rules say:
 * `pread64:error=EIO`, `openat:error=EACCES:when=2`.
 */
export const pstorefsRefused = (
  on: string,
  rules: string[],
  args: string[],
  input?: Uint8Array,
): Outcome => {
  const traced = (): Outcome =>
    run(
      'strace',
      [
        ['-f', '-qq', '--seccomp-bpf', '-o', '/dev/null', '-P', on],
        ['-e', `trace=${rules.map(rule => rule.split(':')[0]).join()}`],
        rules.flatMap(rule => ['-e', `inject=${rule}`]),
        [process.execPath, program, ...args],
      ].flat(),
      input,
    )
  const outcome = traced()
  // Once in some hundred runs the program is killed as it exits while it is traced.
  return outcome.status === null ? traced() : outcome
}

/** Run `pstorefs ARGS…`, which must succeed, and give its stdout. */
export const succeed = (t: Test, args: string[], input?: Uint8Array): Buffer => {
  const { status, stdout, stderr } = pstorefs(args, input)
  if (status !== 0) t.fail(`pstorefs ${args.join(' ')}: exit ${status}: ${stderr}`)
  return stdout
}

/** A folder of the test's own, gone when it ends. */
export const folder = (t: Test): string => {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'pstorefs-test-'))
  t.teardown(() => fs.rmSync(made, { recursive: true, force: true }))
  return made
}

/** A file with some bytes, gone when the test ends. */
export const file = (t: Test, bytes: Uint8Array, name = 'region.img'): string => {
  const made = path.join(folder(t), name)
  fs.writeFileSync(made, bytes)
  return made
}

/** Is something mounted there? */
export const isMounted = (mountpoint: string): boolean =>
  fs.readFileSync('/proc/mounts', 'utf8').includes(` ${mountpoint} fuse.pstorefs `)

/** The processes that have a word among their arguments; of a mountpoint what serves it, and what watches over it. */
export const processesOf = (word: string): { pid: number; args: string[] }[] =>
  fs
    .readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        const args = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
        return args.includes(word) ? [{ pid: Number(pid), args }] : []
      } catch {
        // It has ended.
        return []
      }
    })

/** The process that serves a mount; NaN where there is none, as a signal to 0 goes to all of the test's processes. */
export const daemonOf = (mountpoint: string): number =>
  processesOf(mountpoint).find(({ args }) => args[1] === program)?.pid ?? NaN

/** Kill what serves a mount, and before that what would unmount it then. */
export const killWithWatcher = (mountpoint: string): void => {
  const daemon = daemonOf(mountpoint)
  for (const { pid } of processesOf(mountpoint)) if (pid !== daemon) process.kill(pid, 'SIGKILL')
  process.kill(daemon, 'SIGKILL')
}

/** The processes that a process started and that still run, and those that they started. */
const descendantsOf = (pid: number): number[] => {
  const children = fs
    .readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
    .split(' ')
    .filter(Boolean)
    .map(Number)
  return children.flatMap(child => [child, ...descendantsOf(child)])
}

/** Kill a process, and then all that it started. */
export const killAll = (pid: number): void => {
  for (const each of [pid, ...descendantsOf(pid)])
    try {
      process.kill(each, 'SIGKILL')
    } catch {
      // It died of another's death.
    }
}

/**
 * Wait until something is so, for some seconds at most: many, as patience costs only those who fail, and
 * machines that test are slow at times.
 */
export const until = async (condition: () => boolean, seconds = 120): Promise<boolean> => {
  // Not by the clock on the wall, which may be set meanwhile.
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    if (condition()) return true
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return condition()
}

/** Mount a source; unmounted when the test ends. */
export const mount = (t: Test, source: string, options: string[]): string => {
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  succeed(t, ['mount', source, mountpoint, ...options])
  return mountpoint
}

export const systemdPstore = '/lib/systemd/systemd-pstore'

/** Have systemd-pstore archive a mount, as it does where no pstore.conf tells it otherwise; takes root. */
export const archiveBySystemd = (mountpoint: string, archive: string): Outcome => {
  const script = '[ ! -e /etc/systemd ] || mount -t tmpfs none /etc/systemd; exec "$@"'
  const command = [systemdPstore, mountpoint, archive]
  return run('unshare', ['--mount', 'sh', '-ec', script, 'sh', ...command])
}
