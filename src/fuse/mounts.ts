/** The kernel's list of mounts: /proc/self/mountinfo (proc(5)). */
import fs from 'node:fs'
import { StoreError } from '../pstore/errors.js'

/** This program's file system, as the kernel names it. */
export const type = 'fuse.pstorefs'

/** The folders that are mountpoints, and the type of the file system that each one shows. */
export const mounts = (): Map<string, string> =>
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

/** A folder as that list spells it. */
export const spelled = (folder: string): string =>
  folder.replace(/[ \t\n\\]/g, c => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`)

/**
 * A mountpoint without links, as that list has it. This can be asked only before the mount is made: afterwards the
 * question would go to the process that asks.
 *
 * @throws StoreError where there is no such folder
 */
export const realMountpoint = (mountpoint: string): string => {
  try {
    return fs.realpathSync(mountpoint)
  } catch (error) {
    throw new StoreError(`${mountpoint}: cannot be mounted: ${(error as Error).message}`, 'ENOENT')
  }
}
