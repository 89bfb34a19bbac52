/** The C library's functions that Node lacks, each declared once (native-notes/koffi.md). */
import { createRequire } from 'node:module'
import os from 'node:os'
import { isMainThread } from 'node:worker_threads'
import type Koffi from 'koffi'
import { StoreError } from '../pstore/errors.js'

const require = createRequire(import.meta.url)

/** Loaded at the first use: few commands need it, and loading takes 6 ms. */
const loadLibc = (): { koffi: typeof Koffi; libc: ReturnType<typeof Koffi.load> } => {
  const koffi = loadKoffi()
  return { koffi, libc: koffi.load(null) }
}

/** @throws StoreError where this machine's binary of it is not installed; there is none for every machine */
const loadKoffi = (): typeof Koffi => {
  try {
    return require('koffi') as typeof Koffi
  } catch (error) {
    const [first] = (error as Error).message.split('\n')
    const machine = `linux-${process.arch}`
    throw new StoreError(
      `koffi, by which the C library is called, has no binary for ${machine} here: install pstorefs on this machine, ` +
        `with npm's optional packages (@koromix/koffi-${machine}): ${first}`,
    )
  }
}

/** An instruction of the classic BPF: `struct sock_filter`. */
export interface Instruction {
  code: number
  jt: number
  jf: number
  k: number
}

/** Functions return a negative number on failure; {@link Libc.errno} then tells why. */
export interface Libc {
  /** End this process, whatever its threads wait for. */
  _exit(status: number): never
  cfmakeraw(modes: Buffer): void
  /** Only for commands that take a number. */
  fcntl(fd: number, command: number, value: number): number
  /** Reads an attribute into `value`; returns its length. */
  fgetxattr(fd: number, name: string, value: Buffer, size: number): number
  flock(fd: number, operation: number): number
  fsetxattr(fd: number, name: string, value: Buffer, size: number, flags: number): number
  getpagesize(): number
  /** Reads an attribute into `value`, of a file by its path; returns its length. */
  getxattr(path: string, name: string, value: Buffer, size: number): number
  ioctl(fd: number, request: number, data: Buffer | Int32Array | null): number
  lseek(fd: number, offset: number, whence: number): number
  /** Maps a file anywhere; returns the address, or −1 as a pointer. */
  mmap(size: number, protection: number, flags: number, fd: number, offset: number): bigint
  munmap(address: bigint, size: number): number
  /** `data`: the file system's own options. */
  mount(source: string, target: string, type: string, flags: number, data: string): number
  umount2(target: string, flags: number): number
  /** Makes a file in memory. */
  memfd_create(name: string, flags: number): number
  socket(domain: number, type: number, protocol: number): number
  /** Sends one message to an address, and with it what `control` holds; returns the number of bytes. */
  sendmsg(fd: number, address: Buffer, message: Buffer, control: Buffer, flags: number): number
  socketpair(domain: number, type: number, protocol: number, pair: Int32Array): number
  /** Receives one byte, and into `control` what comes with it; returns the number of bytes, 0 at the end. */
  recvmsg(fd: number, control: Buffer, flags: number): number
  /** An errno in words, as C programs print it. */
  strerror(errno: number): string
  poll(fds: Buffer, count: number, timeout: number): number
  /** Where nothing is there: −1, without the exception that Node makes of it. */
  read(fd: number, into: Buffer, size: number): number
  prctl(option: number, ...values: [number, number, number, number]): number
  ptsname_r(fd: number, name: Buffer, size: number): number
  seccomp(operation: number, flags: number, program: Instruction[]): number
  tcgetattr(fd: number, modes: Buffer): number
  tcsetattr(fd: number, when: number, modes: Buffer): number
  unlockpt(fd: number): number
  /** The descriptor on which libuv waits for all that this thread waits for, but for timers. */
  uvBackendFd(): number
  /** The errno of the last call. */
  errno(): number
  /** The bytes at an address; the caller sees to it that they stay mapped. */
  view(address: bigint, size: number): ArrayBuffer
}

/** The bytes of C's `long`, and of `size_t`. */
export const longSize = ['arm', 'ia32', 'mips', 'mipsel'].includes(process.arch) ? 4 : 8

/** seccomp(2)'s number, as libc has no function for it; newer architectures share one list of numbers. */
const seccompNumbers: { readonly [arch: string]: number } = {
  x64: 317,
  ia32: 354,
  arm: 383,
  ppc64: 358,
  s390x: 348,
}
const seccompNumber = seccompNumbers[process.arch] ?? 277

const declare = (): Libc => {
  const { koffi, libc } = loadLibc()
  const instruction = koffi.struct({ code: 'uint16', jt: 'uint8', jf: 'uint8', k: 'uint32' })
  const program = koffi.struct({ len: 'uint16', filter: koffi.pointer(instruction) })
  const syscall = libc.func('syscall', 'long', ['long', 'long', 'long', koffi.pointer(program)])
  const ioctl = libc.func('int ioctl(int, unsigned long, ...)')
  const message = koffi.struct({
    name: 'void *',
    nameLength: 'uint32_t',
    parts: koffi.pointer(koffi.struct({ base: 'void *', length: 'size_t' })),
    count: 'size_t',
    control: 'void *',
    controlLength: 'size_t',
    flags: 'int',
  })
  const recvmsg = libc.func('recvmsg', 'long', ['int', koffi.pointer(message), 'int'])
  const sendmsg = libc.func('sendmsg', 'long', ['int', koffi.pointer(message), 'int'])
  const fcntl = libc.func('int fcntl(int, int, ...)')
  // Node exports its functions, libuv's and V8's for addons. The default loop is the main thread's.
  const uvDefaultLoop = libc.func('void *uv_default_loop()')
  const isolate = libc.func('void *_ZN2v87Isolate10GetCurrentEv()')
  const loopOf = libc.func('void *_ZN4node19GetCurrentEventLoopEPN2v87IsolateE(void *)')
  const uvBackendFd = libc.func('int uv_backend_fd(void *)')
  // With an off_t of 64 bits on every machine: glibc has a name of its own for it, musl has no other.
  const wide = (name: string, result: string, types: string[]): ReturnType<typeof libc.func> => {
    try {
      return libc.func(`${name}64`, result, types)
    } catch {
      return libc.func(name, result, types)
    }
  }
  const mmap = wide('mmap', 'void *', ['void *', 'size_t', 'int', 'int', 'int', 'int64_t'])
  const exit = libc.func('void _exit(int)')
  return {
    _exit: status => exit(status) as never,
    cfmakeraw: libc.func('void cfmakeraw(_Inout_ void *)'),
    fcntl: (fd, command, value) => fcntl(fd, command, 'int', value) as number,
    fgetxattr: libc.func('long fgetxattr(int, str, _Out_ void *, size_t)'),
    flock: libc.func('int flock(int, int)'),
    fsetxattr: libc.func('int fsetxattr(int, str, const void *, size_t, int)'),
    getpagesize: libc.func('int getpagesize()'),
    getxattr: libc.func('long getxattr(str, str, _Out_ void *, size_t)'),
    ioctl: (fd, request, data) => ioctl(fd, request, 'void *', data) as number,
    lseek: wide('lseek', 'int64_t', ['int', 'int64_t', 'int']),
    mmap: (size, protection, flags, fd, offset) =>
      mmap(null, size, protection, flags, fd, offset) as bigint,
    munmap: libc.func('int munmap(void *, size_t)'),
    mount: libc.func('int mount(str, str, str, unsigned long, str)'),
    umount2: libc.func('int umount2(str, int)'),
    socketpair: libc.func('int socketpair(int, int, int, _Out_ int *)'),
    recvmsg: (fd, control, flags) => {
      const parts = { base: Buffer.alloc(1), length: 1 }
      const { length: controlLength } = control
      const into = { name: null, nameLength: 0, parts, count: 1, control, controlLength, flags: 0 }
      return recvmsg(fd, into, flags) as number
    },
    memfd_create: libc.func('int memfd_create(str, unsigned int)'),
    socket: libc.func('int socket(int, int, int)'),
    sendmsg: (fd, name, base, control, flags) => {
      const parts = { base, length: base.length }
      const more = { control: control.length ? control : null, controlLength: control.length }
      const from = { name, nameLength: name.length, parts, count: 1, ...more, flags: 0 }
      return sendmsg(fd, from, flags) as number
    },
    strerror: libc.func('str strerror(int)'),
    poll: libc.func('int poll(_Inout_ void *, unsigned long, int)'),
    read: libc.func('long read(int, _Out_ void *, size_t)'),
    prctl: libc.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)'),
    ptsname_r: libc.func('int ptsname_r(int, _Out_ char *, size_t)'),
    seccomp: (operation, flags, filter) =>
      syscall(seccompNumber, operation, flags, { len: filter.length, filter }) as number,
    tcgetattr: libc.func('int tcgetattr(int, _Out_ void *)'),
    tcsetattr: libc.func('int tcsetattr(int, int, void *)'),
    unlockpt: libc.func('int unlockpt(int)'),
    uvBackendFd: () => uvBackendFd(isMainThread ? uvDefaultLoop() : loopOf(isolate())) as number,
    errno: () => koffi.errno(),
    view: (address, size) => koffi.view(address, size),
  }
}

let declared: Libc | null = null

export const libc = (): Libc => (declared ??= declare())

/** `EINVAL` for 22. */
export const errnoName = (errno: number): string =>
  Object.entries(os.constants.errno).find(([, n]) => n === errno)?.[0] ?? `error ${errno}`
