/** `records.json` of an archived crash: what it says, and what is made of one that others may have written. */
import { isName } from '../native/folder.js'
import type { Host } from '../native/host.js'
import { json } from '../pstore/printable.js'
import { Shape } from '../pstore/shape.js'
import { StoreError } from '../pstore/errors.js'
import { recordTypes, type EccState, type RecordType } from '../pstore/types.js'

/** One of a crash's records, as `records.json` has it: a file of its name holds its bytes. */
export interface ArchivedRecord {
  name: string
  type: RecordType
  id: string
  size: number
  mtime: string | null
  compressed: boolean
  ecc: EccState | null
  sha256: string
}

/** The content of `records.json`. */
export interface Manifest {
  archived: string
  /**
   * Grows from each crash of the archive to the next: when this one was archived, in ms since 1970, unless the clock was
   * behind those before it. Null: an earlier version archived it, which did not say.
   */
  order: number | null
  reason: string | null
  /** The crash's time in seconds, as `ls --json` has times. */
  time: string | null
  cause: string | null
  /** As of Diagnosis: its kind, what happened, and its fingerprint; the kernel's version. */
  kind: string | null
  title: string | null
  fingerprint: string | null
  kernel: string | null
  /** Which parts of the dump are missing, in words. */
  missing: string | null
  /** As of Crash: until when the reports in its dump are those of dumps before it. */
  after: number | null
  /** The machine that archived it; null: an earlier version did, which did not say. */
  host: Host | null
  source: string
  /** The region's start in the source, in bytes. */
  offset: number
  backend: string
  /** True where the source still has the records. */
  kept: boolean
  records: ArchivedRecord[]
  /** The names of the crash's records that could not be read, and stayed in the source. */
  unreadable: string[]
}

export const manifestFile = 'records.json'
/** Bytes: a store has half a million records at most. */
export const largestManifest = 2 ** 28

export const encodeManifest = (manifest: Manifest): Buffer => Buffer.from(`${json(manifest)}\n`)

const text = (shape: Shape): string => shape.text()

/** Earlier versions did not write all that there is now. */
const added = <T>(shape: Shape, name: string, take: (shape: Shape) => T): T | null =>
  shape.has(name) ? shape.member(name).orNull(take) : null

const hostOf = (shape: Shape): Host => ({
  name: shape.member('name').text(),
  id: shape.member('id').orNull(text),
})

const recordOf = (shape: Shape): ArchivedRecord => {
  const name = shape.member('name').text()
  // It is opened: no way through folders, and none of the archive's own files.
  if (!isName(name) || name.startsWith('.') || name === manifestFile)
    throw new StoreError(`${shape.place}.name is no record's`, 'EIO')
  return {
    name,
    type: shape.member('type').one(recordTypes),
    id: shape.member('id').text(/^\d{1,20}$/),
    size: shape.member('size').count(),
    mtime: shape.member('mtime').orNull(text),
    compressed: shape.member('compressed').flag(),
    ecc: shape.member('ecc').orNull(ecc => ({
      corrected: ecc.member('corrected').count(),
      bad: ecc.member('bad').count(),
    })),
    sha256: shape.member('sha256').text(/^[\da-f]{64}$/),
  }
}

/**
 * Make sense of a manifest, all of it.
 *
 * @throws StoreError (EIO) where anything in it is not what it has to be
 */
export const decodeManifest = (bytes: Buffer): Manifest => {
  const shape = Shape.parse(bytes.toString(), manifestFile)
  const records = shape.member('records').items().map(recordOf)
  if (new Set(records.map(({ name }) => name)).size < records.length)
    throw new StoreError(`${manifestFile} has a name twice`, 'EIO')
  return {
    archived: shape.member('archived').text(),
    order: added(shape, 'order', of => of.count()),
    reason: shape.member('reason').orNull(text),
    time: shape.member('time').orNull(text),
    cause: shape.member('cause').orNull(text),
    kind: added(shape, 'kind', text),
    title: added(shape, 'title', text),
    fingerprint: added(shape, 'fingerprint', text),
    kernel: added(shape, 'kernel', text),
    missing: added(shape, 'missing', text),
    after: added(shape, 'after', of => of.seconds()),
    host: added(shape, 'host', hostOf),
    source: shape.member('source').text(),
    offset: shape.member('offset').count(),
    backend: shape.member('backend').text(),
    kept: shape.member('kept').flag(),
    records,
    // Earlier versions wrote none.
    unreadable: shape.has('unreadable')
      ? shape
          .member('unreadable')
          .items()
          .map(name => name.text())
      : [],
  }
}
