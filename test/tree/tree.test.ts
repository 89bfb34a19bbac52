/** The tree, as a kernel asks it: names, inodes, links and errors. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, StoreError, Tree, type Backend } from '#src/index.js'
import { folder } from '../program.js'

const layout = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
  mem_size: 12288,
}
const dump = (text: string, sec: bigint) =>
  ({ type: 'dmesg', bytes: Buffer.from(text), time: { sec, nsec: 0 } }) as const

/** A region with one dump and a console, attached under a name. */
const make = (t: Test, name = 'ramoops'): Backend => {
  const path = `${folder(t)}/region.img`
  format(path, layout)
  const backend = attach(path, { ...layout, name })
  t.teardown(() => backend.close())
  backend.write(dump('Panic#1 Part1\nfirst', 1_700_000_000n))
  backend.write({ type: 'console', bytes: Buffer.from('console') })
  return backend
}

const errnoOf = (work: () => unknown): string => {
  try {
    work()
    return 'none'
  } catch (error) {
    return error instanceof StoreError ? error.errno : String(error)
  }
}

t.test('names, inodes and links', async t => {
  const [a, b] = [make(t, 'a'), make(t, 'b')]
  const tree = new Tree([a, b], { uid: 5, gid: 6 })
  t.same(tree.readdir('/'), ['.', '..', 'console-a-0', 'dmesg-a-0', 'a', 'b'])
  t.same(tree.readdir('/b'), ['.', '..', 'console-b-0', 'dmesg-b-0'])
  t.match(tree.getattr('/'), { mode: 0o40750, uid: 5, gid: 6, nlink: 4, size: 0 })
  t.match(tree.getattr(''), tree.getattr('/'))
  t.match(tree.getattr('/b'), { mode: 0o40750, nlink: 2 })
  const first = tree.getattr('/dmesg-a-0')
  t.match(first, { mode: 0o100444, nlink: 2, size: 19, mtime: { sec: 1_700_000_000n, nsec: 0 } })
  t.same(tree.getattr('/a/dmesg-a-0'), first, 'one inode under both names')
  t.match(tree.getattr('/b/dmesg-b-0'), { nlink: 1 })
  for (const path of [
    '/dmesg-b-0',
    '/nothing',
    '/nothing/dmesg-a-0',
    '/a/dmesg-a-0/x',
    '/b/nothing',
  ])
    t.equal(
      errnoOf(() => tree.getattr(path)),
      'ENOENT',
      path,
    )
  t.equal(
    errnoOf(() => tree.getattr('/dmesg-a-0/x')),
    'ENOTDIR',
  )
  t.equal(
    errnoOf(() => tree.readdir('/dmesg-a-0')),
    'ENOTDIR',
  )
  t.equal(
    errnoOf(() => tree.open('/a')),
    'EISDIR',
  )
  t.equal(
    errnoOf(() => tree.truncate('/', 0)),
    'EISDIR',
  )
  t.equal(
    errnoOf(() => tree.unlink('/a')),
    'EPERM',
  )
})

t.test('folders hidden, or off, or of nothing', async t => {
  const backend = make(t)
  const hidden = new Tree([backend], { subdirs: 'hidden' })
  t.same(hidden.readdir('/'), ['.', '..', 'console-ramoops-0', 'dmesg-ramoops-0'])
  t.match(hidden.getattr('/'), { nlink: 2 })
  t.match(hidden.getattr('/ramoops/dmesg-ramoops-0'), { nlink: 2 })
  const off = new Tree([backend], { subdirs: 'off' })
  t.match(off.getattr('/dmesg-ramoops-0'), { nlink: 1 })
  t.equal(
    errnoOf(() => off.getattr('/ramoops')),
    'ENOENT',
  )
  const none = new Tree([])
  t.same(none.readdir('/'), ['.', '..'])
  t.equal(
    errnoOf(() => none.getattr('/dmesg-ramoops-0')),
    'ENOENT',
  )
  t.equal(
    errnoOf(() => none.getattr('/ramoops/dmesg-ramoops-0')),
    'ENOENT',
  )
  const empty = make(t, 'empty')
  for (const record of empty.records()) record.erase()
  t.same(new Tree([empty]).readdir('/'), ['.', '..'], 'a folder without records is not listed')
})

t.test('a ring that grows is the same file, another dump is another', async t => {
  const backend = make(t)
  const tree = new Tree([backend])
  const [ring, old] = [tree.getattr('/console-ramoops-0'), tree.getattr('/dmesg-ramoops-0')]
  tree.truncate('/console-ramoops-0', 3)
  t.match(tree.getattr('/console-ramoops-0'), { ino: ring.ino, size: 3 })
  backend.write({ type: 'console', bytes: Buffer.from(', more') })
  t.match(tree.getattr('/console-ramoops-0'), { ino: ring.ino, size: 13 })

  backend.find('dmesg-ramoops-0')!.erase()
  backend.write(dump('Panic#1 Part1\nanother', 1_700_000_009n))
  const [name] = tree.readdir('/').filter(name => name.startsWith('dmesg'))
  backend.find(name)!.erase()
  backend.write(dump('Panic#1 Part1\na third', 1_700_000_010n))
  backend.write(dump('Panic#1 Part1\na fourth', 1_700_000_011n))
  t.match(tree.getattr('/dmesg-ramoops-0'), { size: /2[012]/ })
  t.not(tree.getattr('/dmesg-ramoops-0').ino, old.ino)

  // One that was seen to be gone is another when it is back.
  backend.find('console-ramoops-0')!.erase()
  t.notOk(tree.readdir('/').includes('console-ramoops-0'))
  backend.write({ type: 'console', bytes: Buffer.from('new') })
  t.not(tree.getattr('/console-ramoops-0').ino, ring.ino)
})

t.test('open files, and what is told of them', async t => {
  const backend = make(t)
  const told: string[] = []
  const tree = new Tree([backend], {
    onOpen: (_, { name }) => told.push(`open ${name}`),
    onErase: (_, { name }) => told.push(`erase ${name}`),
  })
  const { content, attributes } = tree.open('/dmesg-ramoops-0')
  t.match(attributes(), { nlink: 2 })
  tree.unlink('/ramoops/dmesg-ramoops-0')
  t.equal(content.all().toString(), 'Panic#1 Part1\nfirst', 'as it was when it was opened')
  t.match(attributes(), { nlink: 0 })
  t.same(told, ['open dmesg-ramoops-0', 'erase dmesg-ramoops-0'])
  t.equal(
    errnoOf(() => tree.open('/dmesg-ramoops-0')),
    'ENOENT',
  )
  t.equal(
    errnoOf(() => tree.unlink('/dmesg-ramoops-0')),
    'ENOENT',
  )

  const plain = new Tree([backend])
  const open = plain.open('/console-ramoops-0')
  plain.replace([], 'visible')
  t.match(open.attributes(), { nlink: 0 }, 'its store is shown no more')
  t.same(plain.readdir('/'), ['.', '..'])
  plain.replace([backend], 'visible')
  plain.unlink('/console-ramoops-0')
  t.same(plain.readdir('/'), ['.', '..'])
})

t.test('other stores instead of some: the files of those that stay are the same', async t => {
  const [a, b] = [make(t, 'a'), make(t, 'b')]
  const tree = new Tree([a, b])
  const before = [tree.getattr('/b'), tree.getattr('/b/dmesg-b-0')]
  tree.replace([b], 'visible')
  const after = [tree.getattr('/b'), tree.getattr('/dmesg-b-0')]
  t.same(
    after.map(({ ino }) => ino),
    before.map(({ ino }) => ino),
  )
  t.equal(
    errnoOf(() => tree.getattr('/a')),
    'ENOENT',
  )
})

t.test('modes, owners and times last as long as the file', async t => {
  const backend = make(t)
  const tree = new Tree([backend])
  tree.chmod('/dmesg-ramoops-0', 0o170400)
  tree.chown('/dmesg-ramoops-0', 7, null)
  tree.chown('/dmesg-ramoops-0', null, 8)
  const time = { sec: 5n, nsec: 6 }
  tree.utimes('/dmesg-ramoops-0', time, { sec: 7n, nsec: 8 })
  t.match(tree.getattr('/ramoops/dmesg-ramoops-0'), {
    mode: 0o100400,
    uid: 7,
    gid: 8,
    atime: time,
    mtime: { sec: 7n, nsec: 8 },
  })
})

t.test('a store that cannot be read any more', async t => {
  const [a, b] = [make(t, 'a'), make(t, 'b')]
  const tree = new Tree([a, b])
  fs.truncateSync(b.identity.path, 100)
  t.same(tree.readdir('/').slice(-2), ['a', 'b'], 'its folder says so when it is opened')
  t.equal(
    errnoOf(() => tree.readdir('/b')),
    'EIO',
  )
})

t.test('unlink takes the record that was looked at, and says what it did', async t => {
  const backend = make(t)
  const name = 'dmesg-ramoops-0'
  const told: string[] = []
  // Another dump takes the place of the one that unlink has looked at.
  const racing: Backend = {
    name: backend.name,
    identity: backend.identity,
    readOnly: false,
    survey: backend.survey,
    records: () => backend.records(),
    find: name => {
      const record = backend.find(name)
      if (record?.type === 'dmesg' && raced++ === 0) {
        record.erase()
        backend.write(dump('Panic#2 Part1\nsecond', 1_700_000_001n))
      }
      return record
    },
    open: name => backend.open(name),
    rings: () => backend.rings(),
    capacity: type => backend.capacity(type),
    write: record => backend.write(record),
    close: () => {},
  }
  let raced = 0
  const tree = new Tree([racing], { onErase: (_, record) => told.push(record.version) })
  t.equal(
    errnoOf(() => tree.unlink(`/${name}`)),
    'ENOENT',
  )
  t.same(told, [], 'nobody is told that it was erased')
  t.match(backend.find(name)!.read().toString(), /second$/, 'a dump that nobody has seen stays')
  tree.unlink(`/${name}`)
  t.equal(told.length, 1)
  t.equal(backend.find(name), null)
})
