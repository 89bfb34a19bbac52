/**
 * The core: the only maker of records. A driver says what lies on its medium; what Linux does once for all
 * backends is done here: names and `.enc.z`, decompressing, the parity notice, ftrace's text, which dump may be
 * erased, where the next one goes.
 *
 * Source: doc/formats.md 2; fs/pstore/platform.c (pstore_get_backend_records, decompress_record, pstore_dump)
 * and fs/pstore/inode.c (pstore_mkfile, pstore_unlink). Where this is better than Linux on purpose,
 * test/fixtures/README.md says so.
 */
import { isUint8Array } from 'node:util/types'
import type {
  Backend,
  Capacity,
  NewRecord,
  OpenRecord,
  RecordFacts,
  StoredRecord,
} from './backend.js'
import type { Unreadable } from './unreadable.js'
import { decompress } from './codecs/index.js'
import { foundAt } from './condition.js'
import { contentOf, withTail, type Content } from './content.js'
import type { Driver, DumpArea, FtraceSlot, Raw, RingArea, Slot } from './driver.js'
import { assertStoreError, StoreError } from './errors.js'
import type { Fronts } from './fronts.js'
import type { FtraceText } from './ftrace.js'
import { kernelOffsetsOf, type KernelOffset } from './kernel-offset.js'
import type { Ring } from './ring.js'
import { notThere, RecordHandle } from './record-handle.js'
import { nextDumpZone } from './rotation.js'
import { StoreSurvey } from './survey.js'
import { now, type Timespec } from './time.js'
import {
  fileName,
  isRingType,
  parseFileName,
  ringTypes,
  type EccState,
  type Identity,
  type RecordType,
  type Usage,
} from './types.js'

/** Slots that are remembered, so that a look at an unchanged one makes nothing. A region that Linux made has a hundred. */
const mostRemembered = 4096
/** The same of slots that show nothing, which is less to remember: most of a large region's. */
const mostEmpty = 16384
/** Of so many dumps the text is searched for how far their kernel was moved. */
const mostLooks = 16

/** What a slot shows: a record's facts but for its name, and its bytes. */
interface Shown extends Pick<RecordFacts, 'size' | 'time' | 'compressed' | 'ecc' | 'cut'> {
  readonly content: Content
}

/** The line that the kernel appends to each record of a region with parity (fs/pstore/ram.c, ramoops_pstore_read). */
const notice = (ecc: EccState | null): Buffer =>
  Buffer.from(
    !ecc
      ? ''
      : ecc.corrected || ecc.bad
        ? `\nECC: ${ecc.corrected} Corrected bytes, ${ecc.bad} unrecoverable blocks\n`
        : '\nECC: No errors detected\n',
  )

/** Make room for one more: all go, as to find the oldest of many takes longer than to look at them again. */
const keepMost = <T>(map: Map<string, T>, most: number): Map<string, T> => {
  if (map.size === most) map.clear()
  return map
}

export class Store implements Backend {
  readonly identity: Identity
  readonly readOnly: boolean
  readonly survey: StoreSurvey
  readonly fronts = (): Fronts | null => this.driver.fronts?.() ?? null
  /** By name without `.enc.z`: what a slot of that version shows. */
  readonly #remembered = new Map<string, StoredRecord>()
  /** By the same: the version of a slot that shows nothing. */
  readonly #empty = new Map<string, string>()
  /** Where each ring is appended to. */
  readonly #rings = new Map<RecordType, RingArea>()
  /** The zone of the last dump written here: of dumps of one time it is the newest. */
  #lastDump = -1
  /** The backend in files' names; null where labels have it. */
  readonly #inNames: string | null

  /**
   * @param name in file names, and the folder's
   * @param driver is closed by {@link close}
   * @param notes as of {@link Backend.notes}
   */
  constructor(
    readonly name: string,
    readonly driver: Driver,
    readonly ftrace: FtraceText,
    readonly notes: readonly string[] = [],
  ) {
    this.identity = driver.identity
    this.readOnly = driver.readOnly
    this.#inNames = driver.identity.hasNames ? null : name
    for (const type of ringTypes) {
      const area = driver.ring(type)
      if (area) this.#rings.set(type, area)
    }
    this.survey = new StoreSurvey(this.#inNames, driver, {
      slot: file => this.#slot(file),
      look: slot => this.#look(slot),
    })
  }

  records(told?: (what: Unreadable) => void): Generator<StoredRecord, void, void> {
    return this.#foundAt(slot => this.#look(slot, told), told)
  }

  names(told?: (what: Unreadable) => void): Generator<string, void, void> {
    return this.#foundAt(slot => {
      const lengths = slot.lengths()
      if (!lengths) return this.#look(slot, told)?.name ?? null
      return this.#measure(slot, lengths) && this.#nameOf(slot, false)
    }, told)
  }

  #foundAt<F>(
    look: (slot: Slot) => F | null,
    told: ((what: Unreadable) => void) | undefined,
  ): Generator<F, void, void> {
    const failed = told && ((slot: Slot, error: StoreError) => told(this.#unreadable(slot, error)))
    return foundAt(this.driver.slots(), look, failed)
  }

  #unreadable(slot: Slot, error: StoreError): Unreadable {
    const { type, id, unreadable } = slot
    const { time, compressed } = unreadable ?? { time: null, compressed: false }
    return { type, id, name: slot.name ?? this.#nameOf(slot, compressed), time, error }
  }

  find(name: string): StoredRecord | null {
    const slot = this.#slot(name)
    const record = slot && this.#look(slot)
    return record && this.#isCalled(record, name) ? record : null
  }

  open(name: string, alone = false): OpenRecord | null {
    const opened = this.load(name, alone)
    return opened && this.#isCalled(opened.record, name) ? opened : null
  }

  /** A copy has its file's name, too, which may end in `.enc.z` where what is shown does not. */
  #isCalled(record: RecordFacts, name: string): boolean {
    return record.name === name || this.#inNames === null
  }

  /** What the slot of a name holds now, whether its name ends in `.enc.z` or not. */
  load(name: string, mustBeAlone = false): OpenRecord | null {
    const slot = this.#slot(name)
    return (
      slot &&
      this.driver.lock.shared(alone => {
        if (!alone && mustBeAlone)
          throw new StoreError(`${this.identity.path}: another process writes to it`, 'EBUSY')
        return this.#load(slot, alone, true)
      })
    )
  }

  erase(record: RecordFacts, unchanged = false): boolean {
    this.#checkWritable()
    return this.driver.lock.exclusively(() => {
      const slot = this.#slot(record.name)
      const found = slot && this.#look(slot)
      if (!found) throw notThere(record.name)
      // Another dump can have its name by now: a zone's next one, and a copy of its id.
      if ((unchanged || !isRingType(record.type)) && found.version !== record.version) return false
      slot.erase()
      return true
    })
  }

  usage(): Usage | null {
    return this.driver.usage?.() ?? null
  }

  rings(): Ring[] {
    return Array.from(this.#rings, ([type, { live, label }]) =>
      live ? [{ ...live, type, name: fileName(label, this.#inNames, 0n, false) }] : [],
    ).flat()
  }

  capacity(type: RecordType): Capacity | null {
    const ring = this.#rings.get(type)
    if (ring?.room) return { room: ring.room, pace: ring.pace, parts: false }
    const area = this.driver.dumps(type)
    return area && { room: area.room, pace: null, parts: area.parts }
  }

  write(record: NewRecord): number {
    const { type, bytes } = record
    // Who has no types may give anything, and of a text node:fs takes the numbers beside it for others.
    if (!isUint8Array(bytes))
      throw new StoreError(`${type}: bytes must be a Uint8Array, as Buffer.from() makes of a text`)
    const ring = this.#rings.get(type)
    // A run of appends comes through here: nothing is made for them.
    if (ring?.room) {
      this.#checkWritable()
      ring.append(bytes)
      return bytes.length
    }
    const dumps = this.driver.dumps(type)
    if (!dumps) throw this.#keepsNo(type)
    this.#checkWritable()
    const { time = now(), compressed = false } = record
    this.#writeDump(dumps, { type, bytes, time, compressed })
    return bytes.length
  }

  #writeDump(area: DumpArea, dump: Required<NewRecord>): void {
    const { length } = dump.bytes
    const { path } = this.identity
    // Linux takes a dump without text for the end of all records.
    if (length === 0) throw new StoreError(`${path}: an empty dump cannot be stored`)
    if (length > area.room)
      throw new StoreError(
        `${path}: ${length} bytes do not fit into a record of ${area.room}`,
        'ENOSPC',
      )
    // Before the lock, for which others wait: a large region takes a while to be looked at.
    this.refuseForeign()
    this.driver.lock.exclusively(() => {
      if (area.parts) return area.store(dump)
      const zone = nextDumpZone(area.zones(), this.#lastDump)
      this.#lastDump = zone
      area.store(dump, zone)
    })
  }

  #keepsNo(type: RecordType): StoreError {
    const { path } = this.identity
    const size = this.#rings.has(type) ? `: give it a size (${type}_size)` : ''
    return new StoreError(`${path}: has no room for ${type}${size}`, 'ENOSPC')
  }

  #checkWritable(): void {
    if (!this.readOnly) return
    const { whyReadOnly } = this.survey
    const why = whyReadOnly === undefined ? '' : `: ${whyReadOnly}`
    throw new StoreError(`${this.identity.path}: is read-only${why}`, 'EROFS')
  }

  doubts(): string[] {
    return this.driver.doubts()
  }

  unused(): string | null {
    return this.driver.unused?.() ?? null
  }

  refuseForeign(): void {
    this.driver.refuseForeign?.(false)
  }

  sync(): void {
    this.driver.sync()
  }

  close(): void {
    this.driver.close()
  }

  /** The slot of a file name, with or without the suffix of what cannot be inflated. */
  #slot(name: string): Slot | null {
    const parsed = parseFileName(name, this.#inNames)
    const slot = parsed && this.driver.slot(parsed.label, parsed.id, parsed.copy)
    return slot && (slot.copy ?? null) === parsed.copy ? slot : null
  }

  /**
   * What a slot shows now. Bytes are only looked at anew where the slot has changed.
   *
   * @param told is told where it cannot be read, and is shown all the same
   */
  #look(slot: Slot, told?: (what: Unreadable) => void): StoredRecord | null {
    const name = this.#nameOf(slot, false)
    const known = this.#remembered.get(name)
    const empty = this.#empty.get(name)
    if (known || empty !== undefined || !slot.deep) {
      // Before the bytes: should they change meanwhile, the next look finds another version.
      const { version, lengths, time } = slot.glance()
      if (empty === version) return null
      if (known?.version === version) return known
      if (lengths) return this.#remember(slot, version, this.#measure(slot, lengths, time))
    }
    try {
      return this.#load(slot, true)?.record ?? null
    } catch (error) {
      assertStoreError(error)
      if (!slot.unreadable) throw error
      // It is there, and that is shown; opening it says what is wrong.
      told?.(this.#unreadable(slot, error))
      return this.#record(slot, slot.glance().version, { ...slot.unreadable, ecc: null, cut: 0 })
    }
  }

  #nameOf({ label, id, copy }: Slot, compressed: boolean): string {
    return fileName(label, this.#inNames, id, compressed, copy)
  }

  /** A slot's bytes and facts, of one moment. */
  #load(slot: Slot, alone: boolean, opened = false): OpenRecord | null {
    const { version, raw } = slot.load(alone)
    const shown = raw && this.#show(slot, raw, opened)
    const record = this.#remember(slot, version, shown)
    return shown && record && { record, content: shown.content }
  }

  #remember(
    slot: Slot,
    version: string,
    shown: Omit<Shown, 'content'> | null,
  ): StoredRecord | null {
    const name = this.#nameOf(slot, false)
    const known = this.#remembered.get(name)
    if (shown && known?.version === version) return known
    this.#remembered.delete(name)
    this.#empty.delete(name)
    if (!shown) {
      keepMost(this.#empty, mostEmpty).set(name, version)
      return null
    }
    const record = this.#record(slot, version, shown)
    keepMost(this.#remembered, mostRemembered).set(name, record)
    return record
  }

  #record(slot: Slot, version: string, shown: Omit<Shown, 'content'>): StoredRecord {
    const { type, id } = slot
    const name = this.#nameOf(slot, shown.compressed)
    // Field by field: of half a million slots it is felt.
    const { size, time, compressed, ecc, cut } = shown
    return new RecordHandle(this, { type, id, name, size, time, compressed, ecc, cut, version })
  }

  /** A ring's size by its headers, and ftrace's by the form of its records; null where it is empty. */
  #measure(
    { ftrace }: Slot,
    lengths: readonly number[],
    time: Timespec | null = null,
  ): Omit<Shown, 'content'> | null {
    let size = 0
    const record = ftrace?.merged && lengths.some(length => length > 0) ? this.#sizeOf(ftrace) : 1
    for (const length of lengths) size += length - (length % record)
    return size ? { size, time, compressed: false, ecc: null, cut: 0 } : null
  }

  /** Bytes of a record in ftrace's rings. */
  #sizeOf({ endian, wordSize, sample }: FtraceSlot): number {
    return this.ftrace.form(sample(), endian, wordSize).size
  }

  /**
   * What ftrace's rings show.
   *
   * @param opened false: its text is not read
   */
  #showFtrace(
    { endian, wordSize, merged }: FtraceSlot,
    { parts, kernels, ecc, cut }: Raw,
    opened: boolean,
  ): Shown | null {
    const zones = parts.map((bytes, i) => ({ bytes, kernel: kernels![i]! }))
    const form = this.ftrace.form(zones, endian, wordSize)
    const records = this.ftrace.merge(zones, endian, form)
    const length = merged ? records.bytes.length : parts[0].length
    if (length === 0) return null
    const content = this.ftrace.render(records, opened ? this.#kernelOffsets() : [])
    // As in Linux 7.2: the notice is counted, and not shown.
    const size = length + notice(ecc).length
    return { size, content, time: null, compressed: false, ecc, cut }
  }

  /** How far the kernels of this store say that they were moved, as far as that is found in a moment. */
  #kernelOffsets(): KernelOffset[] {
    const textOf = (slot: Slot): Buffer | undefined => {
      const { raw } = slot.load(true)
      return (raw && this.#show(slot, raw))?.content.all()
    }
    return kernelOffsetsOf(this.#logs(), textOf)
  }

  /** Where a panic's log is: the console, and the first dumps. */
  *#logs(): Generator<Slot, void, void> {
    const console = this.driver.slot('console', 0n)
    if (console) yield console
    let looks = mostLooks
    for (const slot of this.driver.slots()) if (slot.type === 'dmesg' && looks-- > 0) yield slot
  }

  #show(slot: Slot, raw: Raw, opened = false): Shown | null {
    if (slot.ftrace) return this.#showFtrace(slot.ftrace, raw, opened)
    const { parts, time, compressed, limit, ecc, cut } = raw
    const tail = notice(ecc)
    const text = compressed ? decompress(parts[0], limit) : contentOf(parts[0])
    const content = withTail(text ?? contentOf(parts[0]), tail)
    return {
      size: content.length,
      content,
      // As in Linux, whose inode then has the time of the mount.
      time: time?.sec === 0n ? null : time,
      compressed: text === null,
      ecc,
      cut,
    }
  }
}
