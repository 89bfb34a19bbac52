/**
 * A kmsg dump: the text that one dmesg record holds, and what is known of it.
 *
 * Source: doc/formats.md 1.7; fs/pstore/platform.c (pstore_dump), kernel/printk (kmsg_dump_reason_str).
 */
import { deflate } from './codecs/deflate.js'

/**
 * Why a kernel dumps, as its first line says it.
 *
 * @example
 * ```ts
 * import { reasons } from 'pstorefs'
 *
 * console.log(`--reason ${reasons.join('|')}`)
 * ```
 */
export const reasons = [
  'panic',
  'oops',
  'emergency',
  'restart',
  'shutdown',
  'halt',
  'poweroff',
] as const
/** One of {@link reasons}. */
export type Reason = (typeof reasons)[number]

/** What a dump's first line says: `Panic#2 Part1`. */
export interface DumpTitle {
  /** As the line has it: `Panic`. */
  reason: string
  /** Which dump of that machine's life it is, from 1. */
  count: number
  part: number
}

/** The first line, with its line feed. */
export const encodeTitle = ({ reason, count, part }: DumpTitle): string =>
  `${reason.slice(0, 1).toUpperCase()}${reason.slice(1)}#${count} Part${part}\n`

/** Bytes of a record's text within which its title ends. */
export const longestTitle = 128

/** What the first line of a record's text says; null where it says nothing of the kind. */
export const decodeTitle = (text: Buffer): DumpTitle | null => {
  // pstore_blk shows a line of its own before a plain text's first.
  const [, reason, count, part] =
    /^(?:\w+: Total \d+ times\n)?([A-Za-z]+)#(\d{1,9}) Part(\d{1,9})\n/.exec(
      text.toString('latin1', 0, longestTitle),
    ) ?? []
  return reason === undefined ? null : { reason, count: Number(count), part: Number(part) }
}

/**
 * How much text is tried to compress, in hundredths of what fits plain. Linux expects text to shrink
 * to 60 %, and before 6.6 it also inflated no more than that: a longer text would be `.enc.z` there.
 */
const compressedPercent = 60

/**
 * Make a dump fit into a record: compressed where that fits, else plain; of a text that is too long
 * its end is kept, since what happened last says why.
 *
 * @param room bytes that the record can hold
 * @returns null where not even the first line and one byte fit
 */
export const packDump = (
  title: DumpTitle,
  text: Buffer,
  room: number,
  compress: boolean,
): { bytes: Buffer; compressed: boolean } | null => {
  const line = Buffer.from(encodeTitle(title))
  const fit = (size: number): Buffer =>
    Buffer.concat([line, text.subarray(Math.max(0, text.length - (size - line.length)))])
  if (room <= line.length) return null
  if (compress) {
    const stream = deflate(fit(Math.floor((room * 100) / compressedPercent)))
    if (stream.length <= room) return { bytes: stream, compressed: true }
  }
  return { bytes: fit(room), compressed: false }
}

/** How much of a dump Linux stores where it may take several records, in bytes (`kmsg_bytes`). */
const kmsgBytes = 10240

/** No part takes less, compressed: its title alone does not shrink to this. */
const leastStored = 16

/** The most text that {@link packParts} can have a use for, in bytes. */
export const mostText = (room: number): number =>
  Math.ceil((room * 100) / compressedPercent) * Math.ceil(kmsgBytes / leastStored)

/**
 * Divide a dump among records, as Linux does: part 1 is the newest text, and each begins with a title
 * of its own and, where there is one, at a line's start. It goes on until `kmsg_bytes` are stored.
 *
 * @param room bytes that a record can hold
 */
export function* packParts(
  title: Omit<DumpTitle, 'part'>,
  text: Buffer,
  room: number,
  compress: boolean,
): Generator<{ bytes: Buffer; compressed: boolean }, void, void> {
  let left = text
  for (let part = 1, stored = 0; left.length > 0 && stored < kmsgBytes; part++) {
    const line = Buffer.from(encodeTitle({ ...title, part }))
    if (room <= line.length) return
    /** The end of what is left that fits into so many bytes, from a line's start. */
    const endOf = (size: number): Buffer => {
      const from = Math.max(0, left.length - (size - line.length))
      const start = from && left.indexOf(0x0a, from - 1) + 1
      return left.subarray(start > 0 && start < left.length ? start : from)
    }
    let body = endOf(Math.floor((room * 100) / compressedPercent))
    const stream = compress ? deflate(Buffer.concat([line, body])) : null
    const compressed = stream !== null && stream.length <= room
    if (!compressed) body = endOf(room)
    const bytes = compressed ? stream : Buffer.concat([line, body])
    yield { bytes, compressed }
    stored += bytes.length
    left = left.subarray(0, left.length - body.length)
  }
}
