/** What is to be mounted. The command line and the config file make a plan; the service carries it out. */
import type { AttachMode, AttachOptions } from '../attach.js'
import type { Transport } from '../fuse/transport.js'
import type { Candidate } from '../pstore/select.js'
import type { Subdirs } from '../tree/tree.js'

/** A backend that can be attached. */
export interface SourceCandidate extends Candidate {
  /** `DRIVER:PATH`. */
  source: string
  options: AttachOptions
}

/** `backend=`: names in their order, or all that attach. Null: the first that attaches. */
export type BackendChoice = readonly string[] | 'all' | null

/** Options of a mount that do not say what its sources are. */
export interface MountRequest {
  readOnly: boolean
  /** Undefined: visible, but over /sys/fs/pstore, where nothing may look different. */
  subdirs: Subdirs | undefined
  /** `attach=`. */
  mode: AttachMode
  /** `force`: start a life also in what is no store. */
  force: boolean
  /** `state=`: the folder in which attach=boot keeps its copies; undefined: the usual one. */
  state: string | undefined
  /** `user=`: the account that serves the mount once root has opened its sources. */
  user: string | undefined
  backend: BackendChoice
  /** The owner of all files; undefined: the user who mounts. */
  uid: number | undefined
  gid: number | undefined
  /** Permission bits that no file has. */
  umask: number
  /** `transport=`: what carries the kernel's requests. */
  transport: Transport
  /** Options for the kernel and libfuse, as they spell them. */
  passed: string[]
}

export interface MountPlan extends MountRequest {
  /** `backend=` selects from these. */
  candidates: SourceCandidate[]
  /** The source as /proc/mounts shows it. */
  label: string
  /** True where the command line names the one source; the config file can name others at any time. */
  isSingle: boolean
}
