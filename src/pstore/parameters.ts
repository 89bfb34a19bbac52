/** Parameters: how a text becomes a value, and what help says. Those that several drivers have are here. */
import { StoreError } from './errors.js'
import type { WordSize } from './ftrace.js'
import { zoneKinds, type Endian, type RecordType, type ZoneKind } from './types.js'

/** One parameter of a driver, under the kernel's name. */
export interface Parameter {
  /** @throws StoreError naming the parameter and what it takes */
  readonly parse: (name: string, text: string) => unknown
  /** The text that makes a value, where String() does not give it. */
  readonly print?: (value: unknown) => string
  readonly describe: string
  /** The parameter that this is another name of. */
  readonly means?: string
  /** All that it can be, where that is a list. */
  readonly values?: readonly string[]
  /** The type that it gives a place in the store. */
  readonly sizes?: RecordType
}

/** By name, in the order in which help lists them. */
export type ParameterTable<Parameters extends object = object> = {
  readonly [name in keyof Parameters]-?: Parameter
} & { readonly [name: string]: Parameter }

/** How ftrace zones are read, and what names the functions that they have the addresses of. */
export interface FtraceParameters {
  /** Bits of an address on the machine that wrote them. Default: as their bytes tell. */
  word_size?: WordSize
  /** A System.map or a copy of /proc/kallsyms, plain or gzipped. */
  kallsyms?: string
}

const units: { readonly [unit: string]: number } = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }

/** A size in bytes: `65536`, `0x10000`, `64K`, `2M`, `1G`. */
export const parseSize = (name: string, text: string): number => {
  const [, digits, unit = ''] = /^(0x[0-9a-f]+|[0-9]+)([KMG]?)(?:i?B)?$/i.exec(text) ?? []
  const value = digits === undefined ? NaN : Number(digits) * units[unit.toUpperCase()]!
  if (!Number.isSafeInteger(value))
    throw new StoreError(
      `${name} '${text}': not a size: give a number like 65536, 0x10000, 64K or 2M`,
    )
  return value
}

export const parseCount = (name: string, text: string): number => {
  if (!/^(0x[0-9a-f]+|[0-9]{1,9})$/i.test(text))
    throw new StoreError(`${name} '${text}': not a number from 0 up`)
  return Number(text)
}

const parsePositive = (name: string, text: string): number => {
  const count = parseCount(name, text)
  if (count === 0) throw new StoreError(`${name} '${text}': must be at least 1`)
  return count
}

/** The text itself. */
export const parseText = (_name: string, text: string): string => text

export const parseOrder = (name: string, text: string): ZoneKind[] => {
  const kinds = text.split(/[,:]/)
  const known: readonly string[] = zoneKinds
  for (const [i, kind] of kinds.entries()) {
    if (!known.includes(kind))
      throw new StoreError(
        `${name} '${text}': no zone is called '${kind}'; there is ${known.join(', ')}`,
      )
    if (kinds.indexOf(kind) !== i) throw new StoreError(`${name} '${text}': ${kind} is named twice`)
  }
  return kinds as ZoneKind[]
}

const endians = ['little', 'big'] as const

const parseEndian = (name: string, text: string): Endian => {
  const endian = endians.find(value => value === text)
  if (!endian) throw new StoreError(`${name} '${text}': must be little or big`)
  return endian
}

const wordSizes = [32, 64] as const satisfies WordSize[]

const parseWordSize = (name: string, text: string): WordSize => {
  const size = wordSizes.find(value => String(value) === text)
  if (!size) throw new StoreError(`${name} '${text}': must be 32 or 64`)
  return size
}

/** Where in a file or device a store is. */
export const whereabouts = {
  mem_address: { parse: parseSize, describe: 'start of the region in the source' },
  mem_size: {
    parse: parseSize,
    describe: 'length of the region (default: to the end of the source)',
  },
} as const

export const ringSizes = {
  console_size: {
    parse: parseSize,
    describe: 'size of the console zone; 0: none',
    sizes: 'console',
  },
  pmsg_size: { parse: parseSize, describe: 'size of the pmsg zone; 0: none', sizes: 'pmsg' },
  tty_size: { parse: parseSize, describe: 'size of the tty zone; 0: none', sizes: 'tty' },
} as const

export const ftraceSize = {
  parse: parseSize,
  describe: 'size of all ftrace zones; 0: none',
  sizes: 'ftrace',
} as const

/** What zones have in ramoops and in pstore/zone. */
export const zoneParameters = {
  cpus: {
    parse: parseCount,
    describe: "number of possible CPUs of the region's kernel (default 1)",
  },
  max_reason: { parse: parseCount, describe: 'dumps that the kernel writes: 1 panic, 2 also oops' },
  endian: {
    parse: parseEndian,
    describe: 'byte order of the machine: little or big',
    values: endians,
  },
  word_size: {
    parse: parseWordSize,
    describe: "bits of the machine that wrote ftrace's records: 32 or 64 (default: found out)",
    values: wordSizes.map(String),
  },
  kallsyms: {
    parse: parseText,
    describe:
      "file with the kernel's names of functions: System.map or /proc/kallsyms, also gzipped",
  },
} as const

/** What rings in pieces have (pstore/split-ring.ts). */
export const splitRingParameters = {
  ...ringSizes,
  batch_seconds: {
    parse: parseCount,
    describe: "seconds that a ring's text waits for more (default 60)",
  },
  writes_per_hour: {
    parse: parsePositive,
    describe: 'most writes to a ring per hour, in the long run (default 12)',
  },
} as const
