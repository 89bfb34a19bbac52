/**
 * What a record's bytes tell of it, where its name does not: a dump by its first line, ftrace's text, and by which
 * bytes a file of another name looks like a record.
 *
 * Source: doc/formats.md 2.1; fs/pstore/platform.c (pstore_dump), fs/pstore/inode.c (pstore_ftrace_seq_show),
 * fs/pstore/ram.c (ramoops_pstore_read), Android's liblog (android_pmsg_log_header_t).
 */
import { salvage } from '../../pstore/codecs/index.js'
import { decodeTitle } from '../../pstore/dump.js'
import type { EccState, Endian } from '../../pstore/types.js'

/** Is it the text of a dump, by its first line? */
export const isDump = (head: Buffer): boolean => decodeTitle(head) !== null

/** The line of a record of ftrace, as a kernel shows it. */
const ftraceLine = /^CPU:\d+ ts:\d+ +[0-9a-f]{8,16} /
/** A text has none of these: controls but for tab, line feed, form feed, return and escape. */
// oxlint-disable-next-line no-control-regex -- controls are what is looked for
const binary = /[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]/
/** Bytes that tell a text from records. */
const sampled = 4096

/** Are ftrace's bytes a kernel's text of them, and not the records themselves? */
export const isFtraceText = (bytes: Buffer): boolean => {
  const text = bytes.toString('latin1', 0, sampled)
  return ftraceLine.test(text) || !binary.test(text)
}

/** The byte order of ftrace's records: in the right one more words look like a kernel's address. */
export const endianOf = (bytes: Buffer): Endian => {
  const end = bytes.length - (bytes.length % 4)
  const isHigh = (byte: number): boolean => byte === 0xff || (byte >= 0x80 && byte < 0xd0)
  let little = 0
  for (let at = 0; at < end; at += 4) {
    if (isHigh(bytes[at + 3]!)) little++
    if (isHigh(bytes[at]!)) little--
  }
  return little < 0 ? 'big' : 'little'
}

/** ramoops' notice, which Linux puts behind a record whether it could be inflated or not. */
const notice =
  /\nECC: (?:No errors detected|(\d{1,9}) Corrected bytes, (\d{1,9}) unrecoverable blocks)\n$/
const longestNotice = 80

/** A compressed dump without the notice behind it, and what that says. */
export const withoutNotice = (bytes: Buffer): { stream: Buffer; ecc: EccState | null } => {
  const end = bytes.toString('latin1', Math.max(0, bytes.length - longestNotice))
  const [all, corrected = '0', bad = '0'] = notice.exec(end) ?? []
  if (all === undefined) return { stream: bytes, ecc: null }
  return {
    stream: bytes.subarray(0, bytes.length - all.length),
    ecc: { corrected: Number(corrected), bad: Number(bad) },
  }
}

/** The most text that a compressed dump may become: no kernel gives a record more. In bytes. */
const largestText = 2 ** 24
const smallestLimit = 2 ** 20
const expansion = 64

/** Bytes that a stream of so many may become. */
export const textLimit = (length: number): number =>
  Math.min(largestText, Math.max(smallestLimit, expansion * length))

/** Bytes of `android_pmsg_log_header_t`, and of `android_log_header_t` behind it. */
const pmsgHeader = 7
const logHeader = 11
/** Android's logs: main, radio, events, system, crash, stats, security, kernel. */
const mostLogs = 8

/** Does it begin as Android's pmsg does? */
const isAndroidLog = (head: Buffer): boolean =>
  head.length >= pmsgHeader + logHeader &&
  head[0] === 0x6c &&
  head.readUInt16LE(1) > pmsgHeader + logHeader &&
  head[pmsgHeader]! < mostLogs &&
  head.readUInt32LE(pmsgHeader + 7) < 1_000_000_000

/** A console's line, /dev/kmsg's, and syslog's or the journal's. */
const kernelLine =
  /^(?:(?:<\d{1,3}>)?\[ *\d+\.\d{6}\]|\d{1,5},\d{1,20},\d{1,18},[-+c][^;\n]{0,256};|[\w :.+-]{15,64} kernel: )/m
/** Bytes in which a line of the kernel's log has to be. */
const firstLines = 1024

/**
 * The record that a file's first bytes look like, and the name that would say so; null where it looks like none.
 *
 * @param head at most so many bytes as are inflated for it at no cost
 */
export const likeness = (head: Buffer): { what: string; name: string } | null => {
  if (isAndroidLog(head)) return { what: 'a pmsg record', name: 'pmsg-ramoops-0' }
  const start = head.toString('latin1', 0, sampled)
  if (ftraceLine.test(start)) return { what: 'an ftrace record', name: 'ftrace-ramoops-0' }
  if (!binary.test(start) && kernelLine.test(start.slice(0, firstLines)))
    return { what: "a kernel's log", name: 'console-ramoops-0' }
  return isDump(salvage(head, smallestLimit).text.slice(0, 128))
    ? { what: 'a compressed dmesg record', name: 'dmesg-ramoops-0.enc.z' }
    : null
}

/** How a dump began before Linux 3.5 (drivers/char/ramoops.c): in memory that had no zones, at multiples of a size. */
const bareDump = /====\d+\.\d+\n/g

/**
 * Dumps of a kernel before 3.5, and what makes records of them; null where a file begins otherwise.
 *
 * @param head its first bytes
 */
export const bareDumps = (head: Buffer): string | null => {
  const [first, ...others] = [...head.toString('latin1').matchAll(bareDump)].map(at => at.index)
  if (first !== 0) return null
  // The size was a power of two.
  const second = others.find(at => at >= 512 && (at & (at - 1)) === 0)
  return (
    'it looks like the dumps of a kernel before 3.5, which have no headers: in an empty folder, ' +
    `\`split -b ${second ?? 'RECORD_SIZE'} -d -a 3 FILE dmesg-ramoops-\` makes records of them`
  )
}
