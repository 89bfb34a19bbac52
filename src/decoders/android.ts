/**
 * Android's binary log in pmsg, as the text of `logcat -L` in its `threadtime` format.
 *
 * Source: AOSP system/logging. Each record is, little-endian and packed:
 *
 * | at | what         | from                                                                |
 * | -- | ------------ | ------------------------------------------------------------------- |
 * |  0 | u8 magic     | android_pmsg_log_header_t (private/android_logger.h): LOGGER_MAGIC  |
 * |  1 | u16 len      | the same: of the whole record                                       |
 * |  3 | u16 uid, pid | the same                                                            |
 * |  7 | u8 id        | android_log_header_t: the buffer, a log_id_t (android/log.h)        |
 * |  8 | u16 tid      | the same                                                            |
 * | 10 | u32 sec,nsec | the same: realtime, a log_time (log/log_time.h)                     |
 * | 18 | payload      | text: u8 prio (android_LogPriority), tag, NUL, message, NUL;        |
 * |    |              | else android_event_header_t (i32 tag), then a typed value           |
 *
 * A record is what liblog/pmsg_reader.cpp takes for one; the text is that of liblog/logprint.cpp
 * (android_log_processLogBuffer, android_log_processBinaryLogBuffer, android_log_formatLogLine) and of logcat.cpp
 * (PrintDividers).
 */
import { TextBuffer } from './text-buffer.js'

const magic = 0x6c // LOGGER_MAGIC, 'l'
const headerSize = 18
/** LOGGER_ENTRY_MAX_PAYLOAD. */
const mostPayload = 4068
/** Bytes; liblog's reader counts a text's priority as header, and wants at least one byte more. */
const leastLength = headerSize + 2
const mostLength = headerSize + 1 + mostPayload
/** The size of android_log_formatLogLine's buffer: a long tag before each of many lines must not add up. */
const mostPrefix = 127
const nsecPerSec = 1_000_000_000
const nsecPerMsec = 1_000_000

/** log_id_t's names (android_log_id_to_name). */
const buffers = ['main', 'radio', 'events', 'system', 'crash', 'stats', 'security', 'kernel']
const binary = new Set([2, 5, 6])
const security = 6
/** android_LogPriority's letters (filterPriToChar): unknown, default, verbose … fatal, silent. */
const letters = Buffer.from('??VDIWEFS')
const info = 4
const warn = 5
/** ANDROID_LOG_VERBOSE and ANDROID_LOG_FATAL: the range of a text's priority. */
const leastPriority = 2
const mostPriority = 7

/** EVENT_TYPE_… (AndroidEventLogType). */
const int = 0
const long = 1
const string = 2
const list = 3
const float = 4

/** Whether a record could start there, by the bytes so far. */
const couldStart = (bytes: Buffer, at: number): boolean => {
  const left = bytes.length - at
  if (left < 1) return true
  if (bytes[at] !== magic) return false
  if (left < 3) return true
  const length = bytes.readUInt16LE(at + 1)
  if (length < leastLength || length > mostLength) return false
  if (left < 8) return true
  const id = bytes[at + 7]!
  if (id >= buffers.length) return false
  if (left < headerSize) return true
  if (bytes.readUInt32LE(at + 14) >= nsecPerSec) return false
  if (left === headerSize || binary.has(id)) return true
  const priority = bytes[at + headerSize]!
  return priority >= leastPriority && priority <= mostPriority
}

/** The end of the record that starts there; null where no whole record does. */
const endOf = (bytes: Buffer, at: number): number | null => {
  if (bytes.length - at < leastLength || !couldStart(bytes, at)) return null
  const end = at + bytes.readUInt16LE(at + 1)
  return end <= bytes.length ? end : null
}

/** The first record at or after an offset, before `limit`, that another record or the end follows. */
const findSound = (bytes: Buffer, from: number, limit: number): number | null => {
  for (
    let at = bytes.indexOf(magic, from);
    at >= 0 && at < limit;
    at = bytes.indexOf(magic, at + 1)
  ) {
    const end = endOf(bytes, at)
    if (end !== null && couldStart(bytes, end)) return at
  }
  return null
}

/** Typed values as text; a truncated value ends with `!`, as in logcat. */
class Values {
  #at = 0
  text = ''
  constructor(readonly bytes: Buffer) {}

  /** @returns false where the bytes end before the value does, or its type is not known */
  print(): boolean {
    const { bytes } = this
    const left = bytes.length - this.#at - 1
    if (left < 0) return false
    const type = bytes[this.#at++]
    const at = this.#at
    if (type === int && left >= 4) return this.#took(4, String(bytes.readInt32LE(at)))
    if (type === long && left >= 8) return this.#took(8, String(bytes.readBigInt64LE(at)))
    if (type === float && left >= 4) return this.#took(4, bytes.readFloatLE(at).toFixed(6))
    if (type === string && left >= 4) {
      const length = bytes.readUInt32LE(at)
      const end = at + 4 + length
      this.#took(4 + length, bytes.toString('latin1', at + 4, Math.min(end, bytes.length)))
      return end <= bytes.length
    }
    if (type !== list || left < 1) return false
    const count = bytes.readInt8(at)
    this.#took(1, '[')
    for (let i = 0; i < count; i++) {
      if (i > 0) this.text += ','
      if (!this.print()) return false
    }
    return this.#took(0, ']')
  }

  #took(length: number, text: string): true {
    this.#at += length
    this.text += text
    return true
  }
}

/** An event's tag, as a number because names are not known here, and its values. */
const parseEvent = (payload: Buffer): { tag: string; message: string } => {
  if (payload.length < 4) return { tag: '[?]', message: '!' }
  const values = new Values(payload.subarray(4))
  const whole = payload.length === 4 || values.print()
  return { tag: `[${payload.readUInt32LE(0)}]`, message: values.text + (whole ? '' : '!') }
}

const nul = 0
const newline = 0x0a
const blank = Buffer.from(' ')
const point = Buffer.from('.')
const dash = Buffer.from('-')
const colon = Buffer.from(':')
const dots = Buffer.from(': ')
/** Columns of a tag, and of a process's and a thread's number. */
const tagWidth = 8
const idWidth = 5

const putId = (lines: TextBuffer, id: number): void => {
  lines.blanks(idWidth - String(id).length)
  lines.decimal(id)
}

/** The first index of a byte in a range; the range's end where it does not occur. */
const placeOf = (byte: number, bytes: Buffer, from: number, end: number): number => {
  let at = from
  while (at < end && bytes[at] !== byte) at++
  return at
}

/**
 * Turns a pmsg ring's bytes into lines as they come, as `logcat -v threadtime` prints them. Its memory is bounded by their
 * text.
 *
 * @example
 * ```ts
 * import { AndroidLog, attach } from 'pstorefs'
 *
 * const backend = attach('region.img')
 * const log = new AndroidLog()
 * for (const record of backend.records())
 *   if (record.type === 'pmsg') process.stdout.write(log.decode(record.read()))
 * backend.close()
 * ```
 */
export class AndroidLog {
  /** Bytes that may become a record once more come. */
  #rest: Buffer = Buffer.alloc(0)
  /** True after a record without a gap since: a record should follow. */
  #synchronous = false
  readonly #begun = new Set<number>()
  readonly #lines = new TextBuffer()
  readonly #date = new Date(0)
  /** Bytes outside records so far; not those of a record that a gap or the ring's front has cut. */
  skipped = 0
  /** Records so far. */
  count = 0

  /**
   * Take the ring's next bytes.
   *
   * @returns the lines of the records that are now whole, in the log's own bytes, which need not be UTF-8
   */
  decode(bytes: Buffer): Buffer {
    const all = this.#rest.length ? Buffer.concat([this.#rest, bytes]) : bytes
    let at = 0
    this.#lines.cut(0)
    for (;;) {
      const next = this.#next(all, at)
      if (next === null) break
      if (next > at) this.#skip(next - at)
      const end = endOf(all, next)!
      this.#divide(all[next + 7]!)
      this.#print(all, next, end)
      this.#synchronous = true
      this.count++
      at = end
    }
    const keep = this.#unfinished(all, at)
    if (keep > at) this.#skip(keep - at)
    this.#rest = Buffer.from(all.subarray(keep))
    return Buffer.from(this.#lines.bytes)
  }

  /** A record's lines, each with the whole prefix. */
  #print(bytes: Buffer, at: number, end: number): void {
    const id = bytes[at + 7]!
    const payload = at + headerSize
    if (binary.has(id)) {
      const { tag, message } = parseEvent(bytes.subarray(payload, end))
      const both = Buffer.from(tag + message, 'latin1')
      const prefix = this.#prefix(bytes, at, id === security ? warn : info, both, 0, tag.length)
      this.#message(prefix, both, tag.length, both.length)
      return
    }
    // A cut text has no NUL at its end.
    const tag = payload + 1
    const tagEnd = placeOf(nul, bytes, tag, end)
    const message = Math.min(tagEnd + 1, end)
    const prefix = this.#prefix(bytes, at, bytes[payload]!, bytes, tag, tagEnd)
    this.#message(prefix, bytes, message, placeOf(nul, bytes, message, end))
  }

  /**
   * Write the prefix of a record's lines: time, pid, tid, priority, tag.
   *
   * @returns its length
   */
  #prefix(
    entry: Buffer,
    at: number,
    priority: number,
    tag: Buffer,
    from: number,
    end: number,
  ): number {
    const lines = this.#lines
    const start = lines.length
    const tagEnd = Math.min(end, from + mostPrefix)
    lines.reserve(2 * mostPrefix)
    this.#time(entry.readUInt32LE(at + 10), entry.readUInt32LE(at + 14))
    lines.text(blank)
    putId(lines, entry.readUInt16LE(at + 5))
    lines.text(blank)
    putId(lines, entry.readUInt16LE(at + 8))
    lines.text(blank)
    lines.text(letters, priority, priority + 1)
    lines.text(blank)
    lines.text(tag, from, tagEnd)
    lines.blanks(tagWidth - (tagEnd - from))
    lines.text(dots)
    lines.cut(start + mostPrefix)
    return lines.length - start
  }

  /** The message's lines, the first of which has its prefix. */
  #message(prefix: number, bytes: Buffer, from: number, end: number): void {
    const lines = this.#lines
    const start = lines.length - prefix
    // A line feed at the end starts no line.
    const last = from < end && bytes[end - 1] === newline ? end - 1 : end
    for (let at = from; ;) {
      const lineEnd = placeOf(newline, bytes, at, last)
      lines.reserve(lineEnd - at + 1 + prefix)
      lines.text(bytes, at, lineEnd)
      lines.end()
      if (lineEnd === last) return
      lines.again(start, prefix)
      at = lineEnd + 1
    }
  }

  /** `MM-DD HH:MM:SS.mmm` in the local time zone, as in logcat. */
  #time(sec: number, nsec: number): void {
    const lines = this.#lines
    this.#date.setTime(sec * 1000)
    lines.decimal(this.#date.getMonth() + 1, 2)
    lines.text(dash)
    lines.decimal(this.#date.getDate(), 2)
    lines.text(blank)
    lines.decimal(this.#date.getHours(), 2)
    lines.text(colon)
    lines.decimal(this.#date.getMinutes(), 2)
    lines.text(colon)
    lines.decimal(this.#date.getSeconds(), 2)
    lines.text(point)
    lines.decimal(Math.floor(nsec / nsecPerMsec), 3)
  }

  /** Note a gap before the next bytes. */
  interrupt(): void {
    this.#rest = Buffer.alloc(0)
    this.#synchronous = false
  }

  /** The start of the next whole record. */
  #next(bytes: Buffer, at: number): number | null {
    const end = endOf(bytes, at)
    if (end === null) return findSound(bytes, at + 1, bytes.length)
    if (couldStart(bytes, end)) return at
    // No record follows this one. Its length is damaged if a sound record starts within it.
    const within = findSound(bytes, at + 1, end)
    if (within !== null) return within
    return this.#synchronous ? at : findSound(bytes, end, bytes.length)
  }

  /** The start of the bytes that wait for more. */
  #unfinished(bytes: Buffer, from: number): number {
    let at = Math.max(from, bytes.length - mostLength)
    for (; at < bytes.length; at++) if (couldStart(bytes, at)) return at
    return at
  }

  #skip(count: number): void {
    if (this.#synchronous) this.skipped += count
  }

  /** The line that logcat prints before the first record of each buffer. */
  #divide(id: number): void {
    if (this.#begun.has(id)) return
    this.#begun.add(id)
    const divider = Buffer.from(`--------- beginning of ${buffers[id]}\n`)
    this.#lines.reserve(divider.length)
    this.#lines.text(divider)
  }
}
