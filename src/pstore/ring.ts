/**
 * Rings for those who follow them: where one stands, and what happened to it between two looks.
 *
 * A header says where the next byte goes and how many are valid, and no more. A ring that was written
 * all round looks as before: only its bytes tell.
 */
import type { RecordType } from './types.js'

/** Where a ring stands. */
export interface RingPosition {
  /** Where the next byte goes, which is the oldest once the ring is full; below its length. */
  readonly start: number
  /** Number of valid bytes, at most the ring's length. */
  readonly size: number
}

/** A zone that is a ring. Every method may throw a StoreError (EIO). */
export interface Ring {
  /** The name of the file that shows it, while it holds anything. */
  readonly name: string
  readonly type: RecordType
  /** Bytes that it holds at most. */
  readonly length: number
  /** True where it has parity: the header's is stored last, after all that it announces. */
  readonly parity: boolean
  /**
   * Where it stands. `settled` is false while its header's parity does not fit, `whole` while of size and start Linux
   * has moved one only (doc/formats.md 1.4).
   */
  position(): RingPosition & { readonly settled: boolean; readonly whole: boolean }
  /** Some of its bytes, corrected: `length` of them from an offset on, not beyond its end. */
  slice(from: number, length: number): Buffer
  /** Empty it, whatever its header says. */
  empty(): void
  /** Do something while no writer of this program is at work. Others take no notice of it. */
  quietly<T>(work: () => T): T
}

/** What happened to a ring: its last `count` bytes are new. */
export interface Move {
  /**
   * - `still`: nothing
   * - `appended`: the bytes follow those that were there
   * - `erased`: it was emptied, then they were written
   * - `lapped`: it was written all round, or may have been
   */
  readonly kind: 'still' | 'appended' | 'erased' | 'lapped'
  readonly count: number
  /** So many bytes are lost, or were erased; perhaps more, or none at all where it is 0. */
  readonly lost: number
}

/** How many of the bytes before the old position tell whether a ring was written all round. */
export const evidence = 256
/**
 * How many bytes were appended to a ring from one look to the next, if it was not written all round:
 * then it is a multiple of its length more.
 *
 * @returns negative where no append leads from one to the other
 */
export const advance = (before: RingPosition, after: RingPosition, length: number): number => {
  if (after.size < before.size) return -1
  if (after.size < length) return after.start - before.start
  // Until a ring is full it grows from its front.
  if (before.size < length) return length - before.start + after.start
  return (after.start - before.start + length) % length
}

/**
 * What happened to a ring from one look to the next.
 *
 * @param kept are the last so many bytes before `before.start` what they were? Asked at most once
 * @param most how many bytes it is asked for at most
 */
export const moveBetween = (
  before: RingPosition,
  after: RingPosition,
  length: number,
  kept: (count: number) => boolean,
  most = evidence,
): Move => {
  const count = advance(before, after, length)
  if (count < 0) return { kind: 'erased', count: after.size, lost: 0 }
  // Nothing is left then that could tell whether it was once or more often.
  if (count >= length) return { kind: 'lapped', count: length, lost: count - length }
  const left = Math.min(most, before.size, length - count)
  if (left === 0 || kept(left)) return { kind: count ? 'appended' : 'still', count, lost: 0 }
  // Something else is there. What is not full has not been written all round since it was empty.
  return after.size < length
    ? { kind: 'erased', count: after.size, lost: 0 }
    : { kind: 'lapped', count: length, lost: count }
}
