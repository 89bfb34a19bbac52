/** Where variables come from: the small struct between the backend and a folder or a store. */
import type { DumpName } from './names.js'

/** A variable of Linux's that holds a record, without its bytes. */
export interface Variable {
  /** Without the vendor's GUID. */
  readonly name: string
  /** What the name says. */
  readonly dump: DumpName
  /** Bytes of its data. */
  readonly size: number
  /** Changes when its bytes do. */
  readonly version: string
}

/** What Linux writes: kept over power cycles, seen by the firmware and by the running system. */
export const attributes = 0x7

/** The most data that a variable of this kind may have, in bytes; a larger one is no record. */
export const largestData = 64 * 1024

export interface VariableSource {
  readonly path: string
  readonly readOnly: boolean
  /**
   * Linux's variables at this moment, in the order in which Linux enumerates them. The same array as
   * before where nothing was looked at anew.
   *
   * @throws StoreError (EIO) where the source cannot be read
   */
  variables(): readonly Variable[]
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
  create(name: string, data: Uint8Array): boolean
  /**
   * Delete a variable. One that has gone meanwhile is not missed.
   *
   * @throws StoreError where it cannot be deleted: EROFS, EPERM, …
   */
  remove(variable: Variable): void
  close(): void
}
