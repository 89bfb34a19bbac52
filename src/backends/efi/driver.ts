/**
 * EFI variables: Linux's crash dumps in a machine's firmware, or in a guest's.
 *
 * Source: doc/formats.md 4; drivers/firmware/efi/efi-pstore.c. Where Linux ends its enumeration (at a name
 * that it cannot parse, at a variable larger than its record size), this driver goes on.
 */
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
import { inflate } from '../../pstore/deflate.js'
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
import type { Identity, RecordType, RingType } from '../../pstore/types.js'
import {
  encodeDumpName,
  encodePieceName,
  recordId,
  ringGuid,
  vendorGuid,
  type DumpName,
} from './names.js'
import type { DumpVariable, PieceVariable, Variables } from './variables.js'

/** Bytes that Linux puts into one variable (efi_pstore.record_size's default). */
export const recordSize = 1024
/** Linux inflates up to this many times the record size. */
const expansion = 3
/** How often a record that changes while it is read is tried again. */
const patience = 3
/** How many counts are tried for a new record whose own is taken. */
const counts = 1000

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
  #shown: { of: readonly DumpVariable[]; byFile: Map<string, DumpVariable> } = {
    of: [],
    byFile: new Map(),
  }

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
    for (const variable of this.#variables().values()) yield new VariableSlot(this, variable)
    yield* this.#rings.values()
  }

  slot(label: string, id: bigint): Slot | null {
    const ring = id === 0n && isSplitRingType(label) ? this.#rings.get(label) : undefined
    const variable = this.find(label, id)
    return variable ? new VariableSlot(this, variable) : (ring ?? null)
  }

  /** The variable that a file shows now; undefined where there is none. */
  find(label: string, id: bigint): DumpVariable | undefined {
    return this.#variables().get(`${label} ${id}`)
  }

  /**
   * The variables that are shown now: of those with one file name the first, as in Linux. A dump of the
   * year 1970 can have a ring's: the ring is shown.
   */
  #variables(): Map<string, DumpVariable> {
    const all = this.variables.list().dumps
    if (all === this.#shown.of) return this.#shown.byFile
    const byFile = new Map<string, DumpVariable>()
    for (const variable of all) {
      const { type } = variable.says
      const id = recordId(variable.says)
      const isRings = id === 0n && isSplitRingType(type) && this.#rings.get(type)!.size > 0
      const file = `${type} ${id}`
      if (!isRings && !byFile.has(file)) byFile.set(file, variable)
    }
    this.#shown = { of: all, byFile }
    return byFile
  }

  *extents(): Generator<Extent, void, void> {
    // Variables lie where the firmware likes.
    const where = { index: 0, offset: null, whole: false, shared: false }
    for (const variable of this.#variables().values()) {
      const { says, size } = variable
      const slot = { type: says.type, label: says.type, id: recordId(says) }
      const inspect = (): Inspection | null => this.#inspect(variable)
      yield { ...where, ...slot, length: size, room: size, inspect }
    }
    for (const ring of this.#rings.values()) {
      const { type, label, id, size } = ring
      const inspect = (): Inspection => ({ ...sound, findings: [], used: size, dump: null })
      if (size > 0) yield { ...where, type, label, id, length: size, room: size, inspect }
    }
  }

  #inspect(variable: DumpVariable): Inspection | null {
    const { says, size } = variable
    let stream: Buffer | null = null
    const findings: string[] = []
    try {
      stream = this.variables.read(variable)
      // It has gone since it was listed.
      if (!stream) return null
    } catch (error) {
      assertStoreError(error)
      findings.push(error.message)
    }
    // Whatever its type, what is compressed may be broken.
    const isDump = says.type === 'dmesg' || says.compressed
    const { compressed } = says
    const limit = inflateLimit(stream?.length ?? 0)
    const dump = isDump ? { time: timeOf(says), compressed, length: size, stream, limit } : null
    return { ...sound, findings, lost: stream === null, used: size, dump }
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
    const text = compressed ? inflate(whole, expansion * recordSize)?.all() : whole
    const { part, count } = (text && decodeTitle(text)) ?? { part: 1, count: 1 }
    const sec = BigInt.asUintN(64, time.sec)
    // Another dump of the same second may have the number already: neither may be lost.
    for (let next = count; next < count + counts; next++) {
      const name: DumpName = { type: 'dmesg', part, count: next, sec, compressed }
      if (this.find(name.type, recordId(name))) continue
      if (this.variables.create(vendorGuid, encodeDumpName(name), bytes)) return
    }
    throw new StoreError(`${this.identity.path}: holds too many dumps of one second`, 'ENOSPC')
  }

  /** Firmware has stored a variable once it says so. */
  sync(): void {}

  close(): void {
    this.variables.close()
  }
}

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
        const limit = inflateLimit(bytes.length)
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
      const next = this.driver.find(this.label, this.id)
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
  pieces: () =>
    variables
      .list()
      .pieces.filter(({ says }) => says.type === type)
      .map(variable => ({ ...variable.says, variable })),
  versionOf: ({ variable }) => variable.name + variable.version,
  load: ({ variable }) => variables.read(variable),
  add: (position, bytes) => {
    const name = encodePieceName({ type, position, length: bytes.length })
    variables.create(ringGuid, name, bytes)
  },
  remove: ({ variable }) => variables.remove(variable),
})

/** Whole seconds; null where there are none, as Linux takes 0. */
const timeOf = ({ sec }: DumpName): Timespec | null =>
  sec === 0n ? null : { sec: BigInt.asIntN(64, sec), nsec: 0 }

/** A kernel whose record size was set higher wrote larger ones, from longer texts. In bytes. */
const inflateLimit = (length: number): number => expansion * Math.max(recordSize, length)
