/**
 * Where the zones of a ramoops region lie: from the kernel's parameters, or a list, to offsets and sizes.
 *
 * Source: doc/formats.md 1.1, 1.2; fs/pstore/ram.c (ramoops_probe, ramoops_init_przs). A layout that
 * Linux refuses is refused here, with the kernel's reason.
 */
import { maxCpus, type Endian, type ZoneExtent, type ZoneKind } from '../../pstore/types.js'
import { StoreError } from '../../pstore/errors.js'
import { humanSize } from '../../pstore/sizes.js'
import { divideZone, parityOf } from './division.js'
import { blockSize, maxEccSize } from './ecc.js'
import { saidByZones, type RamoopsParameters } from './parameters.js'
import { presets, type Preset } from './presets.js'
import { zoneHeaderSize } from './zone-header.js'
import { mostZones, zonesListed } from './zone-list.js'

export { divideZone, type ZoneDivision } from './division.js'
export { layoutParameters, sizeParameters } from './parameters.js'
export type { RamoopsParameters, SizeParameter } from './parameters.js'
export { presets } from './presets.js'

export interface RamoopsLayout {
  memAddress: number
  memSize: number
  /** Parity bytes a block; 0: none. */
  ecc: number
  /** Parity has the blocks of kernels before 3.10 ({@link divideZone}). */
  oldParity: boolean
  endian: Endian
  /** True where ftrace has a zone for each CPU, whose records are merged. */
  ftracePerCpu: boolean
  /** The highest kmsg_dump reason that is written: 1 panic, 2 oops. */
  maxReason: number
  /** The type in file names, where a kernel has its own name for a kind. */
  labels: { readonly [kind in ZoneKind]?: string }
  /** In the order in which they lie in the region. */
  zones: ZoneExtent[]
}

const perCpu = 1

const powerOfTwoBelow = (n: number): number => (n < 1 ? 0 : 2 ** Math.floor(Math.log2(n)))
export const evenBelow = (n: number): number => n - (n % 2)

const presetNamed = (name: string): Preset => {
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined
  if (preset) return preset
  throw new StoreError(`preset ${name}: not known: one of ${Object.keys(presets).join(', ')}`)
}

/**
 * Lay a region out.
 *
 * @param given the user's parameters; the others have Linux's defaults, or the preset's
 * @param memSize the region's length, unless `mem_size` is given
 * @throws StoreError saying what Linux would, where it would refuse the region
 */
export const makeLayout = (given: RamoopsParameters, memSize: number): RamoopsLayout => {
  const preset = presetNamed(given.preset ?? 'linux-6.2')
  const size = given.mem_size ?? memSize
  const p = { ...preset.sizes?.(size), ...given }
  const ecc = p.ecc === 1 ? 16 : (p.ecc ?? 0)
  const oldParity = preset.oldParity ?? false
  const ftracePerCpu = !preset.exactZones && ((p.flags ?? perCpu) & perCpu) !== 0
  const zones = given.zones
    ? listedZones(given, size, ftracePerCpu)
    : computedZones(given, preset, size, ftracePerCpu)
  // Neighbours are alike, and there may be half a million.
  for (const [i, { kind, size }] of zones.entries())
    if (zones[i - 1]?.size !== size) checkZone(kind, size, ecc, oldParity)
  return {
    memAddress: p.mem_address ?? 0,
    memSize: size,
    ecc,
    oldParity,
    endian: p.endian ?? 'little',
    ftracePerCpu,
    maxReason: p.max_reason ?? 2,
    labels: preset.labels ?? {},
    zones,
  }
}

/** The zones of a list, which says all that other parameters could. */
const listedZones = (
  given: RamoopsParameters,
  size: number,
  ftracePerCpu: boolean,
): ZoneExtent[] => {
  const other = saidByZones.find(name => given[name] !== undefined)
  if (other)
    throw new StoreError(`zones: names every zone and its size: ${other} cannot be given, too`)
  const zones = zonesListed(given.zones!, size)
  if (!ftracePerCpu && zones.filter(({ kind }) => kind === 'ftrace').length > 1)
    throw new StoreError(
      'zones: ftrace: where CPUs share a zone (flags 0, or before 4.10) there is one',
    )
  return zones
}

/** The parameter that sizes a kind's zones, and Linux's default for it. */
const sizing = {
  dmesg: ['record_size', 4096],
  console: ['console_size', 4096],
  pmsg: ['pmsg_size', 4096],
  tty: ['tty_size', 0],
  ftrace: ['ftrace_size', 4096],
  'boot-log': ['boot_log_size', 0],
} as const satisfies { [kind in ZoneKind]: [keyof RamoopsParameters, number] }

/** The zones that a kernel makes of parameters. */
const computedZones = (
  given: RamoopsParameters,
  preset: Preset,
  memSize: number,
  ftracePerCpu: boolean,
): ZoneExtent[] => {
  const p = { ...preset.sizes?.(memSize), ...given }
  const order = p.order ?? preset.order
  const size = preset.roundsMemory ? powerOfTwoBelow(memSize) : memSize
  const sizeOf = (kind: ZoneKind): number => {
    const [name, fallback] = sizing[kind]
    const bytes = p[name] ?? fallback
    if (order.includes(kind)) return preset.exactSizes ? bytes : powerOfTwoBelow(bytes)
    if (given[name])
      throw new StoreError(`order ${order.join()}: has no ${kind}, but a size for it is given`)
    return 0
  }
  const recordSize = sizeOf('dmesg')
  const sizes = {
    console: sizeOf('console'),
    pmsg: sizeOf('pmsg'),
    tty: sizeOf('tty'),
    ftrace: sizeOf('ftrace'),
    'boot-log': sizeOf('boot-log'),
  }
  const rings = Object.values(sizes).reduce((sum, ring) => sum + ring, 0)
  if (!size || !(recordSize || rings))
    throw new StoreError('The memory size and the record/console size must be non-zero')

  const cpus = ftracePerCpu ? (p.cpus ?? 1) : 1
  if (cpus < 1 || cpus > maxCpus) throw new StoreError(`cpus ${cpus}: must be 1 … ${maxCpus}`)
  const bootLogs = p.boot_log_count ?? 1

  // Dumps get the bytes that the rings leave.
  const dumpSize = size - rings
  if (dumpSize < 0 && recordSize && order.includes('dmesg'))
    throw noRoomForDumps(rings, size, preset)

  const zones: ZoneExtent[] = []
  let offset = 0
  const add = (kind: ZoneKind, total: number, count: number): void => {
    if (offset + total > size)
      throw new StoreError(
        `the zones up to ${kind} need ${humanSize(offset + total)}, the region has ${humanSize(size)} (Linux: no room for ${kind} mem region)`,
      )
    const share = Math.floor(total / count)
    // Zones of an array have even sizes, also where there is only one.
    const isEven = isArray(kind) && !preset.exactZones && !preset.unevenShares
    const each = isEven ? evenBelow(share) : share
    if (each === 0) throw new StoreError(`${kind} zone size == 0`)
    for (let index = 0; index < count; index++, offset += each)
      zones.push({ kind, index, offset, size: each })
  }
  for (const kind of order) {
    if (kind === 'dmesg') {
      if (recordSize === 0 || (dumpSize === 0 && !preset.exactZones)) continue
      const count = Math.floor(dumpSize / recordSize)
      if (count === 0)
        throw new StoreError(
          `record_size ${humanSize(recordSize)}: the other zones leave ${humanSize(dumpSize)} for dumps (Linux: dmesg record count == 0 (${dumpSize} / ${recordSize}))`,
        )
      if (count > mostZones) throw tooMany(kind, count)
      add(kind, preset.exactZones ? count * recordSize : dumpSize, count)
      continue
    }
    const count = kind === 'ftrace' ? cpus : kind === 'boot-log' ? bootLogs : 1
    // Without a count the kernel makes no boot log; its bytes are nobody's.
    if (sizes[kind] === 0 || count === 0) continue
    if (sizes[kind] < count)
      throw new StoreError(`${kind} record size == 0 (${sizes[kind]} / ${count})`)
    if (count > mostZones) throw tooMany(kind, count)
    add(kind, sizes[kind], count)
  }
  return zones
}

/** Kinds of which the kernel makes arrays of zones. */
const isArray = (kind: ZoneKind): boolean =>
  kind === 'dmesg' || kind === 'ftrace' || kind === 'boot-log'

const tooMany = (kind: ZoneKind, count: number): StoreError =>
  new StoreError(
    `${kind}: ${count} zones: the kernel has no memory for a list of more than ${mostZones}`,
  )

/** The rings are larger than the region. Newer kernels say so with a number that has wrapped, which tells nobody anything. */
const noRoomForDumps = (rings: number, size: number, { exactZones }: Preset): StoreError =>
  new StoreError(
    `the zones besides dumps need ${humanSize(rings)}, the region has ${humanSize(size)}` +
      (exactZones ? '' : ' (Linux: no room for dmesg mem region)'),
  )

/** Refuse zones that crash a kernel or that it refuses. */
const checkZone = (kind: ZoneKind, size: number, ecc: number, oldParity: boolean): void => {
  if (size <= zoneHeaderSize)
    throw new StoreError(
      `${kind} zone of ${size} bytes: smaller than its header (Linux crashes on it): give it more than ${zoneHeaderSize}, or 0 for none`,
    )
  if (ecc > maxEccSize && ecc < 256)
    throw new StoreError(
      `ecc ${ecc}: a block of ${blockSize} and its parity must fit in 255 bytes (Linux crashes on it): at most ${maxEccSize}`,
    )
  if (divideZone(size, ecc, oldParity)) {
    if (ecc > maxEccSize) throw new StoreError(`ecc ${ecc}: init_rs failed: at most ${maxEccSize}`)
    return
  }
  throw new StoreError(
    `${kind}: invalid ecc_size ${ecc} (total ${parityOf(size, ecc, oldParity)}, ` +
      `buffer size ${size - zoneHeaderSize}): the zone is too small for it`,
  )
}
