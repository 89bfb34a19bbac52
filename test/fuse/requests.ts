/**
 * Requests as the kernel makes them, and replies as it takes them: a second writing of include/uapi/linux/fuse.h,
 * which takes nothing from src/fuse/protocol.ts. Little endian, as the machines are that test this.
 */
import { Server } from '#src/fuse/server.js'
import type { Tree } from '#src/tree/tree.js'

/** Codes of requests, the bytes that each has behind its header, and the lengths of its reply. */
export const codes = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  getlk: 31,
  access: 34,
  create: 35,
  interrupt: 36,
  bmap: 37,
  destroy: 38,
  ioctl: 39,
  poll: 40,
  notifyReply: 41,
  batchForget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  copyFileRange: 47,
  setupMapping: 48,
  syncfs: 50,
  tmpfile: 51,
  statx: 52,
} as const

/** Lengths of what a reply that is no error has behind its header; those that are missing have any. */
export const replyLengths: { readonly [code: number]: number } = {
  [codes.lookup]: 128,
  [codes.getattr]: 104,
  [codes.setattr]: 104,
  [codes.unlink]: 0,
  [codes.open]: 16,
  [codes.statfs]: 80,
  [codes.release]: 0,
  [codes.init]: 64,
  [codes.opendir]: 16,
  [codes.releasedir]: 0,
  [codes.access]: 0,
  [codes.destroy]: 0,
  [codes.lseek]: 8,
}

/** Those that the kernel takes no reply for. */
export const silent: readonly number[] = [
  codes.forget,
  codes.interrupt,
  codes.notifyReply,
  codes.batchForget,
]

/** Numbers of 32 bits; a string is a name. */
export const bodyOf = (parts: readonly (number | bigint | string)[]): Buffer =>
  Buffer.concat(
    parts.map(part => {
      if (typeof part === 'string') return Buffer.from(`${part}\0`)
      const bytes = Buffer.alloc(typeof part === 'bigint' ? 8 : 4)
      if (typeof part === 'bigint') bytes.writeBigUInt64LE(part)
      else bytes.writeUInt32LE(part)
      return bytes
    }),
  )

export const requestOf = (
  code: number,
  node: number,
  body: Uint8Array = Buffer.alloc(0),
  unique = 7n,
): Buffer => {
  const header = Buffer.alloc(40)
  header.writeUInt32LE(40 + body.length)
  header.writeUInt32LE(code, 4)
  header.writeBigUInt64LE(unique, 8)
  header.writeBigUInt64LE(BigInt(node), 16)
  return Buffer.concat([header, body])
}

export interface Replied {
  /** A positive errno, or 0. */
  errno: number
  unique: bigint
  body: Buffer
}

const errnoMost = 511
/** Is it one that fs/fuse/dev.c takes? */
export const isSound = (reply: Buffer): boolean => {
  if (reply.length < 16 || reply.readUInt32LE() !== reply.length) return false
  const error = reply.readInt32LE(4)
  return error <= 0 && error >= -errnoMost && (error === 0 || reply.length === 16)
}

export const decode = (reply: Buffer): Replied => ({
  errno: -reply.readInt32LE(4),
  unique: reply.readBigUInt64LE(8),
  body: reply.subarray(16),
})

/** A server without a kernel: what it replies is kept, and taken or not. */
export class Asked {
  readonly server: Server
  replies: Buffer[] = []
  readonly problems: string[] = []
  /** The errno with which the next reply is not taken. */
  refusing = 0

  constructor(tree: Tree) {
    this.server = new Server(tree, {
      send: reply => {
        this.replies.push(Buffer.concat(reply))
        const refused = this.refusing
        this.refusing = 0
        return refused
      },
      report: problem => this.problems.push(problem),
    })
  }

  /** All replies to a request's bytes. */
  raw(request: Buffer): Buffer[] {
    this.replies = []
    request.copy(this.server.room)
    this.server.handle(request.length)
    return this.replies
  }

  /** The one reply to a request. */
  ask(code: number, node: number, ...parts: (number | bigint | string)[]): Replied {
    const [reply, ...more] = this.raw(requestOf(code, node, bodyOf(parts)))
    if (!reply || more.length > 0) throw new Error(`${this.replies.length} replies`)
    return decode(reply)
  }
}
