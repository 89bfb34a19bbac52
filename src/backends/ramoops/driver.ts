/**
 * The ramoops driver: a region's zones as records.
 *
 * Source: doc/formats.md 1.6–1.9 and 2; fs/pstore/ram.c (ramoops_pstore_read), fs/pstore/platform.c
 * (decompress_record). Where this is better than Linux on purpose, test/fixtures/README.md says so.
 */
import type { Backend, EccState, NewRecord, StoredRecord } from '../../pstore/backend.js'
import {
  contentOf,
  LastContent,
  withTail,
  type Content,
  type SizedContent,
} from '../../pstore/content.js'
import type { Ring } from '../../pstore/ring.js'
import { now, type Timespec } from '../../pstore/time.js'
import { nextDumpZone } from '../../pstore/rotation.js'
import type { Region } from '../../region/region.js'
import { SourceLock } from '../../region/lock.js'
import { StoreError } from '../../pstore/errors.js'
import type { FtraceText } from '../../pstore/ftrace.js'
import { inflate, salvage } from '../../pstore/deflate.js'
import {
  count,
  describeBroken,
  foundAt,
  isThere,
  lookIntoStream,
  conditionAt,
  type Dump,
  type Condition,
  type Site,
} from '../../pstore/condition.js'
import {
  compressedSuffix,
  fileName,
  type RecordType,
  type RingType,
  type ZoneKind,
} from '../../pstore/types.js'
import { encodeDmesgHeader, decodeDmesgHeader } from './dmesg-header.js'
import { Zone, type ZoneContent } from './zone.js'
import type { RamoopsLayout, ZoneExtent } from './layout.js'

/** What one file can show: a zone, or the ftrace zones of all CPUs. */
interface Slot {
  type: RecordType
  label: string
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
  ecc: EccState | null
}

/** The order in which Linux enumerates, after dmesg; readdir shows it backwards. */
const rings = ['console', 'pmsg', 'tty', 'ftrace'] as const
/** Of the first so many dumps' zones is kept what was found in them; a region that Linux made has a hundred. */
const mostKept = 4096
/** Linux inflates up to this many times the data length of the first dmesg zone. */
const expansion = 3

/** The line that the kernel appends to each record of a region with parity. */
const notice = (ecc: EccState | null): Buffer =>
  Buffer.from(
    !ecc
      ? ''
      : ecc.corrected || ecc.bad
        ? `\nECC: ${ecc.corrected} Corrected bytes, ${ecc.bad} unrecoverable blocks\n`
        : '\nECC: No errors detected\n',
  )

/** A header line of the length that all have until the year 2286. */
const dumpHeader = encodeDmesgHeader({ sec: 1_000_000_000n, nsec: 0 }, false)

export class RamoopsBackend implements Backend {
  readonly path: string
  readonly readOnly: boolean
  readonly parts = false
  readonly pace = null
  /** Where the dumps are: there may be half a million, and slots are made of those that are looked at. */
  readonly #dumps: readonly ZoneExtent[]
  readonly #dumpSlots: Slot[] = []
  /** The other files, in Linux's order. */
  readonly #rings: ReadonlyMap<RecordType, Slot>
  readonly #inflateLimit: number
  readonly #lock: SourceLock
  #formatted = false
  /** The slot of the last dump written here: of dumps of one time it is the newest. */
  #lastDump = -1
  readonly #last = new LastContent()

  constructor(
    readonly name: string,
    readonly region: Region,
    readonly layout: RamoopsLayout,
    readonly ftrace: FtraceText,
  ) {
    this.path = region.path
    this.readOnly = region.readOnly
    const placesOf = (kind: ZoneKind): ZoneExtent[] =>
      layout.zones.filter(place => place.kind === kind)
    this.#dumps = placesOf('dmesg')
    this.#rings = new Map(
      rings
        .map(kind => ({ kind, places: placesOf(kind) }))
        .filter(({ places }) => places.length > 0)
        .map(({ kind, places }) => [kind, this.#slotOf(kind, 0, places)]),
    )
    const room = this.#dumps.length ? this.#dump(0).zones[0].dataLength : 0
    this.#inflateLimit = expansion * room
    this.#lock = SourceLock.of(region.path, region.fd, !region.readOnly)
  }

  #slotOf(kind: ZoneKind, id: number, places: readonly ZoneExtent[]): Slot {
    const { ecc, endian, labels } = this.layout
    return {
      type: kind,
      label: labels[kind] ?? kind,
      id: BigInt(id),
      zones: places.map(place => new Zone(this.region, place, ecc, endian)),
      seen: null,
    }
  }

  #dump(index: number): Slot {
    const slot = (): Slot => this.#slotOf('dmesg', index, [this.#dumps[index]])
    return index < mostKept ? (this.#dumpSlots[index] ??= slot()) : slot()
  }

  /** In the order in which Linux enumerates. */
  *#slots(): Generator<Slot, void, void> {
    for (let index = 0; index < this.#dumps.length; index++) yield this.#dump(index)
    yield* this.#rings.values()
  }

  records(): Generator<StoredRecord, void, void> {
    return foundAt(this.#slots(), slot => this.#look(slot))
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
    if (!content) throw new StoreError(`${record.name}: no such record`, 'ENOENT')
    return content
  }

  #contentOf(slot: Slot): Content | undefined {
    return this.#last.get(slot, () => this.#fingerprint(slot)) ?? this.#show(slot)?.content
  }

  get facts(): { [name: string]: string | number } {
    const { memAddress, memSize, ecc, endian } = this.layout
    return { mem_address: memAddress, mem_size: memSize, ecc, endian }
  }

  *places(shown = true): Generator<Condition, void, void> {
    this.#last.drop()
    // All CPUs have one file, and to find it takes a look at each of their zones.
    let ftrace: string | null | undefined
    const ftraceName = (): string | null => {
      if (ftrace === undefined) ftrace = this.#look(this.#rings.get('ftrace')!)?.name ?? null
      return ftrace
    }
    for (const { kind, index, offset, size } of this.layout.zones) {
      const slot = kind === 'dmesg' ? this.#dump(index) : this.#rings.get(kind)!
      if (!shown && slot.zones.length === 1 && isThere(() => this.#look(slot))) continue
      const zone = slot.zones[kind === 'ftrace' ? index : 0]
      const name = fileName(slot.label, this.name, slot.id, false)
      const site = { type: slot.type, name, index, offset, length: size, room: zone.dataLength }
      yield conditionAt(site, () => this.#lookInto(slot, zone, ftraceName))
    }
  }

  #lookInto(slot: Slot, zone: Zone, ftraceName: () => string | null): Omit<Condition, keyof Site> {
    const { headerErrors, blocks, ...content } = zone.inspect()
    const { state, size, start, ecc } = content
    const findings: string[] = []
    if (headerErrors > 0) findings.push(`${count(headerErrors, 'byte')} of the header corrected`)
    if (headerErrors < 0) findings.push('the header cannot be corrected')
    if (state === 'invalid')
      findings.push('the header claims more than the zone holds: Linux takes it for new')
    const inBlocks = (ecc?.corrected ?? 0) - Math.max(0, headerErrors)
    if (inBlocks > 0) findings.push(`${count(inBlocks, 'byte')} of the data corrected`)
    const badBlocks = (ecc?.bad ?? 0) - (headerErrors < 0 ? 1 : 0)
    if (badBlocks > 0) findings.push(`${count(badBlocks, 'block')} of the data cannot be corrected`)
    const dump =
      slot.type === 'dmesg' && state === 'valid' ? this.#lookIntoDump(content, findings) : null
    const lost =
      state === 'invalid' ||
      (ecc?.bad ?? 0) > 0 ||
      dump === 'none' ||
      (dump?.broken ?? null) !== null
    return {
      used: size,
      start,
      state: lost
        ? 'damaged'
        : state === 'valid'
          ? 'sound'
          : state === 'empty'
            ? 'empty'
            : 'unsigned',
      findings,
      record: slot.type === 'ftrace' && size > 0 ? ftraceName() : this.#recordOf(slot, size, dump),
      parity: ecc && blocks && { ...ecc, blocks },
      dump: dump === 'none' ? null : dump,
    }
  }

  /** The file that shows a place. A dump has been looked into already. */
  #recordOf(slot: Slot, size: number, dump: Dump | 'none' | null): string | null {
    if (size === 0 || dump === 'none' || dump?.text === 0 || dump?.broken?.of === 0) return null
    return fileName(slot.label, this.name, slot.id, (dump?.broken ?? null) !== null)
  }

  /** What is in a dump's zone; `none` where that is no dump. Adds to what was found. */
  #lookIntoDump({ content }: ZoneContent, findings: string[]): Dump | 'none' {
    const header = decodeDmesgHeader(content)
    if (!header) {
      findings.push('does not begin as a dump (====): Linux drops it')
      return 'none'
    }
    const { time, compressed } = header
    const body = content.subarray(header.length)
    if (body.length === 0)
      findings.push('a dump without text: Linux shows neither it nor what follows')
    if (!compressed) return { time, compressed, text: body.length, broken: null }
    const stream = lookIntoStream(body, this.#inflateLimit)
    if (stream.broken) findings.push(describeBroken(stream.broken))
    return { time, compressed, ...stream }
  }

  raw(name: string): Buffer | null {
    const slot = this.#slot(name)
    if (!slot) return null
    const contents = slot.zones.map(zone => {
      const { state, content, ecc } = zone.read()
      // A header that says nothing hides bytes that somebody may have written.
      const lost = state === 'invalid' || (state === 'unsigned' && (ecc?.bad ?? 0) > 0)
      return lost ? zone.bytes() : content
    })
    return Buffer.concat(contents)
  }

  salvage(name: string): SizedContent | null {
    const slot = this.#slot(name)
    if (slot?.type !== 'dmesg') return null
    const { content } = slot.zones[0].read()
    const header = decodeDmesgHeader(content)
    if (!header?.compressed) return null
    return salvage(content.subarray(header.length), this.#inflateLimit).text
  }

  liveRings(): Ring[] {
    return [...this.#rings.values()]
      .filter(({ type }) => type !== 'ftrace')
      .map(({ type, label, id, zones: [zone] }) => ({
        name: fileName(label, this.name, id, false),
        type,
        length: zone.dataLength,
        parity: zone.ecc > 0,
        position: () => zone.position(),
        slice: (from, length) => zone.slice(from, length),
        quietly: work => this.#lock.shared(work),
      }))
  }

  erase(record: StoredRecord, unchanged = false): boolean {
    const slot = this.#slot(record.name)
    if (!slot) throw new StoreError(`${record.name}: no such record`, 'ENOENT')
    const epoch = this.#hold()
    try {
      if (unchanged && this.#look(slot)?.version !== record.version) return false
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
    for (const zone of this.#rings.get(type)?.zones ?? []) zone.restart(epoch)
    this.#lock.release()
  }

  sync(): void {
    this.region.sync()
  }

  room(type: RecordType): number {
    if (type !== 'dmesg') return this.#rings.get(type)?.zones[0].dataLength ?? 0
    // The longest header line that a time of today can make.
    return this.#dumps.length ? this.#dump(0).zones[0].dataLength - dumpHeader.length : 0
  }

  write(record: NewRecord): number {
    const ring = this.#rings.get(record.type)
    if (!ring && (record.type !== 'dmesg' || this.#dumps.length === 0))
      throw new StoreError(`${this.region.path}: has no ${record.type} zone`, 'ENOSPC')
    // A run of appends comes through here: nothing but numbers may be looked at again.
    const epoch = this.#hold()
    if (!this.#formatted) this.#checkFormatted()
    if (ring) ring.zones[0].append(record.bytes, epoch)
    else this.#writeDump(record, epoch)
    return record.bytes.length
  }

  /** A dump goes to the zone after the newest, whose old dump, if any, is the oldest. */
  #writeDump({ bytes, time, compressed = false }: NewRecord, epoch: number): void {
    const turns = this.#dumps.map((_, index) => {
      const slot = this.#dump(index)
      const time = this.#look(slot)?.time ?? null
      return { time, free: slot.zones[0].header().size === 0 }
    })
    this.#lastDump = nextDumpZone(turns, this.#lastDump)
    const { zones } = this.#dump(this.#lastDump)
    const header = Buffer.from(encodeDmesgHeader(time ?? now(), compressed))
    // As Linux does: the old dump goes first, so that no moment shows a part of each.
    zones[0].erase(epoch)
    zones[0].append(Buffer.concat([header, bytes]), epoch)
  }

  #checkWritable(): void {
    if (this.readOnly) throw new StoreError(`${this.region.path}: is read-only`, 'EROFS')
  }

  #hold(): number {
    this.#checkWritable()
    return this.#lock.hold()
  }

  /** What holds no zone yet was never a region of this layout: writing must not make it one. */
  #checkFormatted(): void {
    for (const { zones } of this.#slots()) {
      this.#formatted = zones.some(zone => zone.header().state !== 'unsigned')
      if (this.#formatted) return
    }
    throw new StoreError(
      `${this.region.path}: no zone of this layout has a header: is the layout right? (\`pstorefs format\` makes a new region)`,
    )
  }

  close(): void {
    this.#lock.close()
    this.region.close()
  }

  /** The slot of a file name, also of one that says that it cannot be inflated. */
  #slot(name: string): Slot | undefined {
    const stem = name.endsWith(compressedSuffix) ? name.slice(0, -compressedSuffix.length) : name
    const isIt = ({ label, id }: Slot): boolean => fileName(label, this.name, id, false) === stem
    const index = Number(/\d+$/.exec(stem)?.[0])
    const dump = index < this.#dumps.length ? this.#dump(index) : null
    return dump && isIt(dump) ? dump : [...this.#rings.values()].find(isIt)
  }

  /** A ring's size is in its header; a dump's, and an ECC notice's, take the bytes. */
  #isDeep({ type }: Slot): boolean {
    return type === 'dmesg' || this.layout.ecc > 0
  }

  #fingerprint(slot: Slot): string {
    const deep = this.#isDeep(slot)
    return slot.zones.map(zone => zone.fingerprint(deep)).join()
  }

  /** What a slot shows now. Bytes are only looked at anew where the zones have changed. */
  #look(slot: Slot): StoredRecord | null {
    // Before the bytes: should they change meanwhile, the next look finds another fingerprint.
    const fingerprint = this.#fingerprint(slot)
    if (slot.seen?.fingerprint === fingerprint) return slot.seen.record
    const whole = this.#isDeep(slot) ? this.#show(slot) : null
    const shown = this.#isDeep(slot) ? whole : this.#measure(slot)
    const record: StoredRecord | null = shown && {
      type: slot.type,
      id: slot.id,
      name: fileName(slot.label, this.name, slot.id, shown.compressed),
      size: shown.size,
      time: shown.time,
      compressed: shown.compressed,
      ecc: shown.ecc,
      version: fingerprint,
    }
    slot.seen = { fingerprint, record }
    if (whole) this.#last.keep(slot, fingerprint, whole.content)
    return record
  }

  /** A ring's size by its headers alone; null where it is empty. */
  #measure(slot: Slot): Omit<Shown, 'content'> | null {
    const merged = slot.type === 'ftrace' && this.layout.ftracePerCpu
    let size = 0
    for (const zone of slot.zones) {
      const length = zone.header().size
      size += merged ? length - (length % this.ftrace.recordSize) : length
    }
    return size ? { size, time: null, compressed: false, ecc: null } : null
  }

  /** A slot's file; null where there is none. */
  #show(slot: Slot): Shown | null {
    const filled = slot.zones.map(zone => zone.read()).filter(zone => zone.content.length > 0)
    if (filled.length === 0) return null
    if (slot.type === 'dmesg') return this.#showDump(filled[0])
    const ecc = sum(filled)
    if (slot.type === 'ftrace') return this.#showFtrace(filled, ecc)
    const content = withTail(contentOf(filled[0].content), notice(ecc))
    return { size: content.length, content, time: null, compressed: false, ecc }
  }

  #showDump({ content: bytes, ecc }: ZoneContent): Shown | null {
    const header = decodeDmesgHeader(bytes)
    if (!header) return null
    const body = bytes.subarray(header.length)
    // Linux ends its enumeration here, and loses all that follows; an empty record is just no file.
    if (body.length === 0) return null
    const text = header.compressed ? inflate(body, this.#inflateLimit) : contentOf(body)
    const content = withTail(text ?? contentOf(body), notice(ecc))
    const time = header.time.sec === 0n ? null : header.time
    return {
      size: content.length,
      content,
      time,
      compressed: text === null,
      ecc,
    }
  }

  #showFtrace(zones: ZoneContent[], ecc: EccState | null): Shown | null {
    const { endian, ftracePerCpu } = this.layout
    const contents = zones.map(zone => zone.content)
    const records = ftracePerCpu ? this.ftrace.merge(contents, endian) : contents[0]
    if (records.length === 0) return null
    // Linux counts the notice as records and prints them shifted; its st_size is kept.
    return {
      size: records.length + notice(ecc).length,
      content: this.ftrace.render(records, endian, notice(ecc)),
      time: null,
      compressed: false,
      ecc,
    }
  }
}

const sum = (zones: ZoneContent[]): EccState | null => {
  if (!zones[0].ecc) return null
  const total: EccState = { corrected: 0, bad: 0 }
  for (const { ecc } of zones) {
    total.corrected += ecc!.corrected
    total.bad += ecc!.bad
  }
  return total
}
