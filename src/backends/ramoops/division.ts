/**
 * How the bytes behind a zone's header are divided into data and parity.
 *
 * Source: doc/formats.md 1.6; fs/pstore/ram_core.c (persistent_ram_init_ecc), in 3.4
 * drivers/staging/android/persistent_ram.c.
 */
import { blockSize } from './ecc.js'
import { zoneHeaderSize } from './zone-header.js'

export interface ZoneDivision {
  /** Bytes of the ring. */
  data: number
  /** Blocks that have parity of their own; the old division has room for more than the data fill. */
  blocks: number
}

const blocksOf = (room: number, ecc: number, oldParity: boolean): number =>
  oldParity ? Math.ceil(room / blockSize) : Math.max(0, Math.ceil((room - ecc) / (blockSize + ecc)))

/** Bytes of parity that a zone of this size needs, its header's included. */
export const parityOf = (zoneSize: number, ecc: number, oldParity: boolean): number =>
  ecc === 0 ? 0 : (blocksOf(zoneSize - zoneHeaderSize, ecc, oldParity) + 1) * ecc

/**
 * Divide a zone into data and parity.
 *
 * @param oldParity as kernels before 3.10 do, which reckon blocks as if parity took no room
 * @returns null where the parity does not fit into the zone
 */
export const divideZone = (
  zoneSize: number,
  ecc: number,
  oldParity = false,
): ZoneDivision | null => {
  const room = zoneSize - zoneHeaderSize
  const data = room - parityOf(zoneSize, ecc, oldParity)
  if (room < 1 || data < 1) return null
  return { data, blocks: ecc === 0 ? 0 : blocksOf(room, ecc, oldParity) }
}
