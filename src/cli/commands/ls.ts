/** `pstorefs ls`: list the records, without FUSE. */
import type { CommandModule } from 'yargs'
import type { Backend, StoredRecord } from '../../pstore/backend.js'
import { describeUnreadable, type Unreadable } from '../../pstore/unreadable.js'
import { count, faultsOf, type Condition } from '../../pstore/condition.js'
import { log, tell } from '../../service/log.js'
import { jsonArray, print, printJson } from '../show/output.js'
import { isHidden } from '../options/hidden.js'
import {
  fromEach,
  heading,
  placesOf,
  withSeveral,
  type Opened,
  type SeveralArgs,
} from '../options/several.js'
import { table, type Look } from '../show/table.js'
import { printTime } from '../../pstore/time.js'
import { timeColumn, when } from '../show/time.js'

interface Args extends SeveralArgs {
  json: boolean
  all: boolean
}

/** The exit code where a record cannot be read. */
const unreadableExit = 1

/**
 * A record's state for people: `ok` where nothing was found to be wrong.
 *
 * @param hasParity false where nothing would tell of a wrong bit
 */
const state = (record: StoredRecord, hasParity: boolean): string =>
  faultsOf(record).join(', ') || (hasParity ? 'ok' : 'no parity')

/** Whether a zone holds something that no file shows, or that was erased. */
const isDropped = ({ record, used, state, remains }: Condition): boolean =>
  record === null && (used > 0 || state === 'damaged' || remains !== null)

/** Bytes of what no file shows. */
const sizeOf = ({ used, remains }: Condition): number => remains?.bytes ?? used

const droppedToJson = ({ backend, shown }: Opened, place: Condition) => ({
  backend: backend.name,
  source: shown,
  type: place.type,
  id: /-(\d+)(\.\d+)?$/.exec(place.name)?.[1] ?? '0',
  name: place.name,
  size: sizeOf(place),
  mtime: place.dump?.time ? printTime(place.dump.time) : null,
  compressed: place.dump?.compressed ?? false,
  ecc: place.parity && { corrected: place.parity.corrected, bad: place.parity.bad },
  state: place.state === 'erased' ? 'erased' : 'dropped',
  why: place.findings.join('; '),
})

const rowOf = (r: StoredRecord, hasParity: boolean): string[] => [
  r.name,
  String(r.size),
  when(r.time),
  state(r, hasParity),
]

/** Whether a store could tell of a wrong bit; the formats of others than ramoops are not judged by it. */
const hasParity = ({ survey: { facts } }: Backend): boolean => facts['ecc'] !== 0

/** The list on a terminal: what is damaged stands out, and what was mended. */
const look = (): Look => ({
  header: ['name', 'size', timeColumn(), 'state'],
  styleOf: ([, , , state = '']) =>
    /^(?:ok|no parity)$/.test(state)
      ? null
      : /^(?:\S+ bytes? corrected|erased)$/.test(state)
        ? 'yellow'
        : 'red',
})

const droppedRow = (place: Condition): string[] => [
  place.name,
  String(sizeOf(place)),
  when(place.dump?.time ?? null),
  `${place.state === 'erased' ? '' : 'dropped: '}${place.findings.join('; ')}`,
]

export const ls: CommandModule<object, Args> = {
  command: 'ls [sources..]',
  describe: 'list the records in a region: name, size, time, state',
  builder: argv =>
    withSeveral(argv, 'ls')
      .option('all', {
        alias: 'a',
        type: 'boolean',
        default: false,
        describe:
          'also list what no file shows: broken and lost headers, empty dumps, what was erased and is still there (see cat --raw)',
      })
      .option('json', { type: 'boolean', default: false, describe: 'print JSON, an array' })
      .example('$0 ls dump.bin --record-size 64K --console-size 256K', '')
      .example('$0 ls --config guests.toml --backend all', '')
      .example('$0 ls ram.img --mem-address 0x8000000 --mem-size 1M --record-size 32K --ecc 1', ''),
  handler: args => {
    const places = placesOf(args)
    const isAlone = places.length === 1
    const shown = args.all ? { state: 'shown', why: '' } : {}
    if (args.json)
      printJson(
        jsonArray(
          fromEach(places, opened =>
            entriesOf<object>(
              opened,
              { all: args.all, isAlone: false },
              record => ({ source: opened.shown, ...record.toJSON(), ...shown }),
              place => droppedToJson(opened, place),
            ),
          ),
        ),
      )
    else
      print(
        fromEach(places, function* (opened) {
          yield heading(places, opened.shown)
          const parity = hasParity(opened.backend)
          const row = (record: StoredRecord) => rowOf(record, parity)
          const entries = entriesOf(opened, { all: args.all, isAlone }, row, droppedRow)
          yield* table(entries, [1], look())
        }),
      )
  },
}

/**
 * Entries for all records that can be read, and with `all` for the zones that no file shows. Where there is neither,
 * that is told, unless more was told of the layout: of damage that hides something always, else where `isAlone`, as
 * nothing would be printed.
 */
function* entriesOf<T>(
  { backend, shown, isDoubted }: Opened,
  { all, isAlone }: { all: boolean; isAlone: boolean },
  ofRecord: (record: StoredRecord) => T,
  ofDropped: (place: Condition) => T,
): Generator<T, void, void> {
  let found = 0
  const told = (what: Unreadable): void => {
    found++
    tell(describeUnreadable(what))
    process.exitCode = unreadableExit
  }
  for (const record of backend.records(told)) {
    found++
    yield ofRecord(record)
  }
  if (found > 0 && !all) return
  let hidden = 0
  let dropped = 0
  for (const place of backend.survey.conditions(false)) {
    if (isHidden(place)) hidden++
    if (!isDropped(place)) continue
    dropped++
    if (all) yield ofDropped(place)
  }
  if (found > 0 || (all && dropped > 0) || isDoubted) return
  if (hidden > 0)
    tell(`${shown}: no record, but ${count(hidden, 'zone')} with what no file shows: see ls --all`)
  else if (isAlone)
    log('info', `${shown}: no record${dropped > 0 ? ': see ls --all for what was there' : ''}`)
}
