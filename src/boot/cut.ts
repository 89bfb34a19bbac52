/**
 * What a ring holds that nobody has kept yet.
 *
 * A daemon can be killed after it has kept a ring and before it has emptied it, and the writers of this
 * life go on. No store could do both at once, and the bytes alone do not tell: a life often begins with
 * the words of the last. So a line that is like no other goes behind what is kept, before the ring is
 * emptied, and it is noted on disk that the line is there. From then on a ring without it has been emptied.
 */
import type { RingType } from '../pstore/types.js'

/**
 * How far a ring is that was kept:
 * - `saved`: its text is on disk, and in the ring, maybe with the mark behind it
 * - `marked`: it has the mark behind it, or has been emptied
 * - `emptied`: it is this life's
 */
export const steps = ['saved', 'marked', 'emptied'] as const
export type Step = (typeof steps)[number]

/** A ring as it was kept. */
export interface Snapshot {
  readonly type: RingType
  readonly step: Step
  /** All that it held, what had been kept before included. */
  readonly raw: Buffer
}

/** The line behind a ring's kept text. Its end is what differs, as it is what a full ring drops last. */
export const markOf = (id: string): Buffer =>
  Buffer.from(`\n==== pstorefs has kept what is above this line: ${id}\n`)

/** So much of a mark, or of a text, is no coincidence. */
const telling = 8
const tellingText = 16

/**
 * How much of the end of what was kept is still at the front of the ring: its oldest bytes give way first.
 *
 * In a ring that is full the mark takes the place of the oldest bytes before the header moves. So where
 * those were, the mark's may be.
 */
const stillThere = (kept: Buffer, mark: Buffer, now: Buffer): number => {
  if (kept.compare(now, 0, Math.min(kept.length, now.length)) === 0) return kept.length
  const most = Math.min(kept.length, now.length)
  for (let n = most; n >= tellingText && kept.length - n < mark.length; n--) {
    const gone = kept.length - n
    if (kept.compare(now, 0, n, gone) === 0) return n
    const from = mark.length - gone
    if (n - from >= tellingText && kept.compare(now, from, n, gone + from) === 0) return n
  }
  const there = overlapOf(kept, now)
  return there >= tellingText ? there : 0
}

/**
 * How much of one's end another begins with, at most. By Knuth, Morris and Pratt: whoever writes to a ring may fill it
 * with one letter, in which all lengths are nearly right.
 */
const overlapOf = (one: Buffer, other: Buffer): number => {
  const most = Math.min(one.length, other.length)
  /** Of each front of the other, how much of its end it begins with, if not all of it. */
  const borders = new Int32Array(most)
  const next = (byte: number, matched: number): number => {
    while (matched > 0 && other[matched] !== byte) matched = borders[matched - 1]!
    return other[matched] === byte ? matched + 1 : 0
  }
  for (let at = 1; at < most; at++) borders[at] = next(other[at]!, borders[at - 1]!)
  let matched = 0
  for (let at = one.length - most; at < one.length; at++) matched = next(one[at]!, matched)
  return matched
}

/** The text without the mark that it begins with, or with the end of one. */
const withoutMark = (mark: Buffer, text: Buffer): Buffer => {
  for (let n = mark.length; n >= telling; n--)
    if (n <= text.length && mark.compare(text, 0, n, mark.length - n) === 0) return text.subarray(n)
  return text
}

/**
 * The end of a ring's content that came after it was kept.
 *
 * @param now what it holds
 */
export const cut = ({ type, step, raw }: Snapshot, mark: Buffer, now: Buffer): Buffer => {
  if (step === 'emptied') return now
  // Only the kernel appends to these. CPUs' zones are emptied one after the other.
  if (type === 'ftrace') return now.length <= raw.length ? Buffer.alloc(0) : now
  const there = step === 'saved' ? stillThere(raw, mark, now) : 0
  // Behind what is left of it, however little, stands the mark.
  const from = there || Math.max(0, now.lastIndexOf(mark))
  return withoutMark(mark, now.subarray(from))
}
