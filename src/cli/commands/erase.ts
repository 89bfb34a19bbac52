/** `pstorefs erase`: erase records, as unlink does in a mount. */
import type { CommandModule } from 'yargs'
import type { Backend, StoredRecord } from '../../pstore/backend.js'
import { StoreError } from '../../pstore/errors.js'
import { withoutControls } from '../../pstore/printable.js'
import { describeUnreadable } from '../../pstore/unreadable.js'
import { oneLine, tell } from '../../service/log.js'
import { namesHelp, recordsNamed, type SourceAndNames } from '../options/named-records.js'
import { attachToRead, withSource } from '../options/source.js'
import { ask, isAsked } from '../show/ask.js'
import { print } from '../show/output.js'

interface Args extends SourceAndNames {
  all: boolean
  yes: boolean
}

const details =
  'Erases records for good, each only while it is the one that was looked at. A name in short or a pattern has to ' +
  'stand for all that it matches: `dmesg` is refused where there are several dumps. Those that were not named in ' +
  'full are printed once they are erased. --all asks on a terminal first; elsewhere it erases at once.'

/** The exit code where a record is not erased. */
const failedExit = 1

export const erase: CommandModule<object, Args> = {
  command: 'erase <source> [names..]',
  describe: 'erase records for good',
  builder: argv =>
    withSource(argv)
      .usage(`$0 erase SOURCE NAME… [options]\n$0 erase SOURCE --all [options]\n\n${details}`)
      .positional('names', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe: namesHelp,
      })
      .option('all', { type: 'boolean', default: false, describe: 'all records' })
      .option('yes', {
        alias: 'y',
        type: 'boolean',
        default: false,
        describe: 'with --all: do not ask',
      })
      .check(({ names, all, yes }) => {
        if (names.length > 0 && all) return 'Give NAMES or --all, not both'
        if (yes && !all) return '--yes needs --all'
        return (
          names.length > 0 ||
          all ||
          'erase: NAME is missing, e.g. pstorefs erase region.img dmesg-0'
        )
      })
      .example('$0 erase dump.bin dmesg-ramoops-0 --record-size 64K', '')
      .example("$0 erase dump.bin 'dmesg*'", 'all dumps'),
  handler: args => {
    const backend = attachToRead(args, { readOnly: false })
    try {
      // All or nothing: a missing name stops the command before it erases.
      const records = args.all ? allOf(backend) : recordsNamed(backend, args, 'refused')
      if (args.all && records.length === 0) tell(`${args.source}: has no record to erase`)
      else if (!args.all || args.yes || isAgreed(args.source, records)) eraseAll(records, args)
      else process.exitCode = failedExit
    } finally {
      backend.close()
    }
  },
}

const allOf = (backend: Backend): StoredRecord[] => {
  const unreadable = new Set<string>()
  const records = [
    ...backend.records(what => {
      unreadable.add(what.name)
      tell(`${describeUnreadable(what)}: not erased`)
      process.exitCode = failedExit
    }),
  ]
  return records.filter(({ name }) => !unreadable.has(name))
}

/** Whether all may go: asked of whoever sits at a terminal. */
const isAgreed = (source: string, records: readonly StoredRecord[]): boolean => {
  if (!isAsked()) return true
  const names = records.map(({ name }) => `  ${withoutControls(name)}\n`).join('')
  const what = records.length === 1 ? '1 record' : `${records.length} records`
  return ask(`${names}Erase ${what} of ${withoutControls(source)} for good? [y/N] `)
}

/** One that cannot be erased keeps none of the others. */
const eraseAll = (records: readonly StoredRecord[], { names }: Args): void => {
  const erased: string[] = []
  for (const record of records) {
    const { name } = record
    try {
      if (!record.erase()) throw new StoreError(`${name}: replaced by another dump; not erased`)
      if (!names.includes(name)) erased.push(`${oneLine(name)}: erased\n`)
    } catch (error) {
      // What is read-only is so for all.
      if (!(error instanceof StoreError) || error.code === 'EROFS') throw error
      tell(error.message)
      process.exitCode = failedExit
    }
  }
  print(erased)
}
