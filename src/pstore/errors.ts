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
  | 'ENODATA'

/**
 * Something about a source, a region or a request that cannot work. Its message is what a person
 * reads after `pstorefs: `, so it says what to do where that is known. Any other error is a mistake of this program, or
 * of its caller.
 *
 * @example
 * ```ts
 * import { attach, StoreError } from 'pstorefs'
 *
 * try {
 *   attach('no-such.img')
 * } catch (error) {
 *   if (!(error instanceof StoreError) || error.code !== 'ENOENT') throw error
 *   console.log(error.message)
 * }
 * ```
 */
export class StoreError extends Error {
  override name = 'StoreError'
  constructor(
    message: string,
    /** The name of an errno, as Node's own errors have it. */
    readonly code: ErrorCode = 'EINVAL',
  ) {
    super(message)
  }
}

/**
 * A store's layout was guessed, so nothing may be written to it; the message has the options that say it.
 *
 * @example
 * ```ts
 * import { attach, UncertainLayout } from 'pstorefs'
 *
 * try {
 *   attach('region.img', { readOnly: false }).close()
 * } catch (error) {
 *   if (!(error instanceof UncertainLayout)) throw error
 *   console.log(error.message)
 * }
 * ```
 */
export class UncertainLayout extends StoreError {
  override name = 'UncertainLayout'
}

/** A store is said to start behind its source's end. */
export class PastEnd extends StoreError {
  override name = 'PastEnd'
}

/** Anything else that was thrown is a mistake of this program, which nobody may take for a store's trouble. */
export function assertStoreError(error: unknown): asserts error is StoreError {
  if (!(error instanceof StoreError)) throw error
}

/** Do something that a source may refuse; null where it does. */
export const ifReadable = <T>(work: () => T): T | null => {
  try {
    return work()
  } catch (error) {
    assertStoreError(error)
    return null
  }
}

/** An error under way from one thread to another: a StoreError has a code, any other has a stack. */
export type SentError =
  { readonly message: string; readonly code: ErrorCode } | { readonly stack: string }

export const sentError = (error: unknown): SentError => {
  if (error instanceof StoreError) return { message: error.message, code: error.code }
  return { stack: (error instanceof Error && error.stack) || String(error) }
}

/** The error that was sent. The stack of a mistake is that of the thread. */
export const receivedError = (sent: SentError): Error => {
  if ('code' in sent) return new StoreError(sent.message, sent.code)
  const error = new Error('a mistake in a thread')
  error.stack = sent.stack
  return error
}
