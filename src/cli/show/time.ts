/** Records' times for people. */
import type { Timespec } from '../../pstore/time.js'

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
