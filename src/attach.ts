/** From a source and its options to an attached backend: where drivers, core and decoders meet. */
import {
  drivers,
  type AttachHow,
  type DriverParameters,
  type Findings,
  type RegisteredDriver,
  type Whereabouts,
} from './backends/index.js'
import { beginLife } from './boot/last-life.js'
import { mergeFtrace, recordSize, renderFtrace } from './decoders/ftrace.js'
import { loadSymbols } from './decoders/kallsyms.js'
import type { Backend } from './pstore/backend.js'
import { StoreError } from './pstore/errors.js'
import type { FtraceText } from './pstore/ftrace.js'
import { Store } from './pstore/store.js'
import type { RecordType } from './pstore/types.js'

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

export type AttachMode = 'view' | 'boot'

/** What says how a caller attaches, whatever it is. */
const callers: readonly string[] = [
  'name',
  'readOnly',
  'attach',
  'state',
  'map',
  'report',
  'progress',
  'probeLimit',
] satisfies (keyof AttachOptions)[]

/** The drivers' names, as a SOURCE begins with them. */
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

/** What a SOURCE says: `[DRIVER:]PATH`. A colon after anything but a driver's name is the path's. */
export const parseSource = (source: string): { driver: string; path: string } => {
  const colon = source.indexOf(':')
  const driver = source.slice(0, colon)
  return colon > 0 && driverNames.includes(driver)
    ? { driver, path: source.slice(colon + 1) }
    : { driver: usual, path: source }
}

/** The parameter that gives records of a type a place in a source; null where the driver keeps none. */
export const sizeParameter = (source: string, type: RecordType): string | null =>
  Object.entries(moduleOf(parseSource(source).driver).parameters).find(
    ([, { sizes }]) => sizes === type,
  )?.[0] ?? null

/**
 * Attach a backend.
 *
 * @param source `[DRIVER:]PATH`
 * @throws StoreError saying what is wrong with the source or its layout; nothing stays open
 */
export const attach = (source: string, options: AttachOptions): Backend => {
  const { driver: name, path } = parseSource(source)
  const module = moduleOf(name)
  checkParameters(source, name, options)
  const text = ftraceText(options.kallsyms)
  const store = new Store(options.name ?? module.backend, module.attach(path, options), text)
  if (options.attach !== 'boot') return store
  try {
    return beginLife(store, { state: options.state })
  } catch (error) {
    store.close()
    throw error
  }
}

/**
 * Make or wipe a store.
 *
 * @param source `[DRIVER:]PATH`; where there is no such file, it is made, `mem_size` long
 * @param force wipe what is in it
 * @throws StoreError where the layout is not one that Linux takes, or the source holds something
 */
export const format = (source: string, options: AttachOptions, force = false): void => {
  const { driver, path } = parseSource(source)
  const module = moduleOf(driver)
  if (!module.format) throw new StoreError(`${source}: ${driver} stores are made by firmware only`)
  checkParameters(source, driver, options)
  module.format(path, options, force)
}

/**
 * Find the regions in a source, and their layouts.
 *
 * @param source `[DRIVER:]PATH`
 * @param options `mem_address` and `mem_size` say which part of it is searched
 * @throws StoreError where it cannot be read, or its driver has no layout to find out
 */
export const probeSource = (
  source: string,
  options: Whereabouts & Pick<AttachHow, 'progress' | 'probeLimit'> = {},
): Findings => {
  const { driver, path } = parseSource(source)
  const module = moduleOf(driver)
  if (!module.probe)
    throw new StoreError(`${source}: only ${usual} regions have a layout to find out`)
  return module.probe(path, options)
}

/** Refuse what means nothing to a driver: who gave it meant something by it. */
const checkParameters = (source: string, driver: string, options: AttachOptions): void => {
  const { parameters } = moduleOf(driver)
  const known = Object.keys(parameters).filter(name => !parameters[name]?.means)
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !known.includes(name) && !callers.includes(name))
      throw new StoreError(
        `${source}: ${name}: not an option of the driver ${driver}, which takes ${known.join(', ')}`,
      )
}

/**
 * What makes ftrace's text, with the names of a kernel's symbols where there are some.
 *
 * @param kallsyms a System.map or a copy of /proc/kallsyms, which is read at once
 * @throws StoreError where that has no symbols
 */
export const ftraceText = (kallsyms: string | undefined): FtraceText => {
  const symbols = kallsyms === undefined ? undefined : loadSymbols(kallsyms)
  return {
    recordSize,
    merge: mergeFtrace,
    render: (records, endian, tail) => renderFtrace(records, endian, symbols, tail),
  }
}
