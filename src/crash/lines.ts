/**
 * What printk, and who passes its lines on, put before a line's text: doc/formats.md 11.
 *
 * Each prefix is looked for at the start of what is left, a bounded number of times, so the time is linear.
 */

/** A line of a kernel's log. */
export interface LogLine {
  /** What the kernel said, without prefixes and line end. */
  readonly text: string
  /** Seconds since boot; null where the line does not tell. */
  readonly time: number | null
  /** Who printed it, where CONFIG_PRINTK_CALLER says so: `T12` a task, `C1` a CPU's interrupt; else null. */
  readonly caller: string | null
}

/** The start of a line that is looked at, in characters. */
export const longestLine = 1024

/** printk's own: `[   12.345678]`. (kernel/printk/printk.c, print_time) Amlogic's kernels add the CPU: `[  12.345678@1]`. */
const stamp = /^\[ *(\d{1,9}\.\d{1,9})(?:@\d{1,3})?\] ?/
/** printk's own with CONFIG_PRINTK_CALLER, before or after the time's bracket: `[   T12]`, `[    C1]`. */
const caller = /^\[ *([TC]\d{1,10})\] ?/

/**
 * A record of /dev/kmsg and of netconsole's extended form (kernel/printk/printk.c, info_print_ext_header), its time in
 * µs: `4,2001,123456789,-,caller=T12;`. netconsole may put the kernel's release first.
 */
const record =
  /^(?:[\w.+-]{1,64},)?\d{1,5},\d{1,20},(\d{1,18}),[-+c](?:,caller=([TC]\d{1,10}))?(?:,\w{1,16}=[^,;]{1,64}){0,4};/
/** What follows a record, a line each: ` SUBSYSTEM=acpi`. */
const dictionary = /^ [A-Z][A-Z_]{2,31}=/

/** What others write before a line; none tells the time since boot. */
const foreign: readonly RegExp[] = [
  // The level: of the console, and of dmesg --raw.
  /^<\d{1,3}>/,
  // dmesg -x: `kern  :alert : `.
  /^(?:kern|user|daemon|syslog) *: *(?:emerg|alert|crit|err|warn|notice|info|debug) *: ?/,
  // dmesg -T: `[Mon Jan  1 10:00:00 2024] `, and dmesg --time-format iso.
  /^\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] ?/,
  /^\d{4}-\d\d-\d\dT[\d:,.]{8,16}(?:Z|[+-]\d\d:?\d\d) /,
  // syslog and journalctl: `Jan  1 10:00:00 `; the host follows.
  /^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,6})? /,
  /^[\w.-]{1,64} kernel: ?/,
  /^kernel: ?/,
  // Phones: the CPU and the task. MediaTek: `(2)[288:kworker/2:1]`, `.(1)[0:swapper/1]`.
  /^[-. ]?\(\d{1,2}\)\[\d{1,10}:[^\]]{1,32}\] ?/,
  // Samsung: `[0:      swapper/0:    0] `.
  /^\[\d{1,2}: *[^\]:][^\]]{0,31}: *\d{1,10}\] ?/,
  // Marvell and Spreadtrum: `c0 1 (swapper/0) `, and older ones: `c0 `.
  /^c\d{1,2} (?: *\d{1,10} \([^)]{1,32}\) )?/,
  // Huawei: `[pid:10974,cpu1,grep] `.
  /^\[pid:\d{1,10},cpu\d{1,3},[^\]]{1,32}\] ?/,
]

/** A stamp amid a line: what stands before it was printed by somebody else, who ended no line: `login: [   55.2885]`. */
const late = /\[ *\d{1,9}\.\d{6}(?:@\d{1,3})?\]/

/** The most prefixes of a line. */
const mostPrefixes = 8

/** Take a line's prefixes off. Any text has a reading; controls stay in it. */
export const parseLine = (line: string): LogLine => {
  let rest = line.slice(0, longestLine).trimEnd()
  let time: number | null = null
  let by: string | null = null
  const [head, microseconds, printer = null] = record.exec(rest) ?? []
  if (head !== undefined) {
    time = Number(microseconds) / 1e6
    by = printer
    rest = rest.slice(head.length)
  }
  for (let i = 0; i < mostPrefixes; i++) {
    const stamped: RegExpExecArray | null = stamp.exec(rest)
    const called: RegExpExecArray | null = caller.exec(rest)
    const found: RegExpExecArray | null =
      stamped ?? called ?? foreign.reduce<RegExpExecArray | null>((a, b) => a ?? b.exec(rest), null)
    if (!found) break
    if (stamped) time = Number(stamped[1])
    if (called) by = called[1]!
    rest = rest.slice(found[0].length)
  }
  const again = time === null && by === null ? late.exec(rest) : null
  return again?.index ? parseLine(rest.slice(again.index)) : { text: rest, time, caller: by }
}

/** The width at which a terminal wraps, and a log of it has a line end that the kernel did not write. */
const terminalWidth = 80

/** A log's lines. Lines that a terminal wrapped at 80 columns are put together again. */
export const parseLines = (text: string): LogLine[] => {
  const lines: LogLine[] = []
  let wrapped = ''
  let isRecord = false
  for (const raw of text.split(/\r?\n|\r/)) {
    if (isRecord && dictionary.test(raw)) continue
    isRecord = record.test(raw)
    const line = parseLine(wrapped + raw)
    const goesOn = wrapped !== '' && parseLine(raw).time === null
    if (goesOn) lines[lines.length - 1] = line
    else lines.push(wrapped === '' ? line : parseLine(raw))
    const whole = goesOn ? wrapped + raw : raw
    wrapped =
      raw.length === terminalWidth && line.time !== null && whole.length < longestLine ? whole : ''
  }
  return lines
}
