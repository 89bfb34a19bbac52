/** The crashes in an archive, as its folders' manifests tell of them. */
import type { Folder } from '../native/folder.js'
import { inWords, isMangled } from '../native/words.js'
import { StoreError } from '../pstore/errors.js'
import { decodeManifest, largestManifest, manifestFile, type Manifest } from './manifest.js'

/** A crash's folder: its name, and its manifest. */
export interface Entry {
  folder: string
  /** True while the source may still have some of the records. */
  pending: boolean
  manifest: Manifest
}

/** What a crash's folder is called before it has all its files, and before the source has lost them. */
export const partial = '.partial-'
export const pending = '.pending-'

/** A folder's name once the crash is moved. */
export const bare = ({ folder, pending: isPending }: Pick<Entry, 'folder' | 'pending'>): string =>
  isPending ? folder.slice(pending.length) : folder

/** A folder of an archive by its name. */
export const entryOf = (folder: string, manifest: Manifest): Entry => ({
  folder,
  pending: folder.startsWith(pending),
  manifest,
})

/** Turn a file system's error into a StoreError of one line. */
export const guarded = <T>(what: string, work: () => T): T => {
  try {
    return work()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined || error instanceof StoreError) throw error
    throw new StoreError(
      `${what}: ${inWords(error)}`,
      code === 'ENOSPC' || code === 'EROFS' ? code : 'EIO',
    )
  }
}

/** Has a folder gone that was there a moment ago? It was pruned meanwhile, and is nobody's to mend. */
export const isPruned = (archive: Folder, name: string): boolean =>
  !archive.has(name) && !isMangled(name)

/** What is in the manifest of a crash that was archived with --keep. In a guest's text quotes are escaped. */
const keptMark = /"kept":\s*true/
/** A crash's order, in the same; where an earlier version did not say it the seconds that it did. */
const orderMark = /"order":\s*(\d{1,15})\b/
const archivedMark = /"archived":\s*"(\d{1,11})\./
const orderIn = (text: string): number =>
  Number(orderMark.exec(text)?.[1] ?? Number(archivedMark.exec(text)?.[1] ?? 0) * 1000)

/** Is told of the order of each crash that is looked at. */
export type ToldOrder = (order: number) => void

/**
 * A crash's manifest; null where a folder has none, as others' have.
 *
 * @param keptOnly null also of crashes that were not archived with --keep, which need not be understood then
 */
export const readManifest = (
  archive: Folder,
  name: string,
  keptOnly = false,
  order?: ToldOrder,
): Manifest | null => {
  const where = `${archive.path}/${name}`
  const crash = guarded(where, () => archive.folder(name))
  try {
    const bytes = guarded(where, () => crash.read(manifestFile, largestManifest))
    const text = keptOnly || order ? bytes.toString('latin1') : ''
    order?.(orderIn(text))
    if (keptOnly && !keptMark.test(text)) return null
    try {
      return decodeManifest(bytes)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      throw new StoreError(`${where}: not used as a crash: ${error.message}`, 'EIO')
    }
  } catch (error) {
    if (error instanceof StoreError && error.code === 'ENOENT') return null
    throw error
  } finally {
    crash.close()
  }
}

/**
 * May a folder be an archive into which no crash has come yet? What is sent of an archive is noted in it, and it may be
 * a disk of its own.
 */
export const mayBecomeArchive = (folder: Folder): boolean =>
  guarded(folder.path, () => folder.entries()).every(
    ({ name }) => name.startsWith('.') || name === 'lost+found',
  )

/**
 * The crashes in an archive, pending ones too, in the order of their names: one manifest after the other, as an archive
 * may have many.
 *
 * @param told is told of each folder that is called or filled like a crash's and cannot be used, in one line
 */
export const entriesOf = (archive: Folder, told: (why: string) => void): Generator<Entry> =>
  entriesIn(archive, told, false)

/** Those alone of whose records the source may still have some, as they are pending or kept. */
export const unfinishedOf = (
  archive: Folder,
  told: (why: string) => void,
  order: ToldOrder,
): Generator<Entry> => entriesIn(archive, told, true, order)

function* entriesIn(
  archive: Folder,
  told: (why: string) => void,
  unfinishedOnly: boolean,
  order?: ToldOrder,
): Generator<Entry, void, void> {
  const folders = guarded(archive.path, () => archive.entries())
    .filter(entry => entry.isDirectory() && !entry.name.startsWith(partial))
    .map(({ name: folder }) => ({ folder, pending: folder.startsWith(pending) }))
    .toSorted((a, b) => (bare(a) < bare(b) ? -1 : 1))
  for (const { folder, pending: isPending } of folders)
    try {
      if (isPending && !/^[^.]/.test(folder.slice(pending.length)))
        throw new StoreError(
          `${archive.path}/${folder}: is none of this program's names: remove it`,
        )
      const manifest = readManifest(archive, folder, unfinishedOnly && !isPending, order)
      if (manifest) {
        if (!unfinishedOnly || isPending || manifest.kept)
          yield { folder, pending: isPending, manifest }
      } else if (isPending) told(`${archive.path}/${folder}: has no ${manifestFile}: remove it`)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      if (!isPruned(archive, folder)) told(error.message)
    }
}
