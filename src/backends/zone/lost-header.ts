/**
 * Headers of pstore/zone that are damaged: what they still say.
 *
 * Source: doc/formats.md 1.10 and 3.
 */
import { zoneKinds, type ZoneKind } from '../../pstore/types.js'
import { describeBits, judgeNumbers, otherKind, type Doubt } from '../../region/lost-header.js'
import { isSigned, signatureOf, type ZoneHeader } from './header.js'

/**
 * What a header says whose state is not `valid`.
 *
 * @param dataLength bytes that the zone can hold
 */
export const doubtOf = (
  { sig, datalen, start }: ZoneHeader,
  state: Doubt['state'],
  kind: ZoneKind,
  dataLength: number,
): Doubt => {
  // A dump's start is not looked at, nor is that of a zone that holds nothing.
  const size = datalen
  const judged = judgeNumbers(
    { start: kind === 'dmesg' || size === 0 ? 0 : start, size },
    dataLength,
  )
  const unmendable = false
  if (state !== 'unsigned') return { state, signature: null, ...judged, unmendable }
  const signature = problemOf(sig, kind, judged.numbers !== null)
  const { numbers, impossible } = signature === null ? unknown : judged
  return { state, signature, numbers, impossible, unmendable }
}

const unknown = { numbers: null, impossible: null }

/**
 * What is wrong with a signature that is not that of a zone of this kind; null: all of it.
 *
 * @param isPossible numbers follow it that a zone could have
 */
const problemOf = (sig: number, kind: ZoneKind, isPossible: boolean): string | null =>
  isPossible && zoneKinds.some(other => isSigned(sig, other))
    ? otherKind
    : describeBits(wrongBits(sig, signatureOf(kind)))

const wrongBits = (sig: number, right: number): number => {
  let bits = 0
  for (let left = sig ^ right; left !== 0; left &= left - 1) bits++
  return bits
}
