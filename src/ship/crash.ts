/** What of an archived crash leaves the machine: its manifest's facts, and its records one at a time. */
import crypto from 'node:crypto'
import { bare, type Entry } from '../archive/entries.js'
import type { ArchivedRecord, Manifest } from '../archive/manifest.js'
import type { Folder } from '../native/folder.js'
import { thisHost, type Host } from '../native/host.js'
import { parseTime, type Timespec } from '../pstore/time.js'

export interface ShippedRecord extends ArchivedRecord {
  /** 64 hex digits: the same for the same record of the same store, whenever and however often it is sent. */
  readonly uid: string
  /**
   * Its bytes.
   *
   * @throws StoreError where the archive has them no more; or the system's error
   */
  read(): Buffer
}

export interface ShippedCrash {
  /** The folder's name in the archive. */
  readonly name: string
  /** The uid of its first record. */
  readonly uid: string
  readonly manifest: Manifest
  /** The machine that archived it. */
  readonly host: Host
  /** When it was; null: nobody knows. */
  readonly time: Timespec | null
  readonly archived: Timespec | null
  /** Its text's parts, in order; of a crash without a dump none. */
  readonly dumps: readonly ShippedRecord[]
  /** What else goes with it: the console, pmsg, the tty, ftrace. */
  readonly others: readonly ShippedRecord[]
}

/** Dumps that are made when a machine is told to stop (include/linux/kmsg_dump.h). */
const ordinary: ReadonlySet<string> = new Set(['shutdown', 'restart', 'halt', 'poweroff'])

/** Did a machine crash? It may have been told to stop, or left rings alone, in which nothing is reported. */
export const isCrash = ({ reason, title }: Pick<Manifest, 'reason' | 'title'>): boolean =>
  title !== null || (reason !== null && !ordinary.has(reason))

/** Members that tell one record from any other. A guest's two consoles may have the same bytes. */
const uidOf = (host: Host, { source, offset, backend }: Manifest, record: ArchivedRecord): string =>
  crypto
    .createHash('sha256')
    .update(
      JSON.stringify([
        host.id ?? host.name,
        source,
        offset,
        backend,
        record.name,
        record.mtime,
        record.sha256,
      ]),
    )
    .digest('hex')

/**
 * A crash as it is sent.
 *
 * @param crash its folder, which has to stay open while records are read
 */
export const shippedCrash = (crash: Folder, entry: Entry): ShippedCrash => {
  const { manifest } = entry
  // Archives of earlier versions do not tell.
  const host = manifest.host ?? thisHost()
  const records = manifest.records.map(record => ({
    ...record,
    uid: uidOf(host, manifest, record),
    read: () => crash.read(record.name, record.size),
  }))
  const isDump = ({ type }: ArchivedRecord): boolean => type === 'dmesg'
  return {
    name: bare(entry),
    uid: records[0]?.uid ?? '',
    manifest,
    host,
    time: manifest.time === null ? null : parseTime(manifest.time),
    archived: parseTime(manifest.archived),
    dumps: records.filter(isDump),
    others: records.filter(record => !isDump(record)),
  }
}
