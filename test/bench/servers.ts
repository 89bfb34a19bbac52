/** The servers whose mounts are compared: the program by each transport, and a peer in C with libfuse 3. */
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { processesOf, program, pstorefs, until } from '../program.js'

/** A region of dumps and one console, without parity. Sizes in bytes. */
export interface Shown {
  readonly source: string
  readonly recordSize: number
  readonly consoleSize: number
}

export interface Server {
  readonly name: string
  /** Of its mountpoint: the folder with the records of one backend. */
  readonly folder: string
  /** The command that mounts and returns once the mount is there. */
  mountWith(shown: Shown, mountpoint: string): [string, ...string[]]
}

export const layoutOf = ({ recordSize, consoleSize }: Shown) => ({
  record_size: recordSize,
  console_size: consoleSize,
  pmsg_size: 0,
  ftrace_size: 0,
})

const pstorefsBy = (name: string, options: string[]): Server => ({
  name,
  folder: 'ramoops',
  mountWith: (shown, mountpoint) => {
    const layout = Object.entries(layoutOf(shown)).map(([key, value]) => `${key}=${value}`)
    const all = [...options, ...layout].join()
    return [process.execPath, program, 'mount', shown.source, mountpoint, '-o', all]
  },
})

export const ours = pstorefsBy('pstorefs', [])
const byLibfuse = pstorefsBy('libfuse', ['transport=libfuse'])

/** Where this file's C sources lie, and where what is made of them goes. */
const sources = path.resolve(import.meta.dirname, '../../test/bench')

/** Compile one of our C sources; null where there is no compiler. */
const compile = (name: string, flags: string[]): string | null => {
  const made = path.join(import.meta.dirname, name)
  const args = ['-O2', '-Wall', '-o', made, path.join(sources, `${name}.c`), ...flags]
  return spawnSync('gcc', args, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0
    ? made
    : null
}

/** Is told what cannot be measured here, and why. */
export type Missing = (why: string) => void

/** What measures open, read and close; null where there is no compiler. */
export const clientOf = (missing: Missing): string | null => {
  const made = compile('client', [])
  if (!made) missing('open, read, close: needs gcc and libc6-dev')
  return made
}

const peerInC = (missing: Missing): Server | null => {
  const { status, stdout } = spawnSync('pkg-config', ['--cflags', '--libs', 'fuse3'])
  const made = status === 0 ? compile('peer', stdout.toString().trim().split(/\s+/)) : null
  if (!made) {
    missing('C: needs libfuse3-dev, pkg-config, gcc and libc6-dev')
    return null
  }
  return {
    name: 'C',
    folder: '.',
    mountWith: ({ source, recordSize, consoleSize }, mountpoint) => [
      made,
      source,
      String(recordSize),
      String(consoleSize),
      mountpoint,
    ],
  }
}

/** Unmount, and wait until the server has ended: it must not take the next one's time. */
const unmount = async (mountpoint: string): Promise<void> => {
  execFileSync('fusermount3', ['-u', mountpoint])
  if (!(await until(() => processesOf(mountpoint).length === 0)))
    throw new Error(`bench: ${mountpoint}: a server stays`)
}

/** A mount that is served. */
export class Mounted {
  readonly folder: string
  readonly #pid: number

  /** Mount, and wait until the mount has been listed once. */
  constructor(
    server: Server,
    shown: Shown,
    readonly mountpoint: string,
  ) {
    const [command, ...args] = server.mountWith(shown, mountpoint)
    execFileSync(command, args)
    execFileSync('ls', [mountpoint], { stdio: 'ignore' })
    this.folder = path.join(mountpoint, server.folder)
    // Not the watcher, which is a shell.
    const found = processesOf(mountpoint).find(({ args: [name] }) => name === command)
    if (!found) throw new Error(`${server.name}: nothing serves ${mountpoint}`)
    this.#pid = found.pid
  }

  /** The CPU time of all its threads until now, in ms. */
  cpu(): number {
    const threads = `/proc/${this.#pid}/task`
    let time = 0
    for (const thread of fs.readdirSync(threads))
      time += Number(fs.readFileSync(`${threads}/${thread}/schedstat`, 'latin1').split(' ')[0])
    return time / 1e6
  }

  /** Its resident memory, in MB. */
  memory(): number {
    const status = fs.readFileSync(`/proc/${this.#pid}/status`, 'latin1')
    return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024
  }

  end(): Promise<void> {
    return unmount(this.mountpoint)
  }
}

/** The servers that there are here, ours first. */
export const serversHere = async (
  shown: Shown,
  mountpoint: string,
  missing: Missing,
): Promise<Server[]> => {
  const all = [ours, peerInC(missing)].filter(server => server !== null)
  const { status, stderr } = pstorefs(byLibfuse.mountWith(shown, mountpoint).slice(2))
  if (status === 0) {
    await unmount(mountpoint)
    all.push(byLibfuse)
  } else missing(`libfuse: ${stderr.trim()}`)
  return all
}
