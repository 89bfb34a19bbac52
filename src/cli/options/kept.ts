/** WHERE in `list` and `show`: an archive, what systemd-pstore archived, a mount, a source, or copies of records. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { attach, type AttachOptions } from '../../attach.js'
import {
  bare,
  entriesOf,
  entryOf,
  guarded,
  mayBecomeArchive,
  readManifest,
  type Entry,
} from '../../archive/entries.js'
import { originOf } from '../../archive/folder.js'
import { manifestFile } from '../../archive/manifest.js'
import { crashName } from '../../archive/report.js'
import { diagnose, type Diagnosis } from '../../crash/diagnosis.js'
import { crashesOf, describeMissing, type Crash } from '../../crash/grouping.js'
import { textOfAll } from '../../crash/text.js'
import { Folder } from '../../native/folder.js'
import { explain, isFolder } from '../../native/open.js'
import type { Backend, StoredRecord } from '../../pstore/backend.js'
import { StoreError } from '../../pstore/errors.js'
import { parseTime, type Timespec } from '../../pstore/time.js'
import type { Failure } from '../../pstore/select.js'
import type { Unreadable } from '../../pstore/unreadable.js'
import { attachSelected, tellFailures } from '../../service/attached.js'
import { allDoubtsOf } from '../../service/doubts.js'
import { tell } from '../../service/log.js'
import type { SourceCandidate } from '../../service/plan.js'
import { takesParts } from '../../service/what-crashed.js'
import { attachCandidate, findConfig, findSource, withOptions } from './source.js'

/** A crash, wherever it lies. Its texts are a crashed machine's own. */
export interface Kept extends Pick<Diagnosis, 'title' | 'cause' | 'fingerprint' | 'kernel'> {
  /** What holds it, as its user names it. */
  readonly where: string
  /** As `archive` calls it. */
  readonly name: string
  /** As of Diagnosis; null, too, where an earlier version archived it, which did not say. */
  readonly kind: string | null
  readonly backend: string
  /** The machine that archived it, where that is another one; null: this one, or nobody knows. */
  readonly host: string | null
  readonly time: Timespec | null
  readonly reason: string | null
  /** Which parts of the dump are missing, in words; null: none. */
  readonly missing: string | null
  /** The names of its records. */
  readonly records: readonly string[]
  /** The names of those that cannot be read. */
  readonly unreadable: readonly string[]
  /** What its records were in when they were found, and where in it that begins, in bytes. */
  readonly source: string
  readonly offset: number
  /** When `archive` copied it; null: it is in no archive. */
  readonly archived: string | null
  /** True where the source may still have records that the archive has: a run of `archive` was ended. */
  readonly pending: boolean
  /** True where it was archived with --keep. */
  readonly kept: boolean
  /** Do something with its records. */
  look<T>(work: (crash: Crash) => T): T
}

export interface WhereArgs {
  config: string | undefined
}

/** Where pstorefs-archive@NAME.service archives: a folder for each NAME. */
const archives = '/var/lib/pstorefs-archive'

/** The exit code where something cannot be read. */
export const unreadableExit = 1

/** Tell what is left out of all that is found. */
const tellLeftOut = (why: string): void => {
  tell(why)
  process.exitCode = unreadableExit
}

/** The names of those; where they may not be read, that is told, and the other places are looked at. */
const ourArchives = (): string[] => {
  try {
    return isFolder(archives) ? fs.readdirSync(archives) : []
  } catch (error) {
    tellLeftOut(explain(archives, error).message)
    return []
  }
}

/** Where crashes are kept on a machine, besides the backends of the config file. */
const usualPlaces = (): string[] =>
  [
    '/var/lib/systemd/pstore',
    '/sys/fs/pstore',
    ...ourArchives()
      .toSorted()
      .map(name => path.join(archives, name)),
  ].filter(isFolder)

/** The backend that a record is of: of a copy the one that its name has. */
const backendOf = (
  backend: Backend,
  { name, type }: Pick<StoredRecord, 'name' | 'type'>,
): string =>
  backend.identity.hasNames
    ? name.replace(`${type}-`, '').replace(/(?:-\d+\D*)?$/, '') || backend.name
    : backend.name

/** The crashes in a store, or in copies of several, oldest first. Rings without a report are no crash. */
const crashesIn = (where: string, backend: Backend): Kept[] => {
  const unreadable: Unreadable[] = []
  const records = [...backend.records(what => unreadable.push(what))]
  for (const { name, error } of unreadable) tellLeftOut(`${error.message}: ${name} is left out`)
  const left = new Set(unreadable.map(({ name }) => name))
  const readable = records.filter(({ name }) => !left.has(name))
  const names = new Set([...readable, ...unreadable].map(record => backendOf(backend, record)))
  const { source, offset } = originOf(backend)
  return [...names].flatMap(name => {
    const isOf = (record: StoredRecord | Unreadable): boolean => backendOf(backend, record) === name
    const crashes = crashesOf(
      readable.filter(isOf),
      takesParts(backend),
      record => record.open(),
      unreadable.filter(isOf),
    )
    return crashes.flatMap(crash => keptAs({ where, source, offset, backend: name }, crash))
  })
}

const keptAs = (
  place: Pick<Kept, 'where' | 'source' | 'offset' | 'backend'>,
  crash: Crash,
): Kept[] => {
  const { kind, title, cause, fingerprint, kernel } = diagnose(textOfCrash(crash), crash.after)
  if (crash.reason === null && title === null) return []
  const { time, reason } = crash
  return [
    {
      ...place,
      name: crashName(crash, time),
      time,
      reason,
      kind,
      title,
      cause,
      fingerprint,
      kernel,
      missing: describeMissing(crash) || null,
      records: [...crash.dumps, ...crash.rings].map(({ name }) => name),
      unreadable: crash.unreadable.map(({ name }) => name),
      host: null,
      archived: null,
      pending: false,
      kept: false,
      look: work => work(crash),
    },
  ]
}

/** What a crash's machine printed last: its dump, or without one its console. */
export const textOfCrash = ({ dumps, rings }: Crash): Buffer => {
  const dump = textOfAll(dumps, record => record.open())
  if (dump.length > 0) return dump
  const consoles = rings.filter(({ type }) => type === 'console')
  return textOfAll(consoles, record => record.open())
}

const here = os.hostname()

/** A crash of an archive, the folder `archive`: its manifest tells what a list needs. */
const archived = (where: string, archive: string, entry: Entry): Kept => {
  // What `look` holds is in memory for each crash of an archive: not the manifest.
  const { manifest, pending, folder: called } = entry
  const { backend, host, reason, kind, title, cause, fingerprint, kernel, missing, time, after } =
    manifest
  return {
    where,
    name: bare(entry),
    backend,
    host: host === null || host.name === here ? null : host.name,
    time: time === null ? null : parseTime(time),
    reason,
    kind,
    title,
    cause,
    fingerprint,
    kernel,
    missing,
    records: manifest.records.map(({ name }) => name),
    unreadable: manifest.unreadable,
    source: manifest.source,
    offset: manifest.offset,
    archived: manifest.archived,
    pending,
    kept: manifest.kept,
    look: work => {
      const folder = path.join(archive, called)
      const copies = attach(`records:${folder}`, { readOnly: true, report: tell })
      try {
        const all = crashesOf(copies.records(), true, record => record.open())
        const newest = all.at(-1)
        if (!newest) throw new StoreError(`${folder}: has no record`, 'ENOENT')
        const dumps = all.flatMap(crash => crash.dumps)
        const rings = all.flatMap(crash => crash.rings)
        return work({ ...newest, dumps, rings, after })
      } finally {
        copies.close()
      }
    },
  }
}

/** The crashes in a folder that is an archive, or one of its crashes; null where it is neither. */
const inArchive = (where: string): Kept[] | null => {
  if (!isFolder(where)) return null
  const folder = guarded(where, () => Folder.any(where))
  try {
    if (guarded(where, () => folder.has(manifestFile))) {
      const parent = path.dirname(path.resolve(where))
      const name = path.basename(path.resolve(where))
      const above = guarded(parent, () => Folder.any(parent))
      try {
        const manifest = readManifest(above, name)
        return manifest && [archived(where, parent, entryOf(name, manifest))]
      } finally {
        above.close()
      }
    }
    const found = Array.from(entriesOf(folder, tellLeftOut), entry => archived(where, where, entry))
    // What lies in it may be records.
    return found.length > 0 || mayBecomeArchive(folder) ? found : null
  } finally {
    folder.close()
  }
}

/** Whatever is looked at, and what closes it. */
export interface Looked {
  /** The newest first. */
  readonly crashes: readonly Kept[]
  /** Where was looked. */
  readonly places: readonly string[]
  close(): void
}

/** What is found in a place; where it is the only one that was named, what keeps it from being looked at is thrown. */
const unlessAlone = (wheres: readonly string[], look: () => Kept[]): Kept[] => {
  try {
    return look()
  } catch (error) {
    if (wheres.length === 1 || !(error instanceof StoreError)) throw error
    tellLeftOut(error.message)
    return []
  }
}

const failedOf = (failures: readonly Failure[]): void => {
  tellFailures(failures)
  if (failures.length > 0) process.exitCode = unreadableExit
}

const byTime = (a: Kept, b: Kept): number => {
  const at = ({ time }: Kept): bigint =>
    time ? time.sec * 1_000_000_000n + BigInt(time.nsec) : -1n
  return at(a) > at(b) ? -1 : Number(at(a) < at(b))
}

/**
 * Look for crashes.
 *
 * @param wheres where; none: wherever this machine keeps them
 * @param parameters of the sources
 * @throws StoreError where the only place that was named cannot be looked at; one of several is told
 */
export const lookIn = (
  wheres: readonly string[],
  args: WhereArgs,
  parameters: AttachOptions,
): Looked => {
  const backends: Backend[] = []
  const how = { readOnly: true }
  const inSource = (where: string): Kept[] => {
    const backend = attachCandidate(findSource(where, args.config, parameters), how)
    backends.push(backend)
    for (const line of allDoubtsOf(backend)) tell(line)
    return crashesIn(where, backend)
  }
  const close = (): void => {
    for (const backend of backends.splice(0)) backend.close()
  }
  try {
    const places = wheres.length > 0 ? [...wheres] : usualPlaces()
    const found = places.flatMap(where =>
      unlessAlone(wheres, () => inArchive(where) ?? inSource(where)),
    )
    if (wheres.length === 0)
      found.push(
        ...unlessAlone(wheres, () => {
          const config = findConfig(args.config)
          const candidates = config?.backends.map(one => withOptions(one, parameters)) ?? []
          const attachOne = (one: SourceCandidate): Backend => attachCandidate(one, how)
          const attached = config ? attachSelected(candidates, 'all', attachOne, failedOf) : []
          backends.push(...attached)
          places.push(...attached.map(({ name }) => name))
          return attached.flatMap(backend => crashesIn(backend.name, backend))
        }),
      )
    // Of one time the last of a list is the newest.
    return { crashes: found.toReversed().toSorted(byTime), places, close }
  } catch (error) {
    close()
    throw error
  }
}
