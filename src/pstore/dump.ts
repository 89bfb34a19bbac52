/**
 * A kmsg dump: the text that one dmesg record holds, and what is known of it.
 *
 * Source: FORMATS.md 1.7; fs/pstore/platform.c (pstore_dump), kernel/printk (kmsg_dump_reason_str).
 */
import { deflate } from './deflate.js'

/** Why a kernel dumps, as its first line says it. */
export const reasons = [
  'panic',
  'oops',
  'emergency',
  'restart',
  'shutdown',
  'halt',
  'poweroff',
] as const
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
export const formatTitle = ({ reason, count, part }: DumpTitle): string =>
  `${reason[0].toUpperCase()}${reason.slice(1)}#${count} Part${part}\n`

/** What the first line of a record's text says; null where it says nothing of the kind. */
export const parseTitle = (text: Buffer): DumpTitle | null => {
  const [, reason, count, part] =
    /^([A-Za-z]+)#(\d{1,9}) Part(\d{1,9})\n/.exec(text.toString('latin1', 0, 64)) ?? []
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
  const line = Buffer.from(formatTitle(title))
  const fit = (size: number): Buffer =>
    Buffer.concat([line, text.subarray(Math.max(0, text.length - (size - line.length)))])
  if (room <= line.length) return null
  if (compress) {
    const stream = deflate(fit(Math.floor((room * 100) / compressedPercent)))
    if (stream.length <= room) return { bytes: stream, compressed: true }
  }
  return { bytes: fit(room), compressed: false }
}
