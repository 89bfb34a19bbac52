/** The server, asked without a kernel: the protocol's forms, and what no kernel asks. */
import os from 'node:os'
import t, { type Test } from 'tap'
import { attach, format, StoreError } from '#src/index.js'
import { recordsOf, type Records } from '#src/pstore/records.js'
import { Tree } from '#src/tree/tree.js'
import { folder } from '../program.js'
import { randomFor } from '../random.js'
import {
  Asked,
  bodyOf,
  codes,
  decode,
  isSound,
  replyLengths,
  requestOf,
  silent,
} from './requests.js'

const { errno } = os.constants
const root = 1
const none = Buffer.alloc(0)

const make = (t: Test): { tree: Tree; records: Records } => {
  const path = `${folder(t)}/region.img`
  const layout = { record_size: 4096, console_size: 4096, pmsg_size: 0, ftrace_size: 4096 }
  format(path, { ...layout, mem_size: 16384 })
  const backend = attach(path, layout)
  t.teardown(() => backend.close())
  backend.write({ type: 'console', bytes: Buffer.from('console') })
  const time = { sec: 1_700_000_000n, nsec: 5000 }
  backend.write({ type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\nfirst'), time })
  const records = recordsOf(backend)
  return { tree: new Tree([records]), records }
}

const node = (asked: Asked, name: string, parent = root): number =>
  Number(asked.ask(codes.lookup, parent, name).body.readBigUInt64LE())

/** What kernels of some time say in INIT, and get. */
const kernels: [what: string, minor: number, flags: number, agreed: number, pages: number][] = [
  ['Linux 4.19', 27, 0x007fffff & ~(1 << 22), 27, 0],
  ['Linux 5.10', 32, 0x3fffffff, 32, 256],
  ['Linux 6.1', 37, 0x7fffffff, 37, 256],
  ['Linux 6.18', 45, 0x7fffffff, 38, 256],
]
for (const [what, minor, flags, agreed, pages] of kernels)
  t.test(`INIT of ${what}`, async t => {
    const asked = new Asked(make(t).tree)
    const { errno, body } = asked.ask(codes.init, 0, 7, minor, 131072, flags)
    t.equal(errno, 0)
    t.equal(body.length, 64)
    t.same([body.readUInt32LE(0), body.readUInt32LE(4)], [7, agreed])
    t.equal(body.readUInt32LE(8), 131072, 'its readahead')
    t.equal(body.readUInt32LE(12) & ~flags, 0, 'no flag that it does not know')
    t.equal(body.readUInt16LE(16), 65535, 'requests in the background')
    t.equal(body.readUInt32LE(20), 4096, 'the least that it takes for a write')
    t.equal(body.readUInt16LE(28), pages, 'pages of a read')
    t.equal(asked.ask(codes.destroy, 0).errno, 0)
  })

t.test('INIT of what is too old, or of another protocol', async t => {
  const asked = new Asked(make(t).tree)
  for (const [major, minor] of [
    [7, 22],
    [6, 40],
    [8, 0],
  ] as const)
    t.equal(asked.ask(codes.init, 0, major, minor, 0, 0).errno, errno.EPROTO, `${major}.${minor}`)
})

t.test('a file, from its name to its end', async t => {
  const asked = new Asked(make(t).tree)
  const entry = asked.ask(codes.lookup, root, 'dmesg-ramoops-0').body
  const ino = Number(entry.readBigUInt64LE())
  t.equal(entry.readBigUInt64LE(16), 0n, 'its name is not kept')
  t.equal(entry.readUInt32LE(36), 1_000_000, 'its attributes for a moment')
  t.equal(Number(entry.readBigUInt64LE(40)), ino, 'the node is the inode')
  t.equal(entry.readBigUInt64LE(40 + 8), 19n)
  t.equal(entry.readBigUInt64LE(40 + 32), 1_700_000_000n)
  t.equal(entry.readUInt32LE(40 + 52), 5000)
  t.equal(entry.readUInt32LE(40 + 60), 0o100444)
  t.equal(entry.readUInt32LE(40 + 64), 2)
  t.equal(node(asked, 'dmesg-ramoops-0', node(asked, 'ramoops')), ino, 'by its other name')

  const { body } = asked.ask(codes.open, ino, 0, 0)
  const handle = body.readBigUInt64LE()
  const read = (offset: bigint, length: number): string =>
    String(asked.ask(codes.read, ino, handle, offset, length, 2, 0n, 0, 0).body)
  t.equal(read(0n, 4096), 'Panic#1 Part1\nfirst')
  t.equal(read(14n, 3), 'fir')
  t.equal(read(19n, 4096), '')
  t.equal(read(2n ** 62n, 4096), '')
  t.equal(asked.ask(codes.unlink, root, 'dmesg-ramoops-0').errno, 0)
  t.equal(read(0n, 5), 'Panic')
  const attributes = asked.ask(codes.getattr, ino, 0, 0, 0n).body
  t.equal(attributes.readUInt32LE(16 + 64), 0, 'no names')
  t.equal(asked.server.opened, 1)
  t.equal(asked.ask(codes.release, ino, handle, 0, 0, 0n).errno, 0)
  t.equal(asked.server.opened, 0)
  t.equal(asked.ask(codes.read, ino, handle, 0n, 1, 2, 0n, 0, 0).errno, errno.EBADF)
  // A second release is no matter.
  t.equal(asked.ask(codes.release, ino, handle, 0, 0, 0n).errno, 0)
  asked.raw(requestOf(codes.forget, ino, bodyOf([2n])))
  t.equal(asked.ask(codes.getattr, ino, 0, 0, 0n).errno, errno.ESTALE)
})

t.test('the largest size that truncate(2) takes', async t => {
  const asked = new Asked(make(t).tree)
  const ino = node(asked, 'console-ramoops-0')
  const largest = 2n ** 63n - 1n
  const rest = Array<number>(16).fill(0)
  const { errno, body } = asked.ask(codes.setattr, ino, 8, 0, 0n, largest, ...rest)
  t.equal(errno, 0)
  t.equal(
    body.readBigUInt64LE(16 + 8),
    largest,
    'no larger one, which is a bad inode to the kernel',
  )
})

t.test('a name that is too long for any file', async t => {
  const asked = new Asked(make(t).tree)
  for (const [length, why] of [
    [255, errno.ENOENT],
    [256, errno.ENAMETOOLONG],
  ] as const)
    t.equal(asked.ask(codes.lookup, root, 'x'.repeat(length)).errno, why, `${length} bytes`)
})

t.test('a listing in pieces', async t => {
  const asked = new Asked(make(t).tree)
  const handle = asked.ask(codes.opendir, root, 0, 0).body.readBigUInt64LE()
  const names: string[] = []
  for (let offset = 0n; ;) {
    // Room for two of them at most.
    const { body } = asked.ask(codes.readdir, root, handle, offset, 100, 0, 0n, 0, 0)
    if (body.length === 0) break
    for (let at = 0; at < body.length;) {
      const length = body.readUInt32LE(at + 16)
      names.push(String(body.subarray(at + 24, at + 24 + length)))
      t.equal(body.readUInt32LE(at + 20), names.at(-1)!.endsWith('0') ? 8 : 4)
      offset = body.readBigUInt64LE(at + 8)
      at += (24 + length + 7) & ~7
    }
  }
  t.same(names, ['.', '..', 'console-ramoops-0', 'dmesg-ramoops-0', 'ramoops'])
  t.equal(asked.ask(codes.releasedir, root, handle, 0, 0, 0n).errno, 0)
  t.equal(asked.ask(codes.readdir, root, handle, 0n, 100, 0, 0n, 0, 0).errno, errno.EBADF, 'closed')
})

t.test('a folder that stays open is listed anew from its start', async t => {
  const asked = new Asked(make(t).tree)
  const handle = asked.ask(codes.opendir, root, 0, 0).body.readBigUInt64LE()
  const list = (offset: bigint): string =>
    String(asked.ask(codes.readdir, root, handle, offset, 4096, 0, 0n, 0, 0).body)
  t.match(list(0n), 'console-ramoops-0')
  asked.ask(codes.unlink, root, 'console-ramoops-0')
  t.match(list(2n), 'console-ramoops-0', 'a listing goes on as it began')
  t.notMatch(list(0n), 'console-ramoops-0')
})

t.test('extended attributes: of whom, how long, and what does not fit', async t => {
  const asked = new Asked(make(t).tree)
  const ino = node(asked, 'dmesg-ramoops-0')
  const get = (room: number, name: string, of = ino) => asked.ask(codes.getxattr, of, room, 0, name)
  t.equal(String(get(64, 'user.pstore.backend').body), 'ramoops')
  t.equal(String(get(7, 'user.pstore.backend').body), 'ramoops')
  t.same(get(0, 'user.pstore.backend').body, bodyOf([7, 0]), 'its length')
  t.equal(get(6, 'user.pstore.backend').errno, errno.ERANGE)
  t.equal(get(64, 'user.pstore.none').errno, errno.ENODATA)
  t.equal(get(64, 'user.pstore.zone', root).errno, errno.ENODATA)
  for (const name of ['security.capability', 'system.posix_acl_access', 'user.x'])
    t.equal(get(64, name).errno, errno.EOPNOTSUPP, name)
  t.equal(asked.ask(codes.setxattr, ino, 1, 0, 'user.pstore.zone', 'x').errno, errno.ENOSYS)

  const names = 'user.pstore.backend\0user.pstore.time\0user.pstore.zone\0'
  const list = (room: number, of = ino) => asked.ask(codes.listxattr, of, room, 0)
  t.equal(String(list(4096).body), names)
  t.same(list(0).body, bodyOf([names.length, 0]))
  t.equal(list(names.length - 1).errno, errno.ERANGE)
  t.equal(list(4096, root).body.length, 0)
})

t.test('the kernel forgets, one by one and many at once', async t => {
  const { tree } = make(t)
  const asked = new Asked(tree)
  const before = tree.inodes
  const ino = node(asked, 'console-ramoops-0')
  node(asked, 'console-ramoops-0')
  t.equal(tree.inodes, before + 1)
  asked.ask(codes.unlink, root, 'console-ramoops-0')
  t.equal(tree.inodes, before + 1)
  // A count beyond the request's end, as only an attacker has it.
  const many = bodyOf([1000, 0, BigInt(ino), 1n, 99n, 1n])
  t.same(asked.raw(requestOf(codes.batchForget, 0, many)), [], 'no reply')
  t.equal(tree.inodes, before + 1)
  t.same(asked.raw(requestOf(codes.forget, ino, bodyOf([1n]))), [])
  t.equal(tree.inodes, before)
})

t.test('a reply that the kernel does not take is made again, as EIO', async t => {
  const asked = new Asked(make(t).tree)
  asked.refusing = errno.EINVAL
  const [first, again, ...more] = asked.raw(requestOf(codes.statfs, root, none, 99n))
  t.equal(first.length, 96)
  t.same(decode(again), { errno: errno.EIO, unique: 99n, body: none })
  t.same(more, [])
  t.match(asked.problems, [/refused/])
  // Nobody waits any more for these.
  for (const gone of [errno.ENOENT, errno.ENODEV]) {
    asked.refusing = gone
    t.equal(asked.raw(requestOf(codes.statfs, root)).length, 1)
  }
})

t.test("another thread's answer comes later", async t => {
  const { records } = make(t)
  let fail = false
  const later: Records = {
    ...records,
    find: async name => {
      if (fail) throw new StoreError('region.img: cannot be read', 'EIO')
      return records.find(name)
    },
    open: async name => records.open(name),
    names: async () => records.names(),
    erase: async record => records.erase(record),
  }
  const asked = new Asked(new Tree([later]))
  const ask = async (code: number, node: number, ...parts: (number | bigint | string)[]) => {
    asked.replies = []
    requestOf(code, node, bodyOf(parts), 5n).copy(asked.server.room)
    const answer = asked.server.handle(asked.server.room.readUInt32LE())
    t.same(asked.replies, [])
    // The next request takes this one's place meanwhile.
    asked.server.room.fill(0xff)
    await answer
    t.equal(asked.replies.length, 1)
    return decode(asked.replies[0])
  }
  const entry = await ask(codes.lookup, root, 'console-ramoops-0')
  t.match(entry, { errno: 0, unique: 5n })
  const ino = Number(entry.body.readBigUInt64LE())
  t.match(await ask(codes.opendir, root, 0, 0), { errno: 0, unique: 5n })
  const opened = await ask(codes.open, ino, 0, 0)
  const handle = opened.body.readBigUInt64LE()
  t.equal(String(asked.ask(codes.read, ino, handle, 0n, 99, 2, 0n, 0, 0).body), 'console')
  t.match(await ask(codes.setattr, ino, 1, 0, ...Array<number>(15).fill(0), 0o600, 0, 0, 0, 0), {
    errno: 0,
  })
  t.match(await ask(codes.unlink, root, 'console-ramoops-0'), { errno: 0, unique: 5n })
  fail = true
  t.match(await ask(codes.lookup, root, 'dmesg-ramoops-0'), { errno: errno.EIO, unique: 5n })
  t.same(asked.problems, ['region.img: cannot be read'])
})

t.test('answers that come in one turn of the loop: each caller gets its own', async t => {
  const { records } = make(t)
  const names = ['console-ramoops-0', 'dmesg-ramoops-0']
  let look: () => void
  const both = new Promise<void>(resolve => (look = resolve))
  const later: Records = {
    ...records,
    find: async name => both.then(() => records.find(name)),
    open: async name => both.then(() => records.open(name)),
  }
  const asked = new Asked(new Tree([later]))
  const askAll = async (code: number, nodes: readonly number[], bodies: readonly Buffer[]) => {
    asked.replies = []
    const answers = bodies.map((body, i) => {
      requestOf(code, nodes[i]!, body, BigInt(i)).copy(asked.server.room)
      return asked.server.handle(asked.server.room.readUInt32LE())
    })
    look()
    await Promise.all(answers)
    const replies = asked.replies.map(decode)
    return replies.sort((a, b) => Number(a.unique - b.unique)).map(({ body }) => body)
  }
  const entries = await askAll(
    codes.lookup,
    [root, root],
    names.map(name => bodyOf([name])),
  )
  const inodes = entries.map(body => Number(body.readBigUInt64LE()))
  t.same(
    entries.map(body => body.readBigUInt64LE(40 + 8)),
    [7n, 19n],
    'the sizes',
  )
  const opened = await askAll(codes.open, inodes, [bodyOf([0, 0]), bodyOf([0, 0])])
  const texts = opened.map((body, i) =>
    String(asked.ask(codes.read, inodes[i]!, body.readBigUInt64LE(), 0n, 99, 2, 0n, 0, 0).body),
  )
  t.same(texts, ['console', 'Panic#1 Part1\nfirst'])
})

t.test('whatever is asked: one reply of the right form, or none where none is due', async t => {
  const { tree } = make(t)
  const random = randomFor(t)
  const all = [...Object.values(codes), 0, 7, 99, 4096, 2 ** 32 - 1]
  const names = ['dmesg-ramoops-0', 'ramoops', 'ftrace-ramoops-0', 'x', '', '..', 'a/b', '\xff']
  const numbers = [0, 1, 2, 3, 8, 16, 4096, 2 ** 31, 2 ** 32 - 1]
  const asked = new Asked(tree)
  for (let i = 0; i < 20_000; i++) {
    const code = random.pick(all)
    let body = random.bytes(random.pick([0, 1, 7, 8, 16, 24, 40, 64, 88, 300, 4000]))
    for (let at = 0; at + 4 <= body.length; at += 4)
      if (random.below(4) > 0) body.writeUInt32LE(random.pick(numbers), at)
    if (random.below(4) === 0) body = Buffer.from(`${random.pick(names)}\0`, 'latin1')
    const node = random.below(4) ? random.below(12) : random.below(2 ** 31) * 2 ** 20
    const request = requestOf(code, node, body, BigInt(i))
    // Its length may be a lie.
    const isLie = random.below(50) === 0
    if (isLie) request.writeUInt32LE(random.below(2 ** 31))
    const replies = asked.raw(request)
    const isDue = !silent.includes(code) && request.readUInt32LE() === request.length
    if (replies.length !== (isDue ? 1 : 0)) t.fail(`${code}: ${replies.length} replies`)
    for (const reply of replies) {
      if (!isSound(reply)) t.fail(`${code}: a reply that no kernel takes`)
      const { errno, unique, body } = decode(reply)
      if (unique !== BigInt(i)) t.fail(`${code}: to somebody else`)
      const length = replyLengths[code]
      if (errno === 0 && length !== undefined && body.length !== length)
        t.fail(`${code}: ${body.length} bytes`)
    }
  }
  // Only lengths that lie are told of: nothing here is a mistake of this program.
  t.same(
    asked.problems.filter(problem => !/cannot be read$|keep \d+ MiB/.test(problem)),
    [],
  )
  asked.server.end()
  t.equal(asked.server.opened, 0)
})
