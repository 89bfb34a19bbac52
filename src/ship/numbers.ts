/** An archive in numbers, for node_exporter's textfile collector (Prometheus' text format). */
import path from 'node:path'
import { guarded, type Entry } from '../archive/entries.js'
import { Folder } from '../native/folder.js'
import { parseTime } from '../pstore/time.js'
import type { Channel } from './marks.js'

/** What a run knows besides the archive. */
export interface RunNumbers {
  /** For each backend that attached: the records that are still in its store. */
  readonly waiting: ReadonlyMap<string, number>
  /** The names of backends that could not be attached. */
  readonly unattached: readonly string[]
  /** For each way out that the archive uses: the crashes that wait for it. */
  readonly unsent: ReadonlyMap<Channel, number>
  /** When the run ended, in seconds since 1970. */
  readonly ended: number
}

interface Sample {
  readonly labels: { readonly [label: string]: string }
  readonly value: number
}

/** A label's value: a guest may have had a word in it. */
const quoted = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`

const gauge = (name: string, help: string, samples: readonly Sample[]): string =>
  [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} gauge`,
    ...samples.map(({ labels, value }) => {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}=${quoted(text)}`)
      return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`
    }),
    '',
  ].join('\n')

/** Crashes by backend and kind, and the newest of each backend. */
const tally = (entries: Iterable<Entry>): { crashes: Sample[]; newest: Sample[] } => {
  const crashes = new Map<string, Sample>()
  const newest = new Map<string, Sample>()
  for (const { manifest } of entries) {
    const { backend, reason, title, time, archived } = manifest
    const kind = reason ?? (title === null ? 'none' : 'report')
    const key = JSON.stringify([backend, kind])
    const value = (crashes.get(key)?.value ?? 0) + 1
    crashes.set(key, { labels: { backend, kind }, value })
    const at = kind === 'none' ? null : parseTime(time ?? archived)
    if (at && Number(at.sec) > (newest.get(backend)?.value ?? -Infinity))
      newest.set(backend, { labels: { backend }, value: Number(at.sec) })
  }
  return { crashes: [...crashes.values()], newest: [...newest.values()] }
}

const samples = (label: string, numbers: ReadonlyMap<string, number>): Sample[] =>
  [...numbers].map(([name, value]) => ({ labels: { [label]: name }, value }))

/** The text of all numbers. */
export const numbersOf = (entries: Iterable<Entry>, run: RunNumbers): string => {
  const { crashes, newest } = tally(entries)
  return [
    gauge(
      'pstorefs_archive_crashes',
      'Crashes in the archive; kind report: only a console tells; none: a life that did not crash.',
      crashes,
    ),
    gauge(
      'pstorefs_archive_newest_crash_timestamp_seconds',
      "When a backend's newest crash was.",
      newest,
    ),
    gauge(
      'pstorefs_records_waiting',
      'Records that a store still has after the run.',
      samples('backend', run.waiting),
    ),
    gauge(
      'pstorefs_backend_unattached',
      'Backends that could not be attached.',
      run.unattached.map(backend => ({ labels: { backend }, value: 1 })),
    ),
    gauge(
      'pstorefs_archive_unsent_crashes',
      'Crashes that wait to be sent.',
      samples('channel', run.unsent),
    ),
    gauge('pstorefs_archive_run_timestamp_seconds', 'When the last run ended.', [
      { labels: {}, value: run.ended },
    ]),
  ].join('')
}

/** Others read it, as node_exporter, which runs as a user of its own. */
const readable = 0o644

/**
 * Put a text in a file's place, which at any moment has the old text or the new one.
 *
 * @throws StoreError where the folder cannot be written
 */
export const writeNumbers = (file: string, text: string): void =>
  guarded(file, () => {
    const folder = Folder.any(path.dirname(file))
    try {
      folder.replace(path.basename(file), [Buffer.from(text)], readable)
    } finally {
      folder.close()
    }
  })
