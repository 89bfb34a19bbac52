/** What a mount takes and gives, whichever transport carries the kernel's requests. */

/** /dev/fuse itself, or fuse-native, where it is installed. */
export type Transport = 'kernel' | 'libfuse'

export interface MountOptions {
  /** The source as /proc/mounts shows it. */
  source: string
  /** Mount options, as mount(8) spells them (`ro`, `allow_other`, …). */
  options?: string[]
  /** Mount even where something is mounted already, and hide that. */
  cover?: boolean
  /** The folder was made for this mount: it is removed after it, where nothing is in it. */
  isMade?: boolean
  /** Print the kernel's requests on stderr. */
  debug?: boolean
  /** Called with a problem of the source while the mount is in use. */
  report?: (problem: string) => void
  /** Default: kernel. */
  transport?: Transport
}

/** A mount that answers. */
export interface Mount {
  /** Resolves once the file system is unmounted, by any process. */
  readonly ended: Promise<void>
  /** Unmount, even while files are open: whoever has one gets ENOTCONN. */
  unmount(): Promise<void>
}
