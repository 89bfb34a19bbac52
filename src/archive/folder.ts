/**
 * An archive: a folder with one folder for each crash. A record moves from its store to the archive so that
 * a kill at any instant leaves it in one of the two, and the next run can tell in which.
 *
 * A crash's folder is written as `.partial-NAME`. Once it and its files are on the disk, it is renamed to
 * `.pending-NAME`: from then on the archive holds the crash. Then the records are erased in the store, and
 * the folder is renamed to `NAME`. The next run removes partial folders and finishes pending ones: it erases
 * those of their records that the store still holds with the same bytes.
 */
import crypto from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type { Backend, StoredRecord } from '../pstore/backend.js'
import { printTime } from '../pstore/time.js'
import type { EccState } from '../pstore/types.js'
import { contentOf, chunksOf, type Content } from '../pstore/content.js'
import { readWhole } from '../native/open.js'
import { StoreError } from '../pstore/errors.js'
import { SourceLock } from '../region/lock.js'

/** One of a crash's records, as `records.json` has it. */
export interface ArchivedRecord {
  name: string
  type: string
  id: string
  size: number
  mtime: string | null
  compressed: boolean
  ecc: EccState | null
  sha256: string
}

/** The content of `records.json`. */
export interface Manifest {
  archived: string
  reason: string | null
  /** The crash's time in seconds, as `ls --json` has times. */
  time: string | null
  cause: string | null
  source: string
  /** The region's start in the source, in bytes. */
  offset: number
  backend: string
  /** True where the source still has the records. */
  kept: boolean
  records: ArchivedRecord[]
}

/** A file of a crash's folder. */
export interface ArchivedFile {
  name: string
  content: Content
}

/** A crash's folder: its name, and its manifest. */
export interface Entry {
  folder: string
  /** True while the source may still have some of the records. */
  pending: boolean
  manifest: Manifest
}

const partial = '.partial-'
const pending = '.pending-'
const manifestFile = 'records.json'
/** Bytes: a store has half a million records at most. */
const largestManifest = 2 ** 28

/** Turn a file system's error into a StoreError of one line. */
const guarded = <T>(what: string, work: () => T): T => {
  try {
    return work()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === undefined || error instanceof StoreError) throw error
    const why = /^[A-Z0-9]+: (.*?),/.exec(message)?.[1] ?? message
    throw new StoreError(`${what}: ${why}`, code === 'ENOSPC' || code === 'EROFS' ? code : 'EIO')
  }
}

/** A content's length and checksum. */
const measure = (content: Content): { size: number; sha256: string } => {
  const hash = crypto.createHash('sha256')
  let size = 0
  for (const piece of chunksOf(content)) {
    hash.update(piece)
    size += piece.length
  }
  return { size, sha256: hash.digest('hex') }
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
  ...measure(content),
})

/** The source of a backend's records, as a manifest names it. */
export const originOf = ({
  identity,
  name,
}: Backend): Pick<Manifest, 'source' | 'offset' | 'backend'> => ({
  source: fs.realpathSync(identity.path),
  offset: identity.offset,
  backend: name,
})

/** Flush a folder's entries to the disk. */
const syncFolder = (folder: string): void => {
  const fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

const writeSynced = (file: string, content: Content): void => {
  const fd = fs.openSync(file, 'wx', 0o600)
  try {
    for (const piece of chunksOf(content)) fs.writeFileSync(fd, piece)
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

const format = (manifest: Manifest): Content =>
  contentOf(Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`))

/** A folder's manifest; null where the folder is not an archived crash. */
const readManifest = (folder: string): Manifest | null => {
  try {
    const manifest = JSON.parse(
      readWhole(path.join(folder, manifestFile), largestManifest).toString(),
    ) as Manifest | null
    return Array.isArray(manifest?.records) ? manifest : null
  } catch {
    return null
  }
}

/** The crashes in an archive, pending ones too, in the order of their names. */
export const entriesOf = (folder: string): Entry[] =>
  guarded(folder, () => fs.readdirSync(folder))
    .filter(name => !name.startsWith(partial))
    .flatMap((name): Entry[] => {
      const manifest = readManifest(path.join(folder, name))
      return manifest ? [{ folder: name, pending: name.startsWith(pending), manifest }] : []
    })
    .toSorted((a, b) => (bare(a) < bare(b) ? -1 : 1))

const bare = ({ folder, pending: isPending }: Entry): string =>
  isPending ? folder.slice(pending.length) : folder

/** An archive, locked against other writers. */
export class ArchiveFolder {
  readonly #lock: SourceLock
  readonly #fd: number
  /** The names of all its folders; null: not read yet. */
  #taken: Set<string> | null = null
  /** For each wanted name the next number that may be free. */
  readonly #numbers = new Map<string, number>()

  /**
   * Open an archive; a missing folder is made.
   *
   * @throws StoreError where the folder cannot be written, or another process has locked it
   */
  constructor(readonly folder: string) {
    this.#fd = guarded(folder, () => {
      // Not recursive: a mistyped path should not grow a tree.
      if (!fs.existsSync(folder)) {
        fs.mkdirSync(folder, 0o700)
        syncFolder(path.dirname(path.resolve(folder)))
      }
      const { O_RDONLY, O_DIRECTORY } = fs.constants
      return fs.openSync(folder, O_RDONLY | O_DIRECTORY)
    })
    this.#lock = SourceLock.of(folder, this.#fd, false)
    try {
      // The lock lasts until the turn of the event loop ends, and all work here is done in one turn.
      this.#lock.hold()
      for (const name of fs.readdirSync(folder))
        if (name.startsWith(partial)) this.#remove(path.join(folder, name))
    } catch (error) {
      this.close()
      throw error
    }
  }

  #remove(folder: string): void {
    guarded(folder, () => fs.rmSync(folder, { recursive: true, force: true }))
  }

  /**
   * Finish this backend's folders that an earlier run left pending, or archived with --keep.
   *
   * @returns the names of the finished folders
   */
  resume(backend: Backend): string[] {
    const origin = originOf(backend)
    const ours = entriesOf(this.folder).filter(
      ({ manifest, pending: isPending }) =>
        (isPending || manifest.kept) &&
        manifest.source === origin.source &&
        manifest.offset === origin.offset &&
        manifest.backend === origin.backend,
    )
    return ours.map(entry => {
      if (!entry.pending) this.#rename(entry.folder, `${pending}${entry.folder}`)
      return this.#finish(bare(entry), entry.manifest, backend)
    })
  }

  /** A test for records that an earlier run copied and left in the source: same name, same checksum. */
  kept(backend: Backend): (record: ArchivedRecord) => boolean {
    const { source, offset, backend: name } = originOf(backend)
    const known = new Set(
      entriesOf(this.folder)
        .map(({ manifest }) => manifest)
        .filter(of => of.source === source && of.offset === offset && of.backend === name)
        .filter(({ kept }) => kept)
        .flatMap(({ records }) => records.map(record => `${record.name} ${record.sha256}`)),
    )
    return record => known.has(`${record.name} ${record.sha256}`)
  }

  /**
   * Store a crash in the archive, and erase its records in the backend unless `manifest.kept` is true.
   *
   * @param wanted the folder's name; a number is added to a name that is taken
   * @param files taken one at a time: a crash's records may be all of a large store
   * @param describe is called after the last file
   * @returns the folder's name, and the names of records that changed meanwhile and were not erased
   * @throws StoreError where the crash cannot be stored; then nothing is erased
   */
  add(
    wanted: string,
    files: Iterable<ArchivedFile>,
    describe: () => Manifest,
    backend: Backend,
  ): { folder: string; left: string[] } {
    const name = this.#free(wanted)
    const draft = path.join(this.folder, `${partial}${name}`)
    let manifest: Manifest
    try {
      manifest = guarded(this.folder, () => {
        fs.mkdirSync(draft, 0o700)
        for (const { name, content } of files) writeSynced(path.join(draft, name), content)
        const manifest = describe()
        writeSynced(path.join(draft, manifestFile), format(manifest))
        syncFolder(draft)
        this.#rename(`${partial}${name}`, manifest.kept ? name : `${pending}${name}`)
        return manifest
      })
    } catch (error) {
      this.#remove(draft)
      throw error
    }
    if (manifest.kept) return { folder: name, left: [] }
    this.#finish(name, manifest, backend)
    const left = manifest.records.map(record => record.name).filter(name => backend.find(name))
    return { folder: name, left }
  }

  /** Erase a pending crash's records in the source, and give its folder the final name. */
  #finish(name: string, manifest: Manifest, backend: Backend): string {
    for (const { name, sha256: sum } of manifest.records) {
      const opened = backend.open(name)
      if (opened && measure(opened.content).sha256 === sum) opened.record.erase(true)
    }
    const folder = path.join(this.folder, `${pending}${name}`)
    guarded(folder, () => {
      if (manifest.kept) {
        const draft = path.join(folder, `.${manifestFile}`)
        fs.rmSync(draft, { force: true })
        writeSynced(draft, format({ ...manifest, kept: false }))
        fs.renameSync(draft, path.join(folder, manifestFile))
        syncFolder(folder)
      }
      this.#rename(`${pending}${name}`, name)
    })
    return name
  }

  #rename(from: string, to: string): void {
    fs.renameSync(path.join(this.folder, from), path.join(this.folder, to))
    syncFolder(this.folder)
  }

  /** Reserve a name that no folder has. */
  #free(wanted: string): string {
    this.#taken ??= new Set(
      fs
        .readdirSync(this.folder)
        .map(name => (name.startsWith(pending) ? name.slice(pending.length) : name)),
    )
    for (let n = this.#numbers.get(wanted) ?? 1; ; n++) {
      const name = n === 1 ? wanted : `${wanted}.${n}`
      if (this.#taken.has(name)) continue
      this.#taken.add(name)
      this.#numbers.set(wanted, n + 1)
      return name
    }
  }

  close(): void {
    this.#lock.close()
    fs.closeSync(this.#fd)
  }
}
