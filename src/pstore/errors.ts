/** Errors that are somebody's to mend: one line, `WHAT: WHY`, and the code that Node's own errors have. */

/** The codes that this project itself decides on: names of errnos, with which a mount's file operations fail. */
export type ErrorCode =
  | 'EPERM'
  | 'ENOENT'
  | 'EIO'
  | 'EACCES'
  | 'EBUSY'
  | 'ENOTDIR'
  | 'EISDIR'
  | 'EINVAL'
  | 'ENOSPC'
  | 'EROFS'
  | 'ESTALE'
  | 'EMFILE'

/**
 * Something about a source, a region or a request that cannot work. Its message is what a person
 * reads after `pstorefs: `, so it says what to do where that is known.
 */
export class StoreError extends Error {
  override name = 'StoreError'
  constructor(
    message: string,
    readonly code: ErrorCode = 'EINVAL',
  ) {
    super(message)
  }
}

/** A store's layout was guessed, so nothing may be written to it. */
export class UncertainLayout extends StoreError {
  override name = 'UncertainLayout'
}

/** A store is said to start behind its source's end. */
export class PastEnd extends StoreError {
  override name = 'PastEnd'
}

/** A source can be read, and never written. */
export class ReadOnlySource extends StoreError {
  override name = 'ReadOnlySource'
  constructor(message: string) {
    super(message, 'EROFS')
  }
}

/** Anything else that was thrown is a mistake of this program, which nobody may take for a store's trouble. */
export function assertStoreError(error: unknown): asserts error is StoreError {
  if (!(error instanceof StoreError)) throw error
}
