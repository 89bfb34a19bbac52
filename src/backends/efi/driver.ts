/**
 * EFI variables: Linux's crash dumps in a machine's firmware, or in a guest's.
 *
 * Source: doc/formats.md 4; drivers/firmware/efi/efi-pstore.c. Where Linux ends its enumeration (at a name
 * that it cannot parse, at a variable larger than its record size), this driver goes on.
 */
import { crc32 } from 'node:zlib'
import type {
  Driver,
  DumpArea,
  Extent,
  Glance,
  Inspection,
  Loaded,
  NewDump,
  Slot,
  StoreLock,
} from '../../pstore/driver.js'
import { count } from '../../pstore/condition.js'
import { decompress } from '../../pstore/codecs/index.js'
import { decodeTitle } from '../../pstore/dump.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import {
  isSplitRingType,
  SplitRing,
  splitRingTypes,
  type Piece,
  type PieceStore,
  type SplitRingParameters,
  type SplitRingType,
} from '../../pstore/split-ring.js'
import type { Timespec } from '../../pstore/time.js'
import type { Identity, RecordType, RingType, Usage } from '../../pstore/types.js'
import { UnreadableSlot } from '../../pstore/unreadable.js'
import {
  encodeDumpName,
  encodePieceName,
  recordId,
  ringGuid,
  vendorGuid,
  type DumpName,
} from './names.js'
import { largestData, type DumpVariable, type PieceVariable, type Variables } from './variables.js'

/** Bytes that Linux puts into one variable (efi_pstore.record_size's default). */
export const recordSize = 1024
/** Linux decompresses up to this many times the record size. */
const expansion = 3
/** Times its length that a variable's text is believed to be. */
const largestRatio = 64
/** How often a record that changes while it is read is tried again. */
const patience = 3
/** How many counts are tried for a new record whose own is taken. */
const mostCounts = 1000

/** A piece of a ring, and the variable that holds it. */
interface VariablePiece extends Piece {
  readonly variable: PieceVariable
}

export class EfiDriver implements Driver {
  readonly identity: Identity
  readonly readOnly: boolean
  readonly facts = { record_size: recordSize }
  readonly lock: StoreLock
  readonly #rings: ReadonlyMap<SplitRingType, SplitRing<VariablePiece>>
  readonly #dumpArea: DumpArea
  /** The variables that are shown, by what their files are called. */
  #shown: { of: readonly DumpVariable[]; byFile: Map<string, ShownVariable> } = {
    of: [],
    byFile: new Map(),
  }
  /** Names of variables that had to be told from others of their id. */
  readonly #copies = new Set<string>()

  /**
   * @param variables is closed by {@link close}
   * @param offset where they start in their file, in bytes
   */
  constructor(
    readonly variables: Variables,
    parameters: SplitRingParameters,
    offset = 0,
  ) {
    this.identity = { driver: 'efi', path: variables.path, offset }
    this.readOnly = variables.readOnly
    // Firmware answers for each variable by itself: readers need no lock.
    this.lock = {
      shared: work => work(true),
      exclusively: work => variables.exclusively(work),
    }
    this.#rings = new Map(
      splitRingTypes.map(type => [
        type,
        new SplitRing(type, pieceStore(variables, type), parameters, this.lock),
      ]),
    )
    this.#dumpArea = { room: recordSize, parts: true, store: dump => this.#store(dump) }
  }

  *slots(): Generator<Slot, void, void> {
    const list = this.variables.list()
    for (const { variable, copy } of this.#variables(list).values())
      yield new VariableSlot(this, variable, copy)
    for (const { name, error } of list.unseen ?? []) yield new UnreadableSlot(error, 0n, null, name)
    yield* this.#rings.values()
  }

  slot(label: string, id: bigint, copy: number | null = null): Slot | null {
    const isRings = copy === null && id === 0n && isSplitRingType(label)
    const variable = this.find(label, id, copy)
    if (variable) return new VariableSlot(this, variable, copy)
    return isRings ? this.#rings.get(label)! : null
  }

  /** The variable that a file shows now; undefined where there is none. */
  find(label: string, id: bigint, copy: number | null): DumpVariable | undefined {
    const shown = this.#variables()
    const found = shown.get(keyOf(label, id, copy))
    if (found || copy === null) return found?.variable
    // It was called so as long as another had its id.
    const first = shown.get(keyOf(label, id, null))?.variable
    return first && copyOf(first) === copy ? first : undefined
  }

  /**
   * The variables that are shown now. Of those with one file name Linux shows the first; the others are told from it
   * by the sum of their names, and go on to be when it is erased. A dump of the year 1970 can have a ring's name:
   * that is the ring's.
   */
  #variables({ dumps: all, pieces } = this.variables.list()): Map<string, ShownVariable> {
    if (all === this.#shown.of) return this.#shown.byFile
    const byFile = new Map<string, ShownVariable>()
    for (const variable of all) {
      const { type } = variable.says
      const id = recordId(variable.says)
      const isRings = id === 0n && pieces.some(({ says }) => says.type === type)
      const own = keyOf(type, id, null)
      if (isRings || byFile.has(own)) this.#copies.add(variable.name)
      const copy = this.#copies.has(variable.name) ? copyOf(variable) : null
      byFile.set(keyOf(type, id, copy), { variable, copy })
    }
    this.#shown = { of: all, byFile }
    return byFile
  }

  *extents(): Generator<Extent, void, void> {
    // Another one may be found before the end: what it has none of is not told twice.
    const list = this.variables.list()
    for (const { variable, copy } of this.#variables(list).values()) {
      const { says, size } = variable
      const slot = { type: says.type, label: says.type, id: recordId(says), copy }
      const inspect = (): Inspection | null => this.#inspect(variable, copy !== null)
      yield { ...somewhere, ...slot, length: size, room: size, inspect }
    }
    for (const ring of this.#rings.values()) {
      const { type, label, id, size } = ring
      const inspect = (): Inspection => ({
        ...sound,
        findings: [],
        used: ring.raw().length,
        dump: null,
      })
      if (size > 0) yield { ...somewhere, type, label, id, length: size, room: size, inspect }
    }
    const { unseen = [], fault = null } = list
    for (const { name, error } of unseen)
      yield faultAt(name, () => {
        throw error
      })
    if (fault !== null) yield faultAt('the store', () => fault)
  }

  /** How much of the firmware's room dumps take; null where that is not known. */
  usage(): Usage | null {
    const { dumps, room } = this.variables.list()
    const records = dumps.reduce((sum, { size, space = size }) => sum + space, 0)
    return room ? { ...room, records } : null
  }

  /** @param isCopy another one has its id */
  #inspect(variable: DumpVariable, isCopy: boolean): Inspection | null {
    const { says, size } = variable
    let bytes: Buffer | null = null
    const findings: string[] = []
    if (isCopy) findings.push(`another record has the id of ${variable.name}: Linux shows that one`)
    try {
      bytes = this.variables.read(variable)
      // It has gone since it was listed.
      if (!bytes) return null
    } catch (error) {
      assertStoreError(error)
      findings.push(error.message)
    }
    // Whatever its type, what is compressed may be broken.
    const isDump = says.type === 'dmesg' || says.compressed
    const { compressed } = says
    const stream = compressed ? bytes : null
    const limit = textLimit(bytes?.length ?? 0)
    const dump = isDump ? { time: timeOf(says), compressed, length: size, stream, limit } : null
    return { ...sound, findings, lost: isCopy || bytes === null, used: size, dump }
  }

  dumps(type: RecordType): DumpArea | null {
    return type === 'dmesg' ? this.#dumpArea : null
  }

  ring(type: RingType): SplitRing<VariablePiece> | null {
    return isSplitRingType(type) ? this.#rings.get(type)! : null
  }

  /** Store one part of a dump. The part's number and its dump's are those of its first line, else 1. */
  #store({ bytes, time, compressed }: NewDump): void {
    const whole = Buffer.from(bytes)
    const text = compressed ? decompress(whole, expansion * recordSize)?.all() : whole
    const { part, count: first } = (text && decodeTitle(text)) ?? { part: 1, count: 1 }
    const sec = BigInt.asUintN(64, time.sec)
    // Another dump of the same second may have the number already: neither may be lost.
    for (let next = first; next < first + mostCounts; next++) {
      const name: DumpName = { type: 'dmesg', part, count: next, sec, compressed }
      if (this.find(name.type, recordId(name), null)) continue
      if (this.variables.create(vendorGuid, encodeDumpName(name), bytes)) return
    }
    throw new StoreError(`${this.identity.path}: holds too many dumps of one second`, 'ENOSPC')
  }

  doubts(): string[] {
    const { fault = null } = this.variables.list()
    if (fault !== null) return [fault]
    const there = this.#others()
    if (!there || there.variables > 0 || there.others === 0) return []
    const what = count(there.others, 'other file')
    return [`holds no EFI variable, but ${what}: is it efivarfs, or a copy of it?`]
  }

  unused(): string | null {
    const there = this.#others()
    if (!there) return null
    const { variables } = there
    return variables === 0
      ? 'holds no EFI variables at all'
      : `holds no dump among ${count(variables, 'variable')}: nothing was written here yet, or all was erased`
  }

  /** What there is beside records; null where there are some, or nobody knows. */
  #others(): ReturnType<NonNullable<Variables['total']>> | null {
    const { dumps, pieces } = this.variables.list()
    return dumps.length + pieces.length > 0 ? null : (this.variables.total?.() ?? null)
  }

  /** Firmware has stored a variable once it says so. */
  sync(): void {}

  close(): void {
    this.variables.close()
  }
}

/** A variable, and what tells it from others whose files would have its name. */
interface ShownVariable {
  readonly variable: DumpVariable
  readonly copy: number | null
}

const keyOf = (label: string, id: bigint, copy: number | null): string => `${label} ${id} ${copy}`

/** The number of a variable that shares its id: the same whatever others there are. */
const copyOf = ({ name }: DumpVariable): number => crc32(name)

/** Variables lie where the firmware likes. */
const somewhere = { index: 0, offset: null, whole: false, shared: false } as const

/** What is no variable that can be looked at. */
const faultAt = (name: string, why: () => string): Extent => ({
  ...somewhere,
  type: 'dmesg',
  label: 'dmesg',
  id: 0n,
  name,
  length: 0,
  room: 0,
  inspect: () => ({ ...sound, findings: [why()], lost: true, shown: false, used: 0, dump: null }),
})

/** Variables have no parity, and no header that could be damaged. */
const sound = {
  state: 'valid',
  start: 0,
  lost: false,
  shown: true,
  parity: null,
} as const

/** One variable, which holds a part of a dump. */
class VariableSlot implements Slot {
  readonly type: RecordType
  readonly label: string
  readonly id: bigint
  readonly ftrace = null
  readonly deep = true

  constructor(
    readonly driver: EfiDriver,
    readonly variable: DumpVariable,
    readonly copy: number | null,
  ) {
    this.type = this.label = variable.says.type
    this.id = recordId(variable.says)
  }

  glance(): Glance {
    return { version: this.variable.version, lengths: null }
  }

  lengths(): null {
    return null
  }

  /** What Linux's pstore deleted, efivarfs goes on listing: only a read tells. */
  load(): Loaded {
    let { variable } = this
    for (let tries = 0; tries < patience; tries++) {
      const bytes = this.driver.variables.read(variable)
      if (bytes) {
        const { says, version } = variable
        const { compressed } = says
        const limit = textLimit(bytes.length)
        const raw = {
          parts: [bytes],
          time: timeOf(says),
          compressed,
          limit,
          ecc: null,
          cut: 0,
        } as const
        return { version, raw }
      }
      const next = this.driver.find(this.label, this.id, this.copy)
      // One that is listed as it was is gone, though the source goes on listing it.
      if (!next || next === variable) break
      variable = next
    }
    return { version: variable.version, raw: null }
  }

  get unreadable(): NonNullable<Slot['unreadable']> {
    const { says, size } = this.variable
    return { time: timeOf(says), compressed: says.compressed, size }
  }

  raw(): Buffer | null {
    return this.driver.variables.read(this.variable)
  }

  erase(): void {
    this.driver.variables.remove(this.variable)
  }
}

const pieceStore = (variables: Variables, type: SplitRingType): PieceStore<VariablePiece> => ({
  room: recordSize,
  pieces: told => {
    const { pieces, unseen = [] } = variables.list()
    for (const { error } of unseen) {
      if (!told) throw error
      told(null, error)
    }
    return pieces
      .filter(({ says }) => says.type === type)
      .map(variable => ({ ...variable.says, variable }))
  },
  versionOf: ({ variable }) => variable.name + variable.version,
  load: ({ variable }) => variables.read(variable),
  add: (position, bytes) => {
    const name = encodePieceName({ type, position, length: bytes.length })
    if (variables.create(ringGuid, name, bytes)) return
    // What has a new piece's name is none: a kill left a file without its bytes.
    variables.remove({ vendor: ringGuid, name })
    if (!variables.create(ringGuid, name, bytes))
      throw new StoreError(
        `${variables.path}: ${name}-${ringGuid}: something else has this name`,
        'EIO',
      )
  },
  remove: ({ variable }) => variables.remove(variable),
})

/** Whole seconds; null where there are none, as Linux takes 0. */
const timeOf = ({ sec }: DumpName): Timespec | null =>
  sec === 0n ? null : { sec: BigInt.asIntN(64, sec), nsec: 0 }

/**
 * Bytes of text that a variable may hold. A kernel whose record size was set higher packs longer texts, however short
 * they become: nothing says which size it had.
 */
const textLimit = (length: number): number =>
  Math.max(expansion * recordSize, Math.min(expansion * largestData, largestRatio * length))
