/**
 * A folder of variables, as efivarfs shows them (or a copy of one): a file `NAME-GUID` for each, the
 * attributes (a u32, little-endian) before the data.
 *
 * Source: fs/efivarfs, Documentation/filesystems/efivarfs.rst.
 */
import fs from 'node:fs'
import path from 'node:path'
import { StoreError, type ErrorCode } from '../../pstore/errors.js'
import type { Usage } from '../../pstore/types.js'
import { setImmutable } from '../../native/immutable.js'
import { versionOf } from '../../native/open.js'
import { inWords } from '../../native/words.js'
import { SourceLock } from '../../region/lock.js'
import { Remembered } from './remembered.js'
import type { DumpName, PieceName } from './names.js'
import {
  attributes,
  byVendor,
  largestData,
  parseName,
  vendors,
  type DumpVariable,
  type Unseen,
  type Variable,
  type VariableList,
  type Variables,
  type Vendor,
} from './variables.js'

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = fs.constants

const attributesLength = 4
/** What statfs(2) says of efivarfs. */
const efivarfs = 0xde5e81e4
/** What every variable's file ends in. */
const guidEnding = /-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** How many entries of a folder tell what it is. */
const enoughEntries = 4096

const reading = <T>(folder: string, work: () => T): T => {
  try {
    return work()
  } catch (error) {
    throw explain(folder, 'read', error)
  }
}

/** Are there variables among a folder's first entries? @throws StoreError where it cannot be read */
export const holdsVariables = (folder: string): boolean => {
  const dir = reading(folder, () => fs.opendirSync(folder))
  try {
    return reading(folder, () => {
      for (let n = 0, entry; n < enoughEntries && (entry = dir.readSync()); n++)
        if (entry.isFile() && guidEnding.test(entry.name)) return true
      return false
    })
  } finally {
    dir.closeSync()
  }
}
/** How often an interrupted read is tried again: efivarfs makes users other than root wait so. */
const patience = 100

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

/** Errnos that keep their meaning for whoever asked; all others are the folder's trouble. */
const passed: readonly (string | undefined)[] = [
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOSPC',
] satisfies ErrorCode[]

/** A failed system call, in words. */
const explain = (file: string, doing: string, error: unknown): StoreError => {
  const code = codeOf(error)
  const why = code === 'ENOSPC' ? 'the firmware has no more room for variables' : inWords(error)
  return new StoreError(
    `${file}: cannot be ${doing}: ${why}`,
    passed.includes(code) ? (code as ErrorCode) : 'EIO',
  )
}

export class VariableFolder implements Variables {
  readonly readOnly: boolean
  readonly #kept = new Remembered<VariableList>()
  /** Versions of files that are there and cannot be read: what Linux's pstore deletes, efivarfs goes on listing. */
  #gone = new Map<string, string>()
  /** Made when it is first needed. */
  #lock: SourceLock | null = null
  #fd = -1

  constructor(
    readonly path: string,
    readOnly = false,
  ) {
    this.readOnly = readOnly || !isWritable(path)
  }

  #file({ name, vendor }: Pick<Variable, 'name' | 'vendor'>): string {
    return `${this.path}/${name}-${vendor}`
  }

  #explained<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw explain(this.path, 'read', error)
    }
  }

  list(): VariableList {
    return this.#explained(() => {
      const { dev, ino, mtimeNs, ctimeNs } = fs.statSync(this.path, { bigint: true })
      return this.#kept.get([dev, ino, mtimeNs, ctimeNs].join(), () => this.#list())
    })
  }

  total(): { variables: number; others: number } {
    const files = this.#explained(() => fs.readdirSync(this.path))
    const variables = files.filter(file => guidEnding.test(file)).length
    return { variables, others: files.length - variables }
  }

  #list(): VariableList {
    const found: Variable<DumpName | PieceName>[] = []
    const unseen: Unseen[] = []
    const gone = this.#gone
    this.#gone = new Map()
    for (const file of fs.readdirSync(this.path)) {
      const vendor = vendors.find(guid => file.endsWith(`-${guid}`))
      if (!vendor) continue
      const name = file.slice(0, -vendor.length - 1)
      const says = parseName(vendor, name)
      if (!says) continue
      const seen = this.#look({ name, vendor })
      if (seen instanceof StoreError) unseen.push({ name: `the variable ${name}`, error: seen })
      if (!seen || seen instanceof StoreError) continue
      if (gone.get(file) === seen.version) this.#gone.set(file, seen.version)
      else found.push({ vendor, name, says, ...seen })
    }
    const { dumps, pieces } = byVendor(found)
    return { dumps: dumps.toSorted(inOrder), pieces, unseen, room: roomOf(this.path) }
  }

  /** Size and version by lstat: efivarfs asks the firmware for each read, which takes long. */
  #look(
    of: Pick<Variable, 'name' | 'vendor'>,
  ): Pick<Variable, 'size' | 'version'> | StoreError | null {
    let stat: fs.BigIntStats
    try {
      stat = fs.lstatSync(this.#file(of), { bigint: true })
    } catch (error) {
      // It has gone meanwhile; or the others are shown.
      return codeOf(error) === 'ENOENT' ? null : explain(this.#file(of), 'looked at', error)
    }
    const size = Number(stat.size) - attributesLength
    // A file without data is one that is being made.
    if (!stat.isFile() || size <= 0 || size > largestData) return null
    return { size, version: versionOf(stat) }
  }

  read(variable: Variable): Buffer | null {
    const file = this.#file(variable)
    try {
      // What lay there may have been replaced by anything since: no link, and no waiting for a FIFO.
      const fd = fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
      try {
        const stat = fs.fstatSync(fd, { bigint: true })
        if (!stat.isFile() || versionOf(stat) !== variable.version) {
          this.#kept.forget()
          return null
        }
        const bytes = Buffer.alloc(attributesLength + variable.size)
        // In one call: efivarfs fetches the variable anew for each.
        if (readOnce(fd, bytes) === bytes.length) return bytes.subarray(attributesLength)
      } finally {
        fs.closeSync(fd)
      }
    } catch (error) {
      // ELOOP: a link in its place. The firmware, too, says ENOENT of what it has no more.
      if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ELOOP')
        throw explain(file, 'read', error)
    }
    this.#gone.set(path.basename(file), variable.version)
    return null
  }

  create(vendor: Vendor, name: string, data: Uint8Array): boolean {
    const file = this.#file({ name, vendor })
    const bytes = Buffer.alloc(attributesLength + data.length)
    bytes.writeUInt32LE(attributes)
    bytes.set(data, attributesLength)
    let fd: number
    try {
      fd = fs.openSync(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644)
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false
      throw explain(file, 'made', error)
    }
    this.#kept.forget()
    try {
      // efivarfs sets the variable with each write(2): all of it in one.
      const n = fs.writeSync(fd, bytes)
      if (n !== bytes.length) throw new StoreError(`${file}: was cut short`, 'ENOSPC')
    } catch (error) {
      try {
        fs.unlinkSync(file)
      } catch {
        // efivarfs may have no variable to delete; an empty file is no record.
      }
      throw error instanceof StoreError ? error : explain(file, 'written', error)
    } finally {
      fs.closeSync(fd)
    }
    return true
  }

  remove(variable: Pick<Variable, 'vendor' | 'name'>): void {
    const file = this.#file(variable)
    this.#kept.forget()
    try {
      unlink(file)
    } catch (error) {
      throw explain(file, 'deleted', error)
    }
  }

  exclusively<T>(work: () => T): T {
    this.#lock ??= this.#makeLock()
    return this.#lock.exclusively(() => {
      // What others changed in the same tick of the clock is not missed.
      this.#kept.forget()
      return work()
    })
  }

  #makeLock(): SourceLock {
    try {
      this.#fd = fs.openSync(this.path, O_RDONLY | O_DIRECTORY)
    } catch (error) {
      throw explain(this.path, 'locked', error)
    }
    return SourceLock.of(this.path, this.#fd, false)
  }

  close(): void {
    this.#kept.forget()
    this.#lock?.close()
    this.#lock = null
    if (this.#fd >= 0) fs.closeSync(this.#fd)
    this.#fd = -1
  }
}

/** How much room the firmware has: efivarfs tells since Linux 6.6, where it can; a copy is on any disk. */
const roomOf = (path: string): Pick<Usage, 'size' | 'free'> | null => {
  const { type, bsize, blocks, bfree } = fs.statfsSync(path)
  return type === efivarfs && blocks > 0 ? { size: bsize * blocks, free: bsize * bfree } : null
}

const isWritable = (path: string): boolean => {
  try {
    fs.accessSync(path, fs.constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** One read(2) from the file's start; the number of bytes that came. */
const readOnce = (fd: number, bytes: Buffer, tries = patience): number => {
  try {
    return fs.readSync(fd, bytes, 0, bytes.length, 0)
  } catch (error) {
    // Over 100 reads a second, efivarfs sleeps 50 ms and then answers EINTR.
    if (codeOf(error) !== 'EINTR' || tries === 1) throw error
    return readOnce(fd, bytes, tries - 1)
  }
}

/**
 * efivarfs marks variables immutable, as a guard against `rm -rf` (firmware has been seen not to start
 * without some). Linux's dumps are not among them, but pieces of our rings are, and whatever an
 * administrator, or another kernel, has marked.
 */
const unlink = (file: string): void => {
  try {
    fs.unlinkSync(file)
    return
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT') return
    if (code !== 'EPERM' || !setImmutable(file, false)) throw error
  }
  try {
    fs.unlinkSync(file)
  } catch (error) {
    setImmutable(file, true)
    throw error
  }
}

/**
 * Linux enumerates in the firmware's order, which is that of writing; a folder has no such order. By
 * their names: dump by dump, and within one as Linux writes its parts. The names decide the rest.
 */
const inOrder = (a: DumpVariable, b: DumpVariable): number =>
  compare(a.says, b.says, 'sec') ||
  compare(a.says, b.says, 'count') ||
  compare(a.says, b.says, 'part') ||
  (a.name < b.name ? -1 : 1)

const compare = (a: DumpName, b: DumpName, field: 'sec' | 'count' | 'part'): number =>
  a[field] < b[field] ? -1 : a[field] > b[field] ? 1 : 0
