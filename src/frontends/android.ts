/**
 * Android's binary log in pmsg, as text: what `logcat -L` makes of it, in its `threadtime` format.
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
 * What counts as a record is what liblog/pmsg_reader.cpp takes for one; the text is that of
 * liblog/logprint.cpp (android_log_processLogBuffer, android_log_processBinaryLogBuffer,
 * android_log_formatLogLine) and of logcat.cpp (PrintDividers).
 */

const magic = 0x6c // LOGGER_MAGIC, 'l'
const headerSize = 18
/** LOGGER_ENTRY_MAX_PAYLOAD. */
const mostPayload = 4068
/** The reader takes a text's priority for a part of the header, and wants more than that. */
const leastLength = headerSize + 2
const mostLength = headerSize + 1 + mostPayload
/** What fits into android_log_formatLogLine's buffer: a long tag before each of many lines would be much. */
const mostPrefix = 127
const nsecPerSec = 1_000_000_000

/** log_id_t's names (android_log_id_to_name). */
const buffers = ['main', 'radio', 'events', 'system', 'crash', 'stats', 'security', 'kernel']
const binary = new Set([2, 5, 6])
const security = 6
/** android_LogPriority's letters (filterPriToChar): unknown, default, verbose … fatal, silent. */
const letters = '??VDIWEFS'
const info = 4
const warn = 5
/** ANDROID_LOG_VERBOSE and ANDROID_LOG_FATAL: what a text's priority can be. */
const leastPriority = 2
const mostPriority = 7

/** EVENT_TYPE_… (AndroidEventLogType). */
const int = 0
const long = 1
const string = 2
const list = 3
const float = 4

/** Could a record start there, as far as its bytes go? */
const couldStart = (bytes: Buffer, at: number): boolean => {
  const left = bytes.length - at
  if (left < 1) return true
  if (bytes[at] !== magic) return false
  if (left < 3) return true
  const length = bytes.readUInt16LE(at + 1)
  if (length < leastLength || length > mostLength) return false
  if (left < 8) return true
  const id = bytes[at + 7]
  if (id >= buffers.length) return false
  if (left < headerSize) return true
  if (bytes.readUInt32LE(at + 14) >= nsecPerSec) return false
  if (left === headerSize || binary.has(id)) return true
  const priority = bytes[at + headerSize]
  return priority >= leastPriority && priority <= mostPriority
}

/** The end of the record that starts there; null where none does, or not all of it is there. */
const endOf = (bytes: Buffer, at: number): number | null => {
  if (bytes.length - at < leastLength || !couldStart(bytes, at)) return null
  const end = at + bytes.readUInt16LE(at + 1)
  return end <= bytes.length ? end : null
}

/** The first record from an offset on that another one follows, or the end; before `limit`. */
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

const two = (n: number): string => String(n).padStart(2, '0')

/** `MM-DD HH:MM:SS.mmm` in the local time zone, as logcat has it. */
const formatTime = (sec: number, nsec: number): string => {
  const date = new Date(sec * 1000)
  return (
    `${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}` +
    `.${String(Math.floor(nsec / 1_000_000)).padStart(3, '0')}`
  )
}

/** A text payload's tag and message. One that was cut has no NUL at its end. */
const parseText = (payload: Buffer): { tag: string; message: string } => {
  const text = payload.toString('latin1', 1)
  const tagEnd = text.indexOf('\0')
  if (tagEnd < 0) return { tag: text, message: '' }
  const end = text.indexOf('\0', tagEnd + 1)
  return {
    tag: text.slice(0, tagEnd),
    message: text.slice(tagEnd + 1, end < 0 ? text.length : end),
  }
}

/** Typed values as text; what breaks off ends with `!`, as in logcat. */
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

/** An event's tag, for which there are no names here, and its values. */
const parseEvent = (payload: Buffer): { tag: string; message: string } => {
  if (payload.length < 4) return { tag: '[?]', message: '!' }
  const values = new Values(payload.subarray(4))
  const whole = payload.length === 4 || values.print()
  return { tag: `[${payload.readUInt32LE(0)}]`, message: values.text + (whole ? '' : '!') }
}

/** A record's lines, each with the whole prefix. */
const formatEntry = (entry: Buffer): string => {
  const pid = entry.readUInt16LE(5)
  const id = entry[7]
  const tid = entry.readUInt16LE(8)
  const payload = entry.subarray(headerSize)
  const isBinary = binary.has(id)
  const priority = isBinary ? (id === security ? warn : info) : payload[0]
  const { tag, message } = isBinary ? parseEvent(payload) : parseText(payload)
  const pad = (n: number): string => String(n).padStart(5)
  const time = formatTime(entry.readUInt32LE(10), entry.readUInt32LE(14))
  const prefix = `${time} ${pad(pid)} ${pad(tid)} ${letters[priority]} ${tag.padEnd(8)}: `.slice(
    0,
    mostPrefix,
  )
  // A line feed at the end makes no line of its own.
  const lines = message.replace(/\n$/, '').split('\n')
  return lines.map(line => `${prefix}${line}\n`).join('')
}

/** Characters of text that are made into bytes at once: no string is as long as a text may be. */
const chunkLength = 1 << 16

/** Makes lines of a pmsg ring's bytes as they come. Its memory is that of a record or two. */
export class AndroidLog {
  /** What may become a record once there is more. */
  #rest: Buffer = Buffer.alloc(0)
  /** There was a record, and nothing is missing since: what follows should be one. */
  #synchronous = false
  readonly #begun = new Set<number>()
  /** Bytes that were no records, so far; not those after a gap, or at a ring's front, which cut one. */
  skipped = 0
  /** Records so far. */
  count = 0

  /**
   * The lines of the records that are whole by now.
   *
   * @returns the text, in the bytes that the log has: UTF-8 where its writers kept to that
   */
  decode(bytes: Buffer): Buffer {
    const all = this.#rest.length ? Buffer.concat([this.#rest, bytes]) : bytes
    const chunks: Buffer[] = []
    let text = ''
    let at = 0
    for (;;) {
      if (text.length >= chunkLength) {
        chunks.push(Buffer.from(text, 'latin1'))
        text = ''
      }
      const next = this.#next(all, at)
      if (next === null) break
      if (next > at) this.#skip(next - at)
      const end = endOf(all, next)!
      text += this.#divider(all[next + 7]) + formatEntry(all.subarray(next, end))
      this.#synchronous = true
      this.count++
      at = end
    }
    const keep = this.#unfinished(all, at)
    if (keep > at) this.#skip(keep - at)
    this.#rest = Buffer.from(all.subarray(keep))
    chunks.push(Buffer.from(text, 'latin1'))
    return Buffer.concat(chunks)
  }

  /** Bytes are missing before those that come next. */
  interrupt(): void {
    this.#rest = Buffer.alloc(0)
    this.#synchronous = false
  }

  /** Where the next whole record starts. */
  #next(bytes: Buffer, at: number): number | null {
    const end = endOf(bytes, at)
    if (end === null) return findSound(bytes, at + 1, bytes.length)
    if (couldStart(bytes, end)) return at
    // Something else follows it. Its length is damaged where a sound record starts within it.
    const within = findSound(bytes, at + 1, end)
    if (within !== null) return within
    return this.#synchronous ? at : findSound(bytes, end, bytes.length)
  }

  /** From where on bytes are kept until there are more. */
  #unfinished(bytes: Buffer, from: number): number {
    let at = Math.max(from, bytes.length - mostLength)
    for (; at < bytes.length; at++) if (couldStart(bytes, at)) return at
    return at
  }

  #skip(count: number): void {
    if (this.#synchronous) this.skipped += count
  }

  /** What logcat prints before the first record of each buffer. */
  #divider(id: number): string {
    if (this.#begun.has(id)) return ''
    this.#begun.add(id)
    return `--------- beginning of ${buffers[id]}\n`
  }
}
