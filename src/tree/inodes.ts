/** What the tree knows of its inodes, and how a listing shows them. */
import type { RecordFacts } from '../pstore/backend.js'
import type { Records } from '../pstore/records.js'
import type { Timespec } from '../pstore/time.js'

/** What stat(2) shows. */
export interface Attributes {
  ino: number
  /** Type and permissions, as st_mode. */
  mode: number
  nlink: number
  uid: number
  gid: number
  size: number
  atime: Timespec
  mtime: Timespec
  ctime: Timespec
}

/** What chmod, chown, utimes and truncate change; it lasts as long as the mount. */
export interface Inode {
  readonly ino: number
  mode: number
  uid: number
  gid: number
  atime: Timespec
  mtime: Timespec
  ctime: Timespec
}

export interface Folder extends Inode {
  readonly kind: 'folder'
  /** Whose records it shows; the root the first backend's. */
  records: Records | null
}

export interface File extends Inode {
  readonly kind: 'file'
  readonly records: Records
  readonly name: string
  /** As it was looked at last; null before the first look. */
  record: RecordFacts | null
  /** What truncate set; the bytes stay. */
  setSize: number | null
  /** False once the record is not there any more, or another one has its name. */
  isNamed: boolean
  /** How often it is held: {@link Tree.hold}, and while it is open. */
  holds: number
}

/** A name in a folder. */
export interface Entry {
  readonly name: string
  readonly ino: number
  readonly mode: number
}

const directory = 0o040000
const regular = 0o100000
export const directoryMode = directory | 0o750
export const fileMode = regular | 0o444
export const permissions = 0o7777

/** A folder's entries: itself and its parent first. */
export const entriesOf = (
  folder: Folder,
  files: readonly File[],
  folders: readonly Folder[],
): Entry[] => {
  const { ino, mode } = folder
  return [
    { name: '.', ino, mode },
    { name: '..', ino, mode },
    ...files.map(({ name, ino, mode }) => ({ name, ino, mode })),
    ...folders.map(({ records, ino, mode }) => ({ name: records!.name, ino, mode })),
  ]
}
