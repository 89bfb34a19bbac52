/** Checks before a mount: that FUSE is there, and that the mountpoint is free. */
import fs from 'node:fs'
import path from 'node:path'
import { unmountDead } from '../fuse/fusermount.js'
import { StoreError } from '../pstore/errors.js'

/** Say what is missing before libfuse says it in its own words. */
export const checkFuse = (): void => {
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
 * Make room where a daemon of ours was killed together with what watches over its mount (as the kernel does
 * that is out of memory): what it left is of no use to anybody.
 */
export const clearDeadMount = (mountpoint: string): void => {
  try {
    fs.statSync(mountpoint)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTCONN' && code !== 'ECONNABORTED') return
    // The mount itself has no real path: only the folder that it is in.
    const { dir, base } = path.parse(mountpoint)
    const folder = realPathOf(dir)
    if (folder && mounts().get(path.join(folder, base)) === 'fuse.pstorefs') unmountDead(mountpoint)
  }
}

/** Null where there is none, or what it lies in is dead. */
const realPathOf = (file: string): string | null => {
  try {
    return fs.realpathSync(file)
  } catch {
    return null
  }
}

/**
 * Can the mount be put there?
 *
 * @returns true where it covers the kernel's own pstore, which systemd mounts at every boot
 */
export const checkMountpoint = (mountpoint: string, nonempty: boolean): boolean => {
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
    const dead = 'busy: a dead mount is there (fusermount -u it first)'
    const why: { [code: string]: string } = {
      ENOENT: 'no such folder: mkdir it first',
      ENOTDIR: 'is not a folder',
      EACCES: 'permission denied',
      ENOTCONN: dead,
      ECONNABORTED: dead,
    }
    throw new StoreError(`${mountpoint}: ${(code && why[code]) ?? message}`)
  }
  if (names.length && !nonempty)
    throw new StoreError(
      `${mountpoint}: not empty: what is in it would be hidden (-o nonempty does it)`,
    )
  return covered !== undefined
}
