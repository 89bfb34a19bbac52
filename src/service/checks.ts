/** Checks before a mount: that FUSE is there, and that the mountpoint is free. */
import fs from 'node:fs'
import path from 'node:path'
import { unmountDead } from '../fuse/fusermount.js'
import { StoreError } from '../pstore/errors.js'

/** Check that FUSE is there: libfuse's own messages are harder to understand. */
export const checkFuse = (): void => {
  const device = '/dev/fuse'
  if (!fs.existsSync(device))
    throw new StoreError(`${device}: missing; load the kernel's FUSE (modprobe fuse)`)
  try {
    fs.accessSync(device, fs.constants.R_OK | fs.constants.W_OK)
  } catch {
    throw new StoreError(
      `${device}: permission denied: only root may mount (or chmod 666 ${device})`,
    )
  }
  // mount(8) clears PATH; libfuse looks in the system's own folders anyway.
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/bin', '/bin']
  if (!folders.some(folder => isExecutable(path.join(folder, 'fusermount'))))
    throw new StoreError('fusermount: not found; install the package fuse3 (or fuse)')
}

const isExecutable = (file: string): boolean => {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The kernel's list of mounts: folders and their file system types. */
const mounts = (): Map<string, string> =>
  new Map(
    fs
      .readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter(line => line.includes(' - '))
      .map(line => {
        const folder = line
          .split(' ')[4]!
          .replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
        // Of several mounts in one place the last one is visible.
        return [folder, line.split(' - ')[1]!.split(' ')[0]!]
      }),
  )

/**
 * Unmount a dead mount of this program. One is left where a daemon was killed together with the process that
 * watches over its mount, as by the kernel when memory runs out.
 */
export const clearDeadMount = (mountpoint: string): void => {
  try {
    fs.statSync(mountpoint)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTCONN' && code !== 'ECONNABORTED') return
    // realpath(3) fails for the dead mount itself, so only its folder is resolved.
    const { dir, base } = path.parse(mountpoint)
    const folder = realPathOf(dir)
    if (folder && mounts().get(path.join(folder, base)) === 'fuse.pstorefs') unmountDead(mountpoint)
  }
}

/** A file's real path; null where the file is missing, or lies in a dead mount. */
const realPathOf = (file: string): string | null => {
  try {
    return fs.realpathSync(file)
  } catch {
    return null
  }
}

/**
 * Check that the mountpoint is an empty folder, or the kernel's own pstore, which systemd mounts at every boot.
 *
 * @returns true where the mount will cover the kernel's pstore
 * @throws StoreError saying what is in the way
 */
export const checkMountpoint = (mountpoint: string, nonempty: boolean): boolean => {
  let names: string[]
  let covered: string | undefined
  try {
    // The kernel lists real paths, without links.
    covered = mounts().get(fs.realpathSync(mountpoint))
    if (covered !== undefined && covered !== 'pstore')
      throw new StoreError(
        `${mountpoint}: busy: something is mounted there already (umount it first)`,
      )
    names = fs.readdirSync(mountpoint)
  } catch (error) {
    if (error instanceof StoreError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    const dead = 'busy: a dead mount is there (fusermount -u it first)'
    const why: { [code: string]: string } = {
      ENOENT: 'no such folder; mkdir it first',
      ENOTDIR: 'is not a folder',
      EACCES: 'permission denied',
      ENOTCONN: dead,
      ECONNABORTED: dead,
    }
    throw new StoreError(`${mountpoint}: ${(code && why[code]) ?? message}`)
  }
  if (names.length && !nonempty)
    throw new StoreError(
      `${mountpoint}: not empty; the mount would hide its files (-o nonempty allows that)`,
    )
  return covered !== undefined
}
