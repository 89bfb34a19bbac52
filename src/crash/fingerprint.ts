/** A crash's name for machines. */
import { createHash } from 'node:crypto'
import type { Frame } from './frames.js'

/** How many frames tell crashes apart. */
const mostFrames = 6

/**
 * ABRT's hash of an oops (libreport's koops hash): SHA-1 over the names of the first six reliable frames, as
 * printed, a newline after each; the instruction pointer's function is first.
 *
 * @returns 40 hexadecimal digits; null where no frame is known
 */
export const fingerprintOf = (frames: readonly Frame[]): string | null => {
  const calls = frames.filter(({ reliable, role }) => reliable && role !== 'return')
  const pointer = calls.find(({ role }) => role === 'pointer')
  const others = calls.filter(({ role }) => role === 'call')
  // Some architectures have the pointer's function at the top of the trace again.
  if (pointer && others[0]?.name === pointer.name) others.shift()
  const named = [...(pointer ? [pointer] : []), ...others].slice(0, mostFrames)
  if (named.length === 0) return null
  return createHash('sha1')
    .update(named.map(({ name }) => `${name}\n`).join(''))
    .digest('hex')
}
