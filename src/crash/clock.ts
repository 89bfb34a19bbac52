/** printk's clock: the seconds since boot that lines of a kernel's log begin with. */
import { isSized, type Content } from '../pstore/content.js'
import { parseLine, type LogLine } from './lines.js'

/** When a text's first and last line were printed, in seconds since boot. */
export interface Clock {
  readonly first: number
  readonly last: number
}

/** Bytes of a text that are looked at, at either end. */
const looked = 4096

/** The clock of lines; null where none has a time. */
export const clockOf = (lines: readonly Pick<LogLine, 'time'>[]): Clock | null => {
  const first = lines.find(({ time }) => time !== null)?.time
  const last = lines.findLast(({ time }) => time !== null)?.time
  return first == null || last == null ? null : { first, last }
}

/** The clock of a text, by its first and last lines. */
export const peekClock = (text: Content): Clock | null => {
  const start = text.slice(0, looked)
  const end = isSized(text) ? text.slice(Math.max(0, text.length - looked), looked) : start
  const lines = [start, end].flatMap(bytes => bytes.toString('latin1').split(/\r?\n/))
  return clockOf(lines.map(parseLine))
}
