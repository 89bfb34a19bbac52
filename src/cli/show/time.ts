/** Records' times, for programs and for people. */
import type { Timespec } from '../../pstore/time.js'

/** Seconds with nine decimals; more than a second's nanoseconds are carried. */
export const printTime = ({ sec, nsec }: Timespec): string => {
  const total = sec * 1_000_000_000n + BigInt(nsec)
  const digits = String(total < 0n ? -total : total).padStart(10, '0')
  return `${total < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`
}

/** The time in the local zone, to the second; a dash where there is none or no calendar has it. */
export const when = (time: Timespec | null): string => {
  const date = new Date(time ? Number(time.sec) * 1000 + time.nsec / 1e6 : NaN)
  if (Number.isNaN(date.getTime())) return '-'
  const two = (n: number): string => String(n).padStart(2, '0')
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  )
}
