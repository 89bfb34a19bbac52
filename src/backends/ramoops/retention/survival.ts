/** Which zones of a region would have lived, by how many bytes of a block each parity corrects: half of its own. */
import type { ZoneExtent } from '../../../pstore/types.js'
import { divideZone } from '../division.js'
import { blockSize } from '../ecc.js'
import type { RamoopsLayout } from '../layout.js'
import { zoneHeaderSize } from '../zone-header.js'

/** Parity sizes that are common, in bytes a block. */
const common = [0, 4, 8, 16, 32, 64]

/** What a zone's blocks would be, its header's own among them. */
export interface Survival {
  readonly corrected: number
  readonly lost: number
}

/** A zone, with the parity that the layout has. */
export interface ZoneSurvival extends ZoneExtent, Survival {}

/** What a size of parity would have done. */
export interface EccSurvival extends Survival {
  /** Bytes a block. */
  readonly ecc: number
  /** Zones that would be whole, of how many; those that have no room for it would not. */
  readonly whole: number
  readonly zones: number
}

/** How many of so many bytes are wrong. */
type Count = (at: number, length: number) => number

/** @returns null where the zone has no room for such parity */
const survivalOf = (
  { size }: ZoneExtent,
  ecc: number,
  oldParity: boolean,
  wrong: Count,
): Survival | null => {
  const division = divideZone(size, ecc, oldParity)
  if (!division) return null
  const { data, blocks } = division
  const parity = zoneHeaderSize + data
  let corrected = 0
  let lost = 0
  const block = (at: number, length: number, parityAt: number): void => {
    const errors = wrong(at, length) + wrong(parityAt, ecc)
    if (errors > ecc >> 1) lost++
    else if (errors > 0) corrected++
  }
  block(0, zoneHeaderSize, parity + blocks * ecc)
  for (let at = 0, n = 0; at < data; at += blockSize, n++)
    block(zoneHeaderSize + at, Math.min(blockSize, data - at), parity + n * ecc)
  return { corrected, lost }
}

/** @param isWrong which bytes of a zone are */
export const survivals = (
  { zones, ecc, oldParity }: Pick<RamoopsLayout, 'zones' | 'ecc' | 'oldParity'>,
  isWrong: (zone: ZoneExtent) => Uint8Array,
): { zones: ZoneSurvival[]; parity: EccSurvival[] } => {
  const sizes = [...new Set([...common, ecc])].toSorted((a, b) => a - b)
  const sums = sizes.map(ecc => ({ ecc, whole: 0, zones: zones.length, corrected: 0, lost: 0 }))
  const each: ZoneSurvival[] = []
  for (const zone of zones) {
    const flags = isWrong(zone)
    // How many are wrong before each byte.
    const before = new Uint32Array(flags.length + 1)
    for (const [i, flag] of flags.entries()) before[i + 1] = before[i]! + flag
    const wrong: Count = (at, length) => before[at + length]! - before[at]!
    for (const sum of sums) {
      const found = survivalOf(zone, sum.ecc, oldParity, wrong)
      if (!found) continue
      sum.corrected += found.corrected
      sum.lost += found.lost
      if (found.lost === 0) sum.whole++
      if (sum.ecc === ecc) each.push({ ...zone, ...found })
    }
  }
  return { zones: each, parity: sums }
}
