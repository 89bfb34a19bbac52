/** `pstorefs archive`: move records out of a store, one folder a crash; list and show such an archive. */
import fs from 'node:fs'
import path from 'node:path'
import type { CommandModule } from 'yargs'
import { crashesOf, diagnose, linesOf, type Crash } from '../frontends/crash.js'
import type { Backend, Record } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import { now, type Timespec } from '../pstore/time.js'
import {
  ArchiveFolder,
  describeRecord,
  entriesOf,
  originOf,
  type ArchivedFile,
  type ArchivedRecord,
  type Entry,
  type Manifest,
} from './archive-folder.js'
import { tell } from './errors.js'
import { table } from './table.js'
import { terminalFilter } from './terminal.js'
import { formatTime } from './time.js'
import { attachSources, maybeSources, type SourcesArgs } from './source.js'

interface Args extends SourcesArgs {
  dir: string | undefined
  keep: boolean
  'all-backends': boolean
  list: string | undefined
  show: string | undefined
  json: boolean
}

const details =
  "Moves a store's records into DIR, one folder a crash: dumps' parts together, and what the console and " +
  'the other rings hold with the newest. Each folder has the records as a mount shows them, records.json, ' +
  'and summary.txt with the reason, the kernel, the line that says why, and the last lines of the console. ' +
  'A record is erased once its copy is on the disk; a run that was killed is finished by the next.'

export const archive: CommandModule<object, Args> = {
  command: 'archive [source] [dir]',
  describe: 'move records out of a store, one folder a crash',
  builder: argv =>
    maybeSources(argv)
      .usage(
        '$0 archive SOURCE DIR [options]\n$0 archive --all-backends DIR [options]\n' +
          `$0 archive --list DIR\n$0 archive --show DIR/CRASH\n\n${details}`,
      )
      .positional('dir', { type: 'string', describe: 'where to; made where there is none' })
      .option('keep', {
        type: 'boolean',
        default: false,
        describe: 'erase nothing; what did not change since is not copied again',
      })
      .option('all-backends', {
        type: 'boolean',
        default: false,
        describe: 'every backend of the config file that attaches (--backend all)',
      })
      .option('list', {
        type: 'string',
        requiresArg: true,
        describe: 'the crashes that an archive holds',
      })
      .option('show', { type: 'string', requiresArg: true, describe: "a crash's summary" })
      .option('json', { type: 'boolean', default: false, describe: 'with --list: an array' })
      .check(args => {
        const { source, dir, list, show, json } = args
        if (list !== undefined && show !== undefined) return '--list or --show: one of them'
        if (json && list === undefined) return '--json: with --list'
        if (list !== undefined || show !== undefined)
          return source === undefined || '--list and --show take nothing else'
        if (isSeveral(args))
          return (
            (source !== undefined && dir === undefined) ||
            'Give DIR alone: the configured backends are what is archived'
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
      // What stands where SOURCE would is DIR.
      archiveAll({ ...args, source: undefined, backend: args.backend ?? ['all'] }, args.source!)
    else archiveAll(args, args.dir!)
  },
}

const isSeveral = (args: Pick<Args, 'all-backends' | 'backend'>): boolean =>
  args['all-backends'] || args.backend !== undefined

const archiveAll = (args: Args, dir: string): void => {
  const { keep } = args
  const backends = attachSources(args, { readOnly: keep })
  try {
    if (!keep && backends.every(({ readOnly }) => readOnly)) throw refusal(backends[0])
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
      if (failed) throw new StoreError(`${failed} of ${backends.length} backends: not archived`)
    } finally {
      folder.close()
    }
  } finally {
    for (const backend of backends) backend.close()
  }
}

const refusal = ({ path }: Backend): StoreError =>
  new StoreError(`${path}: cannot be written: --keep leaves it as it is`, 'EROFS')

const archiveOne = (backend: Backend, folder: ArchiveFolder, keep: boolean): void => {
  if (backend.readOnly && !keep) throw refusal(backend)
  const say = (name: string, what: string): void => {
    process.stdout.write(`${path.join(folder.folder, name)}: ${what}\n`)
  }
  if (!keep) for (const name of folder.resume(backend)) say(name, 'finished')
  const isKept = folder.kept(backend)
  const read = (record: Record): Buffer => backend.read(record)
  for (const crash of crashesOf(backend.records(), backend.parts, read)) {
    const copies = [...crash.dumps, ...crash.rings]
      .map(record => copyOf(backend, record))
      .filter((copy): copy is Copy => copy !== null && !(keep && isKept(copy.described)))
    if (copies.length === 0) continue
    const archived = now()
    const { name, manifest, files } = describe(backend, crash, copies, archived, keep)
    const { folder: made, left } = folder.add(name, manifest, files, backend)
    say(made, `${copies.length} ${copies.length === 1 ? 'record' : 'records'}`)
    for (const name of left)
      tell(`${name}: was written to meanwhile: its copy is in ${made}, and it stays in the store`)
  }
}

/** A record and its bytes, of one moment. */
interface Copy {
  record: Record
  bytes: Buffer
  described: ArchivedRecord
}

/** How often a record that is written to is read again, for a copy that agrees with its facts. */
const attempts = 3

const copyOf = (backend: Backend, { name }: Record): Copy | null => {
  for (let attempt = 1; ; attempt++) {
    const record = backend.record(name)
    if (!record) return null
    const bytes = backend.read(record)
    if (attempt < attempts && backend.record(name)?.version !== record.version) continue
    return { record, bytes, described: describeRecord(record, bytes) }
  }
}

/** What a crash's folder is called, and what goes into it. */
const describe = (
  backend: Backend,
  { time, reason, count }: Crash,
  copies: readonly Copy[],
  archived: Timespec,
  kept: boolean,
): { name: string; manifest: Manifest; files: ArchivedFile[] } => {
  const isDump = ({ record }: Copy): boolean => record.type === 'dmesg'
  const readable = copies.filter(copy => isDump(copy) && !copy.record.compressed)
  const text = Buffer.concat(readable.map(copy => withoutTitle(textOf(copy))))
  const consoleCopy = copies.find(({ record }) => record.type === 'console')
  const console = consoleCopy && textOf(consoleCopy)
  const diagnosis = diagnose(text.length ? text : (console ?? text))
  const manifest: Manifest = {
    archived: formatTime(archived),
    reason,
    time: time && formatTime(time),
    cause: diagnosis.cause,
    ...originOf(backend),
    kept,
    records: copies.map(({ described }) => described),
  }
  const salvaged = copies.flatMap(({ record }): ArchivedFile[] => {
    const bytes = record.compressed ? backend.salvage(record.name)?.all() : null
    return bytes?.length ? [{ name: `${record.name}.salvaged.txt`, bytes }] : []
  })
  const title = reason === null ? 'no dump' : `${reason} ${count}`
  const facts: [string, string][] = [
    ['crash', title],
    ['time', iso(time) ?? 'not known'],
    ['cause', diagnosis.cause ?? 'not said'],
    ['kernel', diagnosis.kernel ?? 'not said'],
    ['uptime', diagnosis.uptime === null ? 'not said' : `${diagnosis.uptime} s`],
    [
      'source',
      `${manifest.source}${manifest.offset ? ` at 0x${manifest.offset.toString(16)}` : ''}`,
    ],
    ['backend', backend.name],
    ['archived', iso(archived)!],
  ]
  const rows = copies.map(({ record, bytes }) => [record.name, `${bytes.length}`, stateOf(record)])
  const last = lastLines(console ?? text)
  const summary =
    facts.map(([name, value]) => `${name.padEnd(10)}${value}\n`).join('') +
    `\n${table(rows, [1])}` +
    (last.length
      ? `\nlast lines of the ${console ? 'console' : 'dump'}\n  ${last.join('\n  ')}\n`
      : '')
  return {
    name: `${iso(time ?? archived) ?? 'no-time'}-${title.replace(' ', '-')}${reason === null ? '-1' : ''}`,
    manifest,
    files: [
      ...copies.map(({ record: { name }, bytes }) => ({ name, bytes })),
      ...salvaged,
      // Whoever prints it prints what a crashed machine wrote.
      { name: 'summary.txt', bytes: Buffer.from(terminalFilter()(Buffer.from(summary))) },
    ],
  }
}

/** What the machine itself said: without what a region with parity has put after it. */
const textOf = ({ record, bytes }: Copy): Buffer =>
  record.ecc ? bytes.subarray(0, bytes.lastIndexOf('\nECC: ')) : bytes

const withoutTitle = (text: Buffer): Buffer => text.subarray(text.indexOf(0x0a) + 1)

const stateOf = ({ compressed, ecc }: Record): string =>
  compressed
    ? 'cannot be inflated'
    : ecc?.bad
      ? `${ecc.bad} blocks damaged`
      : ecc?.corrected
        ? `${ecc.corrected} bytes corrected`
        : ''

/** How many lines a summary quotes. */
const quoted = 20

const lastLines = (text: Buffer): string[] =>
  linesOf(text)
    .filter(line => line.trim() !== '')
    .slice(-quoted)

/** `2026-11-23T04:05:06Z`; null where there is no time, or no calendar has it. */
const iso = (time: Timespec | null): string | null => {
  const date = new Date(time ? Number(time.sec) * 1000 : NaN)
  return Number.isNaN(date.getTime()) ? null : date.toISOString().replace('.000', '')
}

const list = (dir: string, json: boolean): void => {
  const entries = entriesOf(dir)
  if (json) {
    process.stdout.write(`${JSON.stringify(entries.map(toJson), null, 1)}\n`)
    return
  }
  const filter = terminalFilter()
  const rows = entries.map(({ folder, pending, manifest }) => [
    folder,
    manifest.backend,
    `${manifest.records.length}`,
    `${manifest.cause ?? ''}${pending ? ` (not finished: archive ${manifest.source} again)` : ''}`,
  ])
  process.stdout.write(filter(Buffer.from(table(rows, [2]))))
}

const toJson = ({ folder, pending, manifest }: Entry) => ({ folder, pending, ...manifest })

const show = (folder: string): void => {
  const file = path.join(folder, 'summary.txt')
  let summary: Buffer
  try {
    summary = fs.readFileSync(file)
  } catch {
    throw new StoreError(
      `${folder}: no crash of an archive: --list DIR says what there is`,
      'ENOENT',
    )
  }
  process.stdout.write(process.stdout.isTTY ? terminalFilter()(summary) : summary)
}
