/** The kind of a zone's content: a dump, console text, Android's log, output of a terminal. */
import { decodeDmesgHeader } from '../dmesg-header.js'
import type { ZoneKind } from '../../../pstore/types.js'

/**
 * - `empty`: nothing
 * - `dump`: begins with a dump's header line
 * - `stamped`: lines that begin with printk's time
 * - `android`: entries of Android's log, as its logd writes them to pmsg
 * - `binary`: bytes that no text has
 * - `terminal`: text with codes that only a terminal understands
 * - `text`: any other text
 */
export type ContentKind = 'empty' | 'dump' | 'stamped' | 'android' | 'binary' | 'terminal' | 'text'

/** Bytes of a content that are classified. */
export const sampleSize = 8192

const stamp = /^(<\d+>)?\[ *\d+\.\d{6}\]/
// oxlint-disable-next-line no-control-regex -- codes for terminals are looked for
const forTerminals = /\x1b[[\]()]|\r|\x08/

/** Android's pmsg entries: 'l', the length, the writer's uid and pid, and one of eight logs' id. */
const isAndroid = (bytes: Buffer): boolean => {
  let entries = 0
  for (let at = 0; at + 11 <= bytes.length; entries++) {
    const length = bytes.readUInt16LE(at + 1)
    if (bytes[at] !== 0x6c || length < 18 || bytes[at + 7]! > 7) return false
    at += length
  }
  return entries > 0
}

/** Has a text many bytes that no text in a usual encoding has? */
const isBinary = (text: string): boolean => {
  let odd = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0 || c === 0xfffd || (c < 32 && !(c >= 7 && c <= 13) && c !== 27)) odd++
  }
  // The ring and the sample may have cut a character at either end.
  return odd > 8 && odd * 50 > text.length
}

/**
 * Classify a content.
 *
 * @param bytes the first of a zone's content, oldest byte first
 */
export const classify = (bytes: Buffer): ContentKind => {
  if (bytes.length === 0) return 'empty'
  if (decodeDmesgHeader(bytes)) return 'dump'
  if (isAndroid(bytes)) return 'android'
  const text = bytes.toString('utf8')
  if (isBinary(text)) return 'binary'
  // The first and the last line may be cut.
  const lines = text.split('\n').slice(1, -1)
  const stamped = lines.filter(line => stamp.test(line)).length
  if (stamp.test(text) || (stamped > 0 && stamped * 2 >= lines.length)) return 'stamped'
  return forTerminals.test(text) ? 'terminal' : 'text'
}

/**
 * The penalty of a content in a kind of zone: 0 where the kind often has it. A ring that begins with a
 * dump outweighs everything that is only unusual.
 */
export const penalties: {
  readonly [kind in Exclude<ZoneKind, 'ftrace'>]: { readonly [content in ContentKind]: number }
} = {
  dmesg: { empty: 0, dump: 0, stamped: 2, android: 2, binary: 2, terminal: 2, text: 2 },
  console: { empty: 0, dump: 10, stamped: 0, android: 3, binary: 3, terminal: 2, text: 0 },
  pmsg: { empty: 0, dump: 10, stamped: 3, android: 0, binary: 0, terminal: 0, text: 0 },
  tty: { empty: 0, dump: 10, stamped: 3, android: 3, binary: 3, terminal: 0, text: 0 },
  'boot-log': { empty: 0, dump: 10, stamped: 1, android: 3, binary: 3, terminal: 1, text: 0 },
}

/** The kind of zone that most often has a content. */
const usual: { readonly [content in ContentKind]?: ZoneKind } = {
  dump: 'dmesg',
  stamped: 'console',
  terminal: 'tty',
  text: 'pmsg',
}

/** Is a content rather another kind's? The answer ranks layouts, and excludes none. */
export const isUnusual = (kind: ZoneKind, content: ContentKind): boolean =>
  // No mainline kernel has a tty zone.
  kind === 'tty' ? content !== 'terminal' : (usual[content] ?? kind) !== kind

/** Bytes of an ftrace record on 64-bit and on 32-bit machines, and on these before 4.10 (doc/formats.md 1.9). */
const recordSizes = [24, 16, 12]

/** Ends of words that are no kernel's address: zeros, and text, which repeats itself. */
// oxlint-disable-next-line no-control-regex -- text has them
const noAddress = /^(\0+|[\t-\r -~]+)$/

/**
 * Are these ftrace records? The function and its caller lie in one kernel, so the upper halves of
 * their addresses are the same in nearly every record.
 *
 * @param bytes the end of a zone's content
 */
export const isFtrace = (bytes: Buffer): boolean =>
  recordSizes.some(recordSize => {
    const half = recordSize === 24 ? 8 : 4
    // Records end with the content where the ring cut the first, and begin with it where the writer was cut.
    return [bytes.length % recordSize, 0].some(first => {
      const alike = new Map<string, number>()
      let records = 0
      for (let at = first; at + recordSize <= bytes.length; at += recordSize, records++) {
        // One end of an address says where the kernel lies: which, depends on the byte order.
        for (const [name, from] of [
          ['high', half === 8 ? 4 : 3],
          ['low', 0],
        ] as const) {
          const width = half === 8 ? 4 : 1
          const ip = bytes.toString('latin1', at + from, at + from + width)
          const parent = bytes.toString('latin1', at + half + from, at + half + from + width)
          if (ip !== parent || noAddress.test(ip)) continue
          const key = name + ip
          alike.set(key, (alike.get(key) ?? 0) + 1)
        }
      }
      return records >= (half === 8 ? 1 : 8) && Math.max(0, ...alike.values()) * 4 >= records * 3
    })
  })

/** The CPUs of 64-bit machines' records: the low byte of the time. */
export const cpusOf = (bytes: Buffer, endian: 'little' | 'big'): number[] => {
  const cpus: number[] = []
  for (let at = bytes.length % 24; at + 24 <= bytes.length; at += 24)
    cpus.push(bytes[at + (endian === 'little' ? 16 : 23)]!)
  return cpus
}
