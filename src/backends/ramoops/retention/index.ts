/** Does a region survive a reset? A pattern is written over it, and after the next boot compared with what is left. */
import { StoreError } from '../../../pstore/errors.js'
import type { Region } from '../../../region/region.js'
import type { RamoopsLayout } from '../layout.js'
import { Zone } from '../zone.js'
import { lossesOf, wrongBytes, type Losses } from './losses.js'
import { findHeader, headerSize, Pages, pageSize, type Pattern } from './pattern.js'
import { survivals, type EccSurvival, type ZoneSurvival } from './survival.js'

export interface Retained extends Losses {
  readonly pattern: Pattern
  /** The layout's parity, in bytes a block; null where no layout is given: then there are no zones. */
  readonly ecc: number | null
  readonly zones: readonly ZoneSurvival[]
  /** By size of parity. */
  readonly parity: readonly EccSurvival[]
}

function* headsOf(region: Region): Generator<Buffer, void, void> {
  for (let at = 0; at + headerSize <= region.length; at += pageSize)
    yield region.load(at, headerSize)
}

/**
 * What is left of the pattern in a region; null where there is none.
 *
 * @param layout null: not known
 * @throws StoreError where the region is not the one that it was written to, or cannot be read
 */
export const retained = (region: Region, layout: RamoopsLayout | null): Retained | null => {
  const pattern = findHeader(headsOf(region))
  if (!pattern) return null
  if (pattern.length !== region.length)
    throw new StoreError(
      `${region.path}: has a pattern of ${pattern.length} bytes, not ${region.length}: give the mem_address and mem_size that it was written with`,
    )
  const pages = new Pages(pattern)
  const losses = lossesOf(region, pages)
  const found = layout
    ? survivals(layout, ({ offset, size }) => wrongBytes(region, pages, offset, size))
    : { zones: [], parity: [] }
  return { pattern, ...losses, ecc: layout?.ecc ?? null, ...found }
}

/** Is there anything but zeros? */
const isUsed = (region: Pick<Region, 'length' | 'load'>): boolean => {
  for (let at = 0; at < region.length; at += pageSize)
    if (region.load(at, Math.min(pageSize, region.length - at)).some(byte => byte !== 0))
      return true
  return false
}

/**
 * Refuse what may be somebody's. Memory has something in it after each power-up: there only a region counts.
 *
 * @param hasRegion looks for one
 * @throws StoreError
 */
export const refuseUsed = (
  region: Pick<Region, 'path' | 'length' | 'load' | 'isMemory'>,
  hasRegion: () => boolean,
): void => {
  if (!isUsed(region)) return
  if (hasRegion())
    throw new StoreError(
      `${region.path}: holds a region, perhaps with records: archive them, or --force`,
    )
  if (!region.isMemory)
    throw new StoreError(`${region.path}: is not empty: --force wipes what is in it`)
}

/** Does one of a layout's zones have a header? */
export const isSigned = (region: Region, layout: RamoopsLayout): boolean =>
  layout.zones.some(
    zone =>
      new Zone(region, zone, layout.ecc, layout.endian, layout.oldParity).state() !== 'unsigned',
  )

/**
 * Write a new pattern over all of a region.
 *
 * @throws StoreError where it cannot be written, or is too small for a pattern
 */
export const writePattern = (region: Region): Pattern => {
  if (region.length < headerSize)
    throw new StoreError(`${region.path}: ${region.length} bytes are too few for a pattern`)
  const pattern = {
    length: region.length,
    time: Date.now(),
    seed: Math.floor(Math.random() * 2 ** 32),
  }
  const pages = new Pages(pattern)
  region.lock.exclusively(() => {
    region.checkSize()
    for (let number = 0; number * pageSize < region.length; number++)
      region.store(number * pageSize, pages.page(number))
  })
  region.sync()
  return pattern
}

/** What a test has done: written a pattern, or found one. */
export type RetentionTest = { readonly written: Pattern } | { readonly found: Retained }

/**
 * Write a pattern, or say what is left of the one that is there.
 *
 * @param open opens the region, for reading only where told so
 * @param layout the one that was given, of a region so long; null: none
 * @param hasRegion looks for a region that nobody described
 * @throws StoreError where it holds something, or cannot be read or written
 */
export const testRegion = (
  open: (readOnly: boolean) => Region,
  layout: (length: number) => RamoopsLayout | null,
  hasRegion: () => boolean,
  { again, force }: { readonly again: boolean; readonly force: boolean },
): RetentionTest => {
  const region = open(true)
  try {
    const laidOut = layout(region.length)
    const found = retained(region, laidOut)
    if (found && !again) return { found }
    if (!found && !force)
      refuseUsed(region, () => (laidOut !== null && isSigned(region, laidOut)) || hasRegion())
  } finally {
    region.close()
  }
  const writable = open(false)
  try {
    if (writable.readOnly) throw writable.refusal
    return { written: writePattern(writable) }
  } finally {
    writable.close()
  }
}
