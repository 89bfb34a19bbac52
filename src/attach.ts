/** From a source and its options to an attached backend: where drivers and frontends meet. */
import fs from 'node:fs'
import type { Backend } from './pstore/backend.js'
import type { SplitRingParameters } from './pstore/split-ring.js'
import { StoreError } from './pstore/errors.js'
import { count } from './pstore/condition.js'
import { attachEfi } from './backends/efi/driver.js'
import { ErstBackend } from './backends/erst/driver.js'
import { makeErst } from './backends/erst/mkfs.js'
import { RamoopsBackend } from './backends/ramoops/driver.js'
import { makeRamoops } from './backends/ramoops/mkfs.js'
import { makeLayout, type RamoopsParameters } from './backends/ramoops/layout.js'
import { describedBy } from './backends/ramoops/probe/described.js'
import { elfSegments, refuseCompressed } from './backends/ramoops/probe/elf.js'
import { probe, type Findings, type FoundRegion } from './backends/ramoops/probe/probe.js'
import { keepLastLife } from './boot/last-life.js'
import { ZoneBackend } from './backends/zone/driver.js'
import { makeZones } from './backends/zone/mkfs.js'
import { makeZoneLayout } from './backends/zone/layout.js'
import { mergeFtrace, recordSize, renderFtrace } from './decoders/ftrace.js'
import { loadSymbols } from './decoders/kallsyms.js'
import { Region } from './region/region.js'
import type { FtraceText } from './pstore/ftrace.js'

export interface AttachOptions extends RamoopsParameters, SplitRingParameters {
  /** The backend's name in file names and as a folder. Default: Linux's own for the driver. */
  name?: string
  /** Never change the source. */
  readOnly?: boolean
  /**
   * `view`, the default, changes nothing. `boot` is for a machine's own store: what the last life left
   * in its rings is kept aside and shown, and they start empty; a source that can only be read stays as
   * it is, and is kept in memory.
   */
  attach?: AttachMode
  /** Where `attach: 'boot'` keeps its copies: a folder. Default: /var/lib/pstorefs. */
  state?: string
  /** Map the source, for a writer that appends a lot. */
  map?: boolean
  /** A System.map or a copy of /proc/kallsyms, plain or gzipped, that names ftrace's functions. */
  kallsyms?: string
  /** zone: the size of a dump's zone. */
  kmsg_size?: number
  /** Told in a line what a probed layout leaves open. Default: it becomes a warning of the process. */
  report?: (line: string) => void
  /** Told how many of the source's bytes have been searched for a region. */
  progress?: Progress
}

export type AttachMode = 'view' | 'boot'

export type Progress = (done: number, total: number) => void

/** What a source's layout was found to be does not decide every zone, so nothing may be written. */
export class UncertainLayout extends StoreError {
  override name = 'UncertainLayout'
}

interface Driver {
  /** What Linux calls the backend. */
  backend: string
  /** What can be said of its sources. */
  parameters: readonly (keyof AttachOptions)[]
  attach: (path: string, options: AttachOptions & { name: string }) => Backend
  /** Where a store can be made here. */
  format?: (path: string, options: AttachOptions, force: boolean) => void
}

/** The parameters that say something of how zones lie; none of them: nobody has described the region. */
const ramoopsParameters = [
  'record_size',
  'console_size',
  'ftrace_size',
  'pmsg_size',
  'tty_size',
  'ecc',
  'flags',
  'cpus',
  'preset',
  'order',
] as const satisfies (keyof RamoopsParameters)[]

const zoneParameters = [
  'kmsg_size',
  'pmsg_size',
  'console_size',
  'ftrace_size',
  'tty_size',
  'cpus',
] as const satisfies (keyof AttachOptions)[]

/** What says where in a file or device a store is. */
const anywhere = ['mem_address', 'mem_size'] as const satisfies (keyof AttachOptions)[]

const pieceParameters = [
  'tty_size',
  'console_size',
  'pmsg_size',
  'batch_seconds',
  'writes_per_hour',
] as const satisfies (keyof SplitRingParameters)[]

/** What says how a caller attaches, whatever it is. */
const callers: readonly string[] = [
  'name',
  'readOnly',
  'attach',
  'state',
  'map',
  'report',
  'progress',
] satisfies (keyof AttachOptions)[]

/** A driver for each kind of store. Adding one is a folder, and a line here. */
const drivers: { readonly [driver: string]: Driver } = {
  ramoops: {
    backend: 'ramoops',
    parameters: [...anywhere, ...ramoopsParameters, 'max_reason', 'endian', 'kallsyms'],
    attach: (path, options) => attachRamoops(path, options),
    format: (path, options, force) => {
      requireLayout(path, options, ramoopsParameters)
      const length = lengthToFormat(path, options)
      makeRamoops(path, layoutOf(path, makeLayout, options, length), force)
    },
  },
  zone: {
    backend: 'pstore_blk',
    parameters: [...anywhere, ...zoneParameters, 'max_reason', 'endian', 'kallsyms'],
    attach: (path, options) => attachZone(path, options),
    format: (path, options, force) => {
      requireLayout(path, options, zoneParameters)
      const length = lengthToFormat(path, options)
      makeZones(path, layoutOf(path, makeZoneLayout, options, length), force)
    },
  },
  efi: {
    backend: 'efi_pstore',
    parameters: ['mem_address', ...pieceParameters],
    attach: attachEfi,
  },
  erst: {
    backend: 'erst',
    parameters: [...anywhere, 'record_size', ...pieceParameters],
    attach: (path, options) => attachErst(path, options),
    format: (path, { mem_size, record_size }, force) =>
      makeErst(path, mem_size, record_size, force),
  },
}

/** The drivers' names, as a SOURCE begins with them. */
export const driverNames: readonly string[] = Object.keys(drivers)

/** What Linux calls a driver's backend: its name where it was given no other. */
export const backendName = (driver: string): string => drivers[driver].backend

/** What a SOURCE says: `[DRIVER:]PATH`. A colon after anything but a driver's name is the path's. */
export const parseSource = (source: string): { driver: string; path: string } => {
  const colon = source.indexOf(':')
  const driver = source.slice(0, colon)
  return colon > 0 && Object.hasOwn(drivers, driver)
    ? { driver, path: source.slice(colon + 1) }
    : { driver: 'ramoops', path: source }
}

/**
 * Attach a backend.
 *
 * @param source `[DRIVER:]PATH`
 * @throws StoreError saying what is wrong with the source or its layout; nothing stays open
 */
export const attach = (source: string, options: AttachOptions): Backend => {
  const { driver, path } = parseSource(source)
  checkParameters(source, driver, options)
  const name = options.name ?? backendName(driver)
  const backend = drivers[driver].attach(path, { ...options, name })
  if (options.attach !== 'boot') return backend
  const { state, mem_address = backend.facts.mem_address ?? 0 } = options
  try {
    const where = `${driver}:${fs.realpathSync(path)}@${mem_address}`
    return keepLastLife(backend, { source: where, state })
  } catch (error) {
    backend.close()
    throw error
  }
}

/**
 * Make or wipe a region.
 *
 * @param source `[DRIVER:]PATH`; where there is no such file, it is made, `mem_size` long
 * @param force wipe what is in it
 * @throws StoreError where the layout is not one that Linux takes, or the source holds something
 */
export const format = (source: string, options: AttachOptions, force = false): void => {
  const { driver, path } = parseSource(source)
  const make = drivers[driver].format
  if (!make) throw new StoreError(`${source}: ${driver} stores are made by firmware only`)
  checkParameters(source, driver, options)
  make(path, options, force)
}

/** Refuse what means nothing to a driver: who gave it meant something by it. */
const checkParameters = (source: string, driver: string, options: AttachOptions): void => {
  const known: readonly string[] = drivers[driver].parameters
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !known.includes(name) && !callers.includes(name))
      throw new StoreError(
        `${source}: ${name}: means nothing to the driver ${driver}, which takes ${known.join(', ')}`,
      )
}

/** The length of a store that is to be made: all of a file or device that is there. */
const lengthToFormat = (path: string, options: AttachOptions): number => {
  const { mem_size } = options
  if (mem_size !== undefined) return mem_size
  if (!fs.existsSync(path))
    throw new StoreError(`${path}: no such file: to make it, say how long with mem_size`, 'ENOENT')
  const region = openRegion(path, { ...options, readOnly: true, map: false })
  region.close()
  return region.length
}

const isDescribed = (options: AttachOptions, known: readonly (keyof AttachOptions)[]): boolean =>
  known.some(parameter => options[parameter] !== undefined)

const requireLayout = (
  path: string,
  options: AttachOptions,
  known: readonly (keyof AttachOptions)[],
): void => {
  if (isDescribed(options, known)) return
  const some = known.slice(0, 6).join(', ')
  throw new StoreError(
    `${path}: no layout given: say how its kernel laid it out, with at least one of ` +
      (known.includes('preset') ? `${some}, preset` : some),
  )
}

/** The region that the options name in a source. */
const openRegion = (path: string, options: AttachOptions): Region => {
  const { mem_address, mem_size, readOnly = false, map = false } = options
  return new Region(path, {
    readOnly,
    map,
    ...(mem_address === undefined ? {} : { offset: mem_address }),
    ...(mem_size === undefined ? {} : { length: mem_size }),
  })
}

/**
 * Find the regions in a source, and their layouts.
 *
 * @param source `PATH`, or `ramoops:PATH`
 * @param options `mem_address` and `mem_size` say which part of it is searched
 * @throws StoreError where it cannot be read
 */
export const probeSource = (
  source: string,
  options: Pick<AttachOptions, 'mem_address' | 'mem_size' | 'progress'> = {},
): Findings => {
  const { driver, path } = parseSource(source)
  if (driver !== 'ramoops')
    throw new StoreError(`${source}: only ramoops regions have a layout to find out`)
  const described = describedBy(path)
  if (described)
    return {
      regions: described,
      notes: ['it describes regions: their bytes are where the machine has its memory'],
    }
  const { mem_address: from = 0, progress } = options
  const region = openRegion(path, { ...options, readOnly: true, map: false })
  try {
    if (from === 0) refuseCompressed(region, path)
    const pieces = (from === 0 && elfSegments(region)) || undefined
    const { regions, notes } = probe(region, pieces, done => progress?.(done, region.length))
    for (const found of regions) found.mem_address += from
    return { regions, notes }
  } finally {
    region.close()
  }
}

/** The layout that a region was found to have, where nobody described it. */
const probeLayout = (path: string, options: AttachOptions): AttachOptions => {
  const { report = process.emitWarning, mem_address, readOnly } = options
  const described = describedBy(path)
  if (described)
    throw new StoreError(
      `${path}: describes ${count(described.length, 'region')}, and holds none: name the memory, and say how it ` +
        `is laid out: ${described[0]?.options ?? ''}`,
    )
  const all = probeSource(path, options).regions
  // Who says where it is means the one that starts there.
  const regions =
    mem_address === undefined ? all : all.filter(found => found.mem_address === mem_address)
  const [found] = regions
  if (!found)
    throw new StoreError(
      `${path}: no layout given, and no region found: say how its kernel laid it out, with at least ` +
        `one of ${ramoopsParameters.slice(0, 6).join(', ')}, preset`,
    )
  if (regions.length > 1)
    throw new StoreError(
      `${path}: has ${regions.length} regions: say which: ` +
        regions
          .slice(0, 8)
          .map(({ mem_address }) => `mem_address=0x${mem_address.toString(16)}`)
          .join(', '),
    )
  if (!found.certain) {
    const open = `its layout is not certain: ${whatIsOpen(found)}`
    if (!readOnly) throw new UncertainLayout(`${path}: ${open}: to write, say it: ${found.options}`)
    report(`${path}: ${open}: read as ${found.options}`)
  }
  return { ...options, ...found.parameters, mem_address: found.mem_address }
}

const whatIsOpen = ({ open }: FoundRegion): string =>
  open.length ? `the bytes leave ${open.join(', ')} open` : 'headers of zones are damaged'

const attachRamoops = (path: string, given: AttachOptions & { name: string }): Backend => {
  const options = isDescribed(given, ramoopsParameters)
    ? given
    : { ...given, ...probeLayout(path, given) }
  const region = openRegion(path, options)
  try {
    const layout = layoutOf(path, makeLayout, options, region.length)
    return new RamoopsBackend(options.name, region, layout, ftraceText(options.kallsyms))
  } catch (error) {
    region.close()
    throw error
  }
}

const attachZone = (path: string, options: AttachOptions & { name: string }): Backend => {
  const region = openRegion(path, options)
  try {
    requireLayout(path, options, zoneParameters)
    const layout = layoutOf(path, makeZoneLayout, options, region.length)
    return new ZoneBackend(region, layout, ftraceText(options.kallsyms), options.name)
  } catch (error) {
    region.close()
    throw error
  }
}

const attachErst = (path: string, options: AttachOptions & { name: string }): Backend => {
  // QEMU writes the file as it likes: a mapping would add nothing.
  const region = openRegion(path, { ...options, map: false })
  try {
    return new ErstBackend(region, options.name, options)
  } catch (error) {
    region.close()
    throw error
  }
}

/** The layout; what is wrong with it is said of the source. */
const layoutOf = <Layout>(
  path: string,
  make: (options: AttachOptions, length: number) => Layout,
  options: AttachOptions,
  length: number,
): Layout => {
  try {
    return make(options, length)
  } catch (error) {
    throw new StoreError(`${path}: ${(error as Error).message}`)
  }
}

const ftraceText = (kallsyms: string | undefined): FtraceText => {
  const symbols = kallsyms === undefined ? undefined : loadSymbols(kallsyms)
  return {
    recordSize,
    merge: mergeFtrace,
    render: (records, endian, tail) => renderFtrace(records, endian, symbols, tail),
  }
}
