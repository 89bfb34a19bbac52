/** Commands that take a source and names of records. */
import type { Argv } from 'yargs'
import type { Backend, StoredRecord } from '../../pstore/backend.js'
import { StoreError } from '../../pstore/errors.js'
import type { Ring } from '../../pstore/ring.js'
import type { RecordType } from '../../pstore/types.js'
import { withSource, type SourceArgs } from './source.js'

export interface SourceAndNames extends SourceArgs {
  names: string[]
}

export const withSourceAndNames = (argv: Argv): Argv<SourceAndNames> =>
  withSource(argv).positional('names', {
    type: 'string',
    array: true,
    demandOption: true,
    describe: 'as `pstorefs ls` prints them',
  })

/** The named records; throws where one of them is missing. */
export const recordsNamed = (backend: Backend, { source, names }: SourceAndNames): StoredRecord[] =>
  names.map(name => {
    const record = backend.find(name)
    if (record) return record
    const hint = backend.survey.raw(name)?.length
      ? ': no file shows what is there (see ls --all, cat --raw)'
      : ''
    throw new StoreError(`${source}: has no record ${name}${hint}`, 'ENOENT')
  })

/** The named rings, empty ones too; throws where one of them is missing. */
export const ringsNamed = (backend: Backend, { source, names }: SourceAndNames): Ring[] => {
  const rings = backend.rings()
  const there = rings.map(({ name }) => name).join(', ') || 'none'
  return names.map(name => {
    const ring = rings.find(ring => ring.name === name)
    if (ring) return ring
    if (backend.find(name))
      throw new StoreError(`${name}: cannot be followed, only rings can; use \`pstorefs cat\``)
    throw new StoreError(`${source}: has no ring ${name}: there is ${there}`, 'ENOENT')
  })
}

/** Refuse `--android` for anything but pmsg. */
export const requirePmsg = (chosen: readonly { name: string; type: RecordType }[]): void => {
  for (const { name, type } of chosen)
    if (type !== 'pmsg') throw new StoreError(`${name}: --android: only pmsg holds Android's log`)
}
