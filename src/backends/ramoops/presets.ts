/**
 * The writers of regions, and by which rules each lays zones out.
 *
 * Source: doc/formats.md 1.2; fs/pstore/ram.c (ramoops_probe, ramoops_init_przs) of the kernels named.
 */
import type { ZoneKind } from '../../pstore/types.js'
import type { RamoopsParameters } from './parameters.js'

export interface Preset {
  readonly order: readonly ZoneKind[]
  /** The type in file names, where a kernel has its own name for a kind. */
  readonly labels?: { readonly [kind in ZoneKind]?: string }
  /** The preset's own values of parameters, where the user gives none. */
  readonly sizes?: (memSize: number) => RamoopsParameters
  /** Sizes are taken as they are; else they are rounded down to powers of two. */
  readonly exactSizes?: true
  /** mem_size, too, is rounded down to a power of two. */
  readonly roundsMemory?: true
  /**
   * Before 4.10: a dmesg zone has record_size bytes, whatever is left over, and CPUs share an ftrace zone;
   * else dmesg zones share all that the rings leave, and there can be an ftrace zone for each CPU.
   */
  readonly exactZones?: true
  /** Before 6.8: what zones of an array share is not made even. */
  readonly unevenShares?: true
  /** Parity has the blocks of kernels before 3.10 (doc/formats.md 1.6). */
  readonly oldParity?: true
}

/** Of presets that make shares even, those of the same kernels before they did. A version does not tell which. */
export const unevenPresets: { readonly [preset: string]: string } = {
  'linux-6.2': 'linux-pre-6.8',
  'linux-pre-6.2': 'linux-4.10',
}

const linux62: readonly ZoneKind[] = ['dmesg', 'console', 'pmsg', 'tty', 'ftrace']
const linuxPre62: readonly ZoneKind[] = ['dmesg', 'console', 'ftrace', 'pmsg', 'tty']
const linuxPre410: readonly ZoneKind[] = ['dmesg', 'console', 'ftrace', 'pmsg']

/** 3.5 to 3.10. Mainline got pmsg in 4.0. */
const linux3: Preset = {
  order: linuxPre410,
  exactZones: true,
  roundsMemory: true,
  sizes: () => ({ pmsg_size: 0 }),
}

/** crosvm makes the zones of its guests' sizes from the file's. */
const crosvmSizes = (memSize: number): RamoopsParameters => ({
  record_size: Math.floor(memSize / 4),
  console_size: Math.floor(memSize / 4),
  pmsg_size: 4096,
  ftrace_size: 4096,
})

export const presets: { readonly [name: string]: Preset } = {
  'linux-6.2': { order: linux62 },
  'linux-pre-6.8': { order: linux62, unevenShares: true },
  'linux-pre-6.2': { order: linuxPre62 },
  // Before the fix that came to old kernels in 2024, too.
  'linux-4.10': { order: linuxPre62, unevenShares: true },
  'linux-pre-4.10': { order: linuxPre410, exactZones: true },
  'linux-3.x': linux3,
  'linux-pre-3.10': { ...linux3, oldParity: true },
  // Android's ram_console: one zone in all the memory, of any size (drivers/staging/android/ram_console.c).
  'linux-3.4': {
    order: linuxPre410,
    exactZones: true,
    exactSizes: true,
    oldParity: true,
    sizes: memSize => ({ record_size: 0, console_size: memSize, ftrace_size: 0, pmsg_size: 0 }),
  },
  anolis: { order: linuxPre62, labels: { tty: 'ttyprobe' } },
  crosvm: { order: linux62, sizes: crosvmSizes },
  'crosvm-pre-6.2': { order: linuxPre62, sizes: crosvmSizes },
  // Sizes are those of the device trees of its boards, which have no others.
  rockchip: {
    order: ['boot-log', 'dmesg', 'console', 'pmsg', 'ftrace'],
    exactSizes: true,
    sizes: () => ({
      boot_log_size: 0x8000,
      record_size: 0x14000,
      console_size: 0x80000,
      pmsg_size: 0x30000,
      ftrace_size: 0,
      flags: 0,
    }),
  },
}
