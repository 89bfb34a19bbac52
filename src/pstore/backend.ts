/**
 * What a store offers to everything above it: the small struct between the drivers and the rest,
 * as Linux's `struct pstore_info` is.
 */
import type { Content, SizedContent } from './content.js'
import type { Condition } from './condition.js'
import type { Ring } from './ring.js'
import type { Timespec } from './time.js'
import type { RecordType, RingType } from './types.js'

/** What error correction found in a record's zones, header included. */
export interface EccState {
  /** Bytes that were corrected (in a copy: reading never writes). */
  corrected: number
  /** Blocks that could not be corrected; their bytes are shown as they are. */
  bad: number
}

/** What one file shows, without its bytes. */
export interface StoredRecord {
  readonly type: RecordType
  readonly id: bigint
  /** The file's name, `TYPE-BACKEND-ID[.enc.z]`. */
  readonly name: string
  /**
   * `st_size` as Linux reports it, in bytes. A file's text can be longer (ftrace: the size is that
   * of the binary records).
   */
  readonly size: number
  /** The record's own time; null where it has none (anything but dmesg). */
  readonly time: Timespec | null
  /** True where the bytes are still compressed, because they could not be inflated. */
  readonly compressed: boolean
  /** Null where the store keeps no parity. */
  readonly ecc: EccState | null
  /**
   * Changes when the record's bytes on the media change. Two enumerations that give the same
   * version show the same bytes.
   */
  readonly version: string
}

/** A record to be written: what Linux's frontends hand to a backend. */
export interface NewRecord {
  readonly type: RecordType
  /** A ring's next bytes, or the whole of a dump. */
  readonly bytes: Uint8Array
  /** dmesg: when it happened. */
  readonly time?: Timespec
  /** dmesg: the bytes are a raw deflate stream. */
  readonly compressed?: boolean
}

/** How a stream is stored where every store wears the medium out: in batches, and not too often. */
export interface Pace {
  /** Bytes that are worth a store of their own. */
  readonly bytes: number
  /** How long text waits for more, in seconds. */
  readonly seconds: number
  /** How many stores an hour may see, in the long run. */
  readonly perHour: number
}

/** An attached store. Every method may throw a {@link StoreError}; none leaves the store half changed. */
export interface Backend {
  /** The configured name, or Linux's own (`ramoops`, `pstore_blk`, …). */
  readonly name: string
  /** Where the source is. */
  readonly path: string
  /** True where nothing in the source can be changed. */
  readonly readOnly: boolean
  /** True where a dump takes as many records as it needs: EFI's and ERST's are small. */
  readonly parts: boolean
  /** Null where stores cost nothing: in memory, and on disks. */
  readonly pace: Pace | null
  /**
   * The records that the store holds at this moment, in the order in which Linux enumerates them.
   * Each is looked at when it is asked for, so that a glance at the first costs no more than that.
   *
   * @throws StoreError once all others have been given, where one cannot be read
   */
  records(): Generator<StoredRecord, void, void>
  /** The record that a file name stands for at this moment; null where there is none. */
  record(name: string): StoredRecord | null
  /** A record's bytes, exactly as its file shows them: a snapshot that no later write changes. */
  read(record: StoredRecord): Buffer
  /** The same, for those who read it in pieces. */
  open(record: StoredRecord): Content
  /** What is known of the store as a whole, under the names of the options that say it. */
  readonly facts: { readonly [name: string]: string | number }
  /**
   * Every place for a record, in the order in which they lie there.
   *
   * @param shown false: those that a file shows may be left out, where to look into them takes time
   */
  places(shown?: boolean): Generator<Condition, void, void>
  /**
   * The data of the places with a {@link Condition.name}, as they lie there: corrected, rings oldest byte
   * first, and nothing inflated, rendered or added. Null where there is no such place.
   */
  raw(name: string): Buffer | null
  /** Of a dump whose stream is broken the text before the damage; null where there is none such. */
  salvage(name: string): SizedContent | null
  /** The zones that are rings of bytes, empty ones too, for those who follow them. */
  liveRings(): Ring[]
  /**
   * Take a record out of the store for good, as unlink does.
   *
   * @param unchanged only where its {@link StoredRecord.version} is still that
   * @returns false where another has taken its place, which stays
   * @throws StoreError (ENOENT) where there is none
   */
  erase(record: StoredRecord, unchanged?: boolean): boolean
  /**
   * Do something that takes more than one call, while no other process of this program changes the store.
   *
   * @throws StoreError (EROFS, EBUSY) where that cannot be had; then nothing is done
   */
  exclusively<T>(work: () => T): T
  /**
   * Make a ring ready for the next life's writers, as Linux does when it attaches: it is emptied, and
   * what is no zone becomes an empty one. Where there is none of this type, nothing happens.
   */
  restart(type: RingType): void
  /** Let what was written reach the medium. */
  sync(): void
  /**
   * Bytes that one record of this type can hold; 0 where the store has no place for the type.
   *
   * For a ring that is its length: a longer text is cut to its end.
   */
  room(type: RecordType): number
  /**
   * Append to a ring, or store a dump in the next place in turn.
   *
   * @returns the number of bytes that were taken
   */
  write(record: NewRecord): number
  /** Release the source. */
  close(): void
}
