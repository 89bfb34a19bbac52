/**
 * What a store is to everything above it: tree, commands and frontends see records, and nothing of the medium.
 * pstore/store.ts makes one of each driver.
 */
import type { Condition } from './condition.js'
import type { Content, SizedContent } from './content.js'
import type { Fronts } from './fronts.js'
import type { Ring } from './ring.js'
import type { Timespec } from './time.js'
import type { EccState, Identity, Pace, RecordType, Usage } from './types.js'
import type { Unreadable } from './unreadable.js'

/** What one file shows, without its bytes. */
export interface RecordFacts {
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
  /** True where the bytes are still compressed, because no codec explains them to their end. */
  readonly compressed: boolean
  /** Null where the store keeps no parity. */
  readonly ecc: EccState | null
  /**
   * Bytes of a ring that are left out, since its writer passed over them while they were read; then the
   * {@link version} is none that another look finds.
   */
  readonly cut: number
  /**
   * Changes when the record's bytes on the media change. Two enumerations that give the same
   * version show the same bytes.
   */
  readonly version: string
}

/** A record as JSON has it, and `pstorefs ls --json` prints it; 64-bit numbers are texts. */
export interface RecordJson {
  readonly backend: string
  readonly type: RecordType
  readonly id: string
  readonly name: string
  /** In bytes, as {@link RecordFacts.size} has them. */
  readonly size: number
  /** Seconds since 1970 with nine decimals; null where the record has no time of its own. */
  readonly mtime: string | null
  readonly compressed: boolean
  readonly ecc: EccState | null
}

/** A record as it was when it was looked at: its facts, and a handle on what the store has under its name. */
export interface StoredRecord extends RecordFacts {
  /**
   * The record's bytes as its file shows them now: a snapshot that no later write changes.
   *
   * @throws StoreError (ENOENT) where there is none any more
   */
  open(): Content
  /** The same, all of them. */
  read(): Buffer
  /**
   * Take the record out of the store for good, as unlink does. A dump is erased only while it is the one that
   * was looked at: a zone may hold another by now. A ring is the same record however much is appended to it: it
   * is emptied as it is then.
   *
   * @param unchanged whatever it is, only while its {@link version} is the same
   * @returns false where another record, or more of it, is there now: nothing was erased
   * @throws StoreError (ENOENT) where there is none any more, (EROFS, EBUSY) where nothing can be erased
   */
  erase(unchanged?: boolean): boolean
  /** What `JSON.stringify` takes, as `pstorefs ls --json` prints it. */
  toJSON(): RecordJson
}

/** A record and its bytes, of one moment. */
export interface OpenRecord {
  readonly record: StoredRecord
  readonly content: Content
}

/** A record to be written: what Linux's frontends hand to a backend. */
export interface NewRecord {
  readonly type: RecordType
  /** A ring's next bytes, or the whole of a dump. */
  readonly bytes: Uint8Array
  /** dmesg: when it happened. */
  readonly time?: Timespec
  /** dmesg: the bytes are compressed. Readers find out the codec; Linux since 6.6 knows raw deflate only. */
  readonly compressed?: boolean
}

/** What a store takes of one type. */
export interface Capacity {
  /** Bytes that one record can hold. A ring's is its length: a longer text is cut to its end. */
  readonly room: number
  /** Null where stores cost nothing: in memory, and on disks. */
  readonly pace: Pace | null
  /** True where a dump takes as many records as it needs: EFI's and ERST's are small. */
  readonly parts: boolean
}

/** A store as a whole, for those who look for more than its records: `info`, `check`, `ls --all`, `cat --raw`. */
export interface Survey {
  /** What is known of the store, under the names of the options that say it. */
  readonly facts: { readonly [name: string]: string | number }
  /** Why the store can never be changed, and what to do instead; undefined where nothing speaks against it. */
  readonly whyReadOnly?: string | undefined
  /**
   * The condition of every extent, in the order in which they lie there.
   *
   * @param shown false: those that a file shows may be left out, where to look into them takes time
   */
  conditions(shown?: boolean): Generator<Condition, void, void>
  /**
   * The data of the extents with a {@link Condition.name}, as they lie there: corrected, rings oldest byte
   * first, and nothing decompressed, rendered or added. Of what a header hides that is damaged, or was erased, all
   * bytes that are there. Null where there are none.
   *
   * @param told is told of bytes that are left out, as of {@link RecordFacts.cut}
   */
  raw(name: string, told?: (cut: number) => void): Buffer | null
  /**
   * Of a dump whose stream is broken the text before the damage; of what no file shows, since its header is damaged
   * or it was erased, the text. Null where there is none such.
   */
  salvage(name: string): SizedContent | null
}

/** An attached store. Every method may throw a {@link StoreError}; none leaves the store half changed. */
export interface Backend {
  /** The configured name, or Linux's own (`ramoops`, `pstore_blk`, …). */
  readonly name: string
  readonly identity: Identity
  /** True where nothing in the source can be changed. */
  readonly readOnly: boolean
  /**
   * What was doubtful when it was attached, a line each: what of a layout was guessed, and why it is read-only then.
   */
  readonly notes: readonly string[]
  readonly survey: Survey
  /**
   * The records that the store holds at this moment, in the order in which Linux enumerates them.
   * Each is looked at when it is asked for, so that a glance at the first costs no more than that. Of those that
   * cannot be read only an EFI variable is among them, whose name says what it is.
   *
   * @param told is told of each that cannot be read
   * @throws StoreError once all others have been given, where one cannot be read and nobody is told
   */
  records(told?: (what: Unreadable) => void): Generator<StoredRecord, void, void>
  /** Their names, as of {@link records}; of a ring's content no more is looked at than its header. */
  names(told?: (what: Unreadable) => void): Generator<string, void, void>
  /** The record that a file name stands for at this moment; null where there is none. */
  find(name: string): StoredRecord | null
  /**
   * The same and its bytes, for one pass over the medium; null where there is none.
   *
   * @param alone only while no writer of this program is at work in another process
   * @throws StoreError (EBUSY) where one is
   */
  open(name: string, alone?: boolean): OpenRecord | null
  /** Erase a record that was looked at, as {@link StoredRecord.erase} does. */
  erase(record: RecordFacts, unchanged?: boolean): boolean
  /** The rings of bytes that can be followed, empty ones too. */
  rings(): Ring[]
  /**
   * Where a glance tells whether a dump has come; absent or null where only {@link records} tell.
   *
   * @internal
   */
  fronts?(): Fronts | null
  /** How full the store is; null where it cannot tell, as where each zone is one record's. */
  usage(): Usage | null
  /** What can be written of a type; null where the store keeps none of it. */
  capacity(type: RecordType): Capacity | null
  /**
   * Append to a ring, or store a dump in the next zone in turn.
   *
   * @returns the number of bytes that were taken
   * @throws StoreError (ENOSPC) where the store keeps none of the type, (EROFS, EBUSY) where it cannot be written
   */
  write(record: NewRecord): number
  /**
   * What speaks against the store, as it was described, being the one that is there: a line each, without its path.
   * None costs a look at each header; some cost a search.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  doubts(): string[]
  /** Why there is nothing in it, where that may well be so, in a line without its path; else null. Throws as doubts. */
  unused(): string | null
  /**
   * Throws a StoreError where a write would, since this never was a store as it was described.
   *
   * @internal
   */
  refuseForeign(): void
  /** Let what was erased and written reach the medium. Throws a StoreError (EIO) where it cannot. */
  sync(): void
  /** Release the source. Whoever still asks for its bytes gets an error; to close it once more does nothing. */
  close(): void
}
