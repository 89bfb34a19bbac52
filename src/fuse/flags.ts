/** mount(8)'s words, as mount(2) takes them: flags, and the FUSE driver's own options. */
import { StoreError } from '../pstore/errors.js'

/** linux/mount.h. */
const MS_RDONLY = 1
const MS_NOSUID = 2
const MS_NODEV = 4
const MS_NOEXEC = 8
const MS_SYNCHRONOUS = 16
const MS_DIRSYNC = 128
const MS_NOATIME = 1024

/** The flag that a word sets or clears. */
const flags: { readonly [word: string]: { flag: number; set: boolean } } = {
  ro: { flag: MS_RDONLY, set: true },
  rw: { flag: MS_RDONLY, set: false },
  nosuid: { flag: MS_NOSUID, set: true },
  suid: { flag: MS_NOSUID, set: false },
  nodev: { flag: MS_NODEV, set: true },
  dev: { flag: MS_NODEV, set: false },
  noexec: { flag: MS_NOEXEC, set: true },
  exec: { flag: MS_NOEXEC, set: false },
  sync: { flag: MS_SYNCHRONOUS, set: true },
  async: { flag: MS_SYNCHRONOUS, set: false },
  dirsync: { flag: MS_DIRSYNC, set: true },
  noatime: { flag: MS_NOATIME, set: true },
  atime: { flag: MS_NOATIME, set: false },
}

const driverOptions = ['allow_other', 'default_permissions']

export interface MountFlags {
  flags: number
  /** For the kernel's FUSE. */
  options: string[]
}

/**
 * What mount(2) takes for some words. Of two that contradict each other the later one counts. Neither set-uid
 * programs nor devices work unless a word allows them.
 *
 * @throws StoreError where the kernel has nothing for a word
 */
export const flagsOf = (words: readonly string[]): MountFlags => {
  let all = MS_NOSUID | MS_NODEV
  const options = new Set<string>()
  for (const word of words) {
    const known = Object.hasOwn(flags, word) ? flags[word]! : null
    if (known) all = known.set ? all | known.flag : all & ~known.flag
    else if (driverOptions.includes(word)) options.add(word)
    else if (word === 'allow_root')
      throw new StoreError(
        'allow_root: only with transport=libfuse; use allow_other with default_permissions',
      )
    // mount(2) hides what lies in a folder in any case.
    else if (word !== 'nonempty')
      throw new StoreError(`option ${word}: not known to the kernel's FUSE`)
  }
  return { flags: all, options: [...options] }
}
