/**
 * A file system with one file, `region.img`, that fails as a disk does: `BACKING MOUNTPOINT CONTROL`.
 * CONTROL says which bytes cannot be read, `FROM TO`; where it says `full`, nothing can be written.
 */
import fs from 'node:fs'
import os from 'node:os'
import Fuse, { type Operations, type Options, type Stats } from 'fuse-native'

const [backing, mountpoint, control] = process.argv.slice(2)
const { EIO, ENOENT, ENOSPC } = os.constants.errno
const fd = fs.openSync(backing, 'r+')
const said = (): string => fs.readFileSync(control, 'utf8').trim()

const stats = (mode: number, size: number): Stats => {
  const now = Date.now()
  const times = { mtime: now, atime: now, ctime: now }
  return { mode, size, uid: 0, gid: 0, nlink: 1, ...times } as Stats
}

const operations: Partial<Operations> = {
  getattr: (path, cb) => {
    if (path === '/') cb(0, stats(0o40755, 0))
    else if (path === '/region.img') cb(0, stats(0o100644, fs.fstatSync(fd).size))
    else cb(-ENOENT)
  },
  readdir: (_, cb) => cb(0, ['region.img']),
  open: (_path, _flags, cb) => cb(0, 1),
  read: (_path, _fd, buffer, length, position, cb) => {
    const [from, to] = said().split(' ').map(Number)
    if (position < to && position + length > from) cb(-EIO)
    else cb(fs.readSync(fd, buffer, 0, length, position))
  },
  write: (_path, _fd, buffer, length, position, cb) => {
    if (said() === 'full') cb(-ENOSPC)
    else cb(fs.writeSync(fd, buffer, 0, length, position))
  },
}

// Without direct_io the kernel would answer from its cache.
const options: Partial<Options> = { subtype: 'faulty,direct_io', autoUnmount: true }
const fuse = new Fuse(mountpoint, operations as Operations, options as Options)
fuse.mount(error => {
  if (error) throw error
  process.stdout.write('mounted\n')
})
