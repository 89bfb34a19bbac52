/** The options that say what a source is: the kernel's own names, on the command line and after -o. */
import type { Argv } from 'yargs'
import type { AttachOptions } from '../../attach.js'
import { presets } from '../../backends/ramoops/layout.js'
import { StoreError } from '../../pstore/errors.js'
import { zoneKinds, type Endian, type ZoneKind } from '../../pstore/types.js'

const units: { [unit: string]: number } = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }

/** A size: `65536`, `0x10000`, `64K`, `2M`, `1G`. */
export const parseSize = (name: string, text: string): number => {
  const [, digits, unit] = /^(0x[0-9a-f]+|[0-9]+)([KMG]?)(?:i?B)?$/i.exec(text) ?? []
  const value = digits === undefined ? NaN : Number(digits) * units[unit.toUpperCase()]
  if (!Number.isSafeInteger(value))
    throw new StoreError(
      `${name} '${text}': not a size: give a number like 65536, 0x10000, 64K or 2M`,
    )
  return value
}

const parseCount = (name: string, text: string): number => {
  if (!/^(0x[0-9a-f]+|[0-9]{1,9})$/i.test(text))
    throw new StoreError(`${name} '${text}': not a number from 0 up`)
  return Number(text)
}

const parsePositive = (name: string, text: string): number => {
  const count = parseCount(name, text)
  if (count === 0) throw new StoreError(`${name} '${text}': must be 1 at least`)
  return count
}

const parseOrder = (name: string, text: string): ZoneKind[] => {
  const kinds = text.split(/[,:]/)
  const known: readonly string[] = zoneKinds
  for (const [i, kind] of kinds.entries()) {
    if (!known.includes(kind))
      throw new StoreError(`${name} '${text}': no zone is called '${kind}': ${known.join(', ')}`)
    if (kinds.indexOf(kind) !== i) throw new StoreError(`${name} '${text}': ${kind} stands twice`)
  }
  return kinds as ZoneKind[]
}

const endians: readonly Endian[] = ['little', 'big']

const parseEndian = (name: string, text: string): Endian => {
  const endian = endians.find(known => known === text)
  if (!endian) throw new StoreError(`${name} '${text}': must be ${endians.join(' or ')}`)
  return endian
}

interface Parameter {
  parse: (name: string, text: string) => unknown
  describe: string
  /** The only values that it can have, where those are few. */
  values?: readonly string[]
  /** The parameter that this is another name of. */
  means?: keyof AttachOptions
}

/** Every option that says what a source is, under the kernel's name. */
export const parameters: { readonly [name: string]: Parameter } = {
  mem_address: { parse: parseSize, describe: 'where the region starts in the source' },
  mem_size: { parse: parseSize, describe: 'its length (default: to the end of the source)' },
  record_size: { parse: parseSize, describe: 'size of a dmesg zone' },
  kmsg_size: { parse: parseSize, describe: 'zone: size of a dmesg zone' },
  console_size: { parse: parseSize, describe: 'size of the console zone; 0: none' },
  ftrace_size: { parse: parseSize, describe: 'size of all ftrace zones; 0: none' },
  pmsg_size: { parse: parseSize, describe: 'size of the pmsg zone; 0: none' },
  tty_size: { parse: parseSize, describe: 'size of the tty zone; 0: none' },
  ttyprobe_size: { parse: parseSize, describe: "Anolis's name for tty_size", means: 'tty_size' },
  batch_seconds: {
    parse: parseCount,
    describe: "efi, erst: how long a ring's text waits for more (default 60)",
  },
  writes_per_hour: {
    parse: parsePositive,
    describe: 'efi, erst: how often a ring is written to in the long run (default 12)',
  },
  ecc: { parse: parseCount, describe: 'parity bytes a block; 1 means 16, 0 none' },
  max_reason: { parse: parseCount, describe: 'which dumps are written: 1 panic, 2 oops too' },
  flags: { parse: parseCount, describe: '1: an ftrace zone for each CPU; 0: one for all' },
  cpus: { parse: parseCount, describe: "possible CPUs of the region's kernel (default 1)" },
  preset: {
    parse: (_name, text) => text,
    values: Object.keys(presets),
    describe: `who wrote it: ${Object.keys(presets).join(', ')}`,
  },
  order: { parse: parseOrder, describe: 'the zones in any other order: dmesg,console,…' },
  endian: {
    parse: parseEndian,
    values: endians,
    describe: 'byte order of the machine: little or big',
  },
  kallsyms: {
    parse: (_name, text) => text,
    describe: "names ftrace's functions: a System.map or /proc/kallsyms, also gzipped",
  },
}

/** Take one parameter, by its name and text. */
export const setParameter = (options: AttachOptions, name: string, text: string): void => {
  const { parse, means } = parameters[name]
  Object.assign(options, { [means ?? name]: parse(name, text) })
}

const dashed = (name: string): string => name.replaceAll('_', '-')

/** The kernel's own spelling for ours: `--record_size` is `--record-size`. */
export const dashOptions = (args: readonly string[]): string[] => {
  const end = args.indexOf('--')
  return args.map((arg, i) =>
    end >= 0 && i > end ? arg : arg.replace(/^--[a-z]+(_[a-z]+)+(?==|$)/, dashed),
  )
}

/** Offer the parameters on a command. */
export const withParameters = <T>(argv: Argv<T>): Argv<T> => {
  for (const [name, { describe }] of Object.entries(parameters))
    argv.option(dashed(name), {
      describe,
      type: 'string',
      requiresArg: true,
      group: 'Layout of the region:',
    })
  return argv
}

/** Take the parameters out of a command's help. */
export const hideParameters = <T>(argv: Argv<T>): Argv<T> => {
  for (const name of Object.keys(parameters)) argv.hide(dashed(name))
  return argv
}

/** The parameters among a command's arguments; of one that stands twice the last counts. */
export const parametersOf = (args: { [name: string]: unknown }): AttachOptions => {
  const options: AttachOptions = {}
  for (const name of Object.keys(parameters)) {
    const value = args[dashed(name)]
    const text = Array.isArray(value) ? value.at(-1) : value
    if (text !== undefined) setParameter(options, name, String(text))
  }
  return options
}
