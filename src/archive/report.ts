/** The report of one crash: the files of its folder, its manifest, and its summary. */
import { diagnose, linesOf, type Diagnosis } from '../crash/diagnosis.js'
import { describeMissing, type Crash } from '../crash/grouping.js'
import { longestText, textOf } from '../crash/text.js'
import { thisHost } from '../native/host.js'
import type { Backend, StoredRecord } from '../pstore/backend.js'
import { faultsOf } from '../pstore/condition.js'
import type { Unreadable } from '../pstore/unreadable.js'
import { contentOf, Tail, type Content } from '../pstore/content.js'
import { withoutControls } from '../pstore/printable.js'
import { assertStoreError } from '../pstore/errors.js'
import { now, printTime, type Timespec } from '../pstore/time.js'
import { describeRecord, originOf, type ArchivedFile } from './folder.js'
import type { ArchivedRecord, Manifest } from './manifest.js'

/** A record and its bytes, of one moment. */
interface Copy {
  record: StoredRecord
  content: Content
  described: ArchivedRecord
}

const copyOf = (backend: Backend, { name }: StoredRecord): Copy | null => {
  const opened = backend.open(name)
  return opened && { ...opened, described: describeRecord(opened.record, opened.content) }
}

/**
 * What a crash's folder is called.
 *
 * @param backend where an archive has those of several
 */
export const crashName = (
  { reason, count }: Pick<Crash, 'reason' | 'count'>,
  time: Timespec | null,
  backend: string | null = null,
): string =>
  `${iso(time) ?? 'no-time'}-${backend === null ? '' : `${backend}-`}${reason ?? 'no-dump'}-${count}`

/** Copies a crash's records, one in memory at a time, and says what they are. */
export class Report {
  readonly name: string
  /** The facts of the records that were copied, without their bytes. */
  readonly copies: Omit<Copy, 'content'>[] = []
  /** What cannot be read of the crash, and stays in the store. */
  readonly unreadable: Unreadable[]
  readonly #archived = now()
  readonly #title: string
  /** The ends of the dumps' text, and of the console's. */
  readonly #dumps = new Tail(longestText)
  readonly #console = new Tail(longestText)
  #diagnosis: Diagnosis | null = null

  /** @param isNamed the backend is in the folder's name */
  constructor(
    readonly backend: Backend,
    readonly crash: Crash,
    readonly kept: boolean,
    isNamed = false,
  ) {
    const { time, reason, count } = crash
    this.unreadable = [...crash.unreadable]
    this.#title = reason === null ? 'no dump' : `${reason} ${count}`
    this.name = crashName(crash, time ?? this.#archived, isNamed ? backend.name : null)
  }

  /** @param isKnown true for a copy that an earlier run made, too */
  *files(isKnown: (copy: Copy) => boolean): Generator<ArchivedFile, void, void> {
    for (const one of [...this.crash.dumps, ...this.crash.rings]) {
      const copy = this.#copy(one)
      if (!copy || isKnown(copy)) continue
      const { record, content, described } = copy
      this.copies.push({ record, described })
      yield { name: record.name, content }
      const salvaged = record.compressed ? this.backend.survey.salvage(record.name) : null
      if (salvaged?.length) yield { name: `${record.name}.salvaged.txt`, content: salvaged }
      if (record.type === 'dmesg' && !record.compressed)
        this.#dumps.add(textOf(record, content, described.size))
      if (record.type === 'console') this.#console.add(textOf(record, content, described.size))
    }
    // A summary quotes a crashed machine: its text must not drive the reader's terminal.
    const summary = Buffer.from(withoutControls(this.#summary()))
    if (this.copies.length > 0) yield { name: 'summary.txt', content: contentOf(summary) }
  }

  /** Null where there is no such record any more, or it cannot be read. */
  #copy(record: StoredRecord): Copy | null {
    try {
      return copyOf(this.backend, record)
    } catch (error) {
      assertStoreError(error)
      const { type, id, name, time } = record
      this.unreadable.push({ type, id, name, time, error })
      return null
    }
  }

  /** Call it after {@link files} has given all files. */
  #diagnose(): Diagnosis {
    const text = this.#dumps.bytes()
    const { after } = this.crash
    return (this.#diagnosis ??= diagnose(text.length ? text : this.#console.bytes(), after))
  }

  /** Call it after {@link files} has given all files. */
  manifest(): Omit<Manifest, 'order'> {
    const { reason, time } = this.crash
    const { cause, kind, title, fingerprint, kernel } = this.#diagnose()
    return {
      archived: printTime(this.#archived),
      reason,
      time: time && printTime(time),
      cause,
      kind,
      title,
      fingerprint,
      kernel,
      missing: describeMissing(this.crash) || null,
      after: this.crash.after,
      host: thisHost(),
      ...originOf(this.backend),
      kept: this.kept,
      records: this.copies.map(({ described }) => described),
      unreadable: this.unreadable.map(({ name }) => name),
    }
  }

  #summary(): string {
    const { title, cause, fingerprint, kernel, uptime } = this.#diagnose()
    const { source, offset } = originOf(this.backend)
    const missing = describeMissing(this.crash)
    const facts: [string, string][] = [
      ['crash', this.#title],
      ['time', iso(this.crash.time) ?? 'not known'],
      ['cause', cause ?? 'not said'],
      ['title', title ?? 'not known'],
      ['hash', fingerprint ?? 'not known'],
      ['kernel', kernel ?? 'not said'],
      ['uptime', uptime === null ? 'not said' : `${uptime} s`],
      ...(this.crash.dumps.length > 1 || missing
        ? [['parts', `${this.crash.dumps.length}${missing && `: ${missing}`}`] as [string, string]]
        : []),
      ['source', `${source}${offset ? ` at 0x${offset.toString(16)}` : ''}`],
      ['backend', this.backend.name],
      ['archived', iso(this.#archived)!],
    ]
    const console = this.copies.some(({ record }) => record.type === 'console')
    const last = lastLines(console ? this.#console.bytes() : this.#dumps.bytes())
    return (
      facts.map(([name, value]) => `${name.padEnd(10)}${value}\n`).join('') +
      `\n${this.#recordLines().join('')}` +
      (last.length
        ? `\nlast lines of the ${console ? 'console' : 'dump'}\n  ${last.join('\n  ')}\n`
        : '')
    )
  }

  /** The records' names, sizes and states, in columns. */
  #recordLines(): string[] {
    const rows = [
      ...this.copies.map(({ record, described }) => [
        record.name,
        `${described.size}`,
        faultsOf(record).join(', '),
      ]),
      ...this.unreadable.map(({ name }) => [name, '-', 'cannot be read: not in this archive']),
    ]
    const width = (column: number): number =>
      rows.reduce((width, row) => Math.max(width, row[column]!.length), 0)
    const [nameWidth, sizeWidth] = [width(0), width(1)]
    return rows.map(([name, size, state]) => {
      const columns = [name!.padEnd(nameWidth), size!.padStart(sizeWidth), state]
      return `${columns.join('  ').trimEnd()}\n`
    })
  }
}

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
