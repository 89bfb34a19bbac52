/** Mounts a tree with fuse-native (native-notes/fuse-native.md). */
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import Fuse from 'fuse-native'
import { setCloseOnExec } from '../../native/socket.js'
import { StoreError } from '../../pstore/errors.js'
import type { Tree } from '../../tree/tree.js'
import { escape, searched } from '../fusermount.js'
import { realMountpoint } from '../mounts.js'
import type { Mount, MountOptions } from '../transport.js'
import { unmountWhenKilled } from '../watcher.js'
import { TreeOperations } from './operations.js'
import { refusal } from './refusal.js'
import { CoveringSession } from './session.js'

/** Milliseconds between two looks for an unmount by another process, which libfuse does not report. */
const watchInterval = 100
/** fuse-native copies libfuse's options into a buffer of 1,024 bytes, and cuts longer ones. */
const longestOptions = 800
/** The share of a source's name in that; of a longer path the last part is shown. */
const longestSource = 400
/** How many closed files may wait for their release; the kernel's maximum. */
const mostClosed = 65535
/** This process's file descriptors, and the files behind them. */
const descriptors = (): Map<string, string> =>
  new Map(
    fs.readdirSync('/proc/self/fd').flatMap(fd => {
      const link = linkOf(fd)
      // The descriptor of the folder itself is closed by now.
      return link === null ? [] : [[fd, link]]
    }),
  )
const linkOf = (fd: string): string | null => {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return null
  }
}

/**
 * Wait until a mount answers. A child asks: a process that is killed while a thread of it waits for its own mount
 * never ends, nor does the mount.
 */
const askFor = async (mountpoint: string): Promise<void> => {
  await promisify(execFile)('stat', ['--', mountpoint], { env: searched })
}

/**
 * Mount a tree.
 *
 * @returns once the mount answers
 * @throws StoreError where the mount fails; libfuse has printed its own message on stderr by then
 */
export const mountByLibfuse = async (
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
  const list = [
    'pstorefs',
    `fsname=${escape(Buffer.byteLength(source) > longestSource ? path.basename(source) : source)}`,
    // One inode number for both names of a record.
    'use_ino',
    // Each open serves the bytes of its moment, also beyond st_size (ftrace's text is longer).
    'direct_io',
    // Files are released by background requests, of which the kernel sends 12 at a time and holds the rest back:
    // with a crowd of readers, ever more closed files would stay open here.
    `max_background=${mostClosed}`,
    ...options,
  ]
  if (Buffer.byteLength(list.join()) > longestOptions)
    throw new StoreError(`${mountpoint}: so many options are too long for a mount`)
  const real = realMountpoint(mountpoint)
  const operations = new TreeOperations(tree, report)
  const session = new (cover ? CoveringSession : Fuse)(mountpoint, operations, {
    // Every answer comes at once, so none needs a timer.
    timeout: false,
    subtype: list.join(),
    autoUnmount: true,
    // The kernel must not cache: the tree shows the region of this moment. (A number 0 would be dropped.)
    attrTimeout: '0.0',
    entryTimeout: '0.0',
    debug,
  })
  const before = descriptors()
  let device: string | undefined
  try {
    await new Promise<void>((resolve, reject) =>
      session.mount(error => (error ? reject(error) : resolve())),
    )
    const opened = [...descriptors()].filter(
      ([fd, link]) => before.get(fd) !== link && /^(\/dev\/fuse$|socket:)/.test(link),
    )
    // A child that inherited them would keep the unserved mount alive when this process is killed.
    for (const [fd] of opened) setCloseOnExec(Number(fd))
    device = opened.find(([, link]) => link === '/dev/fuse')?.[0]
    // libfuse reports success before it has answered the kernel's first request.
    await askFor(mountpoint)
  } catch (error) {
    const why = (await refusal(mountpoint, options)) ?? (error as Error).message
    throw new StoreError(`${mountpoint}: cannot be mounted: ${why}`, 'EIO')
  }
  const stopWatch = unmountWhenKilled(real, isMade)
  // libfuse closes its end when the file system is gone, and reports it in no other way.
  const ended = new Promise<void>(resolve => {
    const timer = setInterval(() => {
      if (device !== undefined && linkOf(device) === '/dev/fuse') return
      clearInterval(timer)
      stopWatch()
      resolve()
    }, watchInterval)
  })
  const unmount = (): Promise<void> =>
    new Promise((resolve, reject) => session.unmount(error => (error ? reject(error) : resolve())))
  return { ended, unmount }
}
