/**
 * Where the zones of a ramoops region lie: from the kernel's parameters to offsets and sizes.
 *
 * Source: doc/formats.md 1.1, 1.2; fs/pstore/ram.c (ramoops_probe, ramoops_init_przs). A layout that
 * Linux refuses is refused here, with the kernel's reason.
 */
import { maxCpus, type Endian, type ZoneExtent, type ZoneKind } from '../../pstore/types.js'
import { StoreError } from '../../pstore/errors.js'
import { blockSize, maxEccSize } from './ecc.js'
import { zoneHeaderSize } from './zone-header.js'

/** A layout's parameters, under the kernel's own names; sizes in bytes. */
export interface RamoopsParameters {
  mem_address?: number
  mem_size?: number
  record_size?: number
  console_size?: number
  ftrace_size?: number
  pmsg_size?: number
  tty_size?: number
  ecc?: number
  max_reason?: number
  flags?: number
  cpus?: number
  preset?: string
  order?: ZoneKind[]
  endian?: Endian
}

/** The parameters that size the kinds of zones, in the order of Linux's module parameters. */
export const sizeParameters = [
  'record_size',
  'console_size',
  'ftrace_size',
  'pmsg_size',
  'tty_size',
] as const satisfies (keyof RamoopsParameters)[]
export type SizeParameter = (typeof sizeParameters)[number]

/** The parameters that say how zones lie: where a user gives none of them, the layout is probed. */
export const layoutParameters = [
  ...sizeParameters,
  'ecc',
  'flags',
  'cpus',
  'preset',
  'order',
] as const satisfies (keyof RamoopsParameters)[]

export interface RamoopsLayout {
  memAddress: number
  memSize: number
  /** Parity bytes a block; 0: none. */
  ecc: number
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

interface Preset {
  order: readonly ZoneKind[]
  labels?: { readonly [kind in ZoneKind]?: string }
  /** The preset's own values of parameters, where the user gives none. */
  sizes?: (memSize: number) => RamoopsParameters
}

const linux62: readonly ZoneKind[] = ['dmesg', 'console', 'pmsg', 'tty', 'ftrace']
const linuxPre62: readonly ZoneKind[] = ['dmesg', 'console', 'ftrace', 'pmsg', 'tty']

/** The orders of zones, by the writer of the region (doc/formats.md 1.2). */
export const presets: { readonly [name: string]: Preset } = {
  'linux-6.2': { order: linux62 },
  'linux-pre-6.2': { order: linuxPre62 },
  anolis: { order: linuxPre62, labels: { tty: 'ttyprobe' } },
  crosvm: {
    order: linux62,
    sizes: memSize => ({
      record_size: Math.floor(memSize / 4),
      console_size: Math.floor(memSize / 4),
      pmsg_size: 4096,
      ftrace_size: 4096,
    }),
  },
}

const perCpu = 1
/** Linux's default for every size but tty's. */
const defaultSize = 4096
/** Pointers to zones that kcalloc gives: KMALLOC_MAX_SIZE is 4 MiB (fs/pstore/ram.c, ramoops_init_przs). */
const mostDumps = 2 ** 19

const powerOfTwoBelow = (n: number): number => (n < 1 ? 0 : 2 ** Math.floor(Math.log2(n)))
export const evenBelow = (n: number): number => n - (n % 2)
const hex = (n: number): string =>
  `0x${n < 0 ? (BigInt(n) + (1n << 64n)).toString(16) : n.toString(16)}`

/** How the bytes behind a zone's header are divided (doc/formats.md 1.6). */
export interface ZoneDivision {
  /** Bytes of the ring. */
  data: number
  /** Blocks that have parity of their own. */
  blocks: number
}

/**
 * Divide a zone into data and parity.
 *
 * @returns null where the parity does not fit into the zone
 */
export const divideZone = (zoneSize: number, ecc: number): ZoneDivision | null => {
  const room = zoneSize - zoneHeaderSize
  if (room < 1) return null
  if (ecc === 0) return { data: room, blocks: 0 }
  const blocks = Math.max(0, Math.ceil((room - ecc) / (blockSize + ecc)))
  const data = room - (blocks + 1) * ecc
  return data > 0 ? { data, blocks } : null
}

/**
 * Lay a region out.
 *
 * @param given the user's parameters; the others have Linux's defaults, or the preset's
 * @param memSize the region's length, unless `mem_size` is given
 * @throws StoreError saying what Linux would, where it would refuse the region
 */
export const makeLayout = (given: RamoopsParameters, memSize: number): RamoopsLayout => {
  const presetName = given.preset ?? 'linux-6.2'
  const preset = Object.hasOwn(presets, presetName) ? presets[presetName] : undefined
  if (!preset)
    throw new StoreError(
      `preset ${presetName}: not known: one of ${Object.keys(presets).join(', ')}`,
    )
  const size = given.mem_size ?? memSize
  const p = { ...preset.sizes?.(size), ...given }
  const order = given.order ?? preset.order
  const sizeOf = (kind: ZoneKind, value: number | undefined, fallback: number): number => {
    if (order.includes(kind)) return powerOfTwoBelow(value ?? fallback)
    if (value)
      throw new StoreError(`order ${order.join()}: has no ${kind}, but a size for it is given`)
    return 0
  }
  const recordSize = sizeOf('dmesg', p.record_size, defaultSize)
  const sizes = {
    console: sizeOf('console', p.console_size, defaultSize),
    pmsg: sizeOf('pmsg', p.pmsg_size, defaultSize),
    tty: sizeOf('tty', p.tty_size, 0),
    ftrace: sizeOf('ftrace', p.ftrace_size, defaultSize),
  }
  if (!size || !(recordSize || sizes.console || sizes.pmsg || sizes.tty || sizes.ftrace))
    throw new StoreError('The memory size and the record/console size must be non-zero')

  const ecc = p.ecc === 1 ? 16 : (p.ecc ?? 0)
  const flags = p.flags ?? perCpu
  const ftracePerCpu = (flags & perCpu) !== 0
  const cpus = ftracePerCpu ? (p.cpus ?? 1) : 1
  if (cpus < 1 || cpus > maxCpus) throw new StoreError(`cpus ${cpus}: must be 1 … ${maxCpus}`)

  // Dumps get the bytes that the rings leave. Where the rings are too large, the kernel's subtraction
  // wraps, and its message shows that.
  const dumpSize = size - sizes.console - sizes.pmsg - sizes.tty - sizes.ftrace
  if (dumpSize < 0 && recordSize && order.includes('dmesg'))
    throw new StoreError(
      `no room for dmesg mem region (${hex(dumpSize)}@0x0) in (${hex(size)}@0x0): ` +
        'the other zones are larger than the region',
    )

  const zones: ZoneExtent[] = []
  let offset = 0
  const add = (kind: ZoneKind, total: number, count: number): void => {
    if (offset + total > size)
      throw new StoreError(
        `no room for ${kind} mem region (${hex(total)}@${hex(offset)}) in (${hex(size)}@0x0)`,
      )
    // dmesg and ftrace zones have even sizes, also where there is only one.
    const each =
      kind === 'dmesg' || kind === 'ftrace' ? evenBelow(Math.floor(total / count)) : total
    if (each === 0) throw new StoreError(`${kind} zone size == 0`)
    checkZone(kind, each, ecc)
    for (let index = 0; index < count; index++, offset += each)
      zones.push({ kind, index, offset, size: each })
  }
  for (const kind of order) {
    if (kind === 'dmesg') {
      if (recordSize === 0 || dumpSize <= 0) continue
      const count = Math.floor(dumpSize / recordSize)
      if (count === 0) throw new StoreError(`dmesg record count == 0 (${dumpSize} / ${recordSize})`)
      if (count > mostDumps)
        throw new StoreError(
          `dmesg: ${count} zones: the kernel has no memory for a list of more than ${mostDumps}`,
        )
      add(kind, dumpSize, count)
    } else if (sizes[kind]) {
      if (kind === 'ftrace' && sizes.ftrace < cpus)
        throw new StoreError(`ftrace record size == 0 (${sizes.ftrace} / ${cpus})`)
      add(kind, sizes[kind], kind === 'ftrace' ? cpus : 1)
    }
  }
  return {
    memAddress: p.mem_address ?? 0,
    memSize: size,
    ecc,
    endian: p.endian ?? 'little',
    ftracePerCpu,
    maxReason: p.max_reason ?? 2,
    labels: preset.labels ?? {},
    zones,
  }
}

/** Refuse zones that crash a kernel or that it refuses. */
const checkZone = (kind: ZoneKind, size: number, ecc: number): void => {
  if (size <= zoneHeaderSize)
    throw new StoreError(
      `${kind} zone of ${size} bytes: smaller than its header (Linux crashes on it): give it more than ${zoneHeaderSize}, or 0 for none`,
    )
  if (ecc > maxEccSize && ecc < 256)
    throw new StoreError(
      `ecc ${ecc}: a block of ${blockSize} and its parity must fit in 255 bytes (Linux crashes on it): at most ${maxEccSize}`,
    )
  if (divideZone(size, ecc)) {
    if (ecc > maxEccSize) throw new StoreError(`ecc ${ecc}: init_rs failed: at most ${maxEccSize}`)
    return
  }
  const room = size - zoneHeaderSize
  const total = (Math.max(0, Math.ceil((room - ecc) / (blockSize + ecc))) + 1) * ecc
  throw new StoreError(
    `${kind}: invalid ecc_size ${ecc} (total ${total}, buffer size ${room}): the zone is too small for it`,
  )
}
