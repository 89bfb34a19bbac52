/** Extended attributes of open files: small texts beside a file's bytes. */
import { libc } from './libc.js'

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
