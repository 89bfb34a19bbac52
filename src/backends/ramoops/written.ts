/** What `format` made, in words that make it again: this program's options, and a kernel's parameters. */
import type { RamoopsLayout } from './layout.js'
import { presets, sizeParameters, type RamoopsParameters } from './layout.js'
import { usualPreset } from './probe/options.js'
import { encodeZones } from './zone-list.js'

const hex = (n: number): string => `0x${n.toString(16)}`

/** The sizes of the kinds that the layout's order has, with Linux's defaults and the preset's. */
const sizesOf = (given: RamoopsParameters, { memSize }: RamoopsLayout): [string, number][] => {
  const preset = presets[given.preset ?? usualPreset]!
  const order = given.order ?? preset.order
  const kinds = {
    record_size: 'dmesg',
    console_size: 'console',
    ftrace_size: 'ftrace',
    pmsg_size: 'pmsg',
    tty_size: 'tty',
  } as const
  const sizes = {
    record_size: 4096,
    console_size: 4096,
    ftrace_size: 4096,
    pmsg_size: 4096,
    tty_size: 0,
  }
  for (const said of [preset.sizes?.(memSize), given])
    for (const name of sizeParameters) sizes[name] = said?.[name] ?? sizes[name]
  return sizeParameters
    .filter(name => order.includes(kinds[name]) && (sizes[name] || name !== 'tty_size'))
    .map(name => [name, sizes[name]])
}

const dashed = (name: string): string => `--${name.replaceAll('_', '-')}`

/** The options that make a layout again. */
export const optionsOf = (given: RamoopsParameters, layout: RamoopsLayout): string => {
  const { preset, order, zones, cpus, flags, ecc, endian, max_reason } = given
  const counts = { ecc, cpus: zones ? undefined : cpus, flags, max_reason }
  return [
    ...(layout.memAddress ? [`--mem-address ${hex(layout.memAddress)}`] : []),
    `--mem-size ${layout.memSize}`,
    ...(zones
      ? [`--zones ${encodeZones(layout.zones)}`]
      : sizesOf(given, layout).map(([name, size]) => `${dashed(name)} ${size}`)),
    ...Object.entries(
      zones ? {} : { boot_log_size: given.boot_log_size, boot_log_count: given.boot_log_count },
    ).flatMap(([name, value]) => (value === undefined ? [] : [`${dashed(name)} ${value}`])),
    ...Object.entries(counts).flatMap(([name, value]) =>
      value === undefined ? [] : [`${dashed(name)} ${value}`],
    ),
    ...(preset === undefined ? [] : [`--preset ${preset}`]),
    ...(order ? [`--order ${order.join()}`] : []),
    ...(endian === undefined ? [] : [`--endian ${endian}`]),
  ].join(' ')
}

/** A kernel's parameters for a layout; null where they cannot say it. */
export const kernelParametersOf = (
  given: RamoopsParameters,
  layout: RamoopsLayout,
): string | null => {
  const { preset = usualPreset, order, zones } = given
  if (order || zones || preset === 'rockchip' || preset === 'linux-3.4') return null
  return [
    ['mem_address', 'ADDRESS'],
    ['mem_size', layout.memSize],
    ...sizesOf(given, layout).map(([name, size]) => [
      preset === 'anolis' && name === 'tty_size' ? 'ttyprobe_size' : name,
      size,
    ]),
    ...(layout.ecc ? [['ecc', layout.ecc]] : []),
  ]
    .map(([name, value]) => `ramoops.${name}=${value}`)
    .join(' ')
}
