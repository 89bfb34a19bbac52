/**
 * pstorefs as a library: what the commands are made of.
 *
 * ```ts
 * import { attach, mount, Tree } from 'pstorefs'
 * const backend = attach('/var/lib/guests/1/pstore.img', { record_size: 65536, console_size: 262144 })
 * for (const record of backend.records()) console.log(record.name, backend.read(record).length)
 * const mounted = await mount(new Tree([backend]), '/mnt', { source: 'guest1' })
 * ```
 */
export {
  attach,
  backendName,
  driverNames,
  format,
  parseSource,
  probeSource,
  UncertainLayout,
  type AttachMode,
  type AttachOptions,
  type Progress,
} from './attach.js'
export type { Backend, EccState, NewRecord, StoredRecord } from './pstore/backend.js'
export type { Findings, FoundRegion } from './backends/ramoops/probe/probe.js'
export type { Timespec } from './pstore/time.js'
export { crashesOf, diagnose, type Crash, type Diagnosis } from './crash/crash.js'
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
export { StoreError, type Errno } from './pstore/errors.js'
export { fileName, recordTypes, type RecordType } from './pstore/types.js'
export {
  Tree,
  type Attributes,
  type OpenFile,
  type Subdirs,
  type TreeOptions,
} from './tree/tree.js'
export { mount, type Mount, type MountOptions } from './fuse/mount.js'
