/**
 * A region that is divided into zones, as a driver: what ramoops and pstore/zone have in common. Their zones
 * differ (header, signature, parity), and so do the headers of their dumps; how zones become slots, extents and
 * rings does not.
 */
import type {
  Driver,
  DumpArea,
  Extent,
  Glance,
  Inspection,
  Loaded,
  LostContent,
  NewDump,
  RingArea,
  Slot,
} from '../pstore/driver.js'
import { ifReadable, StoreError } from '../pstore/errors.js'
import type { Fronts } from '../pstore/fronts.js'
import { sampledBytes, sampledZones, type FtraceZone, type WordSize } from '../pstore/ftrace.js'
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
} from '../pstore/types.js'
import { frontsOf } from './fronts.js'
import { isSigned, layoutDoubt, neverUsed, refuseForeign, type Held } from './held.js'
import type { Elsewhere } from './held.js'
import type { Signs } from './signs.js'
import type { SourceLock } from './lock.js'
import {
  inspectBehind,
  lookBehind,
  textIn,
  textOf,
  type Doubt,
  type DumpInZone,
  type Remains,
} from './lost-header.js'
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
  /** As {@link FtraceZone.kernel}. */
  readonly kernel: number
}

/** A zone: one ring, or one dump. Every method may throw a StoreError (EIO). */
export interface RingZone {
  readonly extent: ZoneExtent
  /** Bytes of data that it can hold. */
  readonly dataLength: number
  /** True where a glance costs a pass over its bytes. */
  readonly deep: boolean
  /** Its version, and by its header the number of its valid bytes. */
  glance(): { readonly version: string; readonly size: number }
  read(alone?: boolean): ZoneContent
  /** What its header says where that is not of a zone with content; null where it is. */
  doubt(): Doubt | null
  position(): ReturnType<Ring['position']> & Pick<ZoneContent, 'kernel'>
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

/** What whoever attaches says of it, beside its layout. */
export interface ZonedOptions {
  /** Write also where the layout is not that of the bytes. */
  readonly force?: boolean | undefined
  /** What else is known of the source; absent where the layout was found in its bytes, and so needs no doubt. */
  readonly elsewhere?: Elsewhere
  /** What speaks against a layout that was found, in a line; absent where nothing does. */
  readonly against?: string
}

export type { DumpInZone }

export abstract class ZonedDriver<Z extends RingZone> implements Driver {
  readonly identity: Identity
  readonly readOnly: boolean
  readonly lock: SourceLock
  abstract readonly facts: Driver['facts']
  readonly #dumps: readonly ZoneExtent[]
  /** In Linux's order. */
  readonly #rings: readonly ZoneSlot<Z>[]
  readonly #areas: ReadonlyMap<RecordType, RingArea>
  readonly #dumpArea: DumpArea | null
  /** Is it known that this is a store of this layout? */
  #formatted = false
  /** Did a life begin in it? */
  #begun = false

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
    readonly options: ZonedOptions = {},
  ) {
    this.identity = { driver, path: region.path, offset: region.offset }
    this.readOnly = region.readOnly
    this.lock = region.lock
    const extentsOf = (kind: ZoneKind): ZoneExtent[] =>
      layout.zones.filter(extent => extent.kind === kind)
    this.#dumps = extentsOf('dmesg')
    this.#rings = order.flatMap(kind => {
      const zones = extentsOf(kind).map(makeZone)
      // CPUs share one file; each boot log is one of its own.
      const isShared = kind === 'ftrace' && zones.length > 0
      const files = isShared ? [zones] : zones.map(zone => [zone])
      return files.map((zones, index) => new ZoneSlot(this, kind, index, zones))
    })
    // Of several rings of a kind, writers know the first.
    this.#areas = new Map(this.#rings.toReversed().map(slot => [slot.type, this.#ringArea(slot)]))
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

  /** What a user says of the machine, as {@link FtraceSlot.wordSize}. */
  abstract readonly wordSize: WordSize | undefined

  /** The dump that a zone's content is; null where Linux shows none. */
  abstract dumpIn(content: Buffer): DumpInZone | null
  abstract inspect(zone: Z): Inspection
  /** What the zone of a dump holds, for the next dump's turn. */
  protected abstract turnOf(zone: Z): DumpZone
  protected abstract storeDump(dump: NewDump, zone: Z, epoch: number): void
  /** The signatures of its headers. */
  protected abstract readonly signs: Signs

  /** What is there behind a header that hides it; null: nothing. */
  remainsOf(zone: Z, doubt: Doubt): Remains | null {
    return lookBehind(zone, doubt, content => this.dumpIn(content))
  }

  /** As {@link inspect} finds a zone with such a header, but for what parity says. */
  protected behind(zone: Z, doubt: Doubt): Omit<Inspection, 'parity'> {
    return inspectBehind(doubt, this.remainsOf(zone, doubt))
  }

  #dump(index: number): ZoneSlot<Z> {
    return new ZoneSlot(this, 'dmesg', index, [this.makeZone(this.#dumps[index]!)])
  }

  *dumpZones(): Generator<Z, void, void> {
    for (const extent of this.#dumps) yield this.makeZone(extent)
  }

  *slots(): Generator<Slot, void, void> {
    for (let index = 0; index < this.#dumps.length; index++) yield this.#dump(index)
    yield* this.#rings
  }

  slot(label: string, id: bigint): Slot | null {
    if (label === this.labelOf('dmesg') && id < this.#dumps.length) return this.#dump(Number(id))
    return this.#rings.find(slot => slot.label === label && slot.id === id) ?? null
  }

  *extents(): Generator<Extent, void, void> {
    for (const { kind, index, offset, size } of this.layout.zones) {
      const slot = kind === 'dmesg' ? this.#dump(index) : this.#ringAt(kind, index)
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

  #ringAt(kind: ZoneKind, index: number): ZoneSlot<Z> {
    const id = kind === 'ftrace' ? 0n : BigInt(index)
    return this.#rings.find(slot => slot.type === kind && slot.id === id)!
  }

  dumps(type: RecordType): DumpArea | null {
    return type === 'dmesg' ? this.#dumpArea : null
  }

  fronts(): Fronts {
    return frontsOf(this.region, this.#dumps)
  }

  ring(type: RingType): RingArea | null {
    return this.#areas.get(type) ?? null
  }

  #areaOfDumps(room: number): DumpArea {
    return {
      room,
      parts: false,
      zones: () => Array.from(this.dumpZones(), zone => this.#turnOf(zone)),
      store: (dump, index) => {
        const epoch = this.#hold()
        this.storeDump(dump, this.makeZone(this.#dumps[index]!), epoch)
      },
    }
  }

  /** A zone that cannot be read, as on a bad sector, keeps no dump from the others. */
  #turnOf(zone: Z): DumpZone {
    return ifReadable(() => this.turnOf(zone)) ?? { time: null, free: false, bad: true }
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
          for (const each of zones) each.restart(this.lock.hold(this))
        }),
      live:
        type === 'ftrace'
          ? null
          : {
              length: zone!.dataLength,
              parity: zone!.deep,
              position: () => zone!.position(),
              slice: (from, length) => zone!.slice(from, length),
              empty: () => this.lock.exclusively(() => zone!.restart(this.lock.hold(this))),
              quietly: work => this.lock.shared(work),
            },
    }
  }

  /** Looks first, once: nobody waits for the lock meanwhile. */
  #hold(): number {
    this.refuseForeign(false)
    return this.lock.hold(this)
  }

  refuseForeign(begins: boolean): void {
    this.#begun ||= begins
    const { force, elsewhere } = this.options
    if (!force && !this.#formatted) refuseForeign(this.#held, elsewhere, begins)
    this.#formatted ||= !begins
  }

  get #held(): Held {
    const { region, layout, signs } = this
    const isDump = (content: Buffer): boolean => this.dumpIn(content) !== null
    return { region, ...layout, signs, zone: this.makeZone, isDump, begun: this.#begun }
  }

  doubts(): string[] {
    const { elsewhere, against } = this.options
    const line = elsewhere ? layoutDoubt(this.#held, elsewhere)?.line : against
    return line === undefined ? [] : [line]
  }

  unused(): string | null {
    return isSigned(this.#held) ? null : neverUsed
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
      ? {
          endian: driver.layout.endian,
          merged: driver.mergesFtrace,
          wordSize: driver.wordSize,
          sample: () => this.#sample(),
        }
      : null
  }

  #sample(): FtraceZone[] {
    const found: FtraceZone[] = []
    for (const zone of this.zones) {
      const { start, size, kernel } = zone.position()
      if (size === 0) continue
      // The newest bytes lie before `start`, and before that at the ring's end.
      const length = Math.min(size, sampledBytes)
      const front = Math.min(length, start)
      const back = length - front
      const bytes = Buffer.concat([zone.slice(size - back, back), zone.slice(start - front, front)])
      found.push({ bytes, kernel })
      if (found.length === sampledZones) break
    }
    return found
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
    const kernels = [first, ...rest].map(({ kernel }) => kernel)
    return { version, raw: { parts, kernels, time: null, compressed: false, limit: 0, ecc, cut } }
  }

  raw(told: ((cut: number) => void) | undefined, alone: boolean): Buffer {
    const all = this.zones.map(zone => this.#rawOf(zone, told, alone))
    // What a CPU's ring held before it was erased is no part of what the others hold.
    const held = all.filter(({ bytes, isErased }) => !isErased && bytes.length > 0)
    return Buffer.concat((held.length > 0 ? held : all).map(({ bytes }) => bytes))
  }

  #rawOf(
    zone: Z,
    told: ((cut: number) => void) | undefined,
    alone: boolean,
  ): { bytes: Buffer; isErased: boolean } {
    const doubt = zone.doubt()
    if (doubt) {
      const bytes = this.driver.remainsOf(zone, doubt)?.raw ?? none
      return { bytes, isErased: doubt.state === 'empty' }
    }
    const { content, cut } = zone.read(alone)
    if (cut > 0) told?.(cut)
    return { bytes: content, isErased: false }
  }

  lost(): LostContent | null {
    for (const zone of this.zones) {
      const doubt = zone.doubt()
      const remains = doubt && this.driver.remainsOf(zone, doubt)
      const lost = remains && textOf(remains)
      if (lost) return lost
    }
    // What a sound header tells of is shown, but for a dump that does not begin as one.
    const [zone] = this.zones
    return this.type === 'dmesg' ? textIn(zone!.read().content) : null
  }

  erase(): void {
    const { driver } = this
    for (const zone of this.zones) zone.erase(driver.lock.hold(driver))
  }
}

const none = Buffer.alloc(0)

const sum = (zones: readonly ZoneContent[]): EccState | null => {
  const total: EccState = { corrected: 0, bad: 0 }
  for (const { ecc } of zones) {
    if (!ecc) return null
    total.corrected += ecc.corrected
    total.bad += ecc.bad
  }
  return total
}
