/** Serving a mount: everything between a checked command line and the file system's end. */
import fs from 'node:fs'
import path from 'node:path'
import { attach, parseSource, UncertainLayout } from '../attach.js'
import type { Backend } from '../pstore/backend.js'
import { mount as mountTree } from '../fuse/mount.js'
import { StoreError } from '../pstore/errors.js'
import { Tree } from '../tree/tree.js'
import type { SourceCandidate } from './config.js'
import { reportReady } from './daemon.js'
import { tell } from './errors.js'
import type { MountRequest } from './mount-options.js'
import { attachSelected } from './source.js'

export interface ServeOptions extends MountRequest {
  /** What `backend=` selects from. */
  candidates: SourceCandidate[]
  /** What /proc/mounts shows as the source. */
  label: string
  mountpoint: string
  debug: boolean
}

/**
 * Attach, mount, and serve until somebody unmounts; the process ends with the mount.
 *
 * @throws StoreError where it cannot be mounted
 */
export const serve = async (options: ServeOptions): Promise<never> => {
  const { subdirs, passed, debug } = options
  const mountpoint = path.resolve(options.mountpoint)
  checkFuse()
  // First: attach=boot changes a source.
  const cover = checkMountpoint(mountpoint, passed.includes('nonempty'))
  const backends = attachAll(options)
  const nothingWritable = backends.every(backend => backend.readOnly)

  const owner = { uid: process.getuid!(), gid: process.getgid!() }
  const mounted = await mountTree(new Tree(backends, { subdirs, ...owner }), mountpoint, {
    source: options.label,
    options: [...passed, ...(nothingWritable ? ['ro'] : [])],
    cover,
    debug,
    report: tell,
  })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => {
      mounted.unmount().catch((error: Error) => tell(`${mountpoint}: ${error.message}`))
    })
  // Whoever works in the folder that we were started in can still unmount it.
  process.chdir('/')
  reportReady()
  await mounted.ended
  for (const backend of backends) backend.close()
  // libuv still counts on libfuse's threads.
  process.exit(0)
}

/** Attach what `backend=` asks for, and tell of what is not as asked. */
const attachAll = ({ candidates, backend, readOnly, mode, state }: ServeOptions): Backend[] => {
  const attachOne = ({ name, source, options }: SourceCandidate): Backend => {
    // Served from another folder than the one that it was named in.
    const { driver, path: file } = parseSource(source)
    const how = { attach: mode, ...(state === undefined ? {} : { state }), report: tell }
    const attachAs = (readOnly: boolean): Backend =>
      attach(`${driver}:${path.resolve(file)}`, { ...options, name, readOnly, ...how })
    let attached: Backend
    try {
      attached = attachAs(readOnly)
    } catch (error) {
      if (!(error instanceof UncertainLayout)) throw error
      attached = attachAs(true)
    }
    if (attached.readOnly && !readOnly) tell(`${source}: cannot be written: mounted read-only`)
    return attached
  }
  return attachSelected(candidates, backend, attachOne)
}

/** Say what is missing before libfuse says it in its own words. */
const checkFuse = (): void => {
  const device = '/dev/fuse'
  if (!fs.existsSync(device))
    throw new StoreError(`${device}: not there: load the kernel's FUSE (modprobe fuse)`)
  try {
    fs.accessSync(device, fs.constants.R_OK | fs.constants.W_OK)
  } catch {
    throw new StoreError(
      `${device}: permission denied: only root may mount (or chmod 666 ${device})`,
    )
  }
  // mount(8) leaves no PATH; libfuse looks in the system's own folders anyway.
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/bin', '/bin']
  if (!folders.some(folder => isExecutable(path.join(folder, 'fusermount'))))
    throw new StoreError('fusermount: not found: install the package fuse3 (or fuse)')
}

const isExecutable = (file: string): boolean => {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** What is mounted where: folders and file system types, from the kernel's own list. */
const mounts = (): Map<string, string> =>
  new Map(
    fs
      .readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter(line => line.includes(' - '))
      .map(line => {
        const folder = line
          .split(' ')[4]
          .replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
        // Of several in one place the last is the one that is seen.
        return [folder, line.split(' - ')[1].split(' ')[0]]
      }),
  )

/**
 * Can the mount be put there?
 *
 * @returns true where it covers the kernel's own pstore, which systemd mounts at every boot
 */
const checkMountpoint = (mountpoint: string, nonempty: boolean): boolean => {
  let names: string[]
  let covered: string | undefined
  try {
    // A path with a link in it is listed under its real name.
    covered = mounts().get(fs.realpathSync(mountpoint))
    if (covered !== undefined && covered !== 'pstore')
      throw new StoreError(
        `${mountpoint}: busy: something is mounted there already (umount it first)`,
      )
    names = fs.readdirSync(mountpoint)
  } catch (error) {
    if (error instanceof StoreError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    const why: { [code: string]: string } = {
      ENOENT: 'no such folder: mkdir it first',
      ENOTDIR: 'is not a folder',
      EACCES: 'permission denied',
      ENOTCONN: 'busy: a dead mount is there (fusermount -u it first)',
    }
    throw new StoreError(`${mountpoint}: ${(code && why[code]) ?? message}`)
  }
  if (names.length && !nonempty)
    throw new StoreError(
      `${mountpoint}: not empty: what is in it would be hidden (-o nonempty does it)`,
    )
  return covered !== undefined
}
