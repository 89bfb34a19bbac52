/** `pstorefs archive`: move records out of a store, one folder a crash. */
import fs from 'node:fs'
import type { CommandModule } from 'yargs'
import { ArchiveFolder } from '../../archive/folder.js'
import { archiveBackend, recordsIn, refusal, type Listener } from '../../archive/run.js'
import { standardInput } from '../../native/stdin.js'
import type { Backend } from '../../pstore/backend.js'
import { assertStoreError, StoreError, UncertainLayout } from '../../pstore/errors.js'
import type { Failure } from '../../pstore/select.js'
import { describeFailure } from '../../service/attached.js'
import { allDoubtsOf } from '../../service/doubts.js'
import { log, oneLine, tell } from '../../service/log.js'
import {
  checkKeeping,
  keepingOptions,
  pruneIn,
  watchInto,
  type KeepingArgs,
} from '../options/keeping.js'
import { checkSending, sendFrom, sendingOptions, type SendingArgs } from '../options/sending.js'
import { writeTextfile } from '../options/textfile.js'
import { printLine } from '../show/output.js'
import {
  attachCandidate,
  attachSources,
  maybeSources,
  type SourcesArgs,
} from '../options/source.js'

interface Args extends SourcesArgs, SendingArgs, KeepingArgs {
  dir: string | undefined
  'all-backends': boolean
}

const details =
  "Moves a store's records into DIR, one folder a crash: its dumps, the console and the other rings of its life, " +
  'records.json and summary.txt. A record is erased once its copy is on the disk; the next run finishes one that was ' +
  'killed. A record that cannot be read is named and stays in the store, and the exit code is 1.'

export const archive: CommandModule<object, Args> = {
  command: 'archive [source] [dir]',
  describe: 'move records out of a store, one folder a crash',
  builder: argv =>
    sendingOptions(keepingOptions(maybeSources(argv)))
      .usage(
        '$0 archive SOURCE DIR [options]\n' +
          `$0 archive --all-backends DIR [options]\n\n${details}`,
      )
      .positional('dir', { type: 'string', describe: "the archive's folder; made if missing" })
      .option('keep', {
        type: 'boolean',
        default: false,
        describe: 'erase nothing; copy only records that are new or changed',
      })
      .option('all-backends', {
        type: 'boolean',
        default: false,
        describe: 'all configured backends that attach (--backend all)',
      })
      .check(args => {
        const { source, dir } = args
        if (args.redact && args.otlp === undefined) return '--redact needs --otlp'
        if ([source, dir].at(dir === undefined ? 0 : 1) === standardInput)
          return 'DIR is a folder: ./- if it is called so'
        if (isSeveral(args))
          return source === undefined || dir !== undefined
            ? 'Give DIR alone: --backend says what is archived'
            : checkKeeping(args)
        return dir === undefined ? 'Give SOURCE and DIR' : checkKeeping(args)
      })
      .example('$0 archive region.img /var/lib/crashes --record-size 64K', '')
      .example('$0 archive --config guests.toml --all-backends /var/lib/crashes', '')
      .example('$0 archive --all-backends /var/lib/crashes --watch --keep-last 1000', ''),
  handler: async args => {
    // Where DIR is the only argument yargs calls it SOURCE.
    const dir = isSeveral(args) ? args.source! : args.dir!
    const several = { ...args, source: undefined, backend: args.backend ?? 'all' }
    const chosen: Args = isSeveral(args) ? several : args
    checkSending(args)
    if (args.watch) await watchInto(chosen, dir, listener.say)
    const numbers = { waiting: new Map<string, number>(), unattached: [] }
    await takeAll([
      () => archiveAll(chosen, dir, numbers),
      async () => {
        if (!(await sendFrom(dir, args)).isAll) process.exitCode = incompleteExit
      },
      () => pruneIn(dir, args, listener.say),
      () => {
        if (args.textfile !== undefined && fs.existsSync(dir))
          writeTextfile(args.textfile, dir, numbers)
      },
    ])
  },
}

/** Take the steps of a run. One that fails keeps no other from being taken; why is told, once where several say so. */
const takeAll = async (steps: readonly (() => void | Promise<void>)[]): Promise<void> => {
  const told = new Set<string>()
  for (const step of steps)
    try {
      await step()
    } catch (error) {
      assertStoreError(error)
      if (!told.has(error.message)) tell(error.message)
      told.add(error.message)
      process.exitCode = incompleteExit
    }
}

const isSeveral = (args: Pick<Args, 'all-backends' | 'backend'>): boolean =>
  args['all-backends'] || args.backend !== undefined

/**
 * Attach what is to be archived; for reading only where the layout is guessed, so that nothing may be moved, and there
 * is no record to move: what `archive` has emptied tells less than what it found.
 *
 * @param emptied gets those
 */
const attachToMove =
  (emptied: Set<Backend>): typeof attachCandidate =>
  (candidate, how) => {
    try {
      return attachCandidate(candidate, how)
    } catch (error) {
      if (!(error instanceof UncertainLayout)) throw error
      const backend = attachCandidate(candidate, { ...how, readOnly: true })
      if (recordsIn(backend) > 0 || backend.doubts().length > 0) {
        backend.close()
        throw error
      }
      emptied.add(backend)
      return backend
    }
  }

/** @param numbers gets what there is to count */
const archiveAll = (
  args: Args,
  dir: string,
  numbers: { waiting: Map<string, number>; unattached: string[] },
): void => {
  const { keep } = args
  const isNamed = args.source === undefined
  const told = (failures: readonly Failure[]): void => {
    for (const failure of failures) tell(describeFailure(failure))
    if (failures.length > 0) process.exitCode = incompleteExit
    numbers.unattached = failures.map(({ name }) => name)
  }
  const emptied = new Set<Backend>()
  const backends = attachSources(args, { readOnly: keep }, told, attachToMove(emptied))
  try {
    for (const line of backends.flatMap(allDoubtsOf)) tell(line)
    for (const { name } of emptied) numbers.waiting.set(name, 0)
    const moved = backends.filter(backend => !emptied.has(backend))
    if (!keep && moved[0] && moved.every(({ readOnly }) => readOnly)) throw refusal(moved[0])
    const folder = new ArchiveFolder(dir, tell)
    try {
      let failed = 0
      let made = 0
      for (const backend of moved)
        try {
          const { folders, isWhole } = archiveBackend(backend, folder, { keep, isNamed }, listener)
          made += folders.length
          if (!isWhole) process.exitCode = incompleteExit
          if (args.textfile !== undefined) numbers.waiting.set(backend.name, recordsIn(backend))
        } catch (error) {
          if (!(error instanceof StoreError) || backends.length === 1) throw error
          tell(`backend ${backend.name}: ${error.message}`)
          failed++
        }
      if (failed) throw new StoreError(`${failed} of ${backends.length} backends were not archived`)
      if (made === 0 && process.exitCode === undefined)
        log('info', `${dir}: nothing new to archive`)
    } finally {
      folder.close()
    }
  } finally {
    for (const backend of backends) backend.close()
  }
}

/** The exit code where a store cannot be attached, something of it cannot be read or erased, or a later step fails. */
const incompleteExit = 1

const listener: Listener = {
  say: (folder, what) => {
    printLine(oneLine(`${folder}: ${what}`))
  },
  tell,
}
