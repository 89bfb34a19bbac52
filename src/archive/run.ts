/** Archiving one backend: what an earlier run left is finished, then each of its crashes gets a folder. */
import path from 'node:path'
import { crashesOf, describeMissing } from '../crash/grouping.js'
import type { Backend } from '../pstore/backend.js'
import { count, describeCut } from '../pstore/condition.js'
import { StoreError } from '../pstore/errors.js'
import type { Unreadable } from '../pstore/unreadable.js'
import type { Archived, ArchiveFolder } from './folder.js'
import { appendedName } from './moving.js'
import { Report } from './report.js'

/** How it is done. */
export interface How {
  /** Erase nothing; copy only what is new or changed. */
  readonly keep: boolean
  /** The archive has crashes of several backends: a folder's name says whose it is. */
  readonly isNamed: boolean
  /** The guest may be running: its rings stay where they are, unless a dump of the same life takes them along. */
  readonly isLive?: boolean
}

/** Who is told what happens, as it does; texts may quote a guest's. */
export interface Listener {
  /** What became of a crash. `folder` is the whole path of its folder. */
  say(folder: string, what: string): void
  /** What somebody has to look after, in a line. */
  tell(line: string): void
  /** Asked before each crash: whether it is enough. */
  isOver?(): boolean
}

/** What a run made of a backend. */
export interface Outcome {
  /** The names of the crashes' folders that were made or finished. */
  readonly folders: string[]
  /** Whether all that the store has could be archived. */
  readonly isWhole: boolean
}

/** How many records a store has, also those that cannot be read. */
export const recordsIn = (backend: Backend): number => {
  const names = new Set<string>()
  for (const { name } of backend.records(unreadable => names.add(unreadable.name))) names.add(name)
  return names.size
}

/** Why a backend that is only read is not archived. */
export const refusal = ({ identity: { path } }: Backend): StoreError =>
  new StoreError(`${path}: cannot be written; use --keep, which changes nothing in it`, 'EROFS')

/**
 * Archive all that a backend has.
 *
 * @throws StoreError where the store cannot be written, or the archive; what was archived until then is so
 */
export const archiveBackend = (
  backend: Backend,
  archive: ArchiveFolder,
  { keep, isNamed, isLive = false }: How,
  listener: Listener,
): Outcome => {
  if (backend.readOnly && !keep) throw refusal(backend)
  const { say, tell } = listener
  const folders: string[] = []
  let isWhole = true
  const pathOf = (folder: string): string => path.join(archive.folder, folder)
  const stays = ({ name, error }: Pick<Unreadable, 'name' | 'error'>, why: string): void => {
    isWhole = false
    // Two may archive one store, and a guest that boots empties its rings.
    const now = error.code === 'ENOENT' ? 'is gone from the store' : 'stays in the store'
    tell(`${error.message}: ${name} ${why}, and ${now}`)
  }
  /** What else there is to say of a crash. */
  const add = ({ folder, missing, appended, doubtful, failed }: Archived): void => {
    folders.push(folder)
    for (const { name, size } of appended)
      say(pathOf(folder), `${count(size, 'byte')} more of ${name} in ${appendedName(name)}`)
    for (const name of doubtful)
      tell(`${name}: was written to while it was emptied; some of that may be lost`)
    for (const what of failed) stays(what, `is in ${pathOf(folder)}`)
    for (const name of missing)
      tell(`${pathOf(folder)}: has no copy of ${name} with its sum; not erased`)
  }
  if (!keep)
    for (const archived of archive.resume(backend)) {
      say(pathOf(archived.folder), archived.failed.length > 0 ? 'not finished' : 'finished')
      add(archived)
    }
  const isKept = archive.kept(backend)
  const parts = backend.capacity('dmesg')?.parts ?? false
  const unreadable: Unreadable[] = []
  const records = [...backend.records(what => unreadable.push(what))]
  const names = new Set(unreadable.map(({ name }) => name))
  const readable = records.filter(({ name }) => !names.has(name))
  const crashes = crashesOf(readable, parts, record => record.open(), unreadable)
  for (const what of unreadable) stays(what, 'was not archived')
  for (const crash of crashes) {
    if (listener.isOver?.()) break
    if (isLive && crash.reason === null) continue
    const report = new Report(backend, crash, keep, isNamed)
    const files = report.files(({ described }) => isKept(described))
    const first = files.next()
    const sayUnreadable = (): void => {
      for (const what of report.unreadable.slice(crash.unreadable.length))
        stays(what, 'was not archived')
    }
    if (first.done) {
      sayUnreadable()
      continue
    }
    const all = (function* () {
      yield first.value
      yield* files
    })()
    const archived = archive.add(report.name, all, () => report.manifest(), backend)
    const { folder, left } = archived
    const missing = describeMissing(crash)
    const isApart = crash.reason === null && crashes.length > 1
    const more = missing || (isApart ? "of another life than the dumps'" : '')
    say(pathOf(folder), `${count(report.copies.length, 'record')}${more && `; ${more}`}`)
    add(archived)
    for (const { record } of report.copies)
      if (record.cut) tell(describeCut(record.name, record.cut))
    for (const name of left)
      tell(`${name}: changed while being archived; copied to ${folder}, not erased`)
    sayUnreadable()
  }
  return { folders, isWhole }
}
