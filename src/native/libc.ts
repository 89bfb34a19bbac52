/** The C library's functions that Node lacks, each declared once (native-notes/koffi.md). */
import { createRequire } from 'node:module'
import os from 'node:os'
import type Koffi from 'koffi'

const require = createRequire(import.meta.url)

/** Loaded at the first use: few commands need it, and loading takes 6 ms. */
const loadLibc = (): { koffi: typeof Koffi; libc: ReturnType<typeof Koffi.load> } => {
  const koffi = require('koffi') as typeof Koffi
  return { koffi, libc: koffi.load(null) }
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
  cfmakeraw(modes: Buffer): void
  ioctl(fd: number, request: number, data: Buffer | Int32Array | null): number
  /** Maps a file anywhere; returns the address, or −1 as a pointer. */
  mmap(size: number, protection: number, flags: number, fd: number, offset: number): bigint
  munmap(address: bigint, size: number): number
  poll(fds: Buffer, count: number, timeout: number): number
  prctl(option: number, ...values: [number, number, number, number]): number
  ptsname_r(fd: number, name: Buffer, size: number): number
  seccomp(operation: number, flags: number, program: Instruction[]): number
  tcgetattr(fd: number, modes: Buffer): number
  tcsetattr(fd: number, when: number, modes: Buffer): number
  unlockpt(fd: number): number
  /** The descriptor on which libuv waits for all that the main thread waits for, but for timers. */
  uvBackendFd(): number
  /** The errno of the last call. */
  errno(): number
  /** The bytes at an address; the caller sees to it that they stay mapped. */
  view(address: bigint, size: number): ArrayBuffer
}

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
  const mmap = libc.func('void *mmap(void *, size_t, int, int, int, long)')
  // Node exports libuv's functions for addons.
  const uvLoop = libc.func('void *uv_default_loop()')
  const uvBackendFd = libc.func('int uv_backend_fd(void *)')
  return {
    cfmakeraw: libc.func('void cfmakeraw(_Inout_ void *)'),
    ioctl: (fd, request, data) => ioctl(fd, request, 'void *', data) as number,
    mmap: (size, protection, flags, fd, offset) =>
      mmap(null, size, protection, flags, fd, offset) as bigint,
    munmap: libc.func('int munmap(void *, size_t)'),
    poll: libc.func('int poll(_Inout_ void *, unsigned long, int)'),
    prctl: libc.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)'),
    ptsname_r: libc.func('int ptsname_r(int, _Out_ char *, size_t)'),
    seccomp: (operation, flags, filter) =>
      syscall(seccompNumber, operation, flags, { len: filter.length, filter }) as number,
    tcgetattr: libc.func('int tcgetattr(int, _Out_ void *)'),
    tcsetattr: libc.func('int tcsetattr(int, int, void *)'),
    unlockpt: libc.func('int unlockpt(int)'),
    uvBackendFd: () => uvBackendFd(uvLoop()) as number,
    errno: () => koffi.errno(),
    view: (address, size) => koffi.view(address, size),
  }
}

let declared: Libc | null = null

export const libc = (): Libc => (declared ??= declare())

/** `EINVAL` for 22. */
export const errnoName = (errno: number): string =>
  Object.entries(os.constants.errno).find(([, n]) => n === errno)?.[0] ?? `error ${errno}`
