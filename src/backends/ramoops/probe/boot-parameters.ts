/**
 * Boot parameters of ramoops: a kernel's command line, or the folder /sys/module/ramoops/parameters.
 *
 * Source: doc/formats.md 1.1; Linux's Documentation/admin-guide/ramoops.rst and kernel-parameters.txt
 * (reserve_mem).
 */
import path from 'node:path'
import { readWhole } from '../../../native/open.js'
import { assertStoreError } from '../../../pstore/errors.js'
import { sizeParameters } from '../layout.js'
import type { DescribedParameters, Description } from './found.js'

/** The module's parameters. Mainline has no `flags`; kernels that were given one do. */
const names = ['mem_address', 'mem_size', ...sizeParameters, 'ecc', 'max_reason', 'flags'] as const

/** The module's own values of parameters that are not set (fs/pstore/ram.c). */
const defaults: DescribedParameters = {
  record_size: 4096,
  console_size: 4096,
  ftrace_size: 4096,
  pmsg_size: 4096,
  tty_size: 0,
  ecc: 0,
  flags: 1,
}

/** Bytes of a parameter's file: sysfs has no longer ones. */
const longestValue = 4096

const units: { readonly [unit: string]: number } = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }

/** A number as the kernel takes it; undefined for anything else, and beyond 2^53, where no memory is. */
const parseNumber = (text: string): number | undefined => {
  const [, digits, unit = ''] = /^(0x[0-9a-f]{1,13}|[0-9]{1,15})([KMG]?)$/i.exec(text.trim()) ?? []
  const value = digits === undefined ? NaN : Number(digits) * units[unit.toUpperCase()]!
  return value <= Number.MAX_SAFE_INTEGER ? value : undefined
}

const describe = (
  read: (name: string) => string | undefined,
  reserved: ReadonlyMap<string, number>,
  from: string,
): Description | null => {
  const parameters = { ...defaults }
  for (const name of names) {
    const value = parseNumber(read(name) ?? '')
    if (value !== undefined) parameters[name] = value
  }
  const evidence = [from]
  const open: string[] = []
  const memName = read('mem_name')?.trim() ?? ''
  const size = reserved.get(memName)
  if (size !== undefined) parameters.mem_size = size
  if (memName && memName !== '(null)') {
    // The kernel chooses the address as it boots.
    if (!parameters.mem_address) open.push('mem_address')
    if (!parameters.mem_size) open.push('mem_size')
    evidence.push(`memory reserved under the name ${memName.replaceAll(/[^!-~]/g, '?')}`)
  } else if (!parameters.mem_size) return null
  return { parameters, evidence, open }
}

/** The region that a command line describes; null where it has no parameter of ramoops. */
export const describeCommandLine = (text: string): Description | null => {
  const values = new Map<string, string>()
  const reserved = new Map<string, number>()
  for (const word of text.match(/(?:"[^"]*"|[^\s"])+/g) ?? []) {
    const plain = word.replaceAll('"', '')
    const [, name, value = ''] = /^ramoops\.([\w-]+)=(.*)$/.exec(plain) ?? []
    if (name !== undefined) values.set(name.replaceAll('-', '_'), value)
    const [, size = '', label = ''] = /^reserve_mem=([^:]+):[^:]+:(.+)$/.exec(plain) ?? []
    const bytes = parseNumber(size)
    if (bytes !== undefined) reserved.set(label, bytes)
  }
  if (values.size === 0) return null
  return describe(name => values.get(name), reserved, "the kernel's command line")
}

/** The region that a folder of module parameters describes; null where they are not ramoops's. */
export const describeParameters = (folder: string): Description | null => {
  const read = (name: string): string | undefined => {
    try {
      return readWhole(path.join(folder, name), longestValue).toString('latin1')
    } catch (error) {
      assertStoreError(error)
      return undefined
    }
  }
  if (read('mem_size') === undefined || read('record_size') === undefined) return null
  return describe(read, new Map(), "the module's parameters")
}
