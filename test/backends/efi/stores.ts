/** Hand-made variable stores and folders, for tests. */
import fs from 'node:fs'
import path from 'node:path'
import type { Test } from 'tap'
import { attach, type AttachOptions, type Backend } from '#src/index.js'
import type { Store } from '#src/pstore/store.js'
import { EfiDriver } from '#src/backends/efi/driver.js'
import type { Variables } from '#src/backends/efi/variables.js'
import {
  alignVariable,
  encodeStoreHeader,
  encodeVariable,
  encodeVolumeHeader,
} from '#src/backends/efi/variable-store-format.js'
import { vendorGuid } from '#src/backends/efi/names.js'
import { StoreError, type ErrorCode } from '#src/pstore/errors.js'
import { file, folder } from '../../program.js'

export interface Made {
  name: string
  data?: Uint8Array | string
  vendor?: string
  state?: number
}

export interface MadeStore {
  bytes: Buffer
  /** Where each variable starts. */
  offsets: number[]
}

/** A volume with these variables, erased flash after them. */
export const makeStore = (
  variables: Made[],
  { authenticated = true, length = 64 * 1024 } = {},
): MadeStore => {
  const bytes = Buffer.alloc(length, 0xff)
  const volume = encodeVolumeHeader(length)
  const header = encodeStoreHeader({ authenticated, size: length - volume.length - 4096 })
  bytes.set(volume)
  bytes.set(header, volume.length)
  let at = volume.length + header.length
  const offsets = variables.map(({ data = 'text', vendor = vendorGuid, ...rest }) => {
    const made = encodeVariable({ data: Buffer.from(data), vendor, ...rest }, authenticated)
    const offset = at
    bytes.set(made, at)
    at = alignVariable(at + made.length)
    return offset
  })
  return { bytes, offsets }
}

/** Attach; closed when the test ends. */
export const attached = (t: Test, source: string, options: AttachOptions = {}): Backend => {
  const backend = attach(`efi:${source}`, options)
  t.teardown(() => backend.close())
  return backend
}

/** Where a store's variables come from. */
export const variablesOf = (backend: Backend): Variables => {
  const { driver } = backend as Store
  if (!(driver instanceof EfiDriver)) throw new TypeError('no EFI store')
  return driver.variables
}

/** Attach to a store's bytes. */
export const attachedTo = (t: Test, bytes: Uint8Array): Backend =>
  attached(t, file(t, bytes, 'VARS.fd'))

/** A folder with these files: attributes and data. */
export const makeFolder = (t: Test, files: { [name: string]: string | Uint8Array }): string => {
  const made = folder(t)
  for (const [name, data] of Object.entries(files))
    fs.writeFileSync(path.join(made, name), withAttributes(data))
  return made
}

export const withAttributes = (data: string | Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([7, 0, 0, 0]), Buffer.from(data)])

/** The errno with which something is refused; null where it is done. */
export const errnoOf = (work: () => void): ErrorCode | null => {
  try {
    work()
    return null
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return error.code
  }
}

/** File names and contents. */
export const shown = (backend: Backend): { [name: string]: string } =>
  Object.fromEntries(
    Array.from(backend.records(), record => [record.name, record.read().toString('latin1')]),
  )

/** The name of a dump's variable in efivarfs. */
export const varFile = (name: string): string => `${name}-${vendorGuid}`
