/**
 * Where the zones of a pstore/zone store lie: from the kernel's parameters to offsets and sizes.
 *
 * Source: doc/formats.md 3; fs/pstore/zone.c (register_pstore_zone, psz_alloc_zones), fs/pstore/Kconfig for
 * the defaults. A layout that Linux refuses, or crashes on, is refused here, with the kernel's reason
 * where it gives one. mtdpstore has the same layout, with kmsg zones only: its other sizes are 0.
 */
import { StoreError } from '../../pstore/errors.js'
import { humanSize } from '../../pstore/sizes.js'
import { kmsgHeaderSize, zoneHeaderSize } from './header.js'
import { maxCpus, type Endian, type ZoneExtent, type ZoneKind } from '../../pstore/types.js'

/**
 * A layout's parameters, under the kernel's own names. Sizes are bytes, where the module's parameters
 * are KiB.
 */
export interface ZoneParameters {
  /** Where the store starts in the source. */
  mem_address?: number
  /** Its length; what is beyond 128 MiB is not used. Default: to the end of the source. */
  mem_size?: number
  /** Size of a dmesg zone; 0: none. Default: 64 KiB, as for the next three. */
  kmsg_size?: number
  pmsg_size?: number
  console_size?: number
  /** Size of all ftrace zones. */
  ftrace_size?: number
  // Default: 0. Mainline kernels have no such zone.
  tty_size?: number
  /** CPUs that the store's kernel can have: each has an ftrace zone. Default: 1. */
  cpus?: number
  /** Byte order of the machine that writes the store. Default: little. */
  endian?: Endian
  /** The most severe kmsg_dump reason that is written. */
  max_reason?: number
}

export interface ZoneLayout {
  memAddress: number
  /** Bytes that the zones share: at most 128 MiB. */
  memSize: number
  endian: Endian
  /** In the order in which they lie in the store. */
  zones: ZoneExtent[]
}

/** Linux's default for every size but tty's. */
const defaultSize = 64 << 10
export const largestStore = 128 << 20
/** What the store's size is a multiple of. */
const alignment = 4096
/**
 * What each zone's size is a multiple of. pstore_blk's own parameters allow no less than 4096, but it is
 * not the only one that can register a store.
 */
const sectorSize = 512

const hex = (n: number): string => `0x${n.toString(16)}`

/**
 * Lay a store out.
 *
 * @param given what the user said; everything else has Linux's defaults
 * @param memSize the store's length in bytes, where `mem_size` does not say it
 * @throws StoreError saying what Linux would, where it would refuse the store
 */
export const makeZoneLayout = (given: ZoneParameters, memSize: number): ZoneLayout => {
  // Linux caps what is larger before it looks at anything else.
  const total = Math.min(given.mem_size ?? memSize, largestStore)
  if (total < alignment) throw new StoreError(`total_size must be >= ${alignment}`)
  const {
    kmsg_size = defaultSize,
    pmsg_size = defaultSize,
    console_size = defaultSize,
    ftrace_size = defaultSize,
    tty_size = 0,
    cpus = 1,
  } = given
  const sizes = { kmsg_size, pmsg_size, console_size, ftrace_size, tty_size }
  if (Object.values(sizes).every(size => size === 0))
    throw new StoreError('at least one record size must be non-zero')
  if (total % alignment)
    throw new StoreError(`total_size must be a multiple of ${alignment} (it is ${total})`)
  for (const [name, size] of Object.entries(sizes))
    if (size % sectorSize)
      throw new StoreError(
        `${name} ${size}: must align to ${sectorSize} (bytes: the kernel's own parameter is in KiB)`,
      )
  if (cpus < 1 || cpus > maxCpus) throw new StoreError(`cpus ${cpus}: must be 1 … ${maxCpus}`)

  const zones: ZoneExtent[] = []
  let offset = 0
  const add = (kind: ZoneKind, size: number, count: number): void => {
    for (let index = 0; index < count; index++, offset += size)
      zones.push({ kind, index, offset, size })
  }
  const addRing = (kind: ZoneKind, size: number): void => {
    if (size === 0) return
    if (offset + size > total)
      throw new StoreError(
        `the zones up to ${kind} need ${humanSize(offset + size)}, the store has ${humanSize(total)} (Linux: no room for ${kind})`,
      )
    add(kind, size, 1)
  }
  addRing('pmsg', pmsg_size)
  addRing('console', console_size)
  addRing('tty', tty_size)

  if (offset + ftrace_size > total)
    throw new StoreError(
      `the zones up to ftrace need ${humanSize(offset + ftrace_size)}, the store has ${humanSize(total)} (Linux: no room for zones ftrace)`,
    )
  const share = Math.floor(ftrace_size / cpus)
  if (share > 0 && share <= zoneHeaderSize)
    throw new StoreError(
      `ftrace zones of ${share} bytes (${ftrace_size} / ${cpus}): smaller than their header (Linux crashes on them): give ftrace_size more, or 0 for none`,
    )
  // As many as fit, which can be more than CPUs, and none at all where a share is less than a byte.
  // What a division leaves belongs to nobody, and the next zone follows at once, at whatever offset.
  if (share > 0) add('ftrace', share, Math.floor(ftrace_size / share))

  const rest = total - pmsg_size - console_size - tty_size - ftrace_size
  if (kmsg_size > 0) {
    if (rest === 0)
      throw new StoreError(
        'no room for zones dmesg: the others take the whole store (Linux crashes on it): set kmsg_size to 0',
      )
    if (kmsg_size > rest)
      throw new StoreError(`zone dmesg total_size too small (${hex(rest)} for ${hex(kmsg_size)})`)
    add('dmesg', kmsg_size, Math.floor(rest / kmsg_size))
  }
  return {
    memAddress: given.mem_address ?? 0,
    memSize: total,
    endian: given.endian ?? 'little',
    zones,
  }
}

/** Bytes of a dump that a dmesg zone of this size holds. */
export const dumpRoom = (zoneSize: number): number => zoneSize - zoneHeaderSize - kmsgHeaderSize
