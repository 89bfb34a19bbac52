/** Where variables come from: the small struct between the backend and a folder or a store. */
import type { StoreError } from '../../pstore/errors.js'
import type { Usage } from '../../pstore/types.js'
import { decodeDumpName, decodePieceName, ringGuid, vendorGuid } from './names.js'
import type { DumpName, PieceName } from './names.js'

/** A variable, without its bytes. */
export interface Variable<Says = unknown> {
  readonly vendor: Vendor
  /** Without the vendor's GUID. */
  readonly name: string
  readonly says: Says
  /** Bytes of its data. */
  readonly size: number
  /** Changes when its bytes do. */
  readonly version: string
  /** Bytes that it takes in its source, where more is known than {@link size}. */
  readonly space?: number
}

/** One of Linux's, which holds a part of a dump. */
export type DumpVariable = Variable<DumpName>
/** One of this project's, which holds a piece of a ring. */
export type PieceVariable = Variable<PieceName>

export interface VariableList {
  /** In the order in which Linux enumerates them. */
  readonly dumps: readonly DumpVariable[]
  readonly pieces: readonly PieceVariable[]
  /** What cannot be looked at, so that nobody knows what it holds. */
  readonly unseen?: readonly Unseen[]
  /** What is wrong with the source as a whole, in words; null or absent: nothing. */
  readonly fault?: string | null
  /** How much there is room for, and how much of it is free, in bytes; null or absent: the source cannot tell. */
  readonly room?: Pick<Usage, 'size' | 'free'> | null
}

/** A stretch of a store, or a file, that cannot be looked at. */
export interface Unseen {
  /** What it is called in messages. */
  readonly name: string
  readonly error: StoreError
}

/** A variable in a file that lists them, whoever's it is. */
export interface ListedVariable {
  readonly name: string
  /** A GUID in lower case. */
  readonly vendor: string
  readonly data: Buffer
}

/** What such a file holds. */
export interface Listed {
  readonly variables: readonly ListedVariable[]
  /** What of it cannot be read, in a line without the path; null where all of it can. */
  readonly left: string | null
}

/** Vendors whose variables are looked at. */
export const vendors = [vendorGuid, ringGuid] as const
export type Vendor = (typeof vendors)[number]

/** What a variable's name says; null where it is not one of a kind that is shown. */
export const parseName = (vendor: Vendor, name: string): DumpName | PieceName | null =>
  vendor === vendorGuid ? decodeDumpName(name) : decodePieceName(name)

/** Sort variables by their vendors. A piece's name says its length: another one is no piece. */
export const byVendor = (
  all: readonly Variable<DumpName | PieceName>[],
): Pick<VariableList, 'dumps' | 'pieces'> => ({
  dumps: all.filter((one): one is DumpVariable => one.vendor === vendorGuid),
  pieces: all.filter(
    (one): one is PieceVariable => 'length' in one.says && one.says.length === one.size,
  ),
})

/** What Linux writes: kept over power cycles, seen by the firmware and by the running system. */
export const attributes = 0x7

/** The most data that a variable of this kind may have, in bytes; a larger one is no record. */
export const largestData = 64 * 1024

export interface Variables {
  readonly path: string
  readonly readOnly: boolean
  /**
   * The variables at this moment. The same arrays as before where nothing was looked at anew.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  list(): VariableList
  /** How many variables there are, of whatever vendor, and other things; absent: nobody knows. Throws as list. */
  total?(): { readonly variables: number; readonly others: number }
  /**
   * A variable's data.
   *
   * @returns null where it has gone or changed since it was listed
   * @throws StoreError (EIO, EACCES) where it cannot be read
   */
  read(variable: Variable): Buffer | null
  /**
   * Make a variable.
   *
   * @returns false where there is one of that name
   * @throws StoreError where it cannot be made: EROFS, ENOSPC, …; then there is none
   */
  create(vendor: Vendor, name: string, data: Uint8Array): boolean
  /**
   * Delete a variable. One that has gone meanwhile is not missed.
   *
   * @throws StoreError where it cannot be deleted: EROFS, EPERM, …
   */
  remove(variable: Pick<Variable, 'vendor' | 'name'>): void
  /**
   * Do something that takes more than one store, while no other process does.
   *
   * @returns what it returns
   *
   * @throws StoreError (EBUSY) where another does not let go
   */
  exclusively<T>(work: () => T): T
  close(): void
}
