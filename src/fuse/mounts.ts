/** The kernel's list of mounts: /proc/self/mountinfo (proc(5)). */
import fs from 'node:fs'
import { inWords } from '../native/words.js'
import { StoreError } from '../pstore/errors.js'

/** This program's file system, as the kernel names it. */
export const type = 'fuse.pstorefs'

const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))

/** A line of that list. */
interface Line {
  readonly folder: string
  readonly options: string
  readonly type: string
  readonly source: string
  /** Of the file system itself. */
  readonly own: string
}

const lines = (): Line[] =>
  fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter(line => line.includes(' - '))
    .map(line => {
      const [before = '', after = ''] = line.split(' - ')
      const [, , , , folder = '', options = ''] = before.split(' ')
      const [type = '', source = '', own = ''] = after.split(' ')
      return { folder: unescaped(folder), options, type, source: unescaped(source), own }
    })

/** The folders that are mountpoints, and the type of the file system that each one shows. */
export const mounts = (): Map<string, string> =>
  // Of several mounts in one place the last one is visible.
  new Map(lines().map(({ folder, type }) => [folder, type]))

/** A mount of this program. */
export interface MountEntry {
  readonly mountpoint: string
  readonly source: string
  readonly readOnly: boolean
  /** The user who mounted it. */
  readonly uid: number
}

/** The mounts of this program that are visible. */
export const listMounts = (): MountEntry[] => {
  const visible = new Map(lines().map(line => [line.folder, line]))
  return [...visible.values()]
    .filter(line => line.type === type)
    .map(({ folder, source, options, own }) => ({
      mountpoint: folder,
      source,
      readOnly: options.split(',').includes('ro'),
      uid: Number(/(?:^|,)user_id=(\d+)/.exec(own)?.[1] ?? 0),
    }))
}

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
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const why = isMissing ? 'no such folder' : inWords(error)
    throw new StoreError(`${mountpoint}: cannot be mounted: ${why}`, 'ENOENT')
  }
}
