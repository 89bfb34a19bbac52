/** Messages to a socket of this machine that takes datagrams, as journald has one. Node has none of that family. */
import fs from 'node:fs'
import { StoreError } from '../pstore/errors.js'
import { errnoName, libc, longSize } from './libc.js'
import { AF_UNIX, MSG_DONTWAIT, SCM_RIGHTS, SOCK_CLOEXEC, SOL_SOCKET } from './socket.js'

const SOCK_DGRAM = 2
const MSG_NOSIGNAL = 0x4000
const MFD_CLOEXEC = 1
const MFD_ALLOW_SEALING = 2
const F_ADD_SEALS = 1033
/** Nothing about the file changes any more: its seals, its length, its bytes. */
const allSeals = 0b1111

const none = Buffer.alloc(0)

/** `struct sockaddr_un`. */
const addressOf = (path: string): Buffer => {
  const name = Buffer.from(path)
  const address = Buffer.alloc(2 + name.length + 1)
  new Uint16Array(address.buffer, address.byteOffset, 1)[0] = AF_UNIX
  name.copy(address, 2)
  return address
}

/** `struct cmsghdr`, and a descriptor. */
const handing = (fd: number): Buffer => {
  const header = longSize + 8
  const control = Buffer.alloc(header + longSize)
  if (longSize === 8)
    new BigUint64Array(control.buffer, control.byteOffset, 1)[0] = BigInt(header + 4)
  else new Uint32Array(control.buffer, control.byteOffset, 1)[0] = header + 4
  new Int32Array(control.buffer, control.byteOffset + longSize, 3).set([SOL_SOCKET, SCM_RIGHTS, fd])
  return control
}

/** A file in memory with these bytes, which nobody can change any more. */
const sealed = (bytes: Buffer): number => {
  const fd = libc().memfd_create('message', MFD_CLOEXEC | MFD_ALLOW_SEALING)
  if (fd < 0) throw new StoreError(`memfd_create: ${errnoName(libc().errno())}`, 'EIO')
  fs.writeFileSync(fd, bytes)
  if (libc().fcntl(fd, F_ADD_SEALS, allSeals) !== 0)
    throw new StoreError(`fcntl: ${errnoName(libc().errno())}`, 'EIO')
  return fd
}

/** Sends messages to one socket. */
export class Datagrams {
  readonly #fd: number
  readonly #address: Buffer

  constructor(readonly path: string) {
    this.#address = addressOf(path)
    this.#fd = libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
    if (this.#fd < 0) throw new StoreError(`socket: ${errnoName(libc().errno())}`, 'EIO')
  }

  /** @returns the name of what went wrong; null: it was sent */
  #try(message: Buffer, control: Buffer): string | null {
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL
    return libc().sendmsg(this.#fd, this.#address, message, control, flags) < 0
      ? errnoName(libc().errno())
      : null
  }

  /**
   * Send a message; one that is too long for the socket goes as a sealed file in memory, by its descriptor
   * (systemd.io/JOURNAL_NATIVE_PROTOCOL). Nothing is waited for.
   *
   * @returns false where the receiver is behind: it takes it later
   * @throws StoreError where nobody takes it
   */
  send(message: Buffer): boolean {
    let failed = this.#try(message, none)
    if (failed === 'EMSGSIZE' || failed === 'ENOBUFS') {
      const fd = sealed(message)
      try {
        failed = this.#try(none, handing(fd))
      } finally {
        fs.closeSync(fd)
      }
    }
    if (failed === null) return true
    if (failed === 'EAGAIN') return false
    const why = failed === 'ENOENT' || failed === 'ECONNREFUSED' ? 'nobody listens there' : failed
    throw new StoreError(`${this.path}: ${why}`, 'EIO')
  }

  close(): void {
    fs.closeSync(this.#fd)
  }
}
