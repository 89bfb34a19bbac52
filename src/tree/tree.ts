/**
 * pstorefs's tree: which names there are, what they link to, and their attributes.
 *
 * It knows records, and neither FUSE nor what lies on the media. Source: doc/formats.md 2, pstorefs(8).
 */
import type { Backend, StoredRecord } from '../pstore/backend.js'
import type { Content } from '../pstore/content.js'
import { StoreError } from '../pstore/errors.js'
import { now, type Timespec } from '../pstore/time.js'

/** Whether a backend's folder is listed, only opened by name, or not there at all. */
export type Subdirs = 'visible' | 'hidden' | 'off'

export interface TreeOptions {
  /** Default: visible. */
  subdirs?: Subdirs
  /** Owner of everything. Default: root, as in Linux. */
  uid?: number
  gid?: number
  /** Permissions that nothing has. */
  umask?: number
  /** Told of a record that was opened. */
  onOpen?: (backend: Backend, record: StoredRecord) => void
  /** Told of a record that was unlinked, and is erased. */
  onErase?: (backend: Backend, record: StoredRecord) => void
}

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
interface Inode {
  readonly ino: number
  mode: number
  uid: number
  gid: number
  atime: Timespec
  mtime: Timespec
  ctime: Timespec
}

interface FileInode extends Inode {
  /** The record's bytes, of which this inode has been told (Record.version). */
  version: string
  /** What truncate set; the bytes stay. */
  size: number | null
}

interface Folder {
  readonly kind: 'root' | 'folder'
  readonly inode: Inode
  readonly backend: Backend | null
}

/** A name in a folder, whether there is a record of that name or not. */
interface Name {
  readonly kind: 'name'
  readonly backend: Backend
  readonly name: string
}

interface File {
  readonly kind: 'file'
  readonly inode: FileInode
  readonly backend: Backend
  readonly record: StoredRecord
}

/** A name resolved. */
type Node = Folder | File

/** An open file: the bytes that it had when it was opened. */
export interface OpenFile {
  readonly content: Content
  /** fstat(2): also of a file whose names are gone. */
  attributes(): Attributes
}

const directory = 0o040000
const regular = 0o100000
const directoryMode = directory | 0o750
const fileMode = regular | 0o444
const permissions = 0o7777

const notThere = (path: string): StoreError => new StoreError(`${path}: no such file`, 'ENOENT')

/** Does a backend's folder show something? One that cannot be read says so when it is opened. */
const holdsRecord = (backend: Backend): boolean => {
  try {
    return !backend.records().next().done
  } catch {
    return true
  }
}

export class Tree {
  #backends: readonly Backend[] = []
  #subdirs: Subdirs = 'visible'
  readonly #uid: number
  readonly #gid: number
  readonly #umask: number
  readonly #onOpen: TreeOptions['onOpen']
  readonly #onErase: TreeOptions['onErase']
  #lastIno = 0
  readonly #root: Inode
  #folders = new Map<string, { backend: Backend; inode: Inode }>()
  /** By backend, then by file name: only of records that were there when last looked at. */
  readonly #files = new Map<Backend, Map<string, FileInode>>()

  constructor(
    backends: readonly Backend[],
    { subdirs = 'visible', uid = 0, gid = 0, umask = 0, onOpen, onErase }: TreeOptions = {},
  ) {
    this.#uid = uid
    this.#gid = gid
    this.#umask = umask
    this.#onOpen = onOpen
    this.#onErase = onErase
    this.#root = this.#newInode(directoryMode)
    this.replace(backends, subdirs)
  }

  /** Show these backends from now on. The files of those that stay are the same as before. */
  replace(backends: readonly Backend[], subdirs: Subdirs): void {
    const folders = new Map<string, { backend: Backend; inode: Inode }>()
    for (const backend of backends) {
      const inode = this.#folders.get(backend.name)?.inode ?? this.#newInode(directoryMode)
      folders.set(backend.name, { backend, inode })
      if (!this.#files.has(backend)) this.#files.set(backend, new Map())
    }
    for (const backend of this.#files.keys())
      if (!backends.includes(backend)) this.#files.delete(backend)
    this.#backends = backends
    this.#subdirs = subdirs
    this.#folders = folders
  }

  #newInode(mode: number): Inode {
    const time = now()
    const ino = ++this.#lastIno
    const kept = mode & ~this.#umask
    return {
      ino,
      mode: kept,
      uid: this.#uid,
      gid: this.#gid,
      atime: time,
      mtime: time,
      ctime: time,
    }
  }

  /** The inode of a record, brought up to date with it. */
  #fileInode(backend: Backend, record: StoredRecord): FileInode {
    const files = this.#files.get(backend)!
    let inode = files.get(record.name)
    // A ring grows; a dump is replaced by another, which is another file.
    if (!inode || (inode.version !== record.version && record.time)) {
      inode = { ...this.#newInode(fileMode), version: record.version, size: null }
      if (record.time) inode.mtime = inode.ctime = record.time
      files.set(record.name, inode)
    } else if (inode.version !== record.version) {
      inode.version = record.version
      inode.size = null
      inode.mtime = inode.ctime = now()
    }
    return inode
  }

  /**
   * What a path names (`/`, `/NAME`, `/BACKEND/NAME`), without a look at its record.
   *
   * @throws StoreError ENOENT, ENOTDIR
   */
  #locate(path: string): Folder | Name {
    const [, first = '', second, ...rest] = path.split('/')
    if (first === '') return { kind: 'root', inode: this.#root, backend: this.#backends[0] ?? null }
    const folder = this.#subdirs === 'off' ? undefined : this.#folders.get(first)
    if (!folder && second !== undefined) {
      this.#file(this.#backends[0], first, path)
      throw new StoreError(`${path}: not a folder`, 'ENOTDIR')
    }
    if (folder && second === undefined) return { kind: 'folder', ...folder }
    const backend = folder ? folder.backend : this.#backends[0]
    if (rest.length || !backend) throw notThere(path)
    return { kind: 'name', backend, name: second ?? first }
  }

  /** Throws ENOENT or ENOTDIR. */
  #resolve(path: string): Node {
    const found = this.#locate(path)
    return found.kind === 'name' ? this.#file(found.backend, found.name, path) : found
  }

  #file(backend: Backend | undefined, name: string, path: string): File {
    const record = backend?.find(name)
    if (!backend || !record) throw this.#gone(backend, name, path)
    return { kind: 'file', backend, record, inode: this.#fileInode(backend, record) }
  }

  /** Forget a file whose record is not there any more. */
  #gone(backend: Backend | undefined, name: string, path: string): StoreError {
    if (backend) this.#files.get(backend)?.delete(name)
    return notThere(path)
  }

  /** The names of a file: one in the folder, and one in the root for the first backend's. */
  #links(backend: Backend): number {
    return backend === this.#backends[0] && this.#subdirs !== 'off' ? 2 : 1
  }

  /** The folders that a listing of the root shows: those that hold a record. */
  #listed(isListed = holdsRecord): string[] {
    if (this.#subdirs !== 'visible') return []
    return this.#backends.filter(backend => isListed(backend)).map(({ name }) => name)
  }

  #attributes(node: Node): Attributes {
    const { ino, mode, uid, gid, atime, mtime, ctime } = node.inode
    const isFile = node.kind === 'file'
    const size = isFile ? (node.inode.size ?? node.record.size) : 0
    const nlink = isFile
      ? this.#links(node.backend)
      : 2 + (node.kind === 'root' ? this.#listed().length : 0)
    return { ino, mode, nlink, uid, gid, size, atime, mtime, ctime }
  }

  /** stat(2). Throws ENOENT. */
  getattr(path: string): Attributes {
    return this.#attributes(this.#resolve(path))
  }

  /** A folder's names, as Linux lists them: the newest first. Throws ENOENT. */
  readdir(path: string): string[] {
    const node = this.#resolve(path)
    if (node.kind === 'file') throw new StoreError(`${path}: not a folder`, 'ENOTDIR')
    const names = ['.', '..']
    const found = node.backend ? namesIn(node.backend) : []
    names.push(...found.toReversed())
    if (node.backend) this.#forgetAllBut(node.backend, new Set(found))
    // Of the first backend it is known by now.
    const isListed = (backend: Backend): boolean =>
      backend === node.backend ? found.length > 0 : holdsRecord(backend)
    return node.kind === 'root' ? names.concat(this.#listed(isListed)) : names
  }

  #forgetAllBut(backend: Backend, names: Set<string>): void {
    const files = this.#files.get(backend)!
    for (const name of files.keys()) if (!names.has(name)) files.delete(name)
  }

  /** Open a file: its bytes as they are now. Throws ENOENT, EISDIR, EIO. */
  open(path: string): OpenFile {
    const found = this.#locate(path)
    if (found.kind !== 'name') throw new StoreError(`${path}: is a folder`, 'EISDIR')
    const { backend, name } = found
    const opened = backend.open(name)
    if (!opened) throw this.#gone(backend, name, path)
    const { record, content } = opened
    const inode = this.#fileInode(backend, record)
    const node: File = { kind: 'file', backend, record, inode }
    this.#onOpen?.(backend, record)
    const attributes = (): Attributes => {
      const named = this.#files.get(backend)?.get(record.name) === inode
      return { ...this.#attributes(node), ...(named ? {} : { nlink: 0 }) }
    }
    return { content, attributes }
  }

  /**
   * Erase the record that was looked at; all of its names go. Throws ENOENT, also where another dump has taken
   * its place, which nobody has seen and which stays; EPERM, EROFS, EIO.
   */
  unlink(path: string): void {
    const node = this.#resolve(path)
    if (node.kind !== 'file') throw new StoreError(`${path}: is a folder`, 'EPERM')
    const { backend, record } = node
    const erased = record.erase()
    this.#files.get(backend)?.delete(record.name)
    if (!erased) throw notThere(path)
    this.#onErase?.(backend, record)
  }

  chmod(path: string, mode: number): void {
    const { inode } = this.#resolve(path)
    inode.mode = (inode.mode & ~permissions) | (mode & permissions)
    inode.ctime = now()
  }

  /** Null leaves an owner as it is. */
  chown(path: string, uid: number | null, gid: number | null): void {
    const { inode } = this.#resolve(path)
    inode.uid = uid ?? inode.uid
    inode.gid = gid ?? inode.gid
    inode.ctime = now()
  }

  utimes(path: string, atime: Timespec, mtime: Timespec): void {
    const { inode } = this.#resolve(path)
    inode.atime = atime
    inode.mtime = mtime
    inode.ctime = now()
  }

  /** As in Linux: the size that stat(2) shows, and nothing else. */
  truncate(path: string, size: number): void {
    const node = this.#resolve(path)
    if (node.kind !== 'file') throw new StoreError(`${path}: is a folder`, 'EISDIR')
    node.inode.size = size
    node.inode.mtime = node.inode.ctime = now()
  }
}

/** The names of a backend's records. What cannot be read hides no other, where there is another. */
const namesIn = (backend: Backend): string[] => {
  const names: string[] = []
  try {
    for (const { name } of backend.records()) names.push(name)
  } catch (error) {
    if (!(error instanceof StoreError) || names.length === 0) throw error
  }
  return names
}
