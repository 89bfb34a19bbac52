/** An archive that is kept by itself: --watch, and what is pruned. */
import fs from 'node:fs'
import type { Argv } from 'yargs'
import { ArchiveFolder } from '../../archive/folder.js'
import { Pruner } from '../../archive/prune.js'
import type { Listener } from '../../archive/run.js'
import { parseSize } from '../../backends/index.js'
import { watchStores } from '../../lookout/lookout.js'
import { Pruning } from '../../lookout/pruning.js'
import { StoreError } from '../../pstore/errors.js'
import { chosen } from '../../pstore/select.js'
import { tell } from '../../service/log.js'
import type { SourceCandidate } from '../../service/plan.js'
import { isSent, usedChannels } from '../../ship/marks.js'
import { parametersOf } from './parameters.js'
import { LiveSending } from './live-sending.js'
import type { SendingArgs } from './sending.js'
import { LiveTextfile } from './textfile.js'
import { parseAge } from './since.js'
import { configured, findSource, refuseStandardInput, type SourcesArgs } from './source.js'

export interface KeepingArgs {
  keep: boolean
  watch: boolean
  'keep-last': number | undefined
  'max-size': number | undefined
  'max-age': number | undefined
}

const atLeastOne = (option: string, text: string): number => {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new StoreError(`${option}: ${text}: is no number from 1 on`)
  return Number(text)
}

/** Offer --watch, and bounds for the archive. */
export const keepingOptions = <T>(argv: Argv<T>): Argv<T & Omit<KeepingArgs, 'keep'>> =>
  argv
    .option('watch', {
      type: 'boolean',
      default: false,
      describe: 'archive each crash as it comes, until SIGTERM',
    })
    .option('keep-last', {
      type: 'string',
      requiresArg: true,
      coerce: (text: string) => atLeastOne('--keep-last', text),
      describe: 'prune: keep so many crashes, the ones archived last',
    })
    .option('max-size', {
      type: 'string',
      requiresArg: true,
      coerce: (text: string) => parseSize('--max-size', text),
      describe: 'prune: keep so many bytes of crashes, and the last one: 1G',
    })
    .option('max-age', {
      type: 'string',
      requiresArg: true,
      coerce: parseAge,
      describe: 'prune: keep a crash for so long: 12h, 30d, 4w',
    })

/** Why these options cannot be; true: they can. */
export const checkKeeping = (args: KeepingArgs): true | string =>
  !args.keep ||
  !isPruned(args) ||
  '--keep leaves the records in their store, from where they would come again: prune without it'

const isPruned = (args: KeepingArgs): boolean =>
  [args['keep-last'], args['max-size'], args['max-age']].some(bound => bound !== undefined)

/** Null where there are no bounds. What an archive sends is not pruned before it was sent by all ways. */
const prunerOf = (args: KeepingArgs): Pruner | null =>
  isPruned(args)
    ? new Pruner(
        { keepLast: args['keep-last'], maxSize: args['max-size'], maxAge: args['max-age'] },
        (archive, crash) => usedChannels(archive).every(channel => isSent(crash, channel)),
      )
    : null

/** Prune an archive, once, where there is one. */
export const pruneIn = (dir: string, args: KeepingArgs, say: Listener['say']): void => {
  const pruner = prunerOf(args)
  if (!pruner || !fs.existsSync(dir)) return
  const archive = new ArchiveFolder(dir, tell)
  try {
    pruner.prune(archive, say, tell)
  } finally {
    archive.close()
  }
}

/** The backends that are looked after: those that cannot be attached yet, too. */
const candidatesOf = (args: SourcesArgs): readonly SourceCandidate[] => {
  if (args.source !== undefined) {
    refuseStandardInput(args.source)
    return [findSource(args.source, args.config, parametersOf({ ...args }))]
  }
  return chosen(configured(args), [args.backend ?? 'all'].flat().join())
}

/** Lines that are not said again until all has been sent. */
const remembered = 64

/**
 * Archive what crashes until the process is told to end.
 *
 * @throws StoreError where it cannot be begun
 */
export const watchInto = (
  args: SourcesArgs & KeepingArgs & SendingArgs,
  dir: string,
  say: Listener['say'],
): Promise<never> => {
  // Refused now where it can never be used; the archive last, as it is made.
  candidatesOf(args)
  new ArchiveFolder(dir, tell).close()
  const told = new Set<string>()
  const tellOnce = (line: string): void => {
    if (told.has(line) || told.size === remembered) return
    told.add(line)
    tell(line)
  }
  const pruner = prunerOf(args)
  const { textfile } = args
  const numbers = textfile === undefined ? null : new LiveTextfile(textfile, dir, tellOnce)
  const sayPruned: Listener['say'] = (folder, what) => {
    numbers?.changed()
    say(folder, what)
  }
  const pruning = pruner && new Pruning(dir, pruner, sayPruned, tellOnce)
  const sending = new LiveSending(dir, args, tellOnce, isAll => {
    if (isAll) told.clear()
    numbers?.changed()
    pruning?.soon()
  })
  return watchStores({
    dir,
    how: { keep: args.keep, isNamed: args.source === undefined, isLive: true },
    candidates: () => candidatesOf(args),
    say,
    made: () => sending.soon(),
    states: records => numbers?.states(records),
  })
}
