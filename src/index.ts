/**
 * pstorefs as a library: what the commands are made of.
 *
 * ```ts
 * import { attach, mount, recordsOf, Tree } from 'pstorefs'
 * const backend = attach('/var/lib/guests/1/pstore.img', { record_size: 65536, console_size: 262144 })
 * for (const record of backend.records()) console.log(record.name, record.read().length)
 * const mounted = await mount(new Tree([recordsOf(backend)]), '/mnt', { source: 'guest1' })
 * ```
 */
export {
  attach,
  backendName,
  driverNames,
  format,
  parseSource,
  probeSource,
  type AttachMode,
  type AttachOptions,
} from './attach.js'
export type {
  Backend,
  Capacity,
  NewRecord,
  OpenRecord,
  RecordFacts,
  StoredRecord,
  Survey,
} from './pstore/backend.js'
export type { Unreadable } from './pstore/unreadable.js'
export type { Condition } from './pstore/condition.js'
export type { Content, SizedContent } from './pstore/content.js'
export { recordsOf, type Records, type Snapshot } from './pstore/records.js'
export type { Soon } from './pstore/soon.js'
export type { Driver } from './pstore/driver.js'
export { Store } from './pstore/store.js'
export type { Findings, FoundRegion, Progress } from './backends/index.js'
export type { Timespec } from './pstore/time.js'
export { crashesOf, type Crash } from './crash/grouping.js'
export { diagnose, type Diagnosis } from './crash/diagnosis.js'
export { firstReport, type CrashReport } from './crash/report.js'
export type { Kind } from './crash/kinds.js'
export type { Frame } from './crash/frames.js'
export type { Trace } from './crash/traces.js'
export { AndroidLog } from './decoders/android.js'
export { Follower, type News } from './pstore/follower.js'
export type { Ring, RingPosition } from './pstore/ring.js'
export { writeDump, type DumpOptions } from './frontends/dmesg.js'
export { reasons, type Reason } from './pstore/dump.js'
export {
  select,
  writeToAll,
  type Candidate,
  type Failure,
  type Selection,
} from './pstore/select.js'
export { StoreError, UncertainLayout, type ErrorCode } from './pstore/errors.js'
export {
  fileName,
  recordTypes,
  type EccState,
  type Identity,
  type Pace,
  type RecordType,
  type RingType,
  type Usage,
} from './pstore/types.js'
export {
  Tree,
  type Attributes,
  type Changes,
  type Entry,
  type OpenFile,
  type Subdirs,
  type TreeOptions,
} from './tree/tree.js'
export { mount, type Mount, type MountOptions, type Transport } from './fuse/mount.js'
