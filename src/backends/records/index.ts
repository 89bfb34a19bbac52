/** Records that were copied out of a pstore: a file, or a folder of them. */
import path from 'node:path'
import { isFolder } from '../../native/open.js'
import { StoreError } from '../../pstore/errors.js'
import type { FtraceParameters, ParameterTable } from '../../pstore/parameters.js'
import { zoneParameters } from '../../pstore/parameters.js'
import type { Endian } from '../../pstore/types.js'
import { headOf, type DriverModule } from '../module.js'
import { bareDumps, isDump, likeness } from './content.js'
import { holdsCopies, type Copy } from './copies.js'
import { RecordsDriver } from './driver.js'
import { decodePackedName } from './names.js'

export interface RecordsParameters extends FtraceParameters {
  // Of the machine that wrote ftrace's records. Default: as their bytes tell.
  endian?: Endian
}

/** The backend in the name of what has none. */
const backend = 'records'

/** The record that a file is a copy of, by its name or else by its first bytes; null where neither tells. */
const copyAt = (file: string, head: () => Buffer): Copy | null => {
  const says = decodePackedName(path.basename(file))
  if (says) return { ...says, file: null }
  return isDump(head())
    ? {
        type: 'dmesg',
        label: `dmesg-${backend}`,
        id: 0n,
        copy: null,
        compressed: false,
        file: null,
      }
    : null
}

export const records: DriverModule<RecordsParameters> = {
  backend,
  store: 'a copy of records',
  parameters: {
    endian: zoneParameters.endian,
    word_size: zoneParameters.word_size,
    kallsyms: zoneParameters.kallsyms,
  } satisfies ParameterTable<RecordsParameters>,
  attach: (source, options) => {
    const single = isFolder(source) ? null : copyAt(source, () => headOf(source))
    if (!isFolder(source) && !single)
      throw new StoreError(
        `${source}: its name is no record's (TYPE-BACKEND-ID), and its first line no dump's: ` +
          'give it the name that it had, e.g. dmesg-ramoops-0.enc.z, console-ramoops-0 or pmsg-ramoops-0',
      )
    const driver = new RecordsDriver(source, single, options)
    const { copies, notes } = driver.listing()
    if (copies.length === 0)
      throw new StoreError(
        `${source}: no file in it has a record's name (TYPE-BACKEND-ID, as dmesg-ramoops-0)`,
      )
    for (const note of notes) options.report?.(`${source}: ${note}`)
    return driver
  },
  format: source => {
    throw new StoreError(`${source}: copies of records are not made so: cp makes them`)
  },
  recognises: (head, { isDirectory }, source) =>
    isDirectory ? holdsCopies(source) : copyAt(source, () => head) !== null,
  resembles: head => {
    const dumps = bareDumps(head)
    if (dumps) return dumps
    const like = likeness(head)
    return like && `it looks like ${like.what}: name it ${like.name} (a link will do)`
  },
  describe: (source, options) => {
    const driver = records.attach(source, options)
    const { copies } = (driver as RecordsDriver).listing()
    const labels = [...new Set(copies.map(({ label }) => label))]
    return {
      facts: { records: copies.length },
      evidence: labels.map(
        label => `${label}: ${copies.filter(copy => copy.label === label).length}`,
      ),
    }
  },
}
