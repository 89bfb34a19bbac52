/**
 * The files of a folder of copies, or a single one. The folder may be anybody's: no link in it is followed, nothing
 * in it is waited for, and what is too much is refused.
 */
import fs from 'node:fs'
import path from 'node:path'
import { explain, openNow, readToEnd, statAt, statOf, type Opened } from '../../native/open.js'
import { openContent } from '../../region/images/index.js'
import { count } from '../../pstore/condition.js'
import { assertStoreError, ifReadable, StoreError } from '../../pstore/errors.js'
import { fileName } from '../../pstore/types.js'
import { decodeCopyName, type CopyName } from './names.js'
import { Twins } from './twins.js'

/** A file that holds a copy of a record. */
export interface Copy extends CopyName {
  /** Its path below the folder; null: the source is the file. */
  readonly file: string | null
}

/** What is in a folder. */
export interface Listing {
  /** The folders in it that were looked into, and what they were then. */
  readonly folders: ReadonlyMap<string, string>
  /** By their names, and then by their numbers. No two have the same {@link keyOf}. */
  readonly copies: readonly Copy[]
  readonly byKey: ReadonlyMap<string, Copy>
  /** What is left out or renamed, in a line each. */
  readonly notes: readonly string[]
}

/** Folders in folders that are looked into: systemd-pstore's are `TIME/COUNT`. */
const deepest = 2
/** Entries that are looked at, those of the folders in the folder included. */
const mostEntries = 2 ** 17
/** Bytes: as much as a pstore_blk store has. */
const largestCopy = 2 ** 27
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = fs.constants

/** An entry of a folder, or of a folder in it. */
interface Found {
  readonly file: string
  readonly isFile: boolean
}

/**
 * All entries whose name is a record's, of the folder and of the folders in it, {@link deepest} levels down.
 *
 * @param into is told of each of these, and what it was before it was read
 */
function* entriesOf(
  folder: string,
  most: number,
  into: (name: string, version: string) => void = () => {},
): Generator<Found, void, void> {
  let left = most
  const folders = ['']
  for (const name of folders) {
    const opened = openFolder(folder, name)
    // It was replaced, or is not ours to see.
    if (!opened) continue
    try {
      if (name !== '') into(name, folderVersionOf(statOf(folder, opened.fd)))
      for (const entry of entriesIn(opened.fd, folder)) {
        if (left-- === 0)
          throw new StoreError(
            `${folder}: has more than ${most} entries: name the folder of the records themselves`,
          )
        const isRecord = decodeCopyName(entry.name) !== null
        if (isRecord) yield { file: path.join(name, entry.name), isFile: entry.isFile() }
        else if (partsOf(name).length < deepest && entry.isDirectory())
          folders.push(path.join(name, entry.name))
      }
    } finally {
      fs.closeSync(opened.fd)
    }
  }
}

/** @param shown the folder in messages */
function* entriesIn(fd: number, shown: string): Generator<fs.Dirent, void, void> {
  try {
    const dir = fs.opendirSync(`/proc/self/fd/${fd}`)
    try {
      for (let entry; (entry = dir.readSync());) yield entry
    } finally {
      dir.closeSync()
    }
  } catch (error) {
    throw explain(shown, error)
  }
}

const partsOf = (name: string): string[] =>
  name.split('/').filter(part => part !== '' && part !== '.')

/**
 * Open a folder in the folder, step by step: none on the way may be a link. The folder itself may be behind one, as
 * its user says.
 *
 * @throws StoreError where one of them cannot be opened
 */
const openBelow = (folder: string, name: string): Opened => {
  let opened = openNow(folder, O_RDONLY | O_DIRECTORY)
  for (const part of partsOf(name)) {
    const { fd } = opened
    try {
      const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
      opened = openNow(`/proc/self/fd/${fd}/${part}`, flags, path.join(folder, name))
    } finally {
      fs.closeSync(fd)
    }
  }
  return opened
}

/**
 * @returns null where a folder in it cannot be opened
 * @throws StoreError where the folder itself cannot
 */
const openFolder = (folder: string, name: string): Opened | null => {
  try {
    return openBelow(folder, name)
  } catch (error) {
    assertStoreError(error)
    if (name === '') throw error
    return null
  }
}

/** Does a folder hold a record's copy, itself or in a folder of its own? */
export const holdsCopies = (folder: string): boolean => {
  for (const { isFile } of entriesOf(folder, mostEntries)) if (isFile) return true
  return false
}

/**
 * List a folder's copies. One that is there twice, as in a copy of a mount with its backends' folders, is listed
 * once; another one of the same name gets a name of its own.
 *
 * @throws StoreError where the folder cannot be read, or has too many entries
 */
export const listCopies = (folder: string, most = mostEntries): Listing => {
  const byKey = new Map<string, Copy>()
  /** By the names of records, without numbers that tell copies apart. */
  const groups = new Map<string, { readonly twins: Twins; next: number }>()
  const folders = new Map<string, string>()
  const left: string[] = []
  const renamed: string[] = []
  const all = [...entriesOf(folder, most, (name, version) => folders.set(name, version))]
  const depth = (file: string): number => partsOf(file).length
  all.sort((a, b) => depth(a.file) - depth(b.file) || (a.file < b.file ? -1 : 1))
  for (const { file, isFile } of all) {
    if (!isFile) {
      left.push(file)
      continue
    }
    const says = decodeCopyName(path.basename(file))!
    const name = keyOf({ ...says, copy: null })
    let group = groups.get(name)
    if (!group) groups.set(name, (group = { twins: twinsIn(folder), next: 2 }))
    let copy: Copy = { ...says, file }
    if (byKey.has(keyOf(copy)) && group.twins.has(file)) continue
    while (byKey.has(keyOf(copy))) copy = { ...copy, copy: group.next++ }
    byKey.set(keyOf(copy), copy)
    group.twins.add(file)
    if (copy.copy !== says.copy)
      renamed.push(`${file} is shown as ${fileName(copy.label, null, copy.id, false, copy.copy)}`)
  }
  const notes: string[] = []
  if (left.length > 0)
    notes.push(
      `${count(left.length, 'record')} left out, as they are no files or links: ${left[0]}`,
    )
  if (renamed.length > 0)
    notes.push(`${count(renamed.length, 'record')} with the name of another one: ${renamed[0]}`)
  return { folders, copies: [...byKey.values()].toSorted(inOrder), byKey, notes }
}

/** Copies of the same record: hard links, and files of the same bytes; both or none compressed. */
const twinsIn = (folder: string): Twins => {
  const copyAt = (file: string): Copy => ({ ...decodeCopyName(path.basename(file))!, file })
  return new Twins(
    file => {
      const copy = copyAt(file)
      const stat = lookAt(folder, copy)
      const of = (...parts: unknown[]): string => [copy.compressed, ...parts].join()
      return { inode: of(stat?.dev, stat?.ino), length: of(stat?.size) }
    },
    // Each is shown, and says what is wrong with it.
    file => ifReadable(() => readCopy(folder, copyAt(file)).bytes),
  )
}

/** What tells a record from the others of its listing. */
export const keyOf = ({ label, id, copy }: Pick<CopyName, 'label' | 'id' | 'copy'>): string =>
  fileName(label, null, id, false, copy)

/** The listing of a file that is a copy by itself. */
export const listOne = (copy: Copy): Listing => ({
  folders: new Map(),
  copies: [copy],
  byKey: new Map([[keyOf(copy), copy]]),
  notes: [],
})

const compare = <T extends string | bigint | number>(a: T, b: T): number =>
  a < b ? -1 : a > b ? 1 : 0

const inOrder = (a: Copy, b: Copy): number =>
  compare(a.label, b.label) || compare(a.id, b.id) || compare(keyOf(a), keyOf(b))

/** Where a copy is, for messages and system calls. */
export const placeOf = (source: string, { file }: Copy): string =>
  file === null ? source : path.join(source, file)

/** How many bytes are in a file that may be compressed; null where it cannot be opened, which reading it says. */
const contentSize = (file: string): bigint | null => {
  try {
    const { fd, stat } = openContent(file)
    fs.closeSync(fd)
    return BigInt(stat.size)
  } catch (error) {
    assertStoreError(error)
    return null
  }
}

/** A copy's stat, with its content's size; null where there is no such file any more. */
export const lookAt = (source: string, copy: Copy): fs.BigIntStats | null => {
  try {
    const place = placeOf(source, copy)
    // The source itself may be behind a link, as its user says.
    const stat = copy.file === null ? statAt(place) : fs.lstatSync(place, { bigint: true })
    if (!stat.isFile()) return null
    return copy.file === null
      ? Object.assign(stat, { size: contentSize(place) ?? stat.size })
      : stat
  } catch {
    // It has gone, or its folder is not ours to see: opening it says why.
    return null
  }
}

/** A copy's bytes, and its stat before they were read. */
export interface ReadCopy {
  readonly bytes: Buffer
  readonly stat: fs.BigIntStats
}

/**
 * Read a copy.
 *
 * @throws StoreError (ENOENT) where it has gone, (EACCES, EIO) where it cannot be read, is no file or too large
 */
export const readCopy = (source: string, copy: Copy): ReadCopy => {
  const place = placeOf(source, copy)
  // What was unpacked has another time.
  const looked = copy.file === null ? lookAt(source, copy) : null
  const { fd, stat } = openCopy(source, copy, place)
  try {
    if (!stat.isFile()) throw new StoreError(`${place}: is no file`, 'EIO')
    const big = looked ?? statOf(place, fd)
    return { bytes: readToEnd(place, fd, stat, largestCopy), stat: big }
  } finally {
    fs.closeSync(fd)
  }
}

const openCopy = (source: string, { file }: Copy, place: string): Opened => {
  if (file === null) return openContent(source)
  const folder = openBelow(source, path.dirname(file))
  try {
    return openNow(
      `/proc/self/fd/${folder.fd}/${path.basename(place)}`,
      O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
      place,
    )
  } finally {
    fs.closeSync(folder.fd)
  }
}

/** A folder changes as a copy in it is added or removed, or a folder. */
const folderVersionOf = ({ dev, ino, mtimeNs, ctimeNs }: fs.BigIntStats): string =>
  [dev, ino, mtimeNs, ctimeNs].join(':')

/** What a folder is now, but for what is in the folders in it. */
export const folderVersion = (folder: string): string => {
  try {
    return folderVersionOf(fs.statSync(folder, { bigint: true }))
  } catch (error) {
    throw explain(folder, error)
  }
}

/** Are the folders in it as they were when they were listed? */
export const isAsListed = (folder: string, { folders }: Listing): boolean => {
  for (const [name, version] of folders)
    if (ifReadable(() => folderVersion(path.join(folder, name))) !== version) return false
  return true
}
