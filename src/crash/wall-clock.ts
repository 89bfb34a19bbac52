/** Times of the wall clock at the start of lines, as loggers of user space write them. */

const clock = String.raw`(?<hour>[01]\d|2[0-3]):(?<minute>[0-5]\d):(?<second>[0-5]\d)`
const fraction = String.raw`(?:[.,](?<fraction>\d{1,9}))?`
const date = String.raw`(?<month>0[1-9]|1[0-2])-(?<day>0[1-9]|[12]\d|3[01])`
const named = String.raw`(?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d)`

const forms = [
  // ISO 8601 and its like: `2026-11-23T03:27:57.123456+01:00`, `[2026-11-23 03:27:57,123]`.
  String.raw`\[?(?<year>\d{4})-${date}[T ]${clock}${fraction}(?: ?(?<zone>Z|UTC|[+-]\d\d:?\d\d))?`,
  // logcat's threadtime, without a year: `11-23 03:27:57.123`.
  `${date} ${clock}${fraction}`,
  // syslog's, neither: `Nov 23 03:27:57`, `<13>Nov  3 03:27:57`.
  String.raw`(?:<\d{1,3}>)?${named} ${clock}${fraction}`,
  // ctime(3)'s, as of dmesg -T: `[Mon Nov 23 03:27:57 2026]`.
  String.raw`\[?[A-Z][a-z]{2} ${named} ${clock} (?<year>\d{4})`,
].map(form => new RegExp(String.raw`^${form}(?!\d)`))

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

const msPerMinute = 60_000
const msPerDay = 86_400_000

/** Minutes east of UTC; null where a line does not tell. */
const zoneOf = (zone: string | undefined): number | null => {
  if (zone === undefined) return null
  const [, sign, hours, minutes] = /^([+-])(\d\d):?(\d\d)$/.exec(zone) ?? []
  return sign === undefined ? 0 : Number(`${sign}1`) * (Number(hours) * 60 + Number(minutes))
}

/**
 * The time that a line begins with, in ms since 1970; null where there is none. One without a zone is of this
 * process's.
 *
 * @param near one without a year is the last such before this, or soon after it; in the same unit
 */
export const wallTimeOf = (line: string, near: number): number | null => {
  const found = forms.reduce<RegExpExecArray | null>((a, form) => a ?? form.exec(line), null)
  if (!found) return null
  const of: { [name: string]: string | undefined } = found.groups ?? {}
  const month = months.indexOf(of.month ?? '')
  if (month < 0 && Number.isNaN(Number(of.month))) return null
  const zone = zoneOf(of.zone)
  const inYear = (year: number): number => {
    const parts = [
      year,
      month < 0 ? Number(of.month) - 1 : month,
      Number(of.day),
      Number(of.hour),
      Number(of.minute),
      Number(of.second),
      Number(`0.${of.fraction ?? '0'}`) * 1000,
    ] as const
    return zone === null ? new Date(...parts).getTime() : Date.UTC(...parts) - zone * msPerMinute
  }
  if (of.year !== undefined) return inYear(Number(of.year))
  const latest = near + msPerDay
  const year = new Date(latest).getFullYear()
  const at = inYear(year)
  return at > latest ? inYear(year - 1) : at
}
