/** From a source and its options to an attached backend: where drivers, core and decoders meet. */
import { inspect, isDeepStrictEqual } from 'node:util'
import {
  drivers,
  likenessOf,
  recognise,
  type AttachHow,
  type DriverParameters,
  type Findings,
  type Parameter,
  type RegisteredDriver,
  type RetentionTest,
  type StoreFacts,
  type Whereabouts,
} from './backends/index.js'
import { beginLife } from './boot/last-life.js'
import { ftraceTextWith } from './decoders/ftrace.js'
import { loadSymbols } from './decoders/kallsyms.js'
import type { Backend } from './pstore/backend.js'
import type { Driver } from './pstore/driver.js'
import { assertStoreError, StoreError, UncertainLayout } from './pstore/errors.js'
import type { FtraceText } from './pstore/ftrace.js'
import { Store } from './pstore/store.js'
import type { RecordType } from './pstore/types.js'

/** What is said of a store, under the names of the command line's options, and how it is attached; all may be left out. */
export interface AttachOptions extends DriverParameters, AttachHow {
  /** The backend's name in file names and as a folder. Default: Linux's own for the driver. */
  name?: string
  /**
   * `view`, the default, changes nothing. `boot` is for a machine's own store: what the last life left
   * in its rings is kept aside and shown, and they start empty; a source that can only be read stays as
   * it is, and is kept in memory.
   */
  attach?: AttachMode
  /** Where `attach: 'boot'` keeps its copies: a folder. Default: /var/lib/pstorefs. */
  state?: string
}

/** How a store's rings are taken: {@link AttachOptions.attach}. */
export type AttachMode = 'view' | 'boot'
const modes: readonly AttachMode[] = ['view', 'boot']

/** What says how a caller attaches, whatever the driver is, and of what type it is. */
const callers: { readonly [option: string]: string } = {
  name: 'string',
  readOnly: 'boolean',
  attach: 'string',
  state: 'string',
  force: 'boolean',
  map: 'boolean',
  report: 'function',
  progress: 'function',
  probeLimit: 'number',
} satisfies { [option in Exclude<keyof AttachOptions, keyof DriverParameters>]: string }

/**
 * The drivers' names, as a SOURCE begins with them.
 *
 * @example
 * ```ts
 * import { driverNames } from 'pstorefs'
 *
 * console.log(driverNames.map(driver => `${driver}:PATH`).join(' '))
 * ```
 */
export const driverNames: readonly string[] = Object.keys(drivers)

/** The driver of a source that names none. */
const [usual = ''] = driverNames

const moduleOf = (driver: string): RegisteredDriver => {
  const module = drivers[driver]
  if (!module) throw new StoreError(`${driver}: no driver: ${driverNames.join(', ')}`)
  return module
}

/** What Linux calls a driver's backend: its name where it was given no other. */
export const backendName = (driver: string): string => moduleOf(driver).backend

/** The drivers by all names that a SOURCE may begin with: their own, Linux's for their backends, and others. */
const byName = new Map(
  Object.entries(drivers).flatMap(([driver, { backend, aliases = [] }]) =>
    [driver, backend, ...aliases].map(name => [name, driver] as const),
  ),
)

/** The driver that a name means, its own or Linux's; null where none is called so. */
export const driverCalled = (name: string): string | null => byName.get(name) ?? null

/**
 * What a SOURCE says: `[DRIVER:]PATH`. A colon after anything but a driver's name is the path's.
 *
 * @returns driver: null where it names none ({@link findDriver})
 */
export const parseSource = (source: string): { driver: string | null; path: string } => {
  const colon = source.indexOf(':')
  const driver = colon > 0 ? driverCalled(source.slice(0, colon)) : null
  return { driver, path: driver === null ? source : source.slice(colon + 1) }
}

/** A SOURCE: the driver, if it is known, and an absolute path. */
export const sourceOf = (driver: string | null, path: string): string =>
  driver === null ? path : `${driver}:${path}`

/**
 * Find out the driver of a source that names none, by its content: ramoops where nothing else is sure.
 *
 * @param where the store is in it
 */
export const findDriver = (path: string, { mem_address }: Whereabouts = {}): string =>
  recognise(path, mem_address === undefined ? {} : { mem_address }) ?? usual

/** A SOURCE with the driver that it names, or else the one that is found out. */
const locate = (source: string, where: Whereabouts = {}): { driver: string; path: string } => {
  const { driver, path } = parseSource(source)
  return { driver: driver ?? findDriver(path, where), path }
}

/** The parameter that gives records of a type a place in a source; null where the driver keeps none. */
export const sizeParameter = (source: string, type: RecordType): string | null =>
  Object.entries(moduleOf(locate(source).driver).parameters).find(
    ([, { sizes }]) => sizes === type,
  )?.[0] ?? null

/**
 * Attach a backend: open a store, find out what nobody said of it, and check that it can be one.
 *
 * What is doubtful of what was found out is said by {@link Backend.notes}; {@link probeSource} gives the layout itself.
 * A store whose layout was only guessed, or of a form that is only read, is attached read-only, unless
 * `readOnly: false` says that it is to be written.
 *
 * @param source `[DRIVER:]PATH`
 * @throws StoreError saying what is wrong with the source, its layout or an option; nothing stays open
 * @example
 * ```ts
 * import { attach } from 'pstorefs'
 *
 * const backend = attach('region.img')
 * for (const record of backend.records()) console.log(record.name, record.read().toString())
 * backend.close()
 * ```
 */
export const attach = (source: string, options: AttachOptions = {}): Backend => {
  checkSource(source)
  const { driver: given, path } = parseSource(source)
  const found = findDriver(path, options)
  const name = given ?? found
  const module = moduleOf(name)
  checkOptions(source, name, options)
  const text = ftraceText(options.kallsyms)
  const rather = given === null ? null : otherThan(name, found)
  const notes = new Set<string>()
  const report = (line: string): void => {
    if (notes.has(line)) return
    notes.add(line)
    options.report?.(line)
  }
  const driver = attachDriver(module, path, { ...options, report }, rather)
  if (driver.readOnly && options.readOnly === undefined) notes.add(`${path}: attached read-only`)
  const store = new Store(options.name ?? module.backend, driver, text, [...notes])
  if (options.attach !== 'boot') return store
  try {
    return beginLife(store, { state: options.state })
  } catch (error) {
    store.close()
    throw error
  }
}

/** The driver that the bytes tell of, where it is not the one that was given; null: none. */
const otherThan = (given: string, found: string): string | null =>
  found === usual || found === given ? null : found

/** What is said of a folder that no driver takes. */
const noStore = 'neither EFI variables nor copied records are in it'

/**
 * Attach a driver, and say what its source is rather.
 *
 * @param rather a driver that was not asked for, whose store the source is by its bytes
 */
const attachDriver = (
  module: RegisteredDriver,
  path: string,
  options: AttachOptions,
  rather: string | null,
): Driver => {
  const hint = rather === null ? null : `it is ${moduleOf(rather).store}: ${rather}:${path}`
  try {
    const driver = module.attach(path, options)
    if (hint !== null) options.report?.(`${path}: ${hint}`)
    return driver
  } catch (error) {
    assertStoreError(error)
    if (error instanceof UncertainLayout) throw error
    const why = hint ?? (error.code === 'EISDIR' ? noStore : likenessOf(path))
    throw why === null ? error : new StoreError(`${error.message}; ${why}`, error.code)
  }
}

/**
 * Make or wipe a store.
 *
 * @param source `[DRIVER:]PATH`; where there is no such file, it is made, `mem_size` long
 * @param force wipe what is in it
 * @returns what was made, in lines: the options that make it again, and a kernel's parameters
 * @throws StoreError where the layout is not one that Linux takes, or the source holds something
 * @example
 * ```ts
 * import { format } from 'pstorefs'
 *
 * const [options] = format('new.img', { mem_size: 1 << 20, record_size: 65536, console_size: 262144 })
 * console.log(`pstorefs ls new.img ${options}`)
 * ```
 */
export const format = (source: string, options: AttachOptions = {}, force = false): string[] => {
  checkSource(source)
  const { driver: given, path } = parseSource(source)
  const driver = given ?? usual
  const module = moduleOf(driver)
  if (!module.format) throw new StoreError(`${source}: ${driver} stores are made by firmware only`)
  checkOptions(source, driver, options)
  return module.format(path, options, force) ?? []
}

/**
 * Test whether a region's memory survives a reset: the first call writes a pattern over it, one after the reset says
 * what is left of that, and changes nothing.
 *
 * @param source `[DRIVER:]PATH`
 * @param how again: write a pattern also where one is; force: over whatever is there
 * @throws StoreError where the source holds something, is no region, or cannot be read or written
 */
export const testRetention = (
  source: string,
  options: AttachOptions,
  how: { readonly again: boolean; readonly force: boolean },
): RetentionTest => {
  const { driver, path } = locate(source, options)
  const module = moduleOf(driver)
  if (!module.testRetention)
    throw new StoreError(`${source}: is ${module.store}: only a region's memory can be tested`)
  checkOptions(source, driver, options)
  return module.testRetention(path, options, how)
}

/** A store of another kind than a region: whose it is, and what is known of it. */
export interface FoundStore extends StoreFacts {
  readonly driver: string
  /** `DRIVER:PATH`. */
  readonly source: string
  /** What it is: `an ERST store`. */
  readonly store: string
}

/**
 * Find the regions in a source, and their layouts, or the store that it is.
 *
 * @param source `[DRIVER:]PATH`
 * @param options `mem_address` and `mem_size` say which part of it is searched
 * @throws StoreError where it cannot be read, or is no store of the driver that it names
 * @example
 * ```ts
 * import { attach, probeSource } from 'pstorefs'
 *
 * for (const { mem_address, mem_size, certain, parameters } of probeSource('ram.img').regions) {
 *   console.log(mem_address, mem_size, certain)
 *   attach('ram.img', { ...parameters, mem_address, mem_size }).close()
 * }
 * ```
 */
export const probeSource = (
  source: string,
  options: Whereabouts & Pick<AttachHow, 'progress' | 'probeLimit' | 'report'> = {},
): Findings & { stores: FoundStore[] } => {
  const { driver, path } = locate(source, options)
  const module = moduleOf(driver)
  const findings = module.probe?.(path, options) ?? { regions: [], notes: [] }
  const known = module.describe?.(path, options)
  const { store } = module
  return {
    ...findings,
    stores: known ? [{ driver, source: `${driver}:${path}`, store, ...known }] : [],
  }
}

/** What a file looks like in which nothing was found, and what to do then; null: nothing. */
export const likeness = (source: string): string | null => likenessOf(parseSource(source).path)

/** A SOURCE is a text: who has no types may give anything. */
const checkSource = (source: unknown): void => {
  if (typeof source !== 'string' || source === '')
    throw new StoreError(`source ${print(source)}: must be a path, as 'region.img'`)
}

/** Refuse what means nothing to a driver, and what is of another type: who gave it meant something by it. */
const checkOptions = (source: string, driver: string, options: AttachOptions): void => {
  const { parameters } = moduleOf(driver)
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue
    const type = Object.hasOwn(callers, name) ? callers[name] : undefined
    const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined
    if (type !== undefined) {
      if (typeof value !== type)
        throw new StoreError(`${source}: ${name} ${print(value)}: must be a ${type}`)
    } else if (parameter && !parameter.means) checkParameter(source, name, parameter, value)
    else {
      const known = Object.keys(parameters).filter(name => !parameters[name]?.means)
      throw new StoreError(
        `${source}: ${name}: not an option of the driver ${driver}, which takes ${known.join(', ')}`,
      )
    }
  }
  if (options.attach !== undefined && !modes.includes(options.attach))
    throw new StoreError(`${source}: attach '${options.attach}': must be ${modes.join(' or ')}`)
}

/** A value is one that its own text would make. */
const checkParameter = (
  source: string,
  name: string,
  { parse, print: printed = String }: Parameter,
  value: unknown,
): void => {
  let parsed: unknown
  try {
    parsed = parse(name, printed(value))
  } catch (error) {
    assertStoreError(error)
    throw new StoreError(`${source}: ${error.message}`)
  }
  if (isDeepStrictEqual(parsed, value)) return
  const list: unknown[] | null = Array.isArray(parsed) ? parsed : null
  // A list of something else: what its own text says is how it should be.
  const like = list && Array.isArray(value) ? `, as ${print(list.slice(0, 2), 1)}` : ''
  const type = list ? 'list' : typeof parsed
  throw new StoreError(`${source}: ${name} ${print(value)}: must be a ${type}${like}`)
}

/** A value in a message, in a line. */
const print = (value: unknown, depth = 0): string =>
  typeof value === 'string'
    ? `'${value}'`
    : inspect(value, { depth, compact: true, breakLength: Infinity })

/**
 * What makes ftrace's text, with the names of a kernel's symbols where there are some.
 *
 * @param kallsyms a System.map or a copy of /proc/kallsyms, which is read at once
 * @throws StoreError where that has no symbols
 */
export const ftraceText = (kallsyms: string | undefined): FtraceText =>
  ftraceTextWith(kallsyms === undefined ? undefined : loadSymbols(kallsyms))
