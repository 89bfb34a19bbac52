/** What commands that take a source and names of records share. */
import type { Argv } from 'yargs'
import type { Backend, Record } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
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

/** The records that were named; throws where one of them is not there. */
export const recordsNamed = (backend: Backend, { source, names }: SourceAndNames): Record[] =>
  names.map(name => {
    const record = backend.record(name)
    if (!record) throw new StoreError(`${source}: has no record ${name}`, 'ENOENT')
    return record
  })
