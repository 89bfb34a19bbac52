/**
 * An archive: a folder with one folder for each crash. A record moves from its store to the archive so that
 * a kill at any instant leaves it in one of the two, and the next run can tell in which.
 *
 * A crash's folder is written as `.partial-NAME`. Once it and its files are on the disk, it is renamed to
 * `.pending-NAME`: from then on the archive holds the crash. Then the records are erased in the store, and
 * the folder is renamed to `NAME`. The next run removes partial folders and finishes pending ones: it erases
 * those of their records that the store still holds with the same bytes (moving.ts).
 */
import fs from 'node:fs'
import path from 'node:path'
import { Folder } from '../native/folder.js'
import { standardInput } from '../native/stdin.js'
import type { Backend, StoredRecord } from '../pstore/backend.js'
import { chunksOf, type Content } from '../pstore/content.js'
import { printTime } from '../pstore/time.js'
import { SourceLock } from '../region/lock.js'
import { bare, guarded, partial, pending, unfinishedOf, type Entry } from './entries.js'
import { encodeManifest, manifestFile, type ArchivedRecord, type Manifest } from './manifest.js'
import { intentName, measure, moveOut, type Moved } from './moving.js'

/** A file of a crash's folder. */
export interface ArchivedFile {
  name: string
  content: Content
}

/** What became of a crash: its folder's name, and its records. */
export interface Archived extends Moved {
  readonly folder: string
}

/** A record as a manifest lists it. */
export const describeRecord = (
  { name, type, id, time, compressed, ecc }: StoredRecord,
  content: Content,
): ArchivedRecord => ({
  name,
  type,
  id: String(id),
  mtime: time && printTime(time),
  compressed,
  ecc,
  ...measure(chunksOf(content)),
})

/** The source of a backend's records, as a manifest names it. */
export const originOf = ({
  identity: { path: source, offset },
  name,
}: Backend): Pick<Manifest, 'source' | 'offset' | 'backend'> => ({
  source: source === standardInput ? source : whereIs(source),
  offset,
  backend: name,
})

/** What a path leads to; of one that has gone meanwhile, while what was there is archived still, itself. */
const whereIs = (source: string): string => {
  try {
    return fs.realpathSync(source)
  } catch {
    return path.resolve(source)
  }
}

/** An archive, locked against other writers. */
export class ArchiveFolder {
  readonly #lock: SourceLock
  /** The folder itself. */
  readonly root: Folder
  /** The names of all its folders; null: not read yet. */
  #taken: Set<string> | null = null
  /** The crashes whose records may still be in their stores; null: not looked for yet. */
  #unfinished: Entry[] | null = null
  /** The order of the crash that was archived last, once those were looked for. */
  #latest = 0
  /** For each wanted name the next number that may be free. */
  readonly #numbers = new Map<string, number>()

  /**
   * Open an archive; a missing folder is made.
   *
   * @param told is told, in one line, of what lies in it like a crash and cannot be used
   * @param wait how long another process may have it locked, in ms
   * @throws StoreError where somebody else could change the folder, it cannot be written, or another process has
   *   locked it (EBUSY)
   */
  constructor(
    readonly folder: string,
    readonly told: (why: string) => void,
    wait?: number,
  ) {
    // Not more than one: a mistyped path should not grow a tree.
    this.root = guarded(folder, () => Folder.ours(folder, 'last'))
    this.#lock = SourceLock.of(folder, this.root.fd, false)
    try {
      // The lock lasts until the turn of the event loop ends, and all work here is done in one turn.
      this.#lock.hold(this, wait)
      const left = guarded(folder, () => this.root.entries())
      for (const { name } of left) if (name.startsWith(partial)) this.#remove(name)
    } catch (error) {
      this.close()
      throw error
    }
  }

  #remove(name: string): void {
    guarded(this.folder, () => this.root.remove(name))
  }

  #look(): Entry[] {
    const seen = (order: number): void => {
      this.#latest = Math.max(this.#latest, order)
    }
    return (this.#unfinished ??= [...unfinishedOf(this.root, this.told, seen)])
  }

  /** This backend's crashes that are pending, or were archived with --keep. */
  #unfinishedOf(backend: Backend): Entry[] {
    const { source, offset, backend: name } = originOf(backend)
    return this.#look().filter(
      ({ manifest: of }) => of.source === source && of.offset === offset && of.backend === name,
    )
  }

  /**
   * Finish this backend's folders that an earlier run left pending, or archived with --keep. What cannot be finished
   * stays as it is, for the next run.
   */
  resume(backend: Backend): Archived[] {
    return this.#unfinishedOf(backend).map(entry => {
      this.#unfinished = this.#unfinished?.filter(other => other !== entry) ?? null
      return guarded(this.folder, () => {
        const name = bare(entry)
        const folder = `${pending}${name}`
        // Who was killed just after it was given its name may have left that in memory alone.
        if (entry.pending) this.root.sync()
        else this.root.rename(entry.folder, folder)
        const archived = this.#finish(name, entry.manifest, backend)
        if (archived.failed.length > 0) this.#unfinished?.push({ ...entry, folder, pending: true })
        return archived
      })
    })
  }

  /** A test for records of which the archive has copies that the source still has, too: same name, same checksum. */
  kept(backend: Backend): (record: ArchivedRecord) => boolean {
    const known = new Set(
      this.#unfinishedOf(backend).flatMap(({ manifest: { records } }) =>
        records.map(({ name, sha256 }) => `${name} ${sha256}`),
      ),
    )
    return record => known.has(`${record.name} ${record.sha256}`)
  }

  /** As of Manifest, of the next crash: a clock that is behind makes none older than those that are there. */
  #nextOrder(): number {
    this.#look()
    return (this.#latest = Math.max(Date.now(), this.#latest + 1))
  }

  /**
   * Store a crash in the archive, and erase its records in the backend unless `manifest.kept` is true.
   *
   * @param wanted the folder's name; a number is added to a name that is taken
   * @param files taken one at a time: a crash's records may be all of a large store
   * @param describe is called after the last file
   * @throws StoreError where the crash cannot be stored; then nothing is erased
   */
  add(
    wanted: string,
    files: Iterable<ArchivedFile>,
    describe: () => Omit<Manifest, 'order'>,
    backend: Backend,
  ): Archived {
    const folder = this.#free(wanted)
    const draft = `${partial}${folder}`
    let manifest: Manifest
    try {
      manifest = guarded(this.folder, () => {
        const crash = this.root.make(draft)
        try {
          for (const { name, content } of files) crash.write(name, chunksOf(content))
          const manifest = { ...describe(), order: this.#nextOrder() }
          crash.write(manifestFile, [encodeManifest(manifest)])
          crash.sync()
          this.root.rename(draft, manifest.kept ? folder : `${pending}${folder}`)
          return manifest
        } finally {
          crash.close()
        }
      })
    } catch (error) {
      this.#remove(draft)
      throw error
    }
    if (!manifest.kept) return guarded(this.folder, () => this.#finish(folder, manifest, backend))
    this.#unfinished?.push({ folder, pending: false, manifest })
    const { records } = manifest
    return { folder, records, left: [], missing: [], appended: [], doubtful: [], failed: [] }
  }

  /**
   * Erase a pending crash's records in the source, and give its folder the final name. What is erased is so on the
   * disk before the folder says that it is.
   */
  #finish(name: string, manifest: Manifest, backend: Backend): Archived {
    const draft = `${pending}${name}`
    const crash = this.root.folder(draft)
    try {
      const moved = moveOut(crash, manifest.records, backend, !manifest.kept)
      backend.sync()
      const { records } = moved
      const isNew = manifest.kept || records.some((record, n) => record !== manifest.records[n])
      if (isNew || records.length !== manifest.records.length)
        crash.replace(manifestFile, [encodeManifest({ ...manifest, kept: false, records })])
      if (moved.failed.length > 0) return { folder: draft, ...moved }
      const folder = this.root.has(name) ? this.#free(name) : name
      this.root.rename(draft, folder)
      for (const record of records) crash.remove(intentName(record.name))
      return { folder, ...moved }
    } finally {
      crash.close()
    }
  }

  /** Reserve a name that no folder has. */
  #free(wanted: string): string {
    this.#taken ??= new Set(
      guarded(this.folder, () => this.root.entries()).map(({ name }) =>
        name.startsWith(pending) ? name.slice(pending.length) : name,
      ),
    )
    for (let n = this.#numbers.get(wanted) ?? 1; ; n++) {
      const name = n === 1 ? wanted : `${wanted}.${n}`
      if (this.#taken.has(name)) continue
      this.#taken.add(name)
      this.#numbers.set(wanted, n + 1)
      return name
    }
  }

  /** Take a crash out of the archive. */
  discard(name: string): void {
    const draft = `${partial}${name}`
    guarded(this.folder, () => this.root.rename(name, draft))
    this.#remove(draft)
  }

  close(): void {
    this.#lock.close()
    this.root.close()
  }
}
