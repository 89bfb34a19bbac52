/**
 * EFI variables as a backend: Linux's crash dumps in a machine's firmware, or in a guest's.
 *
 * Source: doc/formats.md 4; drivers/firmware/efi/efi-pstore.c. Where Linux ends its enumeration (at a name
 * that it cannot parse, at a variable larger than its record size), this one goes on.
 */
import fs from 'node:fs'
import type { Backend, NewRecord, Pace, StoredRecord } from '../../pstore/backend.js'
import { contentOf, type Content, type SizedContent } from '../../pstore/content.js'
import { inflate, salvage } from '../../pstore/deflate.js'
import { decodeTitle } from '../../pstore/dump.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import {
  appendPieces,
  erasePieces,
  joinPieces,
  paceOf,
  sizeOfPieces,
  type Piece,
  type SplitRingParameters,
  type PieceStore,
} from '../../pstore/split-ring.js'
import {
  describeBroken,
  lookIntoStream,
  type Dump,
  type Condition,
} from '../../pstore/condition.js'
import { now, type Timespec } from '../../pstore/time.js'
import { compressedSuffix, fileName, type RecordType } from '../../pstore/types.js'
import { Region } from '../../region/region.js'
import { VariableFolder } from './variable-folder.js'
import {
  encodeDumpName,
  encodePieceName,
  recordId,
  ringGuid,
  ringTypes,
  vendorGuid,
  type DumpName,
  type RingType,
} from './names.js'
import type { DumpVariable, PieceVariable, Variables } from './variables.js'
import { VariableStore } from './variable-store.js'

/** Bytes that Linux puts into one variable (efi_pstore.record_size's default). */
export const recordSize = 1024
/** Linux inflates up to this many times the record size. */
const expansion = 3
/** More records than this are made again when they are asked for: real firmware has room for far fewer. */
const mostKept = 4096
/** How often a record that changes while it is read is tried again. */
const patience = 3
/** How many counts are tried for a new record whose own is taken. */
const counts = 1000

export interface EfiOptions extends SplitRingParameters {
  /** The backend's name. Default: Linux's own. */
  name?: string
  /** Never change the source. A variable store file is never changed. */
  readOnly?: boolean
  /** Where a variable store starts in its file, in bytes. */
  mem_address?: number
}

/** A piece of a ring, and the variable that holds it. */
interface VariablePiece extends Piece {
  readonly variable: PieceVariable
}

interface Ring {
  readonly type: RingType
  /** Its file's. */
  readonly name: string
  /** How many pieces it takes; 0: nothing is written to it. */
  readonly most: number
  readonly store: PieceStore<VariablePiece>
}

/**
 * Attach to EFI variables.
 *
 * @param path a folder: efivarfs, or a copy of one; a file or device: a UEFI variable store
 * @throws StoreError where it is neither; nothing stays open
 */
export const attachEfi = (path: string, options: EfiOptions = {}): EfiBackend => {
  const { readOnly = false, mem_address } = options
  if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory())
    return new EfiBackend(new VariableFolder(path, readOnly), options)
  const region = new Region(path, {
    readOnly: true,
    ...(mem_address === undefined ? {} : { offset: mem_address }),
  })
  try {
    return new EfiBackend(new VariableStore(region), options)
  } catch (error) {
    region.close()
    throw error
  }
}

export class EfiBackend implements Backend {
  readonly name: string
  readonly path: string
  readonly readOnly: boolean
  readonly parts = true
  readonly facts = { record_size: recordSize }
  readonly pace: Pace
  readonly #rings: readonly Ring[]
  /** The variables that are shown, by their files' names without the suffix for compressed ones. */
  #shown: { of: readonly DumpVariable[]; byStem: Map<string, DumpVariable> } = {
    of: [],
    byStem: new Map(),
  }
  /** Records of {@link #shown}, by the variables' names. */
  #records = new Map<string, StoredRecord>()

  constructor(
    readonly source: Variables,
    options: EfiOptions,
  ) {
    this.name = options.name ?? 'efi_pstore'
    this.path = source.path
    this.readOnly = source.readOnly
    this.pace = paceOf(options, recordSize)
    this.#rings = ringTypes.map(type => ({
      type,
      name: fileName(type, this.name, 0n, false),
      most: Math.ceil((options[`${type}_size`] ?? 0) / recordSize),
      store: this.#pieceStore(type),
    }))
  }

  *records(): Generator<StoredRecord, void, void> {
    for (const stem of this.#variables().keys()) {
      const record = this.#look(stem)
      if (record) yield record
    }
    for (const { name } of this.#rings) {
      const record = this.#ringRecord(name)
      if (record) yield record
    }
  }

  record(name: string): StoredRecord | null {
    const ring = this.#ringRecord(name)
    if (ring) return ring
    const record = this.#look(stemOf(name))
    return record?.name === name ? record : null
  }

  open(record: StoredRecord): Content {
    return contentOf(this.read(record))
  }

  read({ name }: StoredRecord): Buffer {
    const ring = this.#ring(name)
    if (ring) return joinPieces(ring.store)
    const found = this.#fetch(stemOf(name))
    if (!found) throw new StoreError(`${name}: no such record`, 'ENOENT')
    return found.bytes
  }

  *places(): Generator<Condition, void, void> {
    for (const [stem, variable] of this.#variables()) {
      const { says, size } = variable
      const findings: string[] = []
      const record = this.#look(stem)
      // It has gone since it was listed.
      if (!record) continue
      // Whatever its type, what is compressed may be broken.
      const isDump = says.type === 'dmesg' || says.compressed
      const dump = isDump ? this.#lookIntoDump(variable, findings) : null
      yield Object.assign(placeOf(says.type, stem, size), {
        state: dump && dump.text === null ? ('damaged' as const) : ('sound' as const),
        findings,
        record: record.name,
        dump,
      })
    }
    for (const { type, name, store } of this.#rings) {
      const pieces = store.pieces()
      const size = sizeOfPieces(pieces)
      if (size > 0)
        yield Object.assign(placeOf(type, name, size), {
          state: 'sound' as const,
          findings: [],
          record: name,
          dump: null,
        })
    }
  }

  #lookIntoDump(variable: DumpVariable, findings: string[]): Dump {
    const { says, size } = variable
    const { compressed } = says
    const time = timeOf(says)
    if (!compressed) return { time, compressed, text: size, broken: null }
    let data: Buffer | null = null
    try {
      data = this.source.read(variable)
    } catch (error) {
      assertStoreError(error)
      findings.push(error.message)
    }
    if (!data) return { time, compressed, text: null, broken: null }
    const stream = lookIntoStream(data, inflateLimit(data))
    if (stream.broken) findings.push(describeBroken(stream.broken))
    return { time, compressed, ...stream }
  }

  raw(name: string): Buffer | null {
    const ring = this.#ring(name)
    if (ring) return joinPieces(ring.store)
    const variable = this.#variables().get(stemOf(name))
    return variable ? this.source.read(variable) : null
  }

  salvage(name: string): SizedContent | null {
    const variable = this.#variables().get(stemOf(name))
    const data = variable?.says.compressed ? this.source.read(variable) : null
    return data && salvage(data, inflateLimit(data)).text
  }

  liveRings(): [] {
    return []
  }

  erase(record: StoredRecord, unchanged = false): boolean {
    const { name } = record
    return this.exclusively(() => {
      if (unchanged && this.record(name)?.version !== record.version) return false
      const ring = this.#ring(name)
      const variable = this.#variables().get(stemOf(name))
      if (ring) erasePieces(ring.store)
      else if (variable) this.source.remove(variable)
      else throw new StoreError(`${name}: no such record`, 'ENOENT')
      return true
    })
  }

  exclusively<T>(work: () => T): T {
    this.#checkWritable()
    return this.source.exclusively(work)
  }

  restart(type: RecordType): void {
    const ring = this.#rings.find(ring => ring.type === type)
    if (ring) this.exclusively(() => erasePieces(ring.store))
  }

  /** Firmware has stored a variable once it says so. */
  sync(): void {}

  room(type: RecordType): number {
    return type === 'dmesg' ? recordSize : recordSize * this.#most(type)
  }

  /** Append to a ring, or store one part of a dump. The part's number and its dump's are those of its first line, else 1. */
  write({ type, bytes, time = now(), compressed = false }: NewRecord): number {
    const most = type === 'dmesg' ? 1 : this.#most(type)
    if (most === 0) throw new StoreError(`${this.source.path}: has no place for ${type}`, 'ENOSPC')
    this.#checkWritable()
    const ring = this.#rings.find(ring => ring.type === type)
    if (ring) {
      this.source.exclusively(() => appendPieces(ring.store, most, bytes))
      return bytes.length
    }
    // A variable without data is none.
    if (bytes.length === 0) throw new StoreError('a dump without text is no record')
    if (bytes.length > recordSize)
      throw new StoreError(
        `${this.source.path}: a variable takes ${recordSize} bytes, not ${bytes.length}`,
        'ENOSPC',
      )
    const whole = Buffer.from(bytes)
    const text = compressed ? inflate(whole, expansion * recordSize)?.all() : whole
    const { part, count } = (text && decodeTitle(text)) ?? { part: 1, count: 1 }
    const sec = BigInt.asUintN(64, time.sec)
    // Another dump of the same second may have the number already: neither may be lost.
    for (let next = count; next < count + counts; next++) {
      const dump: DumpName = { type, part, count: next, sec, compressed }
      if (this.#variables().has(this.#stem(dump))) continue
      if (this.source.create(vendorGuid, encodeDumpName(dump), bytes)) return bytes.length
    }
    throw new StoreError(`${this.source.path}: holds too many dumps of one second`, 'ENOSPC')
  }

  close(): void {
    this.source.close()
  }

  #checkWritable(): void {
    if (this.readOnly) throw new StoreError(`${this.source.path}: is read-only`, 'EROFS')
  }

  /** How many pieces a ring of this type takes. */
  #most(type: RecordType): number {
    return this.#rings.find(ring => ring.type === type)?.most ?? 0
  }

  /** The ring that a file name stands for, where it holds something. */
  #ring(name: string): Ring | undefined {
    return this.#rings.find(ring => ring.name === name && ring.store.pieces().length > 0)
  }

  #pieceStore(type: RingType): PieceStore<VariablePiece> {
    const { source } = this
    return {
      room: recordSize,
      pieces: () =>
        source
          .variables()
          .pieces.filter(({ says }) => says.type === type)
          .map(variable => ({ ...variable.says, variable })),
      load: ({ variable }) => source.read(variable),
      add: (position, bytes) => {
        const name = encodePieceName({ type, position, length: bytes.length })
        source.create(ringGuid, name, bytes)
      },
      remove: ({ variable }) => source.remove(variable),
    }
  }

  /** What a ring shows; null where it is empty, or the name stands for none. */
  #ringRecord(name: string): StoredRecord | null {
    const ring = this.#ring(name)
    if (!ring) return null
    const pieces = ring.store.pieces()
    return {
      type: ring.type,
      id: 0n,
      name,
      size: sizeOfPieces(pieces),
      time: null,
      compressed: false,
      ecc: null,
      version: pieces.map(({ variable }) => variable.name + variable.version).join(),
    }
  }

  #stem(dump: DumpName): string {
    return fileName(dump.type, this.name, recordId(dump), false)
  }

  /**
   * The variables that are shown now: of those with one file name the first, as in Linux. A dump of the
   * year 1970 can have a ring's: the ring is shown.
   */
  #variables(): Map<string, DumpVariable> {
    const all = this.source.variables().dumps
    if (all !== this.#shown.of) {
      const byStem = new Map<string, DumpVariable>()
      const records = new Map<string, StoredRecord>()
      for (const variable of all) {
        const stem = this.#stem(variable.says)
        if (byStem.has(stem) || this.#ring(stem)) continue
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
  #fetch(stem: string): (Fetched & { variable: DumpVariable }) | null {
    let last: DumpVariable | undefined
    for (let tries = 0; tries < patience; tries++) {
      const variable = this.#variables().get(stem)
      // One that is listed as it was is gone, though the source goes on listing it.
      if (!variable || variable === last) return null
      last = variable
      const data = this.source.read(variable)
      if (data) return { variable, ...content(variable, data) }
    }
    return null
  }

  /**
   * A variable's record; null where there is none. It is read once: what Linux's pstore deleted, efivarfs
   * goes on listing.
   */
  #look(stem: string): StoredRecord | null {
    const variable = this.#variables().get(stem)
    if (!variable) return null
    const seen = this.#records.get(variable.name)
    if (seen?.version === variable.version) return seen
    try {
      const found = this.#fetch(stem)
      return (
        found &&
        this.#keep(found.variable, { size: found.bytes.length, compressed: found.compressed })
      )
    } catch (error) {
      assertStoreError(error)
      // It is there, and that is shown; opening it says what is wrong.
      const { size, says } = variable
      return this.#record(variable, { size, compressed: says.compressed })
    }
  }

  #keep(variable: DumpVariable, facts: Pick<StoredRecord, 'size' | 'compressed'>): StoredRecord {
    const record = this.#record(variable, facts)
    if (this.#records.size < mostKept || this.#records.has(variable.name))
      this.#records.set(variable.name, record)
    return record
  }

  #record(
    { says, version }: DumpVariable,
    { size, compressed }: Pick<StoredRecord, 'size' | 'compressed'>,
  ): StoredRecord {
    const id = recordId(says)
    return {
      type: says.type,
      id,
      name: fileName(says.type, this.name, id, compressed),
      size,
      time: timeOf(says),
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
interface Fetched {
  bytes: Buffer
  /** The bytes are still compressed. */
  compressed: boolean
}

const content = ({ says }: DumpVariable, data: Buffer): Fetched => {
  if (!says.compressed) return { bytes: data, compressed: false }
  const text = inflate(data, inflateLimit(data))
  return { bytes: text?.all() ?? data, compressed: text === null }
}

/** A kernel whose record size was set higher wrote larger ones, from longer texts. */
const inflateLimit = (data: Buffer): number => expansion * Math.max(recordSize, data.length)

/** Variables lie where the firmware likes, and have no parity. */
const placeOf = (type: RecordType, name: string, size: number) => ({
  type,
  name,
  index: 0,
  offset: null,
  length: size,
  room: size,
  used: size,
  start: 0,
  parity: null,
})
