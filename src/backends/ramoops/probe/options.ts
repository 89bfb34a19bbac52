/** A layout's parameters as options of the command line. */
import { presets, type RamoopsParameters } from '../layout.js'

const hex = (n: number): string => `0x${n.toString(16)}`

/** The preset that is meant where none is said. */
export const usualPreset = 'linux-6.2'

/** The flags that are meant where none are said. */
export const usualFlags = (preset: string): number => presets[preset]!.sizes?.(0).flags ?? 1

/** The options that size zones. */
const writeSizes = (p: RamoopsParameters): string[] => [
  `--record-size ${p.record_size}`,
  `--console-size ${p.console_size}`,
  `--pmsg-size ${p.pmsg_size}`,
  `--ftrace-size ${p.ftrace_size}`,
  ...(p.tty_size ? [`--tty-size ${p.tty_size}`] : []),
  ...(p.boot_log_size === undefined ? [] : [`--boot-log-size ${p.boot_log_size}`]),
  ...((p.boot_log_count ?? 1) === 1 ? [] : [`--boot-log-count ${p.boot_log_count}`]),
]

/** The options that say where a region is. */
export const writeWhereabouts = (p: Pick<RamoopsParameters, 'mem_address' | 'mem_size'>): string =>
  [
    ...(p.mem_address ? [`--mem-address ${hex(p.mem_address)}`] : []),
    `--mem-size ${p.mem_size}`,
  ].join(' ')

/**
 * The options that say a layout; those that say a default are left out, sizes apart.
 *
 * @param zones a list of all zones, to be said instead of their sizes
 */
export const writeOptions = (
  p: RamoopsParameters & { preset: string },
  zones: string | null,
): string =>
  [
    writeWhereabouts(p),
    ...(zones ? [`--zones ${zones}`] : writeSizes(p)),
    ...(p.ecc ? [`--ecc ${p.ecc}`] : []),
    ...(zones || p.cpus === 1 ? [] : [`--cpus ${p.cpus}`]),
    ...((p.max_reason ?? 2) === 2 ? [] : [`--max-reason ${p.max_reason}`]),
    ...(p.flags === 1 && usualFlags(p.preset) === 1 ? [] : [`--flags ${p.flags}`]),
    ...(p.preset === usualPreset ? [] : [`--preset ${p.preset}`]),
    ...(p.endian === 'big' ? ['--endian big'] : []),
  ].join(' ')
