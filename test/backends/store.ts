/** Drivers by themselves, as stores: for tests that make their media by hand. */
import type { Driver } from '#src/pstore/driver.js'
import { Store } from '#src/pstore/store.js'
import { ftraceTextWith } from '#src/decoders/ftrace.js'

/** A store without symbols. */
export const storeOf = (driver: Driver, name: string): Store =>
  new Store(name, driver, ftraceTextWith())
