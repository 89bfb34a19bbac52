/**
 * pstorefs's tree: which names there are, what they link to, and their attributes. An inode's number says which;
 * the root's is 1.
 *
 * It knows records, and neither FUSE nor what lies on the media. What only a look at a store tells comes at once
 * or later (pstore/records.ts). Source: doc/formats.md 2, pstorefs(8).
 */
import type { RecordFacts } from '../pstore/backend.js'
import type { Content } from '../pstore/content.js'
import { assertStoreError, StoreError } from '../pstore/errors.js'
import type { Records, Snapshot } from '../pstore/records.js'
import { whenDone, type Soon } from '../pstore/soon.js'
import { now } from '../pstore/time.js'
import { parseFileName, type Usage } from '../pstore/types.js'
import { extendedNames, extendedValue } from './extended.js'
import {
  directoryMode,
  entriesOf,
  fileMode,
  permissions,
  type Attributes,
  type Entry,
  type File,
  type Folder,
  type Inode,
} from './inodes.js'
import { Snapshots, type SharedSnapshot } from './snapshots.js'

export type { Attributes, Entry } from './inodes.js'

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
  onOpen?: (record: RecordFacts) => void
  /** Told of a record that was unlinked, and is erased. */
  onErase?: (record: RecordFacts) => void
  /** The root's attributes that no list of attributes has: by name what tells each. */
  onAsk?: { readonly [name: string]: () => Soon<string> }
  /** Told how many bytes of files are not needed any more, once the caller is done. */
  onDrop?: (bytes: number) => void
}

/** An open file: the bytes that it had when it was opened. */
export interface OpenFile {
  readonly ino: number
  readonly content: Content
  /** `st_size` at that time: ftrace's text is longer. */
  readonly size: number
  /** fstat(2) without a look: also of a file whose names are gone. */
  attributes(): Attributes
  close(): void
}

/** What can be changed of an inode; a size of files only. */
export type Changes = Partial<Pick<Attributes, 'mode' | 'uid' | 'gid' | 'size' | 'atime' | 'mtime'>>

const notThere = (name: string): StoreError => new StoreError(`${name}: no such file`, 'ENOENT')
/** Nothing has this number any more: who asked looks for the name again. */
const stale = (ino: number): StoreError => new StoreError(`inode ${ino}: gone`, 'ESTALE')

export class Tree {
  /** The root's inode number. */
  static readonly root = 1

  #first: Records | null = null
  #subdirs: Subdirs = 'visible'
  readonly #uid: number
  readonly #gid: number
  readonly #umask: number
  readonly #onOpen: TreeOptions['onOpen']
  readonly #onErase: TreeOptions['onErase']
  readonly #onAsk: NonNullable<TreeOptions['onAsk']>
  #lastIno = 0
  readonly #root: Folder
  #folders = new Map<string, Folder>()
  /** By backend, then by name: only files that were there when last looked at. */
  readonly #files = new Map<Records, Map<string, File>>()
  /** All that the kernel may ask about. */
  readonly #inodes = new Map<number, Folder | File>()
  readonly #snapshots: Snapshots

  constructor(
    backends: readonly Records[],
    {
      subdirs = 'visible',
      uid = 0,
      gid = 0,
      umask = 0,
      onOpen,
      onErase,
      onAsk = {},
      onDrop,
    }: TreeOptions = {},
  ) {
    this.#uid = uid
    this.#gid = gid
    this.#umask = umask
    this.#onOpen = onOpen
    this.#onErase = onErase
    this.#onAsk = onAsk
    this.#snapshots = new Snapshots(onDrop)
    this.#root = this.#newFolder(null)
    this.replace(backends, subdirs)
  }

  /** Show these backends from now on. The files of those that stay are the same as before. */
  replace(backends: readonly Records[], subdirs: Subdirs): void {
    const folders = new Map<string, Folder>()
    for (const records of backends) {
      const folder = this.#folders.get(records.name) ?? this.#newFolder(records)
      folder.records = records
      folders.set(records.name, folder)
      if (!this.#files.has(records)) this.#files.set(records, new Map())
    }
    for (const [name, { ino }] of this.#folders) if (!folders.has(name)) this.#inodes.delete(ino)
    for (const [records, files] of this.#files)
      if (!backends.includes(records)) {
        for (const file of files.values()) this.#unname(file)
        this.#files.delete(records)
      }
    this.#root.records = this.#first = backends[0] ?? null
    this.#subdirs = subdirs
    this.#folders = folders
  }

  #newInode(mode: number): Inode {
    const time = now()
    return {
      ino: ++this.#lastIno,
      mode: mode & ~this.#umask,
      uid: this.#uid,
      gid: this.#gid,
      atime: time,
      mtime: time,
      ctime: time,
    }
  }

  #newFolder(records: Records | null): Folder {
    const folder: Folder = { kind: 'folder', ...this.#newInode(directoryMode), records }
    this.#inodes.set(folder.ino, folder)
    return folder
  }

  /** The file of a name, made where there was none. */
  #fileNamed(records: Records, name: string): File {
    const files = this.#files.get(records)
    const known = files?.get(name)
    if (known) return known
    const file: File = {
      kind: 'file',
      ...this.#newInode(fileMode),
      records,
      name,
      record: null,
      setSize: null,
      // Its backend may have been replaced while it was looked at.
      isNamed: files !== undefined,
      holds: 0,
    }
    files?.set(name, file)
    if (files) this.#inodes.set(file.ino, file)
    return file
  }

  /**
   * The file of a record that was just looked at, brought up to date with it. A look at a ring that did not rest
   * tells less than the ring holds: of that size nobody is told who may have it open.
   */
  #fileOf(records: Records, record: RecordFacts, isOpened = false): File {
    const { name, version, time } = record
    let file = this.#fileNamed(records, name)
    const before = file.record
    if (before && (before.version === version || (record.cut > 0 && !isOpened))) return file
    // A ring grows; a dump is replaced by another, which is another file.
    if (before && time) {
      this.#gone(file)
      file = this.#fileNamed(records, name)
    }
    if (time) file.mtime = file.ctime = time
    else if (before) file.mtime = file.ctime = now()
    file.setSize = null
    file.record = record
    return file
  }

  /** A file's record is not there any more. */
  #gone(file: File): void {
    const files = this.#files.get(file.records)
    if (files?.get(file.name) === file) files.delete(file.name)
    this.#unname(file)
  }

  #unname(file: File): void {
    file.isNamed = false
    if (file.holds === 0) this.#inodes.delete(file.ino)
  }

  /** Keep an inode for the kernel, which has been told of it once more. */
  hold(ino: number): void {
    const inode = this.#inodes.get(ino)
    if (inode?.kind === 'file') inode.holds++
  }

  /** The kernel has forgotten an inode as often. */
  forget(ino: number, times: number): void {
    const inode = this.#inodes.get(ino)
    if (inode?.kind !== 'file') return
    inode.holds = Math.max(0, inode.holds - times)
    if (!inode.isNamed && inode.holds === 0) this.#inodes.delete(ino)
  }

  /** Is a file's text made of binary records, so that its st_size is not its length? */
  isRendered(ino: number): boolean {
    const inode = this.#inodes.get(ino)
    return inode?.kind === 'file' && inode.record?.type === 'ftrace'
  }

  /** How many inodes are known: those of the names that there are, and those that are held. */
  get inodes(): number {
    return this.#inodes.size
  }

  /** How full the store is; null where it cannot tell, and where there are several: nobody waits for a slow one. */
  usage(): Usage | null {
    const first = this.#folders.size === 1 ? this.#first : null
    try {
      return first?.usage?.() ?? null
    } catch (error) {
      assertStoreError(error)
      return null
    }
  }

  #inode(ino: number): Folder | File {
    const inode = this.#inodes.get(ino)
    if (!inode) throw stale(ino)
    return inode
  }

  #folder(ino: number): Folder {
    const inode = this.#inode(ino)
    if (inode.kind !== 'folder') throw new StoreError(`${inode.name}: not a folder`, 'ENOTDIR')
    return inode
  }

  /** The folders that a listing of the root shows. */
  #listed(): Folder[] {
    return this.#subdirs === 'visible' ? [...this.#folders.values()] : []
  }

  /** The names of a file: one in the folder, and one in the root for the first backend's. */
  #links({ records, isNamed }: File): number {
    if (!isNamed) return 0
    return records === this.#first && this.#subdirs !== 'off' ? 2 : 1
  }

  #attributes(inode: Folder | File): Attributes {
    const { ino, mode, uid, gid, atime, mtime, ctime } = inode
    const isFile = inode.kind === 'file'
    // Nobody is told of a file before the first look at its record.
    const size = isFile ? (inode.setSize ?? inode.record!.size) : 0
    const nlink = isFile
      ? this.#links(inode)
      : 2 + (inode === this.#root ? this.#listed().length : 0)
    return { ino, mode, nlink, uid, gid, size, atime, mtime, ctime }
  }

  /** The folder of a backend that a name in a folder names. */
  #subfolder(folder: Folder, name: string): Folder | undefined {
    return folder === this.#root && this.#subdirs !== 'off' ? this.#folders.get(name) : undefined
  }

  /** What stat(2) shows of a name in a folder. Throws ENOENT, ENOTDIR, ESTALE, EIO. */
  lookup(parent: number, name: string): Soon<Attributes> {
    const folder = this.#folder(parent)
    const subfolder = this.#subfolder(folder, name)
    if (subfolder) return this.#attributes(subfolder)
    return whenDone(this.#look(folder, name), file => this.#attributes(file))
  }

  /** Look at the record of a name in a folder. */
  #look({ records }: Folder, name: string): Soon<File> {
    // Shells and file managers ask for much that can be no record.
    if (!records || !parseFileName(name, null)) throw notThere(name)
    return whenDone(records.find(name), record => {
      if (record) return this.#fileOf(records, record)
      const file = this.#files.get(records)?.get(name)
      if (file) this.#gone(file)
      throw notThere(name)
    })
  }

  /** What stat(2) shows of an inode; of a file whose names are gone, what it was. Throws ESTALE, EIO. */
  attributes(ino: number): Soon<Attributes> {
    const inode = this.#inode(ino)
    if (inode.kind === 'folder') return this.#attributes(inode)
    return whenDone(this.#refresh(inode), () => this.#attributes(inode))
  }

  /** Look at a file's record again, where the file still has one. */
  #refresh(file: File): Soon<unknown> {
    if (!file.isNamed) return null
    return whenDone(file.records.find(file.name), record => {
      if (record) this.#fileOf(file.records, record)
      else this.#gone(file)
      if (!file.isNamed && !this.#snapshots.last(file.ino)) throw stale(file.ino)
    })
  }

  /** The names of an inode's extended attributes; no store is looked at for them. Throws ESTALE. */
  attributeNames(ino: number): readonly string[] {
    const inode = this.#inode(ino)
    return inode.kind === 'file' && inode.record ? extendedNames(inode.records, inode.record) : []
  }

  /** One of them. Throws ENODATA where there is none, ESTALE, EIO. */
  attribute(ino: number, name: string): Soon<string> {
    const inode = this.#inode(ino)
    const isRoots = inode === this.#root && Object.hasOwn(this.#onAsk, name)
    const value =
      inode.kind === 'folder'
        ? isRoots
          ? this.#onAsk[name]!()
          : null
        : whenDone(this.#refresh(inode), () => extendedValue(inode.records, inode.record!, name))
    return whenDone(value, found => {
      if (found === null) throw new StoreError(`${name}: no such attribute`, 'ENODATA')
      return found
    })
  }

  /** A folder's names, as Linux lists them: the newest first. Throws ENOTDIR, ESTALE, EIO. */
  list(ino: number): Soon<Entry[]> {
    const folder = this.#folder(ino)
    const { records } = folder
    if (!records) return entriesOf(folder, [], [])
    return whenDone(records.names(), names => {
      const files = this.#files.get(records)
      const there = new Set(names)
      for (const file of files?.values() ?? []) if (!there.has(file.name)) this.#gone(file)
      const found = names.map(name => this.#fileNamed(records, name))
      const folders = folder === this.#root ? this.#listed() : []
      return entriesOf(folder, found.toReversed(), folders)
    })
  }

  /** Open a file: its bytes as they are now. Throws ENOENT, EISDIR, ESTALE, EMFILE, EIO. */
  open(ino: number): Soon<OpenFile> {
    const inode = this.#inode(ino)
    if (inode.kind === 'folder') throw new StoreError('is a folder', 'EISDIR')
    const { records, name } = inode
    if (!inode.isNamed) {
      // By /proc/PID/fd: of what has no name there is what is open.
      const last = this.#snapshots.last(ino)
      if (!last) throw stale(ino)
      return this.#open(inode, last)
    }
    return whenDone(records.open(name), snapshot => {
      if (!snapshot) {
        this.#gone(inode)
        throw notThere(name)
      }
      if (this.#fileOf(records, snapshot.record, true) !== inode) throw stale(ino)
      this.#onOpen?.(snapshot.record)
      return this.#open(inode, snapshot)
    })
  }

  #open(file: File, snapshot: Snapshot): OpenFile {
    const kept: SharedSnapshot = this.#snapshots.keep(file.ino, snapshot)
    file.holds++
    return {
      ino: file.ino,
      content: kept.content,
      size: kept.record.size,
      attributes: () => this.#attributes(file),
      close: () => {
        this.#snapshots.release(file.ino, kept)
        this.forget(file.ino, 1)
      },
    }
  }

  /**
   * Erase the record that was looked at; all of its names go. Throws ENOENT, also where another dump has taken
   * its place, which nobody has seen and which stays; EPERM, EROFS, EBUSY, EIO.
   */
  unlink(parent: number, name: string): Soon<void> {
    const folder = this.#folder(parent)
    if (this.#subfolder(folder, name)) throw new StoreError(`${name}: is a folder`, 'EPERM')
    const known = folder.records && this.#files.get(folder.records)?.get(name)
    return whenDone(known?.record ? known : this.#look(folder, name), file => {
      const record = file.record!
      return whenDone(file.records.erase(record), erased => {
        this.#gone(file)
        if (!erased) throw notThere(name)
        this.#unlinked(file)
        this.#onErase?.(record)
      })
    })
  }

  /** The times of what an unlink changes: fs/libfs.c, simple_unlink. */
  #unlinked(file: File): void {
    file.ctime = now()
    for (const folder of [this.#root, ...this.#folders.values()])
      if (folder.records === file.records) folder.mtime = folder.ctime = file.ctime
  }

  /** chmod, chown, utimes, truncate; a size is what stat(2) shows, and nothing else, as in Linux. Throws EISDIR, ESTALE, EIO. */
  change(ino: number, { size, ...others }: Changes): Soon<Attributes> {
    const inode = this.#inode(ino)
    if (inode.kind === 'folder' && size !== undefined) throw new StoreError('is a folder', 'EISDIR')
    return whenDone(inode.kind === 'file' ? this.#refresh(inode) : null, () => {
      const { mode, uid, gid, atime, mtime } = others
      inode.ctime = now()
      if (inode.kind === 'file' && size !== undefined) {
        inode.setSize = size
        inode.mtime = inode.ctime
      }
      if (mode !== undefined) inode.mode = (inode.mode & ~permissions) | (mode & permissions)
      inode.uid = uid ?? inode.uid
      inode.gid = gid ?? inode.gid
      inode.atime = atime ?? inode.atime
      inode.mtime = mtime ?? inode.mtime
      return this.#attributes(inode)
    })
  }
}
