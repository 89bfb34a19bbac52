/** `pstorefs ls`: list the records, without FUSE. */
import type { CommandModule } from 'yargs'
import type { Backend, StoredRecord } from '../../pstore/backend.js'
import type { Condition } from '../../pstore/condition.js'
import { jsonArray, print, printJson } from '../show/output.js'
import { attachSource, withSource, type SourceArgs } from '../options/source.js'
import { table } from '../show/table.js'
import { printTime } from '../../pstore/time.js'
import { when } from '../show/time.js'

interface Args extends SourceArgs {
  json: boolean
  all: boolean
}

/** A record as `--json` shows it (pstorefs(8)). */
const toJson = (
  backend: string,
  { type, id, name, size, time, compressed, ecc }: StoredRecord,
) => ({
  backend,
  type,
  id: String(id),
  name,
  size,
  mtime: time && printTime(time),
  compressed,
  ecc,
})

/** A record's state for people. */
const state = ({ compressed, ecc, cut }: StoredRecord): string =>
  [
    compressed ? 'cannot be inflated' : '',
    ecc?.corrected ? `${ecc.corrected} bytes corrected` : '',
    ecc?.bad ? `${ecc.bad} blocks damaged` : '',
    cut ? `${cut} bytes cut` : '',
  ]
    .filter(Boolean)
    .join(', ') || 'ok'

/** Whether a zone holds something that no file shows. */
const isDropped = ({ record, used, state }: Condition): boolean =>
  record === null && (used > 0 || state === 'damaged')

const droppedToJson = (backend: string, place: Condition) => ({
  backend,
  type: place.type,
  id: /\d+$/.exec(place.name)?.[0] ?? '0',
  name: place.name,
  size: place.used,
  mtime: place.dump?.time ? printTime(place.dump.time) : null,
  compressed: place.dump?.compressed ?? false,
  ecc: place.parity && { corrected: place.parity.corrected, bad: place.parity.bad },
  state: 'dropped',
  why: place.findings.join('; '),
})

const rowOf = (r: StoredRecord): string[] => [r.name, String(r.size), when(r.time), state(r)]

const droppedRow = ({ name, used, dump, findings }: Condition): string[] => [
  name,
  String(used),
  when(dump?.time ?? null),
  `dropped: ${findings.join('; ')}`,
]

export const ls: CommandModule<object, Args> = {
  command: 'ls <source>',
  describe: 'list the records in a region: name, size, time, state',
  builder: argv =>
    withSource(argv)
      .option('all', {
        alias: 'a',
        type: 'boolean',
        default: false,
        describe: 'also list zones that no file shows: broken headers, empty dumps (see cat --raw)',
      })
      .option('json', { type: 'boolean', default: false, describe: 'print JSON, an array' })
      .example('$0 ls dump.bin --record-size 64K --console-size 256K', '')
      .example('$0 ls ram.img --mem-address 0x8000000 --mem-size 1M --record-size 32K --ecc 1', ''),
  handler: args => {
    const backend = attachSource(args, { readOnly: true })
    const { name } = backend
    const shown = args.all ? { state: 'shown', why: '' } : {}
    let failure: unknown = null
    const entries = <T>(
      ofRecord: (record: StoredRecord) => T,
      ofDropped: (place: Condition) => T,
    ) => entriesOf(backend, args.all, ofRecord, ofDropped, error => (failure = error))
    try {
      if (args.json)
        printJson(
          jsonArray(
            entries<object>(
              record => ({ ...toJson(name, record), ...shown }),
              place => droppedToJson(name, place),
            ),
          ),
        )
      else print(table(entries(rowOf, droppedRow), [1]))
      // The readable records have been shown by now.
      if (failure !== null) throw failure
    } finally {
      backend.close()
    }
  },
}

/**
 * Entries for all records, and with `all` for the zones that no file shows.
 *
 * @param failed gets the error of records that cannot be read; where no record can be read, it is thrown
 */
function* entriesOf<T>(
  backend: Backend,
  all: boolean,
  ofRecord: (record: StoredRecord) => T,
  ofDropped: (place: Condition) => T,
  failed: (error: unknown) => void,
): Generator<T, void, void> {
  let any = false
  try {
    for (const record of backend.records()) {
      yield ofRecord(record)
      any = true
    }
  } catch (error) {
    if (!any) throw error
    failed(error)
  }
  if (all)
    for (const place of backend.survey.conditions(false))
      if (isDropped(place)) yield ofDropped(place)
}
