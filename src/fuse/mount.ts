/** A mount of a tree, by one of two transports: the kernel's own protocol, or libfuse. */
import fs from 'node:fs'
import type { Tree } from '../tree/tree.js'
import { openDevice, unmountDevice } from './device.js'
import { serveDevice } from './loop.js'
import { realMountpoint } from './mounts.js'
import { withPermissions } from './permissions.js'
import { Server } from './server.js'
import { unmountWhenKilled } from './watcher.js'

/** What carries the kernel's requests: /dev/fuse itself, or fuse-native, where it is installed. */
export type Transport = 'kernel' | 'libfuse'

export interface MountOptions {
  /** The source as /proc/mounts shows it. */
  source: string
  /** Mount options, as mount(8) spells them (`ro`, `allow_other`, …). */
  options?: string[]
  /** Mount even where something is mounted already, and hide that. */
  cover?: boolean
  /** Print the kernel's requests on stderr. */
  debug?: boolean
  /** Called with a problem of the source while the mount is in use. */
  report?: (problem: string) => void
  /** Default: kernel. */
  transport?: Transport
}

/** A mount that answers. */
export interface Mount {
  /** Resolves once the file system is unmounted, by any process. */
  readonly ended: Promise<void>
  /** Unmount, even while files are open: whoever has one gets ENOTCONN. */
  unmount(): Promise<void>
}

/**
 * Mount a tree.
 *
 * @returns once the mount answers
 * @throws StoreError where the mount is refused, and why
 */
export const mount = async (
  tree: Tree,
  mountpoint: string,
  given: MountOptions,
): Promise<Mount> => {
  const options = { ...given, options: withPermissions(given.options ?? []) }
  if (options.transport !== 'libfuse') return mountByKernel(tree, mountpoint, options)
  throw new Error('no libfuse')
}

const mountByKernel = async (
  tree: Tree,
  mountpoint: string,
  { source, options = [], cover = false, debug = false, report = () => {} }: MountOptions,
): Promise<Mount> => {
  const real = realMountpoint(mountpoint)
  const stopWatch = unmountWhenKilled(real)
  let fd: number
  try {
    fd = await openDevice(real, { source, options, cover })
  } catch (error) {
    stopWatch()
    throw error
  }
  const server = new Server(tree, {
    send: reply => sendTo(fd, reply),
    report,
    trace: debug ? line => process.stderr.write(`fuse: ${line}\n`) : undefined,
  })
  let isStopped = false
  const { answered, ended: served } = serveDevice(fd, server.room, {
    handle: length => server.handle(length),
    isStopped: () => isStopped,
  })
  const ended = served.finally(() => {
    stopWatch()
    server.end()
    fs.closeSync(fd)
  })
  // Whoever awaits the end hears of a failure then.
  ended.catch(() => {})
  await Promise.race([answered, ended])
  const unmount = async (): Promise<void> => {
    await unmountDevice(real)
    isStopped = true
  }
  return { ended, unmount }
}

/** Hand a reply to the kernel; gives the errno with which it is not taken, or 0. */
const sendTo = (fd: number, reply: Uint8Array): number => {
  try {
    fs.writeSync(fd, reply)
    return 0
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException
    if (errno === undefined) throw error
    return -errno
  }
}
