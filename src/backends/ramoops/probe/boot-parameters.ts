/**
 * Parameters of ramoops, as the kernel takes them: of its command line, of modprobe.d, of the folder
 * /sys/module/ramoops/parameters.
 *
 * Source: doc/formats.md 1.12; Linux's kernel/params.c, lib/kstrtox.c, lib/cmdline.c (next_arg, memparse),
 * fs/pstore/ram.c, Documentation/admin-guide/ramoops.rst and kernel-parameters.txt (reserve_mem).
 */
import path from 'node:path'
import { readWhole } from '../../../native/open.js'
import { assertStoreError } from '../../../pstore/errors.js'
import type { DescribedParameters, Description } from './found.js'

/** The module's parameters, and its own values of them; mainline has no `flags`, kernels that got one do. */
export const moduleDefaults: DescribedParameters = {
  record_size: 4096,
  console_size: 4096,
  ftrace_size: 4096,
  pmsg_size: 4096,
  tty_size: 0,
  ecc: 0,
  flags: 1,
}
const numbers = [
  'mem_address',
  'mem_size',
  'record_size',
  'console_size',
  'ftrace_size',
  'pmsg_size',
  'tty_size',
  'flags',
] as const satisfies (keyof DescribedParameters)[]
type Numbered = (typeof numbers)[number]
/** Those that may be negative, which is as good as not given. */
const signed = ['ecc', 'max_reason', 'dump_oops', 'mem_type'] as const

/** Bytes of a parameter's file: sysfs has no longer ones. */
const longestValue = 4096
/** Refused values that are told. */
const mostRefused = 16

const units = 'KMGTPE'

/** A number with its base as C has it; undefined for anything else, and beyond 2^53, where no memory is. */
const numberOf = (digits: string): number | undefined => {
  const value = /^0x[0-9a-f]+$/i.test(digits)
    ? Number(digits)
    : /^0[0-7]+$/.test(digits)
      ? parseInt(digits, 8)
      : /^(?:0|[1-9][0-9]*)$/.test(digits)
        ? Number(digits)
        : NaN
  return value <= Number.MAX_SAFE_INTEGER ? value : undefined
}

/** A number as kstrtoul takes it: no unit, and nothing behind it. */
const plainNumber = (text: string): number | undefined =>
  numberOf(text.replace(/^\+/, '').trimEnd())

/** A number as memparse takes it: with a unit, if any. */
const sizeOf = (text: string): number | undefined => {
  const [, digits = '', unit = ''] = /^(0x[0-9a-f]+|[0-9]+)([KMGTPE]?)$/i.exec(text) ?? []
  const value = numberOf(digits)
  const size = value === undefined ? NaN : value * 1024 ** (units.indexOf(unit.toUpperCase()) + 1)
  const bytes = unit === '' ? value : size
  return bytes !== undefined && bytes <= Number.MAX_SAFE_INTEGER ? bytes : undefined
}

/** What parameters say: the last one that Linux takes counts. */
class Taken {
  readonly parameters: DescribedParameters = { ...moduleDefaults }
  /** What Linux refuses, and what it does then, in words. */
  readonly refused: string[] = []
  memName = ''
  #dumpOops = -1

  /** Take a parameter; `shown` names it in messages. */
  take(name: string, text: string, shown: string): void {
    const numbered = numbers.find(known => known === name)
    const other = signed.find(known => known === name)
    if (name === 'mem_name') this.memName = text.trim()
    else if (numbered) this.#number(numbered, text, shown)
    else if (other) {
      const value = /^-\d+\s*$/.test(text) ? -1 : plainNumber(text)
      if (value === undefined) this.#refuse(text, shown, 'as if it were not given')
      else if (other === 'dump_oops') this.#dumpOops = value
      else if (other !== 'mem_type' && value >= 0) this.parameters[other] = value
    }
  }

  #number(name: Numbered, text: string, shown: string): void {
    const value = plainNumber(text)
    const before = this.parameters[name]
    if (value === undefined) this.#refuse(text, shown, `and has ${before ?? 'none'}`)
    else this.parameters[name] = value
  }

  #refuse(text: string, shown: string, then: string): void {
    const meant = sizeOf(text)
    if (this.refused.length < mostRefused)
      this.refused.push(
        `\`${printable(`${shown}=${text}`)}\`: Linux refuses it, ${then}` +
          (meant === undefined ? '' : `: write ${meant}`),
      )
  }

  /** What is said, with the memory that was reserved under names. */
  described(from: string, reserved: ReadonlyMap<string, number>): Description | null {
    const { parameters, refused, memName } = this
    if (this.#dumpOops >= 0 && parameters.max_reason === undefined)
      parameters.max_reason = this.#dumpOops ? 2 : 1
    const evidence = [from]
    const open: string[] = []
    const size = reserved.get(memName)
    if (size !== undefined) parameters.mem_size = size
    if (memName && memName !== '(null)') {
      // The kernel chooses the address as it boots.
      if (!parameters.mem_address) open.push('mem_address')
      if (!parameters.mem_size) open.push('mem_size')
      evidence.push(`memory reserved under the name ${printable(memName)}`)
    } else if (!parameters.mem_size) return null
    return { parameters, evidence: [...evidence, ...refused], open }
  }
}

const printable = (text: string): string => text.slice(0, 80).replaceAll(/[^ -~]/g, '?')

/** A description, or why there is none though ramoops is spoken of. */
export interface Said {
  description: Description | null
  notes: string[]
}

const saidBy = (taken: Taken, from: string, reserved: ReadonlyMap<string, number>): Said => {
  const description = taken.described(from, reserved)
  return {
    description,
    notes: description ? [] : [`${from} gives ramoops no memory (mem_size)`, ...taken.refused],
  }
}

/** The words of a command line, as next_arg has them: quotes keep blanks together. */
const wordsOf = (line: string): { name: string; value: string | null }[] => {
  const words: { name: string; value: string | null }[] = []
  for (const raw of line.match(/(?:"[^"]*(?:"|$)|[^\s"])+/g) ?? []) {
    const isQuoted = raw.startsWith('"')
    const word = isQuoted ? raw.slice(1).replace(/"$/, '') : raw
    const [, name = word, value] = /^([^=]+)=(.*)$/s.exec(word) ?? []
    const isValueQuoted = value?.startsWith('"')
    words.push({
      name,
      value: value === undefined ? null : isValueQuoted ? value.slice(1).replace(/"$/, '') : value,
    })
  }
  return words
}

/** The kernel's command line: null where nothing in it is ramoops's. */
export const describeCommandLine = (line: string): Said | null => {
  const taken = new Taken()
  const reserved = new Map<string, number>()
  let any = false
  for (const { name, value } of wordsOf(line)) {
    // What follows is for init.
    if (name === '--' && value === null) break
    const [, parameter] = /^ramoops\.([\w-]+)$/.exec(name) ?? []
    if (parameter !== undefined) {
      any = true
      taken.take(parameter.replaceAll('-', '_'), value ?? '', name)
    }
    const [, size = '', label = ''] =
      (name === 'reserve_mem' && /^([^:]+):[^:]+:(.+)$/.exec(value ?? '')) || []
    const bytes = sizeOf(size)
    if (bytes !== undefined) reserved.set(label, bytes)
  }
  return any ? saidBy(taken, "the kernel's command line", reserved) : null
}

/** The lines of modprobe.d: null where none is `options ramoops`. */
export const describeModprobe = (text: string): Said | null => {
  const taken = new Taken()
  let any = false
  for (const line of text.replaceAll(/\\\r?\n/g, ' ').split('\n')) {
    const [, words] = /^\s*options\s+ramoops\s+(.*)$/.exec(line) ?? []
    if (words === undefined) continue
    any = true
    for (const { name, value } of wordsOf(words))
      taken.take(name.replaceAll('-', '_'), value ?? '', name)
  }
  if (!any) return null
  const from = "modprobe.d's options of ramoops"
  if (taken.refused.length === 0) return saidBy(taken, from, new Map())
  // A module whose parameters are refused is not loaded.
  return { description: null, notes: [`${from}: the module is not loaded`, ...taken.refused] }
}

/** Parameters as sysfs has them, which says neither flags nor, of a device tree's region, ecc. */
const describeSysfs = (values: ReadonlyMap<string, string>): Said => {
  const taken = new Taken()
  for (const [name, text] of values) taken.take(name, text, name)
  const said = saidBy(taken, "the module's parameters", new Map())
  const { description } = said
  const { ftrace_size, ecc } = description?.parameters ?? moduleDefaults
  if (!values.has('flags') && ftrace_size > 0) description?.open.push('flags')
  if (ecc === 0) description?.open.push('ecc')
  return said
}

/** What `grep "" /sys/module/ramoops/parameters/*` prints; null where it is something else. */
export const describePrinted = (text: string): Said | null => {
  const values = new Map<string, string>()
  for (const [, name = '', value = ''] of text.matchAll(
    /^(?:\S*\/ramoops\/parameters\/|(?:\.\/)?)([a-z_]+):([^\n]*)$/gm,
  ))
    values.set(name, value)
  return values.has('mem_size') && values.has('record_size') ? describeSysfs(values) : null
}

/** The folder of the module's parameters; null where it is some other folder. */
export const describeParameters = (folder: string): Said | null => {
  const values = new Map<string, string>()
  for (const name of [...numbers, ...signed, 'mem_name'])
    try {
      values.set(name, readWhole(path.join(folder, name), longestValue).toString('latin1'))
    } catch (error) {
      assertStoreError(error)
    }
  return values.has('mem_size') && values.has('record_size') ? describeSysfs(values) : null
}
