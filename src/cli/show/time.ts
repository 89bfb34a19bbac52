/** Records' times for people. */
import type { Timespec } from '../../pstore/time.js'

/** The local zone at a moment, as people write it: `UTC`, `+01:00`. */
export const zoneAt = (time: Date): string => {
  const minutes = -time.getTimezoneOffset()
  if (minutes === 0) return 'UTC'
  const two = (n: number): string => String(Math.floor(n)).padStart(2, '0')
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${two(size / 60)}:${two(size % 60)}`
}

/** {@link when}, with its zone. */
export const whenAndZone = (time: Timespec | null): string => {
  const text = when(time)
  return time && text !== '-' ? `${text} ${zoneAt(new Date(Number(time.sec) * 1000))}` : text
}

/** The head of a column of times: they are in the reader's zone. */
export const timeColumn = (): string => `time (${zoneAt(new Date())})`

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
