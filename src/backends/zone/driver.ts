/**
 * The pstore/zone driver: what pstore_blk and mtdpstore keep on a disk or flash, as records.
 *
 * Source: doc/formats.md 2 and 3; fs/pstore/zone.c (psz_pstore_read, psz_pstore_erase, psz_kmsg_write),
 * fs/pstore/platform.c (decompress_record). Where this is better than Linux on purpose,
 * test/fixtures/README.md says so.
 */
import type { Backend, NewRecord, StoredRecord } from '../../pstore/backend.js'
import { contentOf, LastContent, type Content, type SizedContent } from '../../pstore/content.js'
import { inflate, salvage } from '../../pstore/deflate.js'
import { decodeTitle } from '../../pstore/dump.js'
import { StoreError } from '../../pstore/errors.js'
import type { FtraceText } from '../../pstore/ftrace.js'
import {
  describeBroken,
  foundAt,
  isThere,
  lookIntoStream,
  conditionAt,
  type Dump,
  type Condition,
  type Site,
} from '../../pstore/condition.js'
import type { Ring } from '../../pstore/ring.js'
import { now, type Timespec } from '../../pstore/time.js'
import { nextDumpZone } from '../../pstore/rotation.js'
import { compressedSuffix, fileName, type RecordType, type RingType } from '../../pstore/types.js'
import { SourceLock } from '../../region/lock.js'
import type { Region } from '../../region/region.js'
import {
  encodeKmsgHeader,
  isCounted,
  kmsgHeaderSize,
  decodeKmsgHeader,
  reasonNumber,
  totalLine,
} from './header.js'
import { dumpRoom, type ZoneLayout } from './layout.js'
import { Zone } from './zone.js'

/** What one file can show: a zone, or the ftrace zones of all CPUs. */
interface Slot {
  type: RecordType
  id: bigint
  zones: Zone[]
  /** What was found when the zones last had that fingerprint; null: no record. */
  seen: { fingerprint: string; record: StoredRecord | null } | null
}

/** A record's facts and its bytes. */
interface Shown {
  size: number
  content: Content
  time: Timespec | null
  compressed: boolean
}

/** The order in which Linux enumerates; readdir shows it backwards. */
const enumeration = ['dmesg', 'ftrace', 'pmsg', 'console', 'tty'] as const
/** Linux inflates up to this many times the bytes of a dump that a zone can hold. */
const expansion = 3

export class ZoneBackend implements Backend {
  readonly path: string
  readonly readOnly: boolean
  readonly parts = false
  readonly pace = null
  readonly #slots: Slot[]
  readonly #byStem: Map<string, Slot>
  readonly #byType = new Map<RecordType, Slot[]>()
  readonly #dumpRoom: number
  readonly #lock: SourceLock
  #formatted = false
  /** The slot of the last dump written here: of dumps of one time it is the newest. */
  #lastDump = -1
  readonly #last = new LastContent()

  /**
   * @param region at least `layout.memSize` long; is closed by {@link close}
   * @param name in file names; Linux's own, for mtdpstore too
   */
  constructor(
    readonly region: Region,
    readonly layout: ZoneLayout,
    readonly ftrace: FtraceText,
    readonly name = 'pstore_blk',
  ) {
    this.path = region.path
    this.readOnly = region.readOnly
    const zones = layout.zones.map(place => new Zone(region, place, layout.endian))
    const slot = (type: RecordType, zones: Zone[], id: number): Slot => ({
      type,
      id: BigInt(id),
      zones,
      seen: null,
    })
    for (const kind of enumeration) {
      const own = zones.filter(({ place }) => place.kind === kind)
      const slots =
        kind === 'dmesg'
          ? own.map(zone => slot(kind, [zone], zone.place.index))
          : own.length > 0
            ? [slot(kind, own, 0)]
            : []
      this.#byType.set(kind, slots)
    }
    this.#slots = [...this.#byType.values()].flat()
    this.#byStem = new Map(
      this.#slots.map(slot => [fileName(slot.type, name, slot.id, false), slot]),
    )
    const dump = zones.find(({ place }) => place.kind === 'dmesg')
    this.#dumpRoom = dump ? dumpRoom(dump.place.size) : 0
    this.#lock = SourceLock.of(region.path, region.fd, !region.readOnly)
  }

  records(): Generator<StoredRecord, void, void> {
    return foundAt(this.#slots, slot => this.#look(slot))
  }

  record(name: string): StoredRecord | null {
    const slot = this.#slot(name)
    const record = slot && this.#look(slot)
    return record?.name === name ? record : null
  }

  read(record: StoredRecord): Buffer {
    return this.open(record).all()
  }

  open(record: StoredRecord): Content {
    const slot = this.#slot(record.name)
    const content = slot && this.#lock.shared(() => this.#contentOf(slot))
    if (!content) throw notThere(record.name)
    return content
  }

  #contentOf(slot: Slot): Content | undefined {
    return this.#last.get(slot, () => fingerprintOf(slot)) ?? this.#show(slot)?.content
  }

  get facts(): { [name: string]: string | number } {
    return { mem_size: this.layout.memSize, endian: this.layout.endian }
  }

  *places(shown = true): Generator<Condition, void, void> {
    this.#last.drop()
    // All CPUs have one file, and to find it takes a look at each of their zones.
    let ftrace: string | null | undefined
    const ftraceName = (): string | null => {
      if (ftrace === undefined) ftrace = this.#look(this.#ofType('ftrace')[0])?.name ?? null
      return ftrace
    }
    const inOrder = this.#slots
      .flatMap(slot => slot.zones.map(zone => ({ slot, zone })))
      .toSorted((a, b) => a.zone.place.offset - b.zone.place.offset)
    for (const { slot, zone } of inOrder) {
      if (!shown && slot.zones.length === 1 && isThere(() => this.#look(slot))) continue
      const { index, offset, size } = zone.place
      const name = fileName(slot.type, this.name, slot.id, false)
      const site = { type: slot.type, name, index, offset, length: size, room: zone.dataLength }
      yield conditionAt(site, () => this.#lookInto(slot, zone, ftraceName))
    }
  }

  #lookInto(slot: Slot, zone: Zone, ftraceName: () => string | null): Omit<Condition, keyof Site> {
    const { state, datalen, start } = zone.status()
    const findings: string[] = []
    if (state === 'invalid')
      findings.push('the header claims more than the zone holds: Linux takes it for new')
    const isDump = slot.type === 'dmesg' && state === 'valid'
    const dump = isDump ? this.#lookIntoDump(zone.read(), findings) : null
    const lost = state === 'invalid' || dump === 'none' || (dump?.broken ?? null) !== null
    return {
      used: datalen,
      start,
      state: lost
        ? 'damaged'
        : state === 'valid'
          ? 'sound'
          : state === 'empty'
            ? 'empty'
            : 'unsigned',
      findings,
      record:
        slot.type === 'ftrace' && datalen > 0 ? ftraceName() : this.#recordOf(slot, datalen, dump),
      parity: null,
      dump: dump === 'none' ? null : dump,
    }
  }

  /** The file that shows a place. A dump has been looked into already. */
  #recordOf(slot: Slot, size: number, dump: Dump | 'none' | null): string | null {
    if (size === 0 || dump === 'none' || dump?.broken?.of === 0) return null
    return fileName(slot.type, this.name, slot.id, (dump?.broken ?? null) !== null)
  }

  /** What is in a dump's zone; `none` where that is no dump. Adds to what was found. */
  #lookIntoDump(content: Buffer, findings: string[]): Dump | 'none' {
    const header = decodeKmsgHeader(content, this.layout.endian)
    if (!header) {
      findings.push("no dump's header: Linux drops it")
      return 'none'
    }
    const { time, compressed } = header
    const body = content.subarray(kmsgHeaderSize)
    if (!compressed) return { time, compressed, text: body.length, broken: null }
    if (body.length === 0)
      findings.push('a dump without text: Linux shows neither it nor what follows')
    const limit = expansion * this.#dumpRoom
    const stream = lookIntoStream(body, limit)
    if (stream.broken) findings.push(describeBroken(stream.broken))
    return { time, compressed, ...stream }
  }

  raw(name: string): Buffer | null {
    const slot = this.#slot(name)
    if (!slot) return null
    return Buffer.concat(
      slot.zones.map(zone => (zone.status().state === 'invalid' ? zone.bytes() : zone.read())),
    )
  }

  salvage(name: string): SizedContent | null {
    const slot = this.#slot(name)
    if (slot?.type !== 'dmesg') return null
    const content = slot.zones[0].read()
    if (!decodeKmsgHeader(content, this.layout.endian)?.compressed) return null
    return salvage(content.subarray(kmsgHeaderSize), expansion * this.#dumpRoom).text
  }

  liveRings(): Ring[] {
    return this.#slots
      .filter(({ type }) => type !== 'dmesg' && type !== 'ftrace')
      .map(({ type, id, zones: [zone] }) => ({
        name: fileName(type, this.name, id, false),
        type,
        length: zone.dataLength,
        parity: false,
        position: () => zone.position(),
        slice: (from, length) => zone.slice(from, length),
        quietly: work => this.#lock.shared(work),
      }))
  }

  erase(record: StoredRecord, unchanged = false): boolean {
    const slot = this.#slot(record.name)
    if (!slot) throw notThere(record.name)
    const epoch = this.#hold()
    try {
      const found = this.#look(slot)
      if (!found) throw notThere(record.name)
      // As in Linux: a dump that has taken this one's place stays.
      if ((unchanged || slot.type === 'dmesg') && found.version !== record.version) return false
      for (const zone of slot.zones) zone.erase(epoch)
      return true
    } finally {
      this.#lock.release()
    }
  }

  exclusively<T>(work: () => T): T {
    this.#checkWritable()
    return this.#lock.exclusively(work)
  }

  restart(type: RingType): void {
    const epoch = this.#hold()
    for (const { zones } of this.#ofType(type)) for (const zone of zones) zone.restart(epoch)
    this.#lock.release()
  }

  sync(): void {
    this.region.sync()
  }

  room(type: RecordType): number {
    if (type === 'dmesg') return this.#dumpRoom
    return this.#ofType(type)[0]?.zones[0].dataLength ?? 0
  }

  /**
   * Append to a ring, or store a dump in the next place in turn. A dump's reason is what its title
   * says.
   *
   * @throws StoreError (ENOSPC) for a dump that is larger than {@link room}
   */
  write(record: NewRecord): number {
    const slots = this.#ofType(record.type)
    if (slots.length === 0)
      throw new StoreError(`${this.region.path}: has no ${record.type} zone`, 'ENOSPC')
    // A run of appends comes through here: nothing but numbers may be looked at again.
    const epoch = this.#hold()
    if (!this.#formatted) this.#checkFormatted()
    if (record.type === 'dmesg') this.#writeDump(record, slots, epoch)
    else slots[0].zones[0].append(record.bytes, epoch)
    return record.bytes.length
  }

  close(): void {
    this.#lock.close()
    this.region.close()
  }

  /** A dump goes to the zone after the newest, whose old dump, if any, is the oldest. */
  #writeDump(dump: NewRecord, slots: Slot[], epoch: number): void {
    const { bytes, time = now(), compressed = false } = dump
    // Linux takes a compressed dump without bytes for the end of all records.
    if (bytes.length === 0) return
    if (bytes.length > this.#dumpRoom)
      throw new StoreError(
        `${this.region.path}: ${bytes.length} bytes do not fit into a dump of ${this.#dumpRoom}`,
        'ENOSPC',
      )
    const reason = this.#reasonOf(bytes, compressed)
    const { next, counter } = this.#survey(slots, reason)
    const header = encodeKmsgHeader({ time, compressed, counter, reason }, this.layout.endian)
    this.#lastDump = next
    slots[next].zones[0].replace(Buffer.concat([header, bytes]), epoch)
  }

  /** Why there is a dump, as the first line of its text says; 0 where that says nothing. */
  #reasonOf(bytes: Uint8Array, compressed: boolean): number {
    const whole = Buffer.from(bytes)
    const text = compressed ? inflate(whole, expansion * this.#dumpRoom) : contentOf(whole)
    const title = text && decodeTitle(text.slice(0, Infinity))
    return title ? reasonNumber(title.reason) : 0
  }

  /**
   * What Linux finds out when it boots: where the next dump goes, and what one of this reason counts
   * as. Erased dumps count, too.
   */
  #survey(slots: Slot[], reason: number): { next: number; counter: number } {
    const headers = slots.map(({ zones }) => zones[0].kmsgHeader())
    const turns = headers.map((header, i) => ({
      time: header?.time ?? null,
      free: slots[i].zones[0].status().datalen === 0,
    }))
    let counter = 0
    for (const header of headers)
      if (header?.reason === reason) counter = Math.max(counter, header.counter)
    return {
      next: nextDumpZone(turns, this.#lastDump),
      counter: isCounted(reason) ? (counter + 1) >>> 0 : 0,
    }
  }

  #checkWritable(): void {
    if (this.readOnly) throw new StoreError(`${this.region.path}: is read-only`, 'EROFS')
  }

  #hold(): number {
    this.#checkWritable()
    return this.#lock.hold()
  }

  /** What holds no zone yet was never a store of this layout: writing must not make it one. */
  #checkFormatted(): void {
    this.#formatted = this.#slots.some(({ zones }) =>
      zones.some(zone => zone.status().state !== 'unsigned'),
    )
    if (!this.#formatted)
      throw new StoreError(
        `${this.region.path}: no zone of this layout has a header: is the layout right? (\`pstorefs format\` makes a new one)`,
      )
  }

  #ofType(type: RecordType): Slot[] {
    return this.#byType.get(type) ?? []
  }

  #slot(name: string): Slot | undefined {
    const stem = name.endsWith(compressedSuffix) ? name.slice(0, -compressedSuffix.length) : name
    return this.#byStem.get(stem)
  }

  /** What a slot shows now. Bytes are only looked at anew where the zones have changed. */
  #look(slot: Slot): StoredRecord | null {
    // Before the bytes: should they change meanwhile, the next look finds another fingerprint.
    const fingerprint = fingerprintOf(slot)
    if (slot.seen?.fingerprint === fingerprint) return slot.seen.record
    const whole = slot.type === 'dmesg' ? this.#show(slot) : null
    const shown = slot.type === 'dmesg' ? whole : this.#measure(slot)
    const record: StoredRecord | null = shown && {
      type: slot.type,
      id: slot.id,
      name: fileName(slot.type, this.name, slot.id, shown.compressed),
      size: shown.size,
      time: shown.time,
      compressed: shown.compressed,
      ecc: null,
      version: fingerprint,
    }
    slot.seen = { fingerprint, record }
    if (whole) this.#last.keep(slot, fingerprint, whole.content)
    return record
  }

  /** A ring's size by its headers alone; null where it is empty. */
  #measure({ type, zones }: Slot): Omit<Shown, 'content'> | null {
    let size = 0
    for (const zone of zones) {
      const { datalen } = zone.status()
      size += type === 'ftrace' ? datalen - (datalen % this.ftrace.recordSize) : datalen
    }
    return size ? { size, time: null, compressed: false } : null
  }

  /** A slot's file; null where there is none. */
  #show({ type, zones }: Slot): Shown | null {
    const contents = zones.map(zone => zone.read()).filter(content => content.length > 0)
    if (contents.length === 0) return null
    if (type === 'dmesg') return this.#showDump(contents[0])
    if (type === 'ftrace') return this.#showFtrace(contents)
    const [bytes] = contents
    return { size: bytes.length, content: contentOf(bytes), time: null, compressed: false }
  }

  #showDump(content: Buffer): Shown | null {
    const { endian } = this.layout
    const header = decodeKmsgHeader(content, endian)
    if (!header) return null
    const body = content.subarray(kmsgHeaderSize)
    const time = header.time.sec === 0n ? null : header.time
    const shown = (content: SizedContent, compressed: boolean): Shown => ({
      size: content.length,
      content,
      time,
      compressed,
    })
    if (!header.compressed)
      return shown(contentOf(Buffer.concat([Buffer.from(totalLine(header)), body])), false)
    // Linux ends its enumeration here, and loses all that follows; an empty record is just no file.
    if (body.length === 0) return null
    const text = inflate(body, expansion * this.#dumpRoom)
    return shown(text ?? contentOf(body), text === null)
  }

  #showFtrace(contents: Buffer[]): Shown | null {
    const { endian } = this.layout
    const records = this.ftrace.merge(contents, endian)
    if (records.length === 0) return null
    const content = this.ftrace.render(records, endian, Buffer.alloc(0))
    return { size: records.length, content, time: null, compressed: false }
  }
}

const fingerprintOf = ({ zones }: Slot): string => zones.map(zone => zone.fingerprint()).join()

const notThere = (name: string): StoreError => new StoreError(`${name}: no such record`, 'ENOENT')
