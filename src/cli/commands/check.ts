/** `pstorefs check`: look for damage in every zone of a store. */
import type { CommandModule } from 'yargs'
import { badBlock, correctedBlock, type Condition } from '../../pstore/condition.js'
import { arrayOf, json, jsonArray, jsonObject, print, printJson } from '../show/output.js'
import {
  fromEach,
  heading,
  placesOf,
  withSeveral,
  type Opened,
  type SeveralArgs,
} from '../options/several.js'
import { doubtsOf } from '../../service/doubts.js'
import { tell } from '../../service/log.js'
import { withoutControls } from '../../pstore/printable.js'
import { printTime } from '../../pstore/time.js'

interface Args extends SeveralArgs {
  json: boolean
  verbose: boolean
}

/** The exit code of {@link check} where something is damaged, or another store is there than was described. */
const damagedExit = 1

const blocksThat = ({ blocks }: { blocks: Uint8Array }, state: number): number[] => {
  const found: number[] = []
  for (let at = blocks.indexOf(state); at >= 0; at = blocks.indexOf(state, at + 1)) found.push(at)
  return found
}

/** A zone as `--json` shows it. */
export const conditionToJson = ({ parity, dump, ...place }: Condition) =>
  Object.assign(place, {
    ecc: parity && {
      corrected: parity.corrected,
      bad: parity.bad,
      blocks: parity.blocks.length,
      corrected_blocks: blocksThat(parity, correctedBlock),
      bad_blocks: blocksThat(parity, badBlock),
    },
    dump: dump && Object.assign({}, dump, { time: dump.time && printTime(dump.time) }),
  })

const line = ({ name, index, type, offset, state, findings }: Condition): string =>
  [
    type === 'ftrace' ? `${name} (CPU ${index})` : name,
    ...(offset === null ? [] : [`0x${offset.toString(16)}`]),
    state,
    findings.join('; '),
  ]
    .filter(Boolean)
    .join('  ')

const details =
  "Looks at every zone: its header, the parity of each block, a dump's header and its compressed stream. " +
  'Prints the zones with damage or corrected bytes, then totals by state. A header that is lost, or whose ' +
  'signature is a few bits off, is damage where something is behind it; what was erased and is still there is ' +
  'listed and counted, and no damage. A line on stderr tells where the layout is not that of the bytes. Corrections are made in a copy: ' +
  'the source is not changed. Exit codes: 0 no damage, 1 damage or another layout, 2 wrong usage.'

export const check: CommandModule<object, Args> = {
  command: 'check [sources..]',
  describe: 'look for damage in every zone',
  builder: argv =>
    withSeveral(argv, 'check')
      .usage(`$0 check SOURCE… [options]\n$0 check --backend NAMES [options]\n\n${details}`)
      .option('verbose', {
        alias: 'v',
        type: 'boolean',
        default: false,
        describe: 'print sound and empty zones, too',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'print JSON, an array: an object a source',
      })
      .example('$0 check dump.bin', ''),
  handler: args => {
    const places = placesOf(args)
    // That a source is another than was described is said after its zones.
    const each = <T>(look: (opened: Opened) => Iterable<T>): Generator<T, void, void> =>
      fromEach(places, look, { doubts: false })
    if (args.json) printJson(arrayOf(each(opened => [jsonObject(reportOf(opened))])))
    else
      print(
        each(function* (opened) {
          yield heading(places, opened.shown)
          yield* linesOf(args, opened)
        }),
      )
  },
}

type Counts = { [state in Condition['state']]: number }

/** Count zones by state as they pass by. */
function* counted(places: Iterable<Condition>, counts: Counts): Generator<Condition, void, void> {
  for (const place of places) {
    counts[place.state]++
    yield place
  }
}

/** Where no zone at all has a header, the region has another layout. */
const isBlank = ({ unsigned, ...others }: Counts): boolean =>
  unsigned > 0 && Object.values(others).every(n => n === 0)

const isDamaged = (counts: Counts): boolean => counts.damaged > 0 || isBlank(counts)

/** The zones, counted as they pass by, and what is known once they have. */
const lookInto = ({ backend }: Opened) => {
  const counts: Counts = { sound: 0, empty: 0, erased: 0, unsigned: 0, damaged: 0 }
  const places = counted(backend.survey.conditions(), counts)
  const end = (): readonly string[] => {
    const { against, unused } = doubtsOf(backend)
    // That no zone has a header the last line says.
    for (const line of isBlank(counts) ? against : [...against, ...unused]) tell(line)
    if (isDamaged(counts) || against.length > 0) process.exitCode = damagedExit
    return against
  }
  return { counts, places, end }
}

/** The members that `--json` prints. The counts come last: they are known once all zones have passed by. */
function* reportOf(opened: Opened): Generator<[string, Iterable<string>], void, void> {
  const { counts, places, end } = lookInto(opened)
  yield ['backend', [json(opened.backend.name)]]
  yield ['source', [json(opened.shown)]]
  yield ['places', jsonArray(places, conditionToJson)]
  yield ['counts', [json(counts)]]
  yield ['damaged', [json(isDamaged(counts))]]
  yield ['doubts', [json(end())]]
}

function* linesOf({ verbose }: Args, opened: Opened): Generator<string, void, void> {
  const { counts, places, end } = lookInto(opened)
  for (const place of places) if (verbose || place.findings.length) yield `${line(place)}\n`
  const summary = Object.entries(counts).filter(([, n]) => n > 0)
  yield (
    `${withoutControls(opened.shown)}: ${summary.map(([state, n]) => `${n} ${state}`).join(', ') || 'empty'}` +
    `${isBlank(counts) ? ': no zone has a header: is the layout right?' : ''}\n`
  )
  end()
}
