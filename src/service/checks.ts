/** Checks before a mount: that FUSE is there, and that the mountpoint is free. */
import fs from 'node:fs'
import path from 'node:path'
import { unmountDead } from '../fuse/device.js'
import { flagsOf } from '../fuse/flags.js'
import { findFusermount } from '../fuse/fusermount.js'
import type { Transport } from '../fuse/transport.js'
import { loadLibfuse } from '../fuse/mount.js'
import { mounts, type } from '../fuse/mounts.js'
import { StoreError } from '../pstore/errors.js'

/**
 * Check that FUSE is there, and knows the mount's options, before a source is touched.
 *
 * @param passed the options for the kernel, as mount(8) spells them
 * @throws StoreError saying what is missing
 */
export const checkFuse = async (transport: Transport, passed: readonly string[]): Promise<void> => {
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
  if (transport === 'libfuse') {
    if (findFusermount(['fusermount']) === null)
      throw new StoreError('fusermount: not found; install the package fuse3 (or fuse)')
    await loadLibfuse()
    return
  }
  flagsOf(passed)
  // Root mounts without its help.
  if (process.getuid!() !== 0 && findFusermount() === null)
    throw new StoreError('fusermount3: not found; install the package fuse3')
}

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
    if (folder === null) return
    const real = path.join(folder, base)
    if (mounts().get(real) === type) unmountDead(real)
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
