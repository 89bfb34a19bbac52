/** `pstorefs check`: every zone of a store, and what is wrong with it. */
import type { CommandModule } from 'yargs'
import { badBlock, correctedBlock, type Place } from '../pstore/place.js'
import { formatTime } from './time.js'
import { attachSource, withSource, type SourceArgs } from './source.js'

interface Args extends SourceArgs {
  json: boolean
  verbose: boolean
}

/** What {@link check} exits with where something is damaged. */
const damagedExit = 1

const blocksThat = ({ blocks }: { blocks: Uint8Array }, state: number): number[] => {
  const found: number[] = []
  for (let at = blocks.indexOf(state); at >= 0; at = blocks.indexOf(state, at + 1)) found.push(at)
  return found
}

/** A place as `--json` shows it. */
export const placeToJson = ({ parity, dump, ...place }: Place) => ({
  ...place,
  ecc: parity && {
    corrected: parity.corrected,
    bad: parity.bad,
    blocks: parity.blocks.length,
    corrected_blocks: blocksThat(parity, correctedBlock),
    bad_blocks: blocksThat(parity, badBlock),
  },
  dump: dump && { ...dump, time: dump.time && formatTime(dump.time) },
})

const line = ({ name, index, type, offset, state, findings }: Place): string =>
  [
    type === 'ftrace' ? `${name} (CPU ${index})` : name,
    ...(offset === null ? [] : [`0x${offset.toString(16)}`]),
    state,
    findings.join('; '),
  ]
    .filter(Boolean)
    .join('  ')

const details =
  "Looks at every zone: its header, the parity of each block, a dump's header and its deflate stream. " +
  'Prints what is damaged or was corrected (in a copy: nothing is changed), then how many are what. Exits ' +
  'with 0 where nothing is damaged, 1 where something is, 2 for wrong usage.'

export const check: CommandModule<object, Args> = {
  command: 'check <source>',
  describe: 'look for damage in every zone',
  builder: argv =>
    withSource(argv)
      .usage(`$0 check SOURCE [options]\n\n${details}`)
      .option('verbose', {
        alias: 'v',
        type: 'boolean',
        default: false,
        describe: 'the sound and empty ones, too',
      })
      .option('json', { type: 'boolean', default: false, describe: 'an object, for programs' })
      .example('$0 check dump.bin --record-size 64K --ecc 1', ''),
  handler: args => {
    const backend = attachSource(args, { readOnly: true })
    try {
      const places = [...backend.places()]
      const count = (state: Place['state']): number =>
        places.filter(place => place.state === state).length
      const counts = {
        sound: count('sound'),
        empty: count('empty'),
        unsigned: count('unsigned'),
        damaged: count('damaged'),
      }
      // A region without a single zone is not this one.
      const blank = places.length > 0 && counts.unsigned === places.length
      const damaged = counts.damaged > 0 || blank
      if (args.json) {
        const { name } = backend
        const report = { backend: name, damaged, counts, places: places.map(placeToJson) }
        process.stdout.write(`${JSON.stringify(report, null, 1)}\n`)
      } else {
        for (const place of places)
          if (args.verbose || place.findings.length) process.stdout.write(`${line(place)}\n`)
        const summary = Object.entries(counts).filter(([, n]) => n > 0)
        process.stdout.write(
          `${args.source}: ${summary.map(([state, n]) => `${n} ${state}`).join(', ') || 'empty'}` +
            `${blank ? ': no zone has a header: is the layout right?' : ''}\n`,
        )
      }
      if (damaged) process.exitCode = damagedExit
    } finally {
      backend.close()
    }
  },
}
