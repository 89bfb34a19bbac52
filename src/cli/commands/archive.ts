/** `pstorefs archive`: move records out of a store, one folder a crash; list and show such an archive. */
import path from 'node:path'
import type { CommandModule } from 'yargs'
import { ArchiveFolder, entriesOf, type Entry } from '../../archive/folder.js'
import { Report } from '../../archive/report.js'
import { crashesOf } from '../../crash/grouping.js'
import type { Backend, StoredRecord } from '../../pstore/backend.js'
import { readWhole } from '../../native/open.js'
import { StoreError } from '../../pstore/errors.js'
import { count, describeCut } from '../../pstore/condition.js'
import { tell } from '../../service/log.js'
import { json } from '../show/output.js'
import { table } from '../show/table.js'
import { terminalFilter, withoutControls } from '../../pstore/printable.js'
import { attachSources, maybeSources, type SourcesArgs } from '../options/source.js'

/** Bytes: a summary quotes some lines of each record. */
const largestSummary = 2 ** 26

interface Args extends SourcesArgs {
  dir: string | undefined
  keep: boolean
  'all-backends': boolean
  list: string | undefined
  show: string | undefined
  json: boolean
}

const details =
  "Moves a store's records into DIR, one folder a crash. The parts of a dump stay together; the console " +
  'and the other rings go with the newest crash. A folder holds the records as a mount shows them, ' +
  'records.json, and summary.txt with the reason, the kernel, the cause and the last lines of the console. ' +
  'A record is erased once its copy is on the disk; the next run finishes one that was killed.'

export const archive: CommandModule<object, Args> = {
  command: 'archive [source] [dir]',
  describe: 'move records out of a store, one folder a crash',
  builder: argv =>
    maybeSources(argv)
      .usage(
        '$0 archive SOURCE DIR [options]\n$0 archive --all-backends DIR [options]\n' +
          `$0 archive --list DIR\n$0 archive --show DIR/CRASH\n\n${details}`,
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
        describe: 'archive every configured backend that attaches (--backend all)',
      })
      .option('list', {
        type: 'string',
        requiresArg: true,
        describe: 'list the crashes in an archive',
      })
      .option('show', {
        type: 'string',
        requiresArg: true,
        describe: 'print the summary of a crash',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'with --list: print JSON, an array',
      })
      .check(args => {
        const { source, dir, list, show, json } = args
        if (list !== undefined && show !== undefined) return 'Give --list or --show, not both'
        if (json && list === undefined) return '--json needs --list'
        if (list !== undefined || show !== undefined)
          return source === undefined || '--list and --show take no SOURCE'
        if (isSeveral(args))
          return (
            (source !== undefined && dir === undefined) ||
            'Give DIR alone: --backend says what is archived'
          )
        return dir !== undefined || 'Give SOURCE and DIR'
      })
      .example('$0 archive region.img /var/log/crashes --record-size 64K', '')
      .example('$0 archive --config guests.toml --all-backends /var/log/crashes', '')
      .example('$0 archive --list /var/log/crashes', ''),
  handler: args => {
    if (args.list !== undefined) list(args.list, args.json)
    else if (args.show !== undefined) show(args.show)
    else if (isSeveral(args))
      // DIR is the only argument, so yargs calls it SOURCE.
      archiveAll({ ...args, source: undefined, backend: args.backend ?? 'all' }, args.source!)
    else archiveAll(args, args.dir!)
  },
}

const isSeveral = (args: Pick<Args, 'all-backends' | 'backend'>): boolean =>
  args['all-backends'] || args.backend !== undefined

const archiveAll = (args: Args, dir: string): void => {
  const { keep } = args
  const backends = attachSources(args, { readOnly: keep })
  try {
    if (!keep && backends.every(({ readOnly }) => readOnly)) throw refusal(backends[0]!)
    const folder = new ArchiveFolder(dir)
    try {
      let failed = 0
      for (const backend of backends)
        try {
          archiveOne(backend, folder, keep)
        } catch (error) {
          if (!(error instanceof StoreError) || backends.length === 1) throw error
          tell(`backend ${backend.name}: ${error.message}`)
          failed++
        }
      if (failed) throw new StoreError(`${failed} of ${backends.length} backends were not archived`)
    } finally {
      folder.close()
    }
  } finally {
    for (const backend of backends) backend.close()
  }
}

const refusal = ({ identity: { path } }: Backend): StoreError =>
  new StoreError(`${path}: cannot be written; use --keep, which changes nothing in it`, 'EROFS')

const archiveOne = (backend: Backend, folder: ArchiveFolder, keep: boolean): void => {
  if (backend.readOnly && !keep) throw refusal(backend)
  const say = (name: string, what: string): void => {
    process.stdout.write(`${path.join(folder.folder, name)}: ${what}\n`)
  }
  if (!keep) for (const name of folder.resume(backend)) say(name, 'finished')
  const isKept = folder.kept(backend)
  const title = (record: StoredRecord): Buffer => record.open().slice(0, longestTitle)
  const parts = backend.capacity('dmesg')?.parts ?? false
  for (const crash of crashesOf(backend.records(), parts, title)) {
    const report = new Report(backend, crash, keep)
    const files = report.files(({ described }) => keep && isKept(described))
    const first = files.next()
    if (first.done) continue
    const all = (function* () {
      yield first.value
      yield* files
    })()
    const { folder: made, left } = folder.add(report.name, all, () => report.manifest(), backend)
    const { length } = report.copies
    say(made, count(length, 'record'))
    for (const { record } of report.copies)
      if (record.cut) tell(describeCut(record.name, record.cut))
    for (const name of left)
      tell(`${name}: changed while being archived; copied to ${made}, not erased`)
  }
}

/** The start of a record that is read for its title, in bytes. */
const longestTitle = 128

const list = (dir: string, asJson: boolean): void => {
  const entries = entriesOf(dir)
  if (asJson) {
    process.stdout.write(`${json(entries.map(toJson))}\n`)
    return
  }
  const rows = entries.map(({ folder, pending, manifest }) => [
    folder,
    manifest.backend,
    `${manifest.records.length}`,
    `${manifest.cause ?? ''}${pending ? ` (unfinished; run archive ${manifest.source} again)` : ''}`,
  ])
  process.stdout.write(withoutControls([...table(rows, [2])].join('')))
}

const toJson = ({ folder, pending, manifest }: Entry) => ({ folder, pending, ...manifest })

const show = (folder: string): void => {
  const file = path.join(folder, 'summary.txt')
  let summary: Buffer
  try {
    summary = readWhole(file, largestSummary)
  } catch {
    throw new StoreError(`${folder}: not an archived crash; see archive --list DIR`, 'ENOENT')
  }
  process.stdout.write(process.stdout.isTTY ? terminalFilter()(summary, true) : summary)
}
