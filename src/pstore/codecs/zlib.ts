/**
 * zlib's wrapping of a deflate stream, as Linux's pstore wrote from 3.12 to 4.17: two bytes before it, and the
 * Adler-32 of the text behind it (doc/formats.md 7.1; RFC 1950).
 */
import type { Codec } from './codec.js'
import { salvageZlib } from './deflate.js'

/** In the first byte: the method, deflate, and a window of at most 2^15 bytes. */
const isMethod = (cmf: number): boolean => (cmf & 0x0f) === 8 && cmf >> 4 <= 7
/** In the second: a dictionary is asked for, which nobody has. */
const wantsDictionary = 0x20

export const zlib: Codec = {
  name: 'zlib',
  isOpened: ([cmf = 0, flags = 0]) =>
    isMethod(cmf) && (flags & wantsDictionary) === 0 && ((cmf << 8) | flags) % 31 === 0,
  isChecked: true,
  walk: salvageZlib,
}
