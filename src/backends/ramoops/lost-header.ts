/**
 * Headers of ramoops zones that are damaged: what they still say.
 *
 * Source: doc/formats.md 1.10.
 */
import type { ZoneKind } from '../../pstore/types.js'
import {
  describeBits,
  judgeNumbers,
  mostWrongBits,
  otherKind,
  type Doubt,
} from '../../region/lost-header.js'
import { isVersionCode, judgeHeader, wrongBits, type RawHeader } from './zone-header.js'

/**
 * What a header says where that is not of a zone with content; null where it is.
 *
 * @param dataLength bytes of the zone's ring
 * @param unmendable its parity cannot correct it
 */
export const doubtOf = (
  raw: RawHeader,
  kind: ZoneKind,
  dataLength: number,
  unmendable: boolean,
): Doubt | null => {
  const { state } = judgeHeader(raw, kind, dataLength)
  if (state === 'valid') return null
  const judged = judgeNumbers(raw, dataLength)
  if (state !== 'unsigned') return { state, signature: null, ...judged, unmendable }
  const signature = problemOf(raw, kind, judged.numbers !== null)
  const { numbers, impossible } = signature === null ? unknown : judged
  return { state, signature, numbers, impossible, unmendable }
}

const unknown = { numbers: null, impossible: null }

/**
 * What is wrong with a signature that is not that of a zone of this kind; null: all of it.
 *
 * @param isPossible numbers follow it that a ring could have: a version code is too common without
 */
const problemOf = ({ code }: RawHeader, kind: ZoneKind, isPossible: boolean): string | null => {
  // A flipped bit of `DBGC` may name a kernel, too: 4.0.0 is one bit.
  if (kind !== 'ftrace')
    return describeBits(wrongBits(code)) ?? (isPossible && isVersionCode(code) ? otherKind : null)
  if (!isPossible) return null
  return code === 0 ? otherKind : describeBits(bitsToVersion(code))
}

/** How many bits are between a code and the nearest version that a kernel has had: at most one too many. */
const bitsToVersion = (code: number): number => {
  let bits = 1
  while (bits <= mostWrongBits && !isNearVersion(code, bits)) bits++
  return bits
}

/** @param bits that may be changed, of the lowest `below` */
const isNearVersion = (code: number, bits: number, below = 32): boolean => {
  if (bits === 0) return isVersionCode(code)
  for (let bit = 0; bit < below; bit++)
    if (isNearVersion((code ^ (1 << bit)) >>> 0, bits - 1, bit)) return true
  return false
}
