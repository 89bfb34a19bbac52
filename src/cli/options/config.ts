/** The config file: several backends under names of their own, and mount options (pstorefs.toml(5)). */
import path from 'node:path'
import { parse, TomlError } from 'smol-toml'
import {
  driverCalled,
  driverNames,
  parseSource,
  sourceOf,
  type AttachOptions,
} from '../../attach.js'
import { readWhole } from '../../native/open.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import { badName } from '../../pstore/select.js'
import type { MountRequest, SourceCandidate } from '../../service/plan.js'
import { meant } from '../near.js'
import { mountOptions, octal, parseMountOptions } from './mount-options.js'
import { parameters, setParameter } from './parameters.js'

export interface Config {
  file: string
  /** In the file's order. */
  backends: SourceCandidate[]
  /** The mount options that the file gives; the command line wins over them. */
  mount: Partial<MountRequest>
}

export const defaultConfig = '/etc/pstorefs.toml'
/** Bytes: a thousand times what a thousand backends take. */
const largestConfig = 2 ** 26

/**
 * Read a config file.
 *
 * @throws StoreError `FILE: WHAT: WHY`
 */
export const loadConfig = (file: string): Config => {
  const text = readWhole(file, largestConfig).toString()
  try {
    return { file, ...parseConfig(text, path.dirname(path.resolve(file))) }
  } catch (error) {
    assertStoreError(error)
    throw new StoreError(`${file}: ${error.message}`)
  }
}

/**
 * Parse a config file's text.
 *
 * @param folder the start of relative paths
 */
export const parseConfig = (text: string, folder: string): Omit<Config, 'file'> => {
  const { backends = {}, ...options } = parseToml(text)
  if (!isTable(backends)) throw new StoreError('backends: must be tables: [backends.NAME]')
  const { request: mount } = parseMountOptions(
    Object.entries(options).flatMap(([name, value]) => mountOption(name, value)),
  )
  if (mount.state !== undefined) mount.state = path.resolve(folder, mount.state)
  return {
    backends: Object.entries(backends).map(([name, table]) => {
      try {
        return candidate(name, table, folder)
      } catch (error) {
        assertStoreError(error)
        throw new StoreError(`backends.${JSON.stringify(name).slice(1, -1)}: ${error.message}`)
      }
    }),
    mount,
  }
}

/** A size or a path as people write them, which TOML takes for a number or a mistake. */
const unquoted = /^\s*[\w-]+\s*=\s*[\w/.~]/

const parseToml = (text: string): { [key: string]: unknown } => {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const [why] = error.message.replace(/^Invalid TOML document: /, '').split('\n')
    const hint = unquoted.test(text.split('\n')[error.line - 1] ?? '') ? '; put it in quotes' : ''
    throw new StoreError(`line ${error.line}: ${why}${hint}`)
  }
}

const isTable = (value: unknown): value is { [key: string]: unknown } =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.getPrototypeOf(value) !== Date.prototype &&
  !(value instanceof Date)

/** A key of the top level, as an option after -o. */
const mountOption = (name: string, value: unknown): string[] => {
  if (Object.hasOwn(parameters, name) || name === 'driver' || name === 'source')
    throw new StoreError(`${name}: describes a source; it belongs below [backends.NAME]`)
  if (isTable(value)) throw new StoreError(`${name}: is a table; did you mean [backends.NAME]?`)
  if (name === 'config') throw new StoreError('config: a config file cannot name another one')
  const takes = Object.hasOwn(mountOptions, name) ? mountOptions[name]!.takes : 'a string'
  if (takes === null) {
    if (typeof value !== 'boolean') throw new StoreError(`${name}: must be true or false`)
    if (value) return [name]
    return name === 'ro' ? ['rw'] : []
  }
  if (typeof value !== 'string' && (typeof value !== 'number' || takes === octal))
    throw new StoreError(`${name}: must be ${takes}`)
  return [`${name}=${value}`]
}

/** The keys of a backend's table. */
const keys = ['driver', 'source', ...Object.keys(parameters)]

/** The backend that a table `[backends.NAME]` describes. */
const candidate = (name: string, table: unknown, folder: string): SourceCandidate => {
  const why = badName(name)
  if (why) throw new StoreError(why)
  // The file's order decides which backend comes first, and JavaScript moves such keys to the front.
  if (/^\d+$/.test(name)) throw new StoreError('a name must not be a number')
  if (!isTable(table)) throw new StoreError(`must be a table: [backends.${name}]`)
  const { driver, source, ...rest } = table
  // A source may be missing because it is misspelt.
  for (const key of Object.keys(rest))
    if (!Object.hasOwn(parameters, key))
      throw new StoreError(`${key}: not known${meant(key, keys)}`)
  if (source === undefined) throw new StoreError('source: missing; give the path of the store')
  if (typeof source !== 'string' || source === '')
    throw new StoreError('source: must be a path, as a string')
  const named = typeof driver === 'string' ? driverCalled(driver) : null
  if (driver !== undefined && named === null)
    throw new StoreError(`driver: must be one of ${driverNames.join(', ')}`)
  const found = driver === undefined ? parseSource(source) : { driver: named, path: source }
  const options: AttachOptions = {}
  for (const [key, value] of Object.entries(rest)) takeParameter(options, key, value)
  for (const file of ['kallsyms', 'layout'] as const)
    if (options[file] !== undefined) options[file] = path.resolve(folder, options[file])
  return { name, source: sourceOf(found.driver, path.resolve(folder, found.path)), options }
}

const takeParameter = (options: AttachOptions, key: string, value: unknown): void => {
  if (typeof value !== 'string' && !Number.isInteger(value))
    throw new StoreError(`${key}: must be a string or a whole number`)
  setParameter(options, key, String(value))
}
