/**
 * EFI variables as a backend: Linux's crash dumps in a machine's firmware, or in a guest's.
 *
 * Source: FORMATS.md 4; drivers/firmware/efi/efi-pstore.c. Where Linux ends its enumeration (at a name
 * that it cannot parse, at a variable larger than its record size), this one goes on.
 */
import fs from 'node:fs'
import type { Backend, NewRecord, Record } from '../../pstore/backend.js'
import { inflate } from '../../pstore/deflate.js'
import { parseTitle } from '../../pstore/dump.js'
import { StoreError } from '../../pstore/errors.js'
import { now, type Timespec } from '../../pstore/time.js'
import { compressedSuffix, fileName, type RecordType } from '../../pstore/types.js'
import { Region } from '../../region/region.js'
import { VariableFolder } from './folder.js'
import { formatDumpName, recordId, type DumpName } from './names.js'
import type { Variable, VariableSource } from './source.js'
import { VariableStore } from './store.js'

/** Bytes that Linux puts into one variable (efi_pstore.record_size's default). */
export const recordSize = 1024
/** Linux inflates up to this many times the record size. */
const expansion = 3
/** How often a record that changes while it is read is tried again. */
const patience = 3
/** How many counts are tried for a new record whose own is taken. */
const counts = 1000

export interface EfiOptions {
  /** The backend's name. Default: Linux's own. */
  name?: string
  /** Never change the source. A variable store file is never changed. */
  readOnly?: boolean
  /** Where a variable store starts in its file, in bytes. */
  mem_address?: number
}

/**
 * Attach to EFI variables.
 *
 * @param path a folder: efivarfs, or a copy of one; a file or device: a UEFI variable store
 * @throws StoreError where it is neither; nothing stays open
 */
export const attachEfi = (
  path: string,
  { name = 'efi_pstore', readOnly = false, mem_address }: EfiOptions = {},
): EfiBackend => {
  if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory())
    return new EfiBackend(name, new VariableFolder(path, readOnly))
  const region = new Region(path, {
    readOnly: true,
    ...(mem_address === undefined ? {} : { offset: mem_address }),
  })
  try {
    return new EfiBackend(name, new VariableStore(region))
  } catch (error) {
    region.close()
    throw error
  }
}

export class EfiBackend implements Backend {
  readonly readOnly: boolean
  /** The variables that are shown, by their files' names without the suffix for compressed ones. */
  #shown: { of: readonly Variable[]; byStem: Map<string, Variable> } = { of: [], byStem: new Map() }
  /** The records of {@link #shown}, by the variables' names. */
  #records = new Map<string, Record>()

  constructor(
    readonly name: string,
    readonly source: VariableSource,
  ) {
    this.readOnly = source.readOnly
  }

  *records(): Generator<Record, void, void> {
    for (const stem of this.#variables().keys()) {
      const record = this.#look(stem)
      if (record) yield record
    }
  }

  record(name: string): Record | null {
    const record = this.#look(stemOf(name))
    return record?.name === name ? record : null
  }

  read({ name }: Record): Buffer {
    const found = this.#fetch(stemOf(name))
    if (!found) throw new StoreError(`${name}: no such record`, 'ENOENT')
    return found.bytes
  }

  erase({ name }: Record): void {
    const variable = this.#variables().get(stemOf(name))
    if (!variable) throw new StoreError(`${name}: no such record`, 'ENOENT')
    this.#checkWritable()
    this.source.remove(variable)
  }

  room(type: RecordType): number {
    return type === 'dmesg' ? recordSize : 0
  }

  /** Store one part of a dump. Its number and its dump's are those of its first line, else 1. */
  write({ type, bytes, time = now(), compressed = false }: NewRecord): number {
    if (type !== 'dmesg')
      throw new StoreError(`${this.source.path}: has no place for ${type}`, 'ENOSPC')
    this.#checkWritable()
    // A variable without data is none.
    if (bytes.length === 0) throw new StoreError('a dump without text is no record')
    if (bytes.length > recordSize)
      throw new StoreError(
        `${this.source.path}: a variable takes ${recordSize} bytes, not ${bytes.length}`,
        'ENOSPC',
      )
    const text = compressed ? inflate(bytes, expansion * recordSize) : Buffer.from(bytes)
    const { part, count } = (text && parseTitle(text)) ?? { part: 1, count: 1 }
    const sec = BigInt.asUintN(64, time.sec)
    // Another dump of the same second may have the number already: neither may be lost.
    for (let next = count; next < count + counts; next++) {
      const dump: DumpName = { type, part, count: next, sec, compressed }
      if (this.#variables().has(this.#stem(dump))) continue
      if (this.source.create(formatDumpName(dump), bytes)) return bytes.length
    }
    throw new StoreError(`${this.source.path}: holds too many dumps of one second`, 'ENOSPC')
  }

  close(): void {
    this.source.close()
  }

  #checkWritable(): void {
    if (this.readOnly) throw new StoreError(`${this.source.path}: is read-only`, 'EROFS')
  }

  #stem(dump: DumpName): string {
    return fileName(dump.type, this.name, recordId(dump), false)
  }

  /** The variables that are shown now: of those with one file name the first, as in Linux. */
  #variables(): Map<string, Variable> {
    const all = this.source.variables()
    if (all !== this.#shown.of) {
      const byStem = new Map<string, Variable>()
      const records = new Map<string, Record>()
      for (const variable of all) {
        const stem = this.#stem(variable.dump)
        if (byStem.has(stem)) continue
        byStem.set(stem, variable)
        const seen = this.#records.get(variable.name)
        if (seen) records.set(variable.name, seen)
      }
      this.#shown = { of: all, byStem }
      this.#records = records
    }
    return this.#shown.byStem
  }

  /** A variable's content at this moment; null where there is none. */
  #fetch(stem: string): (Content & { variable: Variable }) | null {
    for (let tries = 0; tries < patience; tries++) {
      const variable = this.#variables().get(stem)
      if (!variable) return null
      const data = this.source.read(variable)
      if (data) return { variable, ...content(variable, data) }
    }
    return null
  }

  /** A variable's record; null where there is none. Only what is compressed is read for it. */
  #look(stem: string): Record | null {
    const variable = this.#variables().get(stem)
    if (!variable) return null
    const seen = this.#records.get(variable.name)
    if (seen?.version === variable.version) return seen
    if (!variable.dump.compressed)
      return this.#keep(variable, { size: variable.size, compressed: false })
    try {
      const found = this.#fetch(stem)
      return (
        found &&
        this.#keep(found.variable, { size: found.bytes.length, compressed: found.compressed })
      )
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      // It is there, and that is shown; opening it says what is wrong.
      return this.#record(variable, { size: variable.size, compressed: true })
    }
  }

  #keep(variable: Variable, facts: Pick<Record, 'size' | 'compressed'>): Record {
    const record = this.#record(variable, facts)
    this.#records.set(variable.name, record)
    return record
  }

  #record(
    { dump, version }: Variable,
    { size, compressed }: Pick<Record, 'size' | 'compressed'>,
  ): Record {
    const id = recordId(dump)
    return {
      type: dump.type,
      id,
      name: fileName(dump.type, this.name, id, compressed),
      size,
      time: timeOf(dump),
      compressed,
      ecc: null,
      version,
    }
  }
}

/** Whole seconds; null where there are none, as Linux takes 0. */
const timeOf = ({ sec }: DumpName): Timespec | null =>
  sec === 0n ? null : { sec: BigInt.asIntN(64, sec), nsec: 0 }

/** A record's name without the suffix of those that could not be inflated. */
const stemOf = (name: string): string =>
  name.endsWith(compressedSuffix) ? name.slice(0, -compressedSuffix.length) : name

/** What a variable's file shows. */
interface Content {
  bytes: Buffer
  /** The bytes are still compressed. */
  compressed: boolean
}

const content = ({ dump }: Variable, data: Buffer): Content => {
  if (!dump.compressed) return { bytes: data, compressed: false }
  // A kernel whose record size was set higher wrote larger ones, from longer texts.
  const text = inflate(data, expansion * Math.max(recordSize, data.length))
  return { bytes: text ?? data, compressed: text === null }
}
