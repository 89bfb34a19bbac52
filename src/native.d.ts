/**
 * The parts of the native packages that this project uses, as they really are: their own types do not fit
 * ES modules, and fuse-native's name a `read` that it does not call so.
 */

declare module 'mmap-io' {
  const mmap: {
    /** `size` and `offset` are C ints: see native-notes/mmap-io.md. */
    map(size: number, protection: number, flags: number, fd: number, offset: number): Buffer
  }
  export default mmap
}

declare module 'fuse-native' {
  /** Takes 0 or an errno, negative. */
  export type Reply = (errno: number) => void
  export type ReplyWith<T> = (errno: number, result?: T) => void

  export interface Stats {
    mode: number
    uid: number
    gid: number
    size: number
    dev: number
    nlink: number
    ino: number
    rdev: number
    blksize: number
    blocks: number
    /** ms since 1970, unsigned. */
    atime: number
    mtime: number
    ctime: number
  }

  /** What an operation leaves out is refused with ENOSYS. */
  export interface Operations {
    getattr(path: string, cb: ReplyWith<Stats>): void
    readdir(path: string, cb: ReplyWith<string[]>): void
    open(path: string, flags: number, cb: ReplyWith<number>): void
    /** `cb` takes the number of bytes read, or a negative errno. */
    read(
      path: string,
      fd: number,
      buffer: Buffer,
      length: number,
      position: number,
      cb: (result: number) => void,
    ): void
    release(path: string, fd: number, cb: Reply): void
    unlink(path: string, cb: Reply): void
    rename(from: string, to: string, cb: Reply): void
    access(path: string, mode: number, cb: Reply): void
    chmod(path: string, mode: number, cb: Reply): void
    chown(path: string, uid: number, gid: number, cb: Reply): void
    /** Times in ms; both are the access time (native-notes/fuse-native.md). */
    utimens(path: string, atime: number, mtime: number, cb: Reply): void
    truncate(path: string, size: number, cb: Reply): void
    ftruncate(path: string, fd: number, size: number, cb: Reply): void
    statfs(path: string, cb: ReplyWith<{ [field: string]: number }>): void
    listxattr(path: string, cb: ReplyWith<string[]>): void
    /** `cb` takes the number of bytes written, or a negative errno. */
    write(
      path: string,
      fd: number,
      buffer: Buffer,
      length: number,
      position: number,
      cb: (result: number) => void,
    ): void
    fsync(...args: [...unknown[], Reply]): void
    create(...args: [...unknown[], Reply]): void
    mkdir(...args: [...unknown[], Reply]): void
    mknod(...args: [...unknown[], Reply]): void
    symlink(...args: [...unknown[], Reply]): void
    link(...args: [...unknown[], Reply]): void
    rmdir(...args: [...unknown[], Reply]): void
  }

  export interface Options {
    /** ms after which an operation that was not answered fails; false: never. */
    timeout: number | false
    subtype: string
    autoUnmount: boolean
    /** Seconds; a text, because 0 as a number is dropped. */
    attrTimeout: string
    entryTimeout: string
    debug: boolean
  }

  /** The native part, which is loaded by node-gyp-build. */
  export interface Binding {
    readonly sizeof_fuse_thread_t: number
    /** Throws where libfuse does not mount. */
    fuse_native_mount(...args: unknown[]): void
  }

  export default class Fuse {
    constructor(mountpoint: string, operations: Operations, options: Options)
    mount(cb: (error?: Error | null) => void): void
    unmount(cb: (error?: Error | null) => void): void

    /** Its own parts, for who mounts in its place. */
    protected readonly mnt: string
    protected _thread: Buffer
    protected _openCallback: (error?: Error | null) => void
    protected readonly _malloc: unknown
    protected readonly _handlers: unknown
    protected _open(cb: (error?: Error | null) => void): void
    protected _fuseOptions(): string
    protected _getImplementedArray(): unknown
  }
}
