/// <reference types="node" preserve="true" />
/**
 * pstorefs as a library: stores attached, read, followed, written and mounted.
 *
 * ```ts
 * import { attach } from 'pstorefs'
 *
 * const backend = attach('region.img')
 * for (const record of backend.records()) console.log(JSON.stringify(record))
 * backend.close()
 * ```
 *
 * Whatever is somebody's to mend is thrown as a {@link StoreError}.
 *
 * @module
 */
export {
  attach,
  driverNames,
  format,
  probeSource,
  type AttachMode,
  type AttachOptions,
  type FoundStore,
} from './attach.js'
export type {
  Findings,
  FoundRegion,
  Progress,
  RamoopsParameters,
  StoreFacts,
  Whereabouts,
  ZoneRun,
} from './backends/index.js'
export { crashesOf, diagnose, firstReport } from './library/crashes.js'
export { follow, type FollowOptions } from './library/follow.js'
export type { Gap } from './pstore/follower.js'
export { mount, type Mount, type MountOptions, type MountSource } from './library/mount.js'
export { writeDump, type DumpOptions } from './frontends/dmesg.js'
export { AndroidLog } from './decoders/android.js'
export { StoreError, UncertainLayout, type ErrorCode } from './pstore/errors.js'
export type {
  Backend,
  Capacity,
  NewRecord,
  OpenRecord,
  RecordFacts,
  RecordJson,
  StoredRecord,
  Survey,
} from './pstore/backend.js'
export type { Unreadable } from './pstore/unreadable.js'
export type {
  BrokenStream,
  Condition,
  ConditionState,
  Dump,
  Parity,
  Remains,
} from './pstore/condition.js'
export type { CodecName } from './pstore/codecs/codec.js'
export type { Content, SizedContent } from './pstore/content.js'
export type { Ring, RingPosition } from './pstore/ring.js'
export { reasons, type Reason } from './pstore/dump.js'
export {
  recordTypes,
  type EccState,
  type Endian,
  type Identity,
  type Pace,
  type RecordType,
  type Usage,
  type ZoneKind,
} from './pstore/types.js'
export type { WordSize } from './pstore/ftrace.js'
export type { Timespec } from './pstore/time.js'
export type { Crash } from './crash/grouping.js'
export type { Diagnosis } from './crash/diagnosis.js'
export type { CrashReport } from './crash/report.js'
export type { Kind } from './crash/kinds.js'
export type { Frame } from './crash/frames.js'
export type { Trace } from './crash/traces.js'
export type { Subdirs } from './tree/tree.js'
