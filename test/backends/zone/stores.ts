/** Stores for the tests of pstore/zone, and how the tests look at them. */
import path from 'node:path'
import type { Test } from 'tap'
import { ZoneDriver } from '#src/backends/zone/driver.js'
import { makeZones } from '#src/backends/zone/mkfs.js'
import { makeZoneLayout, type ZoneLayout, type ZoneParameters } from '#src/backends/zone/layout.js'
import { ftraceTextWith } from '#src/decoders/ftrace.js'
import { loadSymbols } from '#src/decoders/kallsyms.js'
import type { NewRecord } from '#src/pstore/backend.js'
import { StoreError, type ErrorCode } from '#src/pstore/errors.js'
import { Region } from '#src/region/region.js'
import { fixtureFolder, type Fixture } from '../../fixtures.js'
import { folder } from '../../program.js'
import type { FtraceText } from '#src/pstore/ftrace.js'
import type { Backend } from '#src/pstore/backend.js'
import { Store } from '#src/pstore/store.js'

export const ftrace: FtraceText = ftraceTextWith(
  loadSymbols(path.join(fixtureFolder, 'kallsyms.gz')),
)

/** A fixture's layout, whose sizes are KiB. */
export const layoutOf = ({ layout }: Pick<Fixture, 'layout'>): ZoneLayout => {
  const { kmsg_size = 0, pmsg_size = 0, console_size = 0, ftrace_size = 0, cpus = 1 } = layout
  return makeZoneLayout(
    {
      kmsg_size: kmsg_size << 10,
      pmsg_size: pmsg_size << 10,
      console_size: console_size << 10,
      ftrace_size: ftrace_size << 10,
      cpus,
    },
    layout.mem_size,
  )
}

/** Three places for dumps behind a ring of each kind. */
export const small: ZoneParameters = {
  kmsg_size: 4096,
  pmsg_size: 4096,
  console_size: 4096,
  tty_size: 4096,
  ftrace_size: 4096,
  cpus: 2,
}

/** An empty store in a file of the test's own. */
export const make = (
  t: Test,
  parameters: ZoneParameters = small,
  size = 7 * 4096,
): { path: string; layout: ZoneLayout } => {
  const path = `${folder(t)}/disk.img`
  const layout = makeZoneLayout(parameters, size)
  makeZones(path, layout)
  return { path, layout }
}

export const attach = (t: Test, path: string, layout: ZoneLayout, readOnly = false): Backend => {
  const backend = new Store(
    'pstore_blk',
    new ZoneDriver(new Region(path, { readOnly }), layout),
    ftrace,
  )
  t.teardown(() => backend.close())
  return backend
}

export const names = (backend: Backend): string[] =>
  Array.from(backend.records(), ({ name }) => name)

/** A record's bytes as text, a character a byte. */
export const textOf = (backend: Backend, name: string): string =>
  backend.find(name)!.read().toString('latin1')

export const dump = (text: string, sec: bigint, more: Partial<NewRecord> = {}): NewRecord => ({
  type: 'dmesg',
  bytes: Buffer.from(text),
  time: { sec, nsec: 0 },
  ...more,
})

/** What is done must fail with a StoreError of this errno. */
export const throws = (t: Test, errno: ErrorCode, work: () => unknown): void => {
  try {
    work()
    t.fail(`no ${errno}`)
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    t.equal(error.code, errno, error.message)
  }
}

/** Where a store's bytes are. */
export const regionOf = (backend: Backend): Region => {
  const { driver } = backend as Store
  if (!(driver instanceof ZoneDriver)) throw new TypeError('no pstore/zone store')
  return driver.region
}
