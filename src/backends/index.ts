/** The registry of drivers. Adding one is a folder, and a line here. */
import { isFolder } from '../native/open.js'
import { efi } from './efi/index.js'
import { erst } from './erst/index.js'
import { isFileOrDisk } from '../native/stdin.js'
import { assertStoreError } from '../pstore/errors.js'
import { headOf, type DriverModule, type Whereabouts } from './module.js'
import { ramoops } from './ramoops/index.js'
import { records } from './records/index.js'
import type { Findings } from './ramoops/probe/found.js'
import type { RetentionTest } from './ramoops/retention/index.js'
import { zone } from './zone/index.js'

const known = { ramoops, zone, efi, erst, records }

/** The parameters of all drivers together. */
export type DriverParameters = Intersection<ParametersOf<(typeof known)[keyof typeof known]>>
type ParametersOf<Module> =
  Module extends DriverModule<infer Parameters, Findings, RetentionTest> ? Parameters : never
type Intersection<Union> = (Union extends unknown ? (of: Union) => void : never) extends (
  of: infer All,
) => void
  ? All
  : never

/** A driver, when it is not known which. */
export type RegisteredDriver = DriverModule<DriverParameters, Findings, RetentionTest>

/** Who is asked first: one look at the first bytes costs less than a search. */
const inTurn = ['erst', 'efi', 'records', 'zone'] as const satisfies (keyof typeof known)[]

/** The drivers, by the names that a SOURCE begins with. The first is that of a source that names none. */
export const drivers: { readonly [driver: string]: RegisteredDriver } = known

/** What of a source tells its driver: the first bytes, of a file or a disk. Null: nothing tells. */
const headIfAny = (path: string, where: Whereabouts): Buffer | null => {
  try {
    return isFileOrDisk(path) ? headOf(path, where) : null
  } catch {
    // Attaching it says what is wrong.
    return null
  }
}

/**
 * Find out whose a source is by its content, which is only read.
 *
 * @returns a driver's name; null where nothing tells for sure, as of ramoops, whose prober searches all of it
 */
export const recognise = (path: string, where: Whereabouts = {}): string | null => {
  const isDirectory = isFolder(path)
  const head = isDirectory ? Buffer.alloc(0) : headIfAny(path, where)
  if (!head) return null
  const is = ({ recognises }: RegisteredDriver): boolean => {
    try {
      return recognises?.(head, { isDirectory }, path, where) === true
    } catch (error) {
      assertStoreError(error)
      return false
    }
  }
  return inTurn.find(driver => is(drivers[driver]!)) ?? null
}

/** What a file looks like that no driver recognises, and what to do then; null: nothing. */
export const likenessOf = (path: string): string | null => {
  const head = isFolder(path) ? null : headIfAny(path, {})
  if (!head) return null
  try {
    for (const { resembles } of Object.values(drivers)) {
      const like = resembles?.(head, path)
      if (like) return like
    }
  } catch (error) {
    assertStoreError(error)
  }
  return null
}

export type { AttachHow, Progress, StoreFacts, Whereabouts } from './module.js'
export type { RamoopsParameters } from './ramoops/parameters.js'
export type { ZoneRun } from './ramoops/zone-list.js'
export { parseSize, type Parameter } from '../pstore/parameters.js'
export type { Findings, FoundRegion } from './ramoops/probe/found.js'
export type { Retained, RetentionTest } from './ramoops/retention/index.js'
