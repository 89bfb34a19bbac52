/** What a driver's folder offers to the registry, and what attaching takes in every one of them. */
import fs from 'node:fs'
import { statOf } from '../native/open.js'
import type { Driver } from '../pstore/driver.js'
import { assertStoreError, StoreError } from '../pstore/errors.js'
import { foreignForm, foreignHead } from '../region/images/foreign.js'
import { Region } from '../region/region.js'
import type { ParameterTable } from '../pstore/parameters.js'

/** How a caller attaches, whatever the driver is. */
export interface AttachHow {
  /**
   * True: never change the source. False: refuse one that cannot be written, as its layout is a guess or its form is
   * only read. Default: attach such a source read-only.
   */
  readOnly?: boolean
  /** Map the source, for a writer that appends a lot. */
  map?: boolean
  /** Write also into what is no store, and start a life in it. */
  force?: boolean
  /** Told in a line what a probed layout leaves open, at once. */
  report?: (line: string) => void
  /** Told how many of the source's bytes have been searched for a region. */
  progress?: Progress
  /** The most bytes that are searched for a region that no option describes. Default: all. */
  probeLimit?: number
}

/** Told how many of how many bytes are done. */
export type Progress = (done: number, total: number) => void

/** Where in a file or device a store is, in bytes. */
export interface Whereabouts {
  mem_address?: number
  mem_size?: number
}

/**
 * A driver, as the registry knows it. Its methods are called with parameters of its own only.
 *
 * Findings are what its prober reports, Kept what a test of its memory does; never where it has none.
 */
export interface DriverModule<Parameters extends object, Findings = never, Kept = never> {
  /** What Linux calls the backend: its name where it was given no other. A SOURCE may begin with it, too. */
  readonly backend: string
  /** More names that a SOURCE may begin with. */
  readonly aliases?: readonly string[]
  /** What its sources are, for messages: `an ERST store`. */
  readonly store: string
  /** What can be said of its sources, with the help for it. */
  readonly parameters: ParameterTable
  /** @throws StoreError saying what is wrong with the source or its layout; nothing stays open */
  attach(path: string, options: Parameters & AttachHow): Driver
  /**
   * Make or wipe a store; absent where only firmware makes one.
   *
   * @param force wipe what is in it
   * @returns what was made, in lines: options that make it again; nothing where there is no more to say
   * @throws StoreError where the layout is not one that Linux takes, or the source holds something
   */
  format?(path: string, options: Parameters, force: boolean): string[] | void
  /**
   * Test whether a region's memory keeps its bytes: write a pattern, or say what is left of the one that is there. Absent
   * where the medium is a disk or firmware's.
   *
   * @param again write one also where one is
   * @param force write over whatever is there
   * @throws StoreError where it holds something, or cannot be read or written
   */
  testRetention?(
    path: string,
    options: Parameters & AttachHow,
    how: { readonly again: boolean; readonly force: boolean },
  ): Kept
  /** Find stores that nobody described; absent where there is no layout to find out. */
  probe?(path: string, options: Whereabouts & AttachHow): Findings
  /**
   * Is a source surely this driver's? Absent: nothing tells. May throw a StoreError.
   *
   * @param head its first bytes, at most {@link headLength}; empty for a folder
   * @param where the store is in the source
   */
  recognises?(
    head: Buffer,
    stat: { readonly isDirectory: boolean },
    path: string,
    where: Whereabouts,
  ): boolean
  /** What else a file could be to this driver, and what to do then; null: nothing. May throw a StoreError. */
  resembles?(head: Buffer, path: string): string | null
  /**
   * What is known of a store as a whole; null where there is none. Absent where {@link probe} says it.
   *
   * @throws StoreError where it cannot be read
   */
  describe?(path: string, options: Whereabouts & AttachHow): StoreFacts | null
}

/** A store as `probe` shows it. */
export interface StoreFacts {
  readonly facts: { readonly [name: string]: string | number }
  readonly evidence: readonly string[]
  /** Options that say what is found out; absent where none are needed. */
  readonly options?: string
}

/** Bytes of a source that tell a driver. */
export const headLength = 2 ** 16

/** The first bytes of a store. @throws StoreError where they cannot be read */
export const headOf = (path: string, where: Whereabouts = {}): Buffer => {
  const region = openRegion(path, { ...where, readOnly: true })
  try {
    return region.load(0, Math.min(region.length, headLength))
  } finally {
    region.close()
  }
}

/**
 * The region that the options name in a source. What its reader must know of the source is reported.
 *
 * @throws StoreError as a Region does, where the source is of a form that has to be converted, and (EROFS) where
 *   `readOnly: false` says that it is to be written and it is of one that is only read
 */
export const openRegion = (path: string, options: Whereabouts & AttachHow): Region => {
  const { mem_address, mem_size, readOnly, map = false, progress } = options
  const region = new Region(path, {
    readOnly: readOnly === true,
    map,
    ...(progress && { progress }),
    ...(mem_address === undefined ? {} : { offset: mem_address }),
    ...(mem_size === undefined ? {} : { length: mem_size }),
  })
  try {
    if (readOnly === false && region.kind !== null) throw region.refusal
    if (region.offset === 0) refuseForeign(region)
    for (const line of region.notes) options.report?.(`${path}: ${line}`)
    return region
  } catch (error) {
    region.close()
    throw error
  }
}

/** Refuse a file whose bytes are those of another form, and no region's. */
const refuseForeign = (region: Region): void => {
  if (!statOf(region.path, region.fd).isFile()) return
  let head: Buffer
  try {
    head = region.load(0, Math.min(region.length, foreignHead))
  } catch (error) {
    // A bad sector there hides no record elsewhere.
    assertStoreError(error)
    return
  }
  const form = foreignForm(head)
  if (form) throw new StoreError(`${region.path}: ${form}`)
}

/** Make a driver of a region, which is closed where that fails. What is doubtful of the one is so of the other. */
export const onRegion = <D extends Driver>(region: Region, make: (region: Region) => D): D => {
  try {
    const driver = make(region)
    const { doubts } = region
    if (doubts.length > 0) {
      const own = driver.doubts.bind(driver)
      driver.doubts = () => [...doubts, ...own()]
    }
    return driver
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
  // Whatever is in it: a file of another form may be wiped, too.
  const region = new Region(path, { readOnly: true, offset: options.mem_address ?? 0 })
  region.close()
  return region.length
}
