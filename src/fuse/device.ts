/**
 * /dev/fuse, mounted: by mount(2) as root, by fusermount3 as anybody else, who get the descriptor from it.
 *
 * linux/Documentation/filesystems/fuse.rst has mount(2)'s options.
 */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { StoreError } from '../pstore/errors.js'
import { libc } from '../native/libc.js'
import { receiveDescriptor, setNonBlocking, socketPair } from '../native/socket.js'
import { flagsOf, type MountFlags } from './flags.js'
import { escape, findFusermount, reasonIn, searched } from './fusermount.js'
import { mounts, type } from './mounts.js'

const MNT_DETACH = 2

export interface DeviceOptions {
  /** The source as /proc/mounts shows it. */
  source: string
  /** Mount options, as mount(8) spells them (`ro`, `allow_other`, …). */
  options: readonly string[]
  /** Mount even where something is mounted already, and hide that. */
  cover: boolean
}

const isRoot = (): boolean => process.getuid!() === 0

const refused = (mountpoint: string, why: string): StoreError =>
  new StoreError(`${mountpoint}: cannot be mounted: ${why}`, 'EIO')

/**
 * Make a mount that is not served yet: whoever looks into it waits.
 *
 * @param mountpoint a real path, without links
 * @returns a descriptor of /dev/fuse, for the kernel's requests; non-blocking and closed on exec. The mount is dead
 *   once it is closed.
 * @throws StoreError where the mount is refused, and why
 */
export const openDevice = async (
  mountpoint: string,
  { source, options, cover }: DeviceOptions,
): Promise<number> => {
  const words = flagsOf(options)
  if (!cover && mounts().has(mountpoint))
    throw refused(mountpoint, 'something is mounted there already (umount it first)')
  if (isRoot()) return mountAsRoot(mountpoint, source, words)
  const fd = await mountByFusermount(mountpoint, source, options)
  setNonBlocking(fd)
  return fd
}

/** By mount(2), which takes CAP_SYS_ADMIN. */
const mountAsRoot = (
  mountpoint: string,
  source: string,
  { flags, options }: MountFlags,
): number => {
  const { mount, errno, strerror } = libc()
  let fd: number
  try {
    // Closed on exec, as all that Node opens.
    fd = fs.openSync('/dev/fuse', fs.constants.O_RDWR | fs.constants.O_NONBLOCK)
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException
    if (errno === undefined) throw error
    const none = ['ENODEV', 'ENXIO', 'ENOENT'].includes(code ?? '')
    throw refused(
      mountpoint,
      none
        ? "fuse device not found, try 'modprobe fuse' first"
        : `failed to open /dev/fuse: ${strerror(-errno)}`,
    )
  }
  const data = [
    `fd=${fd}`,
    // A folder.
    'rootmode=40000',
    `user_id=${process.getuid!()}`,
    `group_id=${process.getgid!()}`,
    ...options,
  ]
  if (mount(source, mountpoint, type, flags, data.join()) !== 0) {
    const failed = errno()
    fs.closeSync(fd)
    throw refused(mountpoint, reasonIn(`mount failed: ${strerror(failed)}`))
  }
  return fd
}

/** By fusermount3, which is set-uid root, and sends what it has opened over a socket. */
const mountByFusermount = async (
  mountpoint: string,
  source: string,
  options: readonly string[],
): Promise<number> => {
  const program = findFusermount()
  if (program === null) throw refused(mountpoint, 'fusermount3: not found')
  // fusermount of libfuse 2 asks for it; what the mount hides was looked at before.
  const list = ['subtype=pstorefs', `fsname=${escape(source)}`, 'nosuid', 'nodev', 'nonempty']
  const [ours, its] = socketPair()
  try {
    const child = spawn(program, ['-o', [...list, ...options].join(), '--', mountpoint], {
      env: { ...searched, _FUSE_COMMFD: '3' },
      stdio: ['ignore', 'ignore', 'pipe', its],
    })
    let said = ''
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text))
    const ended = new Promise<void>(resolve => {
      child.on('error', error => (said = error.message)).on('close', () => resolve())
    })
    await ended
    // It has ended, so what it had to send has come.
    const fd = receiveDescriptor(ours)
    if (fd === null) throw refused(mountpoint, reasonIn(said))
    // It warns of options that it does not take from everybody.
    process.stderr.write(said)
    return fd
  } finally {
    fs.closeSync(ours)
    fs.closeSync(its)
  }
}

/**
 * Unmount, even while files are open. Their readers are served until the descriptor is closed.
 *
 * @param mountpoint a real path: of a link the kernel's list has no mount
 * @throws StoreError where that is not allowed, or the mount is not the one that is visible there
 */
export const unmountDevice = async (mountpoint: string): Promise<void> => {
  const failed = (why: string): StoreError =>
    new StoreError(`${mountpoint}: cannot be unmounted: ${why}`, 'EBUSY')
  const visible = mounts().get(mountpoint)
  if (visible === undefined) return
  if (visible !== type) throw failed('something is mounted over it (umount that first)')
  if (isRoot()) {
    const { umount2, errno, strerror } = libc()
    if (umount2(mountpoint, MNT_DETACH) !== 0) throw failed(strerror(errno()))
    return
  }
  const args = ['-u', '-z', '--', mountpoint]
  const said = await new Promise<string | null>(resolve => {
    const child = spawn(findFusermount() ?? 'fusermount3', args, {
      env: searched,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let text = ''
    child.stderr.setEncoding('utf8').on('data', (more: string) => (text += more))
    child.on('error', error => resolve(error.message))
    child.on('close', code => resolve(code === 0 ? null : text))
  })
  if (said !== null) throw failed(reasonIn(said))
}

/** Unmount a mount that is not served any more; nothing happens where that is not allowed. */
export const unmountDead = (mountpoint: string): void => {
  if (isRoot()) libc().umount2(mountpoint, MNT_DETACH)
  else
    spawnSync(findFusermount() ?? 'fusermount3', ['-u', '-z', '--', mountpoint], {
      env: searched,
      stdio: 'ignore',
    })
}
