/**
 * Which parity fits: every size that Linux takes is tried on a zone's header and on its first blocks.
 *
 * A header has parity even in an empty zone, so zones that never held anything decide too. Where the
 * size is wrong, a block fits by chance only, once in 256 to the power of the parity's bytes. Kernels before
 * 3.10 put the blocks' parity elsewhere, and the header's where it is today (doc/formats.md 1.6).
 */
import type { Region } from '../../../region/region.js'
import { blockSize, isWord, maxEccSize } from '../ecc.js'
import { divideZone } from '../layout.js'
import { zoneHeaderSize, type RawHeader } from '../zone-header.js'
import { isPossible } from './signatures.js'

/** Where a zone may be, and the header that stands there. */
export interface TriedZone {
  offset: number
  size: number
  header: RawHeader | null
}

/** How one parity size fits some zones: blocks, headers included. */
export interface Fit {
  ecc: number
  /** True where blocks have their parity where kernels before 3.10 put it. */
  old: boolean
  tried: number
  clean: number
}

/** Data blocks that are tried in a zone. */
const blocksTried = 8
/** Bits that must agree before a fit is no chance. */
const convincingBits = 32
/** The part of the tried blocks that must be clean: a damaged region has few. */
const leastClean = 1 / 8
/** Bytes of a header's parity at most: those of sizes on which Linux crashes included. */
const largestParity = 255 - zoneHeaderSize

/** A zone's bytes on which parity is tried, and the numbers of tried and of clean blocks, by {@link formOf}. */
interface Trial {
  readonly head: Buffer
  /** The zone's last bytes: a header's parity is the end of its zone. */
  readonly tail: Buffer
  /** Blocks that hold something. */
  readonly blocks: number[]
  readonly tried: Uint8Array
  readonly clean: Uint8Array
}

/** The part of a View that trials need. They are kept as long as it is. */
interface Viewer {
  readonly region: Region
  readonly budget: { spend(amount: number): boolean }
}
/** The cost of reading a zone's blocks for trials. */
const trialCost = 8

/** The index of a parity size and a division of zones. */
const formOf = (ecc: number, old: boolean): number => 2 * ecc + (old ? 1 : 0)

const trials = new WeakMap<Viewer, Map<string, Trial>>()

const holdsBytes = (bytes: Buffer): boolean => bytes.some(byte => byte > 0)

const trialOf = (viewer: Viewer, { offset, size, header }: TriedZone): Trial => {
  const { region } = viewer
  let known = trials.get(viewer)
  if (!known) trials.set(viewer, (known = new Map<string, Trial>()))
  const key = `${offset}+${size}`
  let trial = known.get(key)
  if (trial) return trial
  viewer.budget.spend(trialCost)
  // Where the header's numbers are impossible, any block may have been written.
  const room = size - zoneHeaderSize
  const used = header && isPossible(header) && header.size <= room ? header.size : room
  const head = region.load(offset, Math.min(size, zoneHeaderSize + blocksTried * blockSize))
  const tailSize = Math.min(room, largestParity)
  const isUsed = (block: number): boolean => {
    const from = zoneHeaderSize + block * blockSize
    return block * blockSize < used && holdsBytes(head.subarray(from, from + blockSize))
  }
  trial = {
    head,
    tail: region.load(offset + size - tailSize, tailSize),
    blocks: Array.from({ length: blocksTried }, (_, block) => block).filter(isUsed),
    tried: new Uint8Array(formOf(maxEccSize, true) + 1),
    clean: new Uint8Array(formOf(maxEccSize, true) + 1),
  }
  known.set(key, trial)
  return trial
}

/** Try one parity size on a zone. */
const tryZone = (viewer: Viewer, zone: TriedZone, ecc: number, old: boolean): Trial => {
  const trial = trialOf(viewer, zone)
  const division = divideZone(zone.size, ecc, old)
  const form = formOf(ecc, old)
  if (!division || trial.tried[form]) return trial
  const { head, tail } = trial
  const { data, blocks } = division
  const test = (at: number, length: number, parity: Buffer, parityAt: number): void => {
    trial.tried[form]!++
    // Zeros fit a parity of zeros, whatever its size.
    if (
      isWord(head, at, length, parity, parityAt, ecc) &&
      holdsBytes(head.subarray(at, at + length))
    )
      trial.clean[form]!++
  }
  test(0, zoneHeaderSize, tail, tail.length - ecc)
  const own = trial.blocks.filter(block => block < blocks && block * blockSize < data)
  if (own.length === 0) return trial
  const parity = viewer.region.load(
    zone.offset + zoneHeaderSize + data,
    Math.min(blocks, blocksTried) * ecc,
  )
  for (const block of own) {
    const at = block * blockSize
    test(zoneHeaderSize + at, Math.min(blockSize, data - at), parity, block * ecc)
  }
  return trial
}

/** The number of a zone's first blocks that a parity fits, its header included. */
export const fittingBlocks = (viewer: Viewer, zone: TriedZone, ecc: number, old = false): number =>
  tryZone(viewer, zone, ecc, old).clean[formOf(ecc, old)]!

/** How one size fits some zones. */
const fitOf = (viewer: Viewer, zones: readonly TriedZone[], ecc: number, old: boolean): Fit => {
  const form = formOf(ecc, old)
  let tried = 0
  let clean = 0
  for (const zone of zones) {
    const trial = tryZone(viewer, zone, ecc, old)
    tried += trial.tried[form]!
    clean += trial.clean[form]!
  }
  return { ecc, old, tried, clean }
}

/** How each size that Linux takes fits some zones. 1 means 16. */
function* fits(viewer: Viewer, zones: readonly TriedZone[]): Generator<Fit, void, void> {
  for (let ecc = 2; ecc <= maxEccSize; ecc++) yield fitOf(viewer, zones, ecc, false)
}

/**
 * Find the parity size of some zones.
 *
 * @returns null where no size fits: then they keep no parity
 */
export const findEcc = (viewer: Viewer, zones: readonly TriedZone[]): Fit | null => {
  let best: Fit | null = null
  for (const fit of fits(viewer, zones)) {
    const { ecc, tried, clean } = fit
    if (clean * ecc * 8 < convincingBits) continue
    // Where headers fit and blocks do not, the blocks' parity is perhaps elsewhere.
    const both = clean < tried ? [fit, fitOf(viewer, zones, ecc, true)] : [fit]
    for (const one of both)
      if (one.clean >= one.tried * leastClean && one.clean > (best?.clean ?? 0)) best = one
  }
  return best
}

/** Does a size fit all of some zones, though so few bytes that it may be chance? */
export const mayHaveParity = (viewer: Viewer, zones: readonly TriedZone[]): boolean => {
  for (const { tried, clean } of fits(viewer, zones)) if (clean > 0 && clean === tried) return true
  return false
}

/**
 * The parity size of zones' headers, where it is one that Linux takes and then crashes on: a block of
 * 128 bytes has no parity so large, but a header has. Null where it is none of these.
 */
export const findHugeEcc = (viewer: Viewer, zones: readonly TriedZone[]): number | null => {
  for (let ecc = maxEccSize + 1; ecc <= largestParity; ecc++) {
    for (const zone of zones) {
      if (!divideZone(zone.size, ecc)) continue
      const { head, tail } = trialOf(viewer, zone)
      // Zeros fit any.
      const isFit = isWord(head, 0, zoneHeaderSize, tail, tail.length - ecc, ecc)
      if (isFit && holdsBytes(head.subarray(0, zoneHeaderSize))) return ecc
    }
  }
  return null
}
