/**
 * A region that is divided into zones, as a driver: what ramoops and pstore/zone have in common. Their zones
 * differ (header, signature, parity), and so do the headers of their dumps; how zones become slots, extents and
 * rings does not.
 */
import zlib from 'node:zlib'
import type {
  Driver,
  DumpArea,
  Extent,
  Glance,
  Inspection,
  Loaded,
  NewDump,
  Raw,
  RingArea,
  Slot,
} from '../pstore/driver.js'
import { StoreError } from '../pstore/errors.js'
import type { Ring } from '../pstore/ring.js'
import type { DumpZone } from '../pstore/rotation.js'
import type {
  EccState,
  Endian,
  Identity,
  RecordType,
  RingType,
  ZoneExtent,
  ZoneKind,
  ZoneState,
} from '../pstore/types.js'
import type { SourceLock } from './lock.js'
import type { Region } from './region.js'

/** A zone's bytes at one moment. */
export interface ZoneContent {
  /** As {@link Glance.version}. */
  readonly version: string
  /** A ring's valid bytes, the oldest first, or a dump with its header; corrected. The caller's own. */
  readonly content: Buffer
  /** Null where the zone keeps no parity. */
  readonly ecc: EccState | null
  /** As {@link Raw.cut}. */
  readonly cut: number
}

/** A zone: one ring, or one dump. Every method may throw a StoreError (EIO). */
export interface RingZone {
  readonly extent: ZoneExtent
  /** Bytes of data that it can hold. */
  readonly dataLength: number
  /** True where a glance costs a pass over its bytes. */
  readonly deep: boolean
  state(): ZoneState
  /** Its version, and by its header the number of its valid bytes. */
  glance(): { readonly version: string; readonly size: number }
  read(alone?: boolean): ZoneContent
  /** Its data as they lie there, also where its header lost what it said of them. */
  raw(told?: (cut: number) => void): Buffer
  position: Ring['position']
  slice: Ring['slice']
  /** @param epoch of the lock that the caller holds (SourceLock.hold) */
  append(bytes: Uint8Array, epoch: number): void
  erase(epoch: number): void
  restart(epoch: number): void
}

/** What one kind of medium has, beside its zones. */
export interface ZonedLayout {
  readonly endian: Endian
  /** In the order in which they lie in the store. */
  readonly zones: readonly ZoneExtent[]
}

/** A dump as a zone's content has it. */
export type DumpInZone = Omit<Raw, 'parts' | 'ecc' | 'cut'> & { readonly body: Buffer }

export abstract class ZonedDriver<Z extends RingZone> implements Driver {
  readonly identity: Identity
  readonly readOnly: boolean
  readonly lock: SourceLock
  abstract readonly facts: Driver['facts']
  readonly #dumps: readonly ZoneExtent[]
  /** In Linux's order. */
  readonly #rings: ReadonlyMap<RecordType, ZoneSlot<Z>>
  readonly #areas: ReadonlyMap<RecordType, RingArea>
  readonly #dumpArea: DumpArea | null
  #formatted = false

  /**
   * @param driver its name
   * @param region is closed by {@link close}
   * @param order of the rings, as Linux enumerates them after the dumps
   * @param makeZone the zone of an extent
   * @param dumpRoom bytes that a dump's zone can hold
   */
  constructor(
    driver: string,
    readonly region: Region,
    readonly layout: ZonedLayout,
    order: readonly ZoneKind[],
    readonly makeZone: (extent: ZoneExtent) => Z,
    dumpRoom: (zone: Z) => number,
  ) {
    this.identity = { driver, path: region.path, offset: region.offset }
    this.readOnly = region.readOnly
    this.lock = region.lock
    const extentsOf = (kind: ZoneKind): ZoneExtent[] =>
      layout.zones.filter(extent => extent.kind === kind)
    this.#dumps = extentsOf('dmesg')
    const rings = order.map(kind => [kind, extentsOf(kind).map(makeZone)] as const)
    this.#rings = new Map(
      rings
        .filter(([, zones]) => zones.length > 0)
        .map(([kind, zones]) => [kind, new ZoneSlot(this, kind, 0, zones)]),
    )
    this.#areas = new Map([...this.#rings].map(([kind, slot]) => [kind, this.#ringArea(slot)]))
    const [first] = this.#dumps
    this.#dumpArea = first === undefined ? null : this.#areaOfDumps(dumpRoom(makeZone(first)))
  }

  /** The type as file names show it. */
  labelOf(kind: ZoneKind): string {
    return kind
  }

  /** Are the CPUs' ftrace records merged by their times? */
  get mergesFtrace(): boolean {
    return true
  }

  /** The dump that a zone's content is; null where Linux shows none. */
  abstract dumpIn(content: Buffer): DumpInZone | null
  abstract inspect(zone: Z): Inspection
  /** What the zone of a dump holds, for the next dump's turn. */
  protected abstract turnOf(zone: Z): DumpZone
  protected abstract storeDump(dump: NewDump, zone: Z, epoch: number): void

  #dump(index: number): ZoneSlot<Z> {
    return new ZoneSlot(this, 'dmesg', index, [this.makeZone(this.#dumps[index]!)])
  }

  *dumpZones(): Generator<Z, void, void> {
    for (const extent of this.#dumps) yield this.makeZone(extent)
  }

  *slots(): Generator<Slot, void, void> {
    for (let index = 0; index < this.#dumps.length; index++) yield this.#dump(index)
    yield* this.#rings.values()
  }

  slot(label: string, id: bigint): Slot | null {
    if (label === this.labelOf('dmesg') && id < this.#dumps.length) return this.#dump(Number(id))
    const rings = id === 0n ? this.#rings.values() : []
    for (const slot of rings) if (slot.label === label) return slot
    return null
  }

  *extents(): Generator<Extent, void, void> {
    for (const { kind, index, offset, size } of this.layout.zones) {
      const slot = kind === 'dmesg' ? this.#dump(index) : this.#rings.get(kind)!
      const zone = slot.zones[kind === 'ftrace' ? index : 0]!
      const { type, label, id, zones } = slot
      yield {
        type,
        label,
        id,
        index,
        offset,
        length: size,
        room: zone.dataLength,
        whole: zones.length === 1,
        shared: kind === 'ftrace',
        inspect: () => this.inspect(zone),
      }
    }
  }

  dumps(type: RecordType): DumpArea | null {
    return type === 'dmesg' ? this.#dumpArea : null
  }

  ring(type: RingType): RingArea | null {
    return this.#areas.get(type) ?? null
  }

  #areaOfDumps(room: number): DumpArea {
    return {
      room,
      parts: false,
      zones: () => Array.from(this.dumpZones(), zone => this.turnOf(zone)),
      store: (dump, index) => {
        const epoch = this.#hold()
        this.storeDump(dump, this.makeZone(this.#dumps[index]!), epoch)
      },
    }
  }

  #ringArea({ type, label, zones }: ZoneSlot<Z>): RingArea {
    const [zone] = zones
    return {
      label,
      room: zone!.dataLength,
      pace: null,
      // A run of appends comes through here: nothing but numbers may be looked at again.
      append: bytes => zone!.append(bytes, this.#hold()),
      restart: () =>
        this.lock.exclusively(() => {
          for (const each of zones) each.restart(this.lock.hold())
        }),
      live:
        type === 'ftrace'
          ? null
          : {
              length: zone!.dataLength,
              parity: zone!.deep,
              position: () => zone!.position(),
              slice: (from, length) => zone!.slice(from, length),
              quietly: work => this.lock.shared(work),
            },
    }
  }

  #hold(): number {
    const epoch = this.lock.hold()
    if (!this.#formatted) this.#checkFormatted()
    return epoch
  }

  /** What holds no zone yet was never a store of this layout: writing must not make it one. */
  #checkFormatted(): void {
    for (const extent of this.layout.zones) {
      this.#formatted = this.makeZone(extent).state() !== 'unsigned'
      if (this.#formatted) return
    }
    throw new StoreError(
      `${this.region.path}: no zone of this layout has a header: is the layout right? (\`pstorefs format\` makes a new region)`,
    )
  }

  sync(): void {
    this.region.sync()
  }

  close(): void {
    this.region.close()
  }
}

/** What one file can show: a zone, or the ftrace zones of all CPUs. */
class ZoneSlot<Z extends RingZone> implements Slot {
  readonly type: ZoneKind
  readonly label: string
  readonly id: bigint
  readonly deep: boolean

  constructor(
    readonly driver: ZonedDriver<Z>,
    kind: ZoneKind,
    index: number,
    readonly zones: readonly Z[],
  ) {
    this.type = kind
    this.label = driver.labelOf(kind)
    this.id = BigInt(index)
    this.deep = zones.some(({ deep }) => deep)
  }

  get ftrace(): Slot['ftrace'] {
    const { driver } = this
    return this.type === 'ftrace'
      ? { endian: driver.layout.endian, merged: driver.mergesFtrace }
      : null
  }

  glance(): Glance {
    const glances = this.zones.map(zone => zone.glance())
    return {
      version: glances.map(({ version }) => version).join(),
      lengths: this.deep ? null : glances.map(({ size }) => size),
    }
  }

  lengths(): number[] | null {
    return this.type === 'dmesg' ? null : this.zones.map(zone => zone.position().size)
  }

  load(alone: boolean): Loaded {
    const all = this.zones.map(zone => zone.read(alone))
    const version = all.map(zone => zone.version).join()
    const [first, ...rest] = all.filter(({ content }) => content.length > 0)
    const cut = all.reduce((total, zone) => total + zone.cut, 0)
    if (!first && cut > 0)
      throw new StoreError(
        `${this.driver.region.path}: ${this.label} is written faster than it can be read: try again later`,
        'EIO',
      )
    if (!first) return { version, raw: null }
    const ecc = sum([first, ...rest])
    if (this.type === 'dmesg') {
      const dump = this.driver.dumpIn(first.content)
      return { version, raw: dump && { ...dump, parts: [dump.body], ecc, cut } }
    }
    const parts = [first.content, ...rest.map(({ content }) => content)] as const
    return { version, raw: { parts, time: null, compressed: false, limit: 0, ecc, cut } }
  }

  raw(told?: (cut: number) => void): Buffer {
    return Buffer.concat(this.zones.map(zone => zone.raw(told)))
  }

  erase(): void {
    const { lock } = this.driver
    for (const zone of this.zones) zone.erase(lock.hold())
  }
}

const sum = (zones: readonly ZoneContent[]): EccState | null => {
  const total: EccState = { corrected: 0, bad: 0 }
  for (const { ecc } of zones) {
    if (!ecc) return null
    total.corrected += ecc.corrected
    total.bad += ecc.bad
  }
  return total
}

/** How many bytes are summed at once. */
const chunk = Buffer.allocUnsafe(65536)

/** The CRC of a region's bytes, of which none is kept. Throws a StoreError (EIO). */
export const checksum = (region: Region, offset: number, length: number): number => {
  let sum = 0
  for (let at = 0; at < length; at += chunk.length) {
    const n = Math.min(chunk.length, length - at)
    region.loadInto(chunk, offset + at, n)
    sum = zlib.crc32(chunk.subarray(0, n), sum)
  }
  return sum
}

/** A ring's bytes, the oldest first: `data[start…]`, then `data[0…start)`. They are moved where they are. */
export const unwrap = (data: Buffer, start: number): Buffer => {
  // The oldest byte is first already where the ring has not wrapped, or was filled exactly.
  if (start === 0 || start === data.length) return data
  // The shorter end goes to its place by a swap of blocks, until both are of one length.
  let [left, right] = [start, data.length - start]
  while (left !== right)
    if (left < right) {
      swap(data, start - left, start + right - left, left)
      right -= left
    } else {
      swap(data, start - left, start, right)
      left -= right
    }
  swap(data, start - left, start, left)
  return data
}

/** Swap two stretches of bytes, which do not overlap. */
const swap = (bytes: Buffer, a: number, b: number, length: number): void => {
  for (let at = 0; at < length; at += chunk.length) {
    const n = Math.min(chunk.length, length - at)
    bytes.copy(chunk, 0, a + at, a + at + n)
    bytes.copyWithin(a + at, b + at, b + at + n)
    chunk.copy(bytes, b + at, 0, n)
  }
}
