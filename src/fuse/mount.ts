/** A mount of a tree, by one of two transports: the kernel's own protocol, or libfuse. */
import fs from 'node:fs'
import os from 'node:os'
import { StoreError } from '../pstore/errors.js'
import type { Tree } from '../tree/tree.js'
import type * as Libfuse from './libfuse/mount.js'
import { openDevice, unmountDevice } from './device.js'
import { serveDevice } from './loop.js'
import { realMountpoint } from './mounts.js'
import { withPermissions } from './permissions.js'
import { Server } from './server.js'
import type { Mount, MountOptions } from './transport.js'
import { unmountWhenKilled } from './watcher.js'

export type { Mount, MountOptions, Transport } from './transport.js'

/**
 * Load the transport of fuse-native.
 *
 * @throws StoreError where it is not installed, or does not load
 */
export const loadLibfuse = async (): Promise<typeof Libfuse> => {
  try {
    return await import('./libfuse/mount.js')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why =
      code === 'ERR_MODULE_NOT_FOUND'
        ? 'fuse-native is not installed (npm install fuse-native@npm:@cocalc/fuse-native)'
        : `fuse-native cannot be loaded: ${message.split('\n')[0]}`
    throw new StoreError(`transport libfuse: ${why}`)
  }
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
  const { mountByLibfuse } = await loadLibfuse()
  return mountByLibfuse(tree, mountpoint, options)
}

const mountByKernel = async (
  tree: Tree,
  mountpoint: string,
  {
    source,
    options = [],
    cover = false,
    isMade = false,
    debug = false,
    report = () => {},
  }: MountOptions,
): Promise<Mount> => {
  const real = realMountpoint(mountpoint)
  const stopWatch = unmountWhenKilled(real, isMade)
  let fd: number
  try {
    fd = await openDevice(real, { source, options, cover })
  } catch (error) {
    stopWatch()
    throw error
  }
  /** Null once it is closed: another file may have its number when a late answer comes. */
  let device: number | null = fd
  const server = new Server(tree, {
    send: reply => (device === null ? os.constants.errno.ENODEV : sendTo(device, reply)),
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
    device = null
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
const sendTo = (fd: number, reply: readonly Buffer[]): number => {
  try {
    if (reply.length === 1) fs.writeSync(fd, reply[0]!)
    else fs.writevSync(fd, reply)
    return 0
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException
    if (errno === undefined) throw error
    return -errno
  }
}
