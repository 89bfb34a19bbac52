/** `pstorefs archive`: move records out of a store, one folder a crash; list and show such an archive. */
import fs from 'node:fs'
import path from 'node:path'
import type { CommandModule } from 'yargs'
import {
  crashesOf,
  diagnose,
  linesOf,
  longestText,
  type Crash,
  type Diagnosis,
} from '../../crash/crash.js'
import type { Backend, StoredRecord } from '../../pstore/backend.js'
import { contentOf, chunksFrom, Tail, type Content } from '../../pstore/content.js'
import { StoreError } from '../../pstore/errors.js'
import { count } from '../../pstore/condition.js'
import { now, type Timespec } from '../../pstore/time.js'
import {
  ArchiveFolder,
  describeRecord,
  entriesOf,
  originOf,
  type ArchivedFile,
  type ArchivedRecord,
  type Entry,
  type Manifest,
} from '../../archive/folder.js'
import { tell } from '../../service/log.js'
import { json } from '../show/output.js'
import { table } from '../show/table.js'
import { terminalFilter, withoutControls } from '../../pstore/printable.js'
import { printTime } from '../show/time.js'
import { attachSources, maybeSources, type SourcesArgs } from '../options/source.js'

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
  const title = (record: StoredRecord): Buffer => backend.open(record).slice(0, longestTitle)
  for (const crash of crashesOf(backend.records(), backend.parts, title)) {
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
    for (const name of left)
      tell(`${name}: was written to meanwhile: its copy is in ${made}, and it stays in the store`)
  }
}

/** How far into a record its title is looked for, in bytes. */
const longestTitle = 128

/** A record and its bytes, of one moment. */
interface Copy {
  record: StoredRecord
  content: Content
  described: ArchivedRecord
}

/** How often a record that is written to is read again, for a copy that agrees with its facts. */
const attempts = 3

const copyOf = (backend: Backend, { name }: StoredRecord): Copy | null => {
  for (let attempt = 1; ; attempt++) {
    const record = backend.record(name)
    if (!record) return null
    const content = backend.open(record)
    if (attempt < attempts && backend.record(name)?.version !== record.version) continue
    return { record, content, described: describeRecord(record, content) }
  }
}

/** What is said of a crash, and the files of its folder, one record in memory at a time. */
class Report {
  readonly name: string
  /** What has been copied: the records' facts, not their bytes. */
  readonly copies: Omit<Copy, 'content'>[] = []
  readonly #archived = now()
  readonly #title: string
  /** The ends of what the dumps say, and the console. */
  readonly #dumps = new Tail(longestText)
  readonly #console = new Tail(longestText)
  #diagnosis: Diagnosis | null = null

  constructor(
    readonly backend: Backend,
    readonly crash: Crash,
    readonly kept: boolean,
  ) {
    const { time, reason, count } = crash
    this.#title = reason === null ? 'no dump' : `${reason} ${count}`
    const number = reason === null ? '-1' : ''
    this.name = `${iso(time ?? this.#archived) ?? 'no-time'}-${this.#title.replace(' ', '-')}${number}`
  }

  /** @param isKnown of what has been copied before */
  *files(isKnown: (copy: Copy) => boolean): Generator<ArchivedFile, void, void> {
    for (const one of [...this.crash.dumps, ...this.crash.rings]) {
      const copy = copyOf(this.backend, one)
      if (!copy || isKnown(copy)) continue
      const { record, content, described } = copy
      this.copies.push({ record, described })
      yield { name: record.name, content }
      const salvaged = record.compressed ? this.backend.salvage(record.name) : null
      if (salvaged?.length) yield { name: `${record.name}.salvaged.txt`, content: salvaged }
      if (record.type === 'dmesg' && !record.compressed) this.#dumps.add(textOf(copy))
      if (record.type === 'console') this.#console.add(textOf(copy))
    }
    // Whoever prints it prints what a crashed machine wrote.
    const summary = Buffer.from(withoutControls(this.#summary()))
    if (this.copies.length > 0) yield { name: 'summary.txt', content: contentOf(summary) }
  }

  /** Once the files have been gone through. */
  #diagnose(): Diagnosis {
    const text = this.#dumps.bytes()
    return (this.#diagnosis ??= diagnose(text.length ? text : this.#console.bytes()))
  }

  /** Once the files are written. */
  manifest(): Manifest {
    const { reason, time } = this.crash
    return {
      archived: printTime(this.#archived),
      reason,
      time: time && printTime(time),
      cause: this.#diagnose().cause,
      ...originOf(this.backend),
      kept: this.kept,
      records: this.copies.map(({ described }) => described),
    }
  }

  #summary(): string {
    const { cause, kernel, uptime } = this.#diagnose()
    const { source, offset } = originOf(this.backend)
    const facts: [string, string][] = [
      ['crash', this.#title],
      ['time', iso(this.crash.time) ?? 'not known'],
      ['cause', cause ?? 'not said'],
      ['kernel', kernel ?? 'not said'],
      ['uptime', uptime === null ? 'not said' : `${uptime} s`],
      ['source', `${source}${offset ? ` at 0x${offset.toString(16)}` : ''}`],
      ['backend', this.backend.name],
      ['archived', iso(this.#archived)!],
    ]
    const rows = this.copies.map(({ record, described }) => [
      record.name,
      `${described.size}`,
      stateOf(record),
    ])
    const console = this.copies.some(({ record }) => record.type === 'console')
    const last = lastLines(console ? this.#console.bytes() : this.#dumps.bytes())
    return (
      facts.map(([name, value]) => `${name.padEnd(10)}${value}\n`).join('') +
      `\n${[...table(rows, [1])].join('')}` +
      (last.length
        ? `\nlast lines of the ${console ? 'console' : 'dump'}\n  ${last.join('\n  ')}\n`
        : '')
    )
  }
}

/** What the machine itself said, at most {@link longestText} of its end: without its title, and what parity says. */
const textOf = ({ record, content, described: { size } }: Copy): Buffer => {
  const from = Math.max(0, size - longestText)
  const end = Buffer.concat([...chunksFrom(content, from)])
  const text = record.ecc ? end.subarray(0, end.lastIndexOf('\nECC: ')) : end
  return from === 0 && record.type === 'dmesg' ? text.subarray(text.indexOf(0x0a) + 1) : text
}

const stateOf = ({ compressed, ecc }: StoredRecord): string =>
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
    `${manifest.cause ?? ''}${pending ? ` (not finished: archive ${manifest.source} again)` : ''}`,
  ])
  process.stdout.write(withoutControls([...table(rows, [2])].join('')))
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
  process.stdout.write(process.stdout.isTTY ? terminalFilter()(summary, true) : summary)
}
