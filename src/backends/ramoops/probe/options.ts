/** A layout's parameters as options of the command line. */
import type { RamoopsParameters } from '../layout.js'

const hex = (n: number): string => `0x${n.toString(16)}`

/** The options that say a layout; those that say a default are left out, sizes apart. */
export const writeOptions = (p: RamoopsParameters): string =>
  [
    ...(p.mem_address ? [`--mem-address ${hex(p.mem_address)}`] : []),
    `--mem-size ${p.mem_size}`,
    `--record-size ${p.record_size}`,
    `--console-size ${p.console_size}`,
    `--pmsg-size ${p.pmsg_size}`,
    `--ftrace-size ${p.ftrace_size}`,
    ...(p.tty_size ? [`--tty-size ${p.tty_size}`] : []),
    ...(p.ecc ? [`--ecc ${p.ecc}`] : []),
    ...(p.cpus === 1 ? [] : [`--cpus ${p.cpus}`]),
    ...(p.flags === 1 ? [] : [`--flags ${p.flags}`]),
    ...(p.preset === 'linux-6.2' ? [] : [`--preset ${p.preset}`]),
    ...(p.endian === 'big' ? ['--endian big'] : []),
  ].join(' ')
