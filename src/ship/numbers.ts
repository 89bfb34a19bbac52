/** An archive in numbers, for node_exporter's textfile collector (Prometheus' text format). */
import path from 'node:path'
import { entriesOf, guarded, type Entry } from '../archive/entries.js'
import { Folder } from '../native/folder.js'
import { parseTime } from '../pstore/time.js'
import { isCrash } from './crash.js'
import { usedChannels, type Channel } from './marks.js'
import { waitingIn } from './queue.js'

/** What a run knows of its backends. */
export interface BackendNumbers {
  /** For each backend that attached: the records that are still in its store. */
  readonly waiting: ReadonlyMap<string, number>
  /** The names of backends that could not be attached. */
  readonly unattached: readonly string[]
}

/** What an archive tells. */
export interface ArchiveNumbers {
  /** Crashes by backend and kind. */
  readonly crashes: readonly Sample[]
  /** When the newest of each backend was, in seconds since 1970. */
  readonly newest: readonly Sample[]
  /** For each way out that the archive uses: the crashes that wait for it. */
  readonly unsent: ReadonlyMap<Channel, number>
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
export const tally = (entries: Iterable<Entry>): Omit<ArchiveNumbers, 'unsent'> => {
  const crashes = new Map<string, Sample>()
  const newest = new Map<string, Sample>()
  for (const { manifest } of entries) {
    const { backend, reason, title, time, archived } = manifest
    const kind = reason ?? (title === null ? 'none' : 'report')
    const key = JSON.stringify([backend, kind])
    const value = (crashes.get(key)?.value ?? 0) + 1
    crashes.set(key, { labels: { backend, kind }, value })
    const at = isCrash(manifest) ? parseTime(time ?? archived) : null
    if (at && Number(at.sec) > (newest.get(backend)?.value ?? -Infinity))
      newest.set(backend, { labels: { backend }, value: Number(at.sec) })
  }
  return { crashes: [...crashes.values()], newest: [...newest.values()] }
}

const samples = (label: string, numbers: ReadonlyMap<string, number>): Sample[] =>
  [...numbers].map(([name, value]) => ({ labels: { [label]: name }, value }))

const silently = (): void => {}

/**
 * Count an archive's crashes. Each manifest is read.
 *
 * @throws StoreError where the archive cannot be read
 */
export const countArchive = (archive: Folder): ArchiveNumbers => {
  const unsent = usedChannels(archive).map((channel): [Channel, number] => {
    let count = 0
    for (const { folder } of waitingIn(archive, channel, silently)) {
      folder.close()
      count++
    }
    return [channel, count]
  })
  return { ...tally(entriesOf(archive, silently)), unsent: new Map(unsent) }
}

/** How the text of all numbers begins. */
export const numbersStart = '# HELP pstorefs_'

/**
 * The text of all numbers.
 *
 * @param at when they were so, in seconds since 1970
 */
export const numbersOf = (
  { crashes, newest, unsent }: ArchiveNumbers,
  { waiting, unattached }: BackendNumbers,
  at: number,
): string =>
  [
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
      'Records that a store still has.',
      samples('backend', waiting),
    ),
    gauge(
      'pstorefs_backend_unattached',
      'Backends that could not be attached.',
      unattached.map(backend => ({ labels: { backend }, value: 1 })),
    ),
    gauge(
      'pstorefs_archive_unsent_crashes',
      'Crashes that wait to be sent.',
      samples('channel', unsent),
    ),
    gauge('pstorefs_archive_run_timestamp_seconds', 'When these numbers were so.', [
      { labels: {}, value: at },
    ]),
  ].join('')

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
