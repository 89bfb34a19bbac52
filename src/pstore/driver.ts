/**
 * What a driver says of its medium: Linux's own seam. A driver knows bytes, zones, slots and variables, and
 * nothing of files. pstore/store.ts makes records of what it says, once for all drivers, as platform.c and
 * inode.c do in Linux.
 */
import type { Parity, Remains } from './condition.js'
import type { Fronts } from './fronts.js'
import type { FtraceZone, WordSize } from './ftrace.js'
import type { Ring } from './ring.js'
import type { DumpZone } from './rotation.js'
import type { Timespec } from './time.js'
import type {
  EccState,
  Endian,
  Identity,
  Pace,
  RecordType,
  RingType,
  Usage,
  ZoneState,
} from './types.js'

/** What is known of a slot without its bytes. */
export interface Glance {
  /** Changes when what the slot shows changes. */
  readonly version: string
  /** Bytes of each part. Null where only the bytes themselves tell what the slot shows. */
  readonly lengths: readonly number[] | null
  /** With lengths: the record's time, where it has one. */
  readonly time?: Timespec | null
}

/** A slot's bytes at one moment, corrected; the caller's own. */
export interface Raw {
  /** A dump's body, or a ring, the oldest byte first; ftrace: the ring of each CPU that has one. */
  readonly parts: readonly [Buffer, ...Buffer[]]
  /** A dump's own time; null for rings. */
  readonly time: Timespec | null
  readonly compressed: boolean
  /** The most bytes that a compressed body's text may have. */
  readonly limit: number
  /** What parity says of all parts; null where the medium keeps none. */
  readonly ecc: EccState | null
  /** Bytes of a ring that are left out, since its writer passed over them while they were read. */
  readonly cut: number
  /** ftrace: the version of the kernel that wrote each part, as of {@link FtraceZone.kernel}. */
  readonly kernels?: readonly number[]
}

/** What {@link Slot.load} found, and the version that it has. */
export interface Loaded {
  readonly version: string
  /** Null where Linux shows no file of it. */
  readonly raw: Raw | null
}

/** How ftrace's rings are read. */
export interface FtraceSlot {
  readonly endian: Endian
  readonly merged: boolean
  /** What a user says of the machine; undefined: the bytes have to tell. */
  readonly wordSize: WordSize | undefined
  /**
   * The ends of the first rings that are not empty: {@link sampledBytes} of each, of {@link sampledZones} at
   * most. May throw a StoreError (EIO).
   */
  sample(): FtraceZone[]
}

/** What one file shows: a dump, a ring, or the ftrace rings of all CPUs. Each method may throw a StoreError (EIO). */
export interface Slot {
  readonly type: RecordType
  /** The type as file names show it: a vendor's kernel may have another name for it. */
  readonly label: string
  readonly id: bigint
  /** As of {@link NameParts.copy}. Absent: no two slots of this medium can have one type and id. */
  readonly copy?: number | null
  /** What it is called in messages, where it cannot be read and has no file's name. */
  readonly name?: string | undefined
  /** Null for all other types. */
  readonly ftrace: FtraceSlot | null
  /** True where a glance gives no lengths, and costs a pass over all bytes. */
  readonly deep: boolean
  glance(): Glance
  /**
   * Bytes of each part of a ring, by headers alone; null where only a {@link load} tells whether there is a
   * record, and of what name.
   */
  lengths(): readonly number[] | null
  /** @param alone false: a writer of this program may be in the midst of its stores ({@link StoreLock.shared}) */
  load(alone: boolean): Loaded
  /** What is shown where the bytes cannot be read. Absent: nothing, and the listing says why. */
  readonly unreadable?: Pick<Raw, 'time' | 'compressed'> & { readonly size: number }
  /**
   * The data as they lie there: nothing decompressed, rendered or added. Null where they have gone meanwhile.
   *
   * @param told is told of bytes that are left out, as of {@link Raw.cut}
   * @param alone as of {@link load}
   */
  raw(told: ((cut: number) => void) | undefined, alone: boolean): Buffer | null
  /** The text of what is there though no file shows it; null where there is none. Absent: there never is. */
  lost?(): LostContent | null
  /** Take the record off the medium. The caller holds the lock exclusively. */
  erase(): void
}

/** What no file shows: a text, or the body of a dump. */
export type LostContent = Pick<Raw, 'compressed' | 'limit'> & { readonly body: Buffer }

/** A stretch of the medium that can hold a record, or a part of one. */
export interface Extent {
  readonly type: RecordType
  readonly label: string
  readonly id: bigint
  /** As of {@link Slot.copy}. */
  readonly copy?: number | null
  /** What it is called where it is no slot's: the store's own numbers, a stretch that cannot be read. */
  readonly name?: string
  /** dmesg: the zone's number; ftrace: the CPU; ERST: the slot; else 0. */
  readonly index: number
  /** In bytes from the store's start; null for what has no fixed offset, as variables. */
  readonly offset: number | null
  /** Bytes that it takes, headers and parity included. */
  readonly length: number
  /** Bytes of data that it can hold. */
  readonly room: number
  /** True where a slot is this extent and nothing else: where the slot shows a record, no look adds to that. */
  readonly whole: boolean
  /** True where only a look at the whole slot tells whether a file shows it: CPUs share ftrace's. */
  readonly shared: boolean
  /** Look into it. Null where it has gone meanwhile. May throw a StoreError (EIO). */
  inspect(): Inspection | null
}

/** What a look into an extent finds. */
export interface Inspection {
  readonly state: ZoneState
  /** Bytes that it holds. */
  readonly used: number
  /** Where the next byte of a ring goes; 0 elsewhere. */
  readonly start: number
  /** What is wrong with it, or remarkable, in words. */
  readonly findings: string[]
  /** True where something that it held is lost. */
  readonly lost: boolean
  /** False where no file shows what it holds. */
  readonly shown: boolean
  readonly parity: Parity | null
  /** A dump's time and stored body, for one more look; null for all else. */
  readonly dump: DumpBody | null
  /** What is there behind a header that hides it, and how many bytes; null or absent: nothing. */
  readonly remains?: Remains | null
}

export interface DumpBody {
  readonly time: Timespec | null
  readonly compressed: boolean
  /** Bytes of the body as stored. */
  readonly length: number
  /** The body; null where it is plain, or cannot be read. */
  readonly stream: Buffer | null
  /** The most bytes of text that may come out of it. */
  readonly limit: number
}

/** A dump to be stored. */
export interface NewDump {
  readonly type: RecordType
  readonly bytes: Uint8Array
  readonly time: Timespec
  /** The bytes are compressed, with any codec. */
  readonly compressed: boolean
}

/** Where dumps are stored. */
export type DumpArea = {
  /** Bytes that one record can hold. */
  readonly room: number
} & (
  | {
      /** A dump is one record, in one of the zones; the core says in which. */
      readonly parts: false
      /** What each zone holds, in the order in which they are written. */
      zones(): readonly DumpZone[]
      /** Store a dump in the zone of that index. Throws a StoreError (ENOSPC, EIO). */
      store(dump: NewDump, zone: number): void
    }
  | {
      /** A dump takes as many records as it needs, wherever the medium has room. */
      readonly parts: true
      store(dump: NewDump): void
    }
)

/** Where the bytes of one ring are appended. */
export interface RingArea {
  /** As {@link Slot.label}. */
  readonly label: string
  /** Bytes that the ring holds; 0 where nothing is to be written to it. */
  readonly room: number
  /** Null where stores cost nothing. */
  readonly pace: Pace | null
  /** Throws a StoreError (EBUSY, ENOSPC, EIO). */
  append(bytes: Uint8Array): void
  /** Empty the ring, and make one of what is none, for the writers of a new life. */
  restart(): void
  /** For readers that follow the ring; null where the medium cannot tell where a ring stands. */
  readonly live: Omit<Ring, 'name' | 'type'> | null
}

/** What keeps other processes of this program away from a store. */
export interface StoreLock {
  /**
   * Do something while no writer of this program is at work; done anyway where that cannot be had.
   *
   * @param work is told whether it is alone. If not, a writer may be in the midst of its stores
   */
  shared<T>(work: (alone: boolean) => T): T
  /**
   * Do something while no other process of this program reads or writes the store.
   *
   * @throws StoreError (EBUSY, EROFS) where that cannot be had; then nothing is done
   */
  exclusively<T>(work: () => T): T
}

/** An opened medium. Each method may throw a StoreError; none leaves the medium half changed. */
export interface Driver {
  readonly identity: Identity
  /** True where nothing on the medium can be changed. */
  readonly readOnly: boolean
  /** Why it never can, and what to do instead. */
  readonly whyReadOnly?: string
  /** What is known of the store as a whole, under the names of the options that say it. */
  readonly facts: { readonly [name: string]: string | number }
  readonly lock: StoreLock
  /**
   * The slots that may show a record, empty ones too, in the order in which Linux enumerates. Each is made
   * when it is asked for: there may be half a million. No two show one file. One that cannot be read is among them,
   * and says so when it is looked into: it hides no other.
   */
  slots(): Iterable<Slot>
  /**
   * The slot of one file; null where there is none.
   *
   * @param copy as of {@link NameParts.copy}. A slot that was called so once has that name as long as it is there
   */
  slot(label: string, id: bigint, copy?: number | null): Slot | null
  /** How full the medium is; absent, or null, where it cannot tell. */
  usage?(): Usage | null
  /** All stretches that can hold records, in the order in which they lie there. */
  extents(): Iterable<Extent>
  /** Where dumps of a type are stored; null where the medium keeps none of it. */
  dumps(type: RecordType): DumpArea | null
  /** Null where the medium keeps no such ring. */
  ring(type: RingType): RingArea | null
  /** As of Backend.fronts; absent: only slots tell. */
  fronts?(): Fronts
  /** As of Backend.doubts. Throws a StoreError (EIO). */
  doubts(): string[]
  /** As of Backend.unused; absent: never. Throws a StoreError (EIO). */
  unused?(): string | null
  /**
   * As of Backend.refuseForeign; absent: nothing is refused.
   *
   * @param begins a life begins: as in Linux, that makes a store of what is empty, and of memory
   */
  refuseForeign?(begins: boolean): void
  /** Let what was written reach the medium. */
  sync(): void
  close(): void
}
