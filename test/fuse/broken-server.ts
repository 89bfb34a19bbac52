/** A mount whose answers to statfs(2) are broken on purpose: broken-server.js MOUNTPOINT HOW. */
import fs from 'node:fs'
import { Tree } from '#src/tree/tree.js'
import { openDevice } from '#src/fuse/device.js'
import { serveDevice } from '#src/fuse/loop.js'
import { Server } from '#src/fuse/server.js'
import { unmountWhenKilled } from '#src/fuse/watcher.js'

const [mountpoint = '', how = ''] = process.argv.slice(2)

/** What is sent in the place of a sound answer. */
const broken: { [how: string]: (reply: Buffer) => Buffer } = {
  'a length that is not its own': reply => {
    reply.writeUInt32LE(reply.length + 1)
    return reply
  },
  'too long': reply => {
    const longer = Buffer.concat([reply, Buffer.alloc(8)])
    longer.writeUInt32LE(longer.length)
    return longer
  },
  'too short': reply => {
    const shorter = reply.subarray(0, reply.length - 8)
    shorter.writeUInt32LE(shorter.length)
    return shorter
  },
  'an errno that is none': reply => {
    reply.writeInt32LE(-5000, 4)
    return reply
  },
  'a positive errno': reply => {
    reply.writeInt32LE(5, 4)
    return reply
  },
}

const write = (bytes: Buffer): number => {
  try {
    fs.writeSync(fd, bytes)
    return 0
  } catch (error) {
    return -(error as NodeJS.ErrnoException).errno!
  }
}
/** `struct fuse_statfs_out` and its header. */
const statfsReply = 96
unmountWhenKilled(mountpoint)
const fd = await openDevice(mountpoint, { source: 'broken', options: [], cover: false })
const server = new Server(new Tree([]), {
  send: pieces => {
    const reply = Buffer.concat(pieces)
    return write(reply.length === statfsReply ? broken[how](reply) : reply)
  },
  report: problem => console.log(problem),
})
const { answered, ended } = serveDevice(fd, server.room, {
  handle: length => server.handle(length),
  isStopped: () => false,
})
await answered
console.log('ready')
await ended
process.exit(0)
