/** Descriptors: their flags, and a pair of sockets, over which another process hands one. */
import fs from 'node:fs'
import { errnoName, libc, longSize } from './libc.js'

export const AF_UNIX = 1
const SOCK_STREAM = 1
/** The architectures' own numbers of O_CLOEXEC. */
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SCM_RIGHTS = 1
export const MSG_DONTWAIT = 0x40
const MSG_CMSG_CLOEXEC = 0x40000000

/** A C function has failed in a way that is nobody's to mend. */
const failed = (call: string): Error => new Error(`${call}: ${errnoName(libc().errno())}`)

/** Two sockets that are connected; no program that is started has them unless they are given to it. */
export const socketPair = (): [number, number] => {
  const pair = new Int32Array(2)
  if (libc().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) !== 0)
    throw failed('socketpair')
  return [pair[0]!, pair[1]!]
}

/**
 * Take the descriptor that was sent over a socket. No program that is started has it, either: whoever holds
 * /dev/fuse keeps a mount from being known for dead.
 *
 * @returns null where none was sent
 */
export const receiveDescriptor = (socket: number): number | null => {
  // `struct cmsghdr`: its length, a level and a type; then the descriptor. It is as long as alignment makes it.
  const at = longSize + 8
  const control = Buffer.alloc(at + longSize)
  // MSG_CMSG_CLOEXEC: setting the flag afterwards would leave a moment without it.
  if (libc().recvmsg(socket, control, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) return null
  const [level, type, descriptor] = new Int32Array(control.buffer, control.byteOffset + longSize, 3)
  return level === SOL_SOCKET && type === SCM_RIGHTS ? descriptor! : null
}

const F_SETFD = 2
const F_SETFL = 4
const FD_CLOEXEC = 1

/** Keep a descriptor from every program that is started. */
export const setCloseOnExec = (fd: number): void => {
  if (libc().fcntl(fd, F_SETFD, FD_CLOEXEC) !== 0) throw failed('fcntl')
}

/** Have reads of a descriptor fail with EAGAIN where they would wait. */
export const setNonBlocking = (fd: number): void => {
  if (libc().fcntl(fd, F_SETFL, fs.constants.O_NONBLOCK) !== 0) throw failed('fcntl')
}
