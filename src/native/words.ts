/** A system's error in words. */
import os from 'node:os'
import { getSystemErrorMap } from 'node:util'

/** Words that say more than the system's own, or the same in this project's. */
const hint: { readonly [code: string]: string } = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENXIO: 'no such device',
  EROFS: 'read-only file system',
  EISDIR: 'is a folder, not a file',
  ELOOP: 'is a link, or behind too many of them',
  EMFILE: 'too many open files',
  ESTALE: 'stale file handle: its server has another file there by now, or none',
  EDQUOT: 'disk quota exceeded',
}

const numbers: { readonly [code: string]: number | undefined } = os.constants.errno

/** Words for `EIO`; null for what is no system's error. */
export const codeInWords = (code: string): string | null => {
  const errno = numbers[code]
  const known = errno === undefined ? undefined : getSystemErrorMap().get(-errno)?.[1]
  return hint[code] ?? known ?? null
}

/**
 * May a name be of bytes that are no UTF-8? Node has this letter in their place, and finds no such file then, though it
 * has read the name in a folder.
 */
export const isMangled = (name: string): boolean => name.includes('\ufffd')

/** Why a system call failed, in words alone. */
export const inWords = (error: unknown): string => {
  const { code, errno = 0, message, path = '' } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' && isMangled(path))
    return 'no such file; if its name is no UTF-8, rename it or give a link to it'
  const known = code && codeInWords(code)
  // libuv has no name for some: "Unknown system error -116".
  const name = known ? null : Object.keys(numbers).find(each => numbers[each] === -errno)
  return known || (name && codeInWords(name)) || message
}
