/** Points in time as people write them: `--since`, `--until`. */
import { StoreError } from '../../pstore/errors.js'

const units: { readonly [unit: string]: number } = {
  s: 1,
  min: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
}
const second = 1000

/**
 * Milliseconds of `12h`, `30d`, `4w`.
 *
 * @throws StoreError where it is none of these
 */
export const parseAge = (text: string): number => {
  const [, amount, unit = ''] = /^(\d{1,6}) ?(s|min|h|d|w)$/.exec(text.trim()) ?? []
  if (amount === undefined) throw new StoreError(`${text}: is no age: write 12h, 30d or 4w`)
  return Number(amount) * units[unit]! * second
}

/** The start of a day in the local zone, so many days from today, in ms. */
const dayStart = (days: number): number => {
  const day = new Date()
  day.setHours(0, 0, 0, 0)
  day.setDate(day.getDate() + days)
  return day.getTime()
}

/**
 * Milliseconds since 1970 of `2026-11-23`, `2026-11-23 10:00`, `2026-11-23T10:00:00Z`, `@1795404737`, `today`,
 * `yesterday`, `-2h` or `2d` (ago). Without a zone it is the local one's.
 *
 * @throws StoreError where it is none of these
 */
export const parseWhen = (text: string): number => {
  const word = text.trim()
  if (word === 'now') return Date.now()
  if (word === 'today') return dayStart(0)
  if (word === 'yesterday') return dayStart(-1)
  const epoch = /^@(\d{1,11})$/.exec(word)
  if (epoch) return Number(epoch[1]) * second
  const [, amount, unit = ''] = /^-?(\d{1,6}) ?(s|min|h|d|w)(?: ago)?$/.exec(word) ?? []
  if (amount !== undefined) return Date.now() - Number(amount) * units[unit]! * second
  // A date alone is UTC's for Date.parse.
  const isDate = /^\d{4}-\d\d-\d\d$/.test(word)
  const isTime = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:?\d\d)?$/.test(word)
  const at = isDate || isTime ? Date.parse(isDate ? `${word}T00:00` : word.replace(' ', 'T')) : NaN
  // Of 30 February it makes 2 March.
  const [year, month, day] = word.slice(0, 10).split('-').map(Number)
  const isNoDay = new Date(Date.UTC(year!, month! - 1, day)).getUTCDate() !== day
  if (Number.isNaN(at) || isNoDay)
    throw new StoreError(
      `${text}: is no time: write 2026-11-23, "2026-11-23 10:00", today, 2h, 3d or @SECONDS`,
    )
  return at
}
