/** The registry of drivers. Adding one is a folder, and a line here. */
import { efi } from './efi/index.js'
import { erst } from './erst/index.js'
import type { DriverModule } from './module.js'
import { ramoops } from './ramoops/index.js'
import type { Findings } from './ramoops/probe/found.js'
import { zone } from './zone/index.js'

const known = { ramoops, zone, efi, erst }

/** The parameters of all drivers together. */
export type DriverParameters = Intersection<ParametersOf<(typeof known)[keyof typeof known]>>
type ParametersOf<Module> =
  Module extends DriverModule<infer Parameters, Findings> ? Parameters : never
type Intersection<Union> = (Union extends unknown ? (of: Union) => void : never) extends (
  of: infer All,
) => void
  ? All
  : never

/** A driver, when it is not known which. */
export type RegisteredDriver = DriverModule<DriverParameters, Findings>

/** The drivers, by the names that a SOURCE begins with. The first is that of a source that names none. */
export const drivers: { readonly [driver: string]: RegisteredDriver } = known

export type { AttachHow, Progress, Whereabouts } from './module.js'
export { parseSize, type Parameter } from '../pstore/parameters.js'
export type { Findings, FoundRegion } from './ramoops/probe/found.js'
