/** Attaching a backend for a mount, in whichever thread looks into it. */
import fs from 'node:fs'
import { attach, parseSource, type AttachOptions } from '../attach.js'
import type { Backend } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import { standardInput } from '../native/stdin.js'
import type { SourceCandidate } from './plan.js'
import { identityOf } from './replaced.js'

/** What a mount says of all of its backends. */
export interface MountHow extends Pick<AttachOptions, 'attach' | 'force' | 'state'> {
  readonly readOnly: boolean
}

/** The identity of the file at a path: a replaced file has another one. Empty where there is none. */
export const fileOf = (file: string): string => {
  const stat = fs.statSync(file, { throwIfNoEntry: false })
  return stat ? identityOf(stat) : ''
}

/** What a mount searches for a region that nobody described, in bytes: a second's work, for which its readers wait. */
const probeLimit = 2 ** 30

/**
 * Attach what a mount was given.
 *
 * @param report told, in a line each, what a user has to know of it
 * @throws StoreError as `attach` does
 */
export const attachAs = (
  { name, source, options }: SourceCandidate,
  how: MountHow,
  report: (line: string) => void,
): Backend => {
  if (parseSource(source).path === standardInput)
    throw new StoreError(
      `${standardInput}: standard input cannot be mounted: save it in a file first`,
    )
  const { readOnly, ...rest } = how
  const attached = attach(source, {
    ...options,
    name,
    ...rest,
    ...(readOnly && { readOnly }),
    report,
    probeLimit,
  })
  if (attached.readOnly && !readOnly) report(`${source}: cannot be written; mounted read-only`)
  return attached
}
