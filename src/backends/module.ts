/** What a driver's folder offers to the registry, and what attaching takes in every one of them. */
import fs from 'node:fs'
import type { Driver } from '../pstore/driver.js'
import { StoreError } from '../pstore/errors.js'
import { Region } from '../region/region.js'
import type { ParameterTable } from '../pstore/parameters.js'

/** How a caller attaches, whatever the driver is. */
export interface AttachHow {
  /** Never change the source. */
  readOnly?: boolean
  /** Map the source, for a writer that appends a lot. */
  map?: boolean
  /** Told in a line what a probed layout leaves open. Default: it becomes a warning of the process. */
  report?: (line: string) => void
  /** Told how many of the source's bytes have been searched for a region. */
  progress?: Progress
  /** The most bytes that are searched for a region that no option describes. Default: all. */
  probeLimit?: number
}

export type Progress = (done: number, total: number) => void

/** Where in a file or device a store is, in bytes. */
export interface Whereabouts {
  mem_address?: number
  mem_size?: number
}

/**
 * A driver, as the registry knows it. Its methods are called with parameters of its own only.
 *
 * Findings are what its prober reports; never where it has none.
 */
export interface DriverModule<Parameters extends object, Findings = never> {
  /** What Linux calls the backend: its name where it was given no other. */
  readonly backend: string
  /** What can be said of its sources, with the help for it. */
  readonly parameters: ParameterTable
  /** @throws StoreError saying what is wrong with the source or its layout; nothing stays open */
  attach(path: string, options: Parameters & AttachHow): Driver
  /**
   * Make or wipe a store; absent where only firmware makes one.
   *
   * @param force wipe what is in it
   * @throws StoreError where the layout is not one that Linux takes, or the source holds something
   */
  format?(path: string, options: Parameters, force: boolean): void
  /** Find stores that nobody described; absent where there is no layout to find out. */
  probe?(path: string, options: Whereabouts & AttachHow): Findings
}

/** The region that the options name in a source. */
export const openRegion = (path: string, options: Whereabouts & AttachHow): Region => {
  const { mem_address, mem_size, readOnly = false, map = false } = options
  return new Region(path, {
    readOnly,
    map,
    ...(mem_address === undefined ? {} : { offset: mem_address }),
    ...(mem_size === undefined ? {} : { length: mem_size }),
  })
}

/** Make a driver of a region, which is closed where that fails. */
export const onRegion = (region: Region, make: (region: Region) => Driver): Driver => {
  try {
    return make(region)
  } catch (error) {
    region.close()
    throw error
  }
}

/** Does one of these parameters say how the store is laid out? */
export const isDescribed = <P extends object>(options: P, known: readonly (keyof P)[]): boolean =>
  known.some(parameter => options[parameter] !== undefined)

/** How many parameters an error names. */
const named = 6

export const requireLayout = <P extends object>(
  path: string,
  options: P,
  known: readonly (keyof P)[],
): void => {
  if (isDescribed(options, known)) return
  const some = known.slice(0, named).join(', ')
  throw new StoreError(`${path}: no layout given; give at least one of ${some}`)
}

/** The layout that the options make of a store; what is wrong with it is said of the source. */
export const layoutOf = <P extends object, Layout>(
  path: string,
  make: (options: P, length: number) => Layout,
  options: P,
  length: number,
): Layout => {
  try {
    return make(options, length)
  } catch (error) {
    throw new StoreError(`${path}: ${(error as Error).message}`)
  }
}

/** The length of a store that is to be made: all of a file or device that is there, in bytes. */
export const lengthToFormat = (path: string, options: Whereabouts): number => {
  if (options.mem_size !== undefined) return options.mem_size
  if (!fs.existsSync(path))
    throw new StoreError(`${path}: no such file; give mem_size to make it`, 'ENOENT')
  const region = openRegion(path, { ...options, readOnly: true })
  region.close()
  return region.length
}
