/** Times as an archive's manifests, and `--json`, have them. */
import type { Timespec } from '../pstore/time.js'

/** Seconds with nine decimals; more than a second's nanoseconds are carried. */
export const printTime = ({ sec, nsec }: Timespec): string => {
  const total = sec * 1_000_000_000n + BigInt(nsec)
  const digits = String(total < 0n ? -total : total).padStart(10, '0')
  return `${total < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`
}
