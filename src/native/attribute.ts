/** Extended attributes of open files: small texts beside a file's bytes. */
import { errnoName, libc } from './libc.js'

/**
 * An attribute's text.
 *
 * @param most bytes that it may have; a longer one is as none
 * @returns null where there is none, or the file system has no attributes
 */
export const getAttribute = (fd: number, name: string, most: number): string | null => {
  const bytes = Buffer.alloc(most)
  const length = libc().fgetxattr(fd, name, bytes, most)
  return length < 0 ? null : bytes.toString('latin1', 0, length)
}

/** Set an attribute; false where that is not possible. */
export const setAttribute = (fd: number, name: string, text: string): boolean => {
  const bytes = Buffer.from(text, 'latin1')
  return libc().fsetxattr(fd, name, bytes, bytes.length, 0) === 0
}

/**
 * An attribute of a file that is not opened for it: of a file system that does not answer this never returns.
 *
 * @param most bytes that it may have
 */
export const readPathAttribute = (
  path: string,
  name: string,
  most: number,
): { readonly text: string } | { readonly errno: string } => {
  const { getxattr, errno } = libc()
  const bytes = Buffer.alloc(most)
  const length = getxattr(path, name, bytes, most)
  return length < 0 ? { errno: errnoName(errno()) } : { text: bytes.toString('utf8', 0, length) }
}
