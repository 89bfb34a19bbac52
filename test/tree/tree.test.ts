/** The tree, as a kernel asks it: names, inodes, links and errors. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import {
  attach,
  format,
  StoreError,
  type Backend,
  type RecordFacts,
  type Unreadable,
  type Usage,
} from '#src/index.js'
import { recordsOf, type Records } from '#src/pstore/records.js'
import { Tree, type OpenFile } from '#src/tree/tree.js'
import { folder } from '../program.js'
import { atOnce, ByPath } from './by-path.js'

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

/** A backend's methods as an object of its own, of which some can be others. */
const bare = (backend: Backend): Backend => ({
  name: backend.name,
  identity: backend.identity,
  readOnly: backend.readOnly,
  notes: backend.notes,
  survey: backend.survey,
  records: told => backend.records(told),
  names: told => backend.names(told),
  usage: () => backend.usage(),
  find: name => backend.find(name),
  open: name => backend.open(name),
  erase: record => backend.erase(record),
  rings: () => backend.rings(),
  capacity: type => backend.capacity(type),
  write: record => backend.write(record),
  doubts: () => backend.doubts(),
  unused: () => backend.unused(),
  refuseForeign: () => backend.refuseForeign(),
  sync: () => {},
  close: () => {},
})

const errnoOf = (work: () => unknown): string => {
  try {
    work()
    return 'none'
  } catch (error) {
    return error instanceof StoreError ? error.code : String(error)
  }
}

t.test('names, inodes and links', async t => {
  const [a, b] = [make(t, 'a'), make(t, 'b')]
  const tree = new ByPath([a, b], { uid: 5, gid: 6 })
  t.same(tree.readdir('/'), ['.', '..', 'console-a-0', 'dmesg-a-0', 'a', 'b'])
  t.same(tree.readdir('/b'), ['.', '..', 'console-b-0', 'dmesg-b-0'])
  t.match(tree.getattr('/'), { mode: 0o40750, uid: 5, gid: 6, nlink: 4, size: 0 })
  t.match(tree.getattr(''), tree.getattr('/'))
  t.match(tree.getattr('/b'), { mode: 0o40750, nlink: 2 })
  const first = tree.getattr('/dmesg-a-0')
  t.match(first, { mode: 0o100444, nlink: 2, size: 19, mtime: { sec: 1_700_000_000n, nsec: 0 } })
  t.same(tree.getattr('/a/dmesg-a-0'), first, 'one inode under both names')
  t.match(tree.getattr('/b/dmesg-b-0'), { nlink: 1 })
  for (const path of ['/dmesg-b-0', '/nothing', '/nothing/dmesg-a-0', '/b/nothing'])
    t.equal(
      errnoOf(() => tree.getattr(path)),
      'ENOENT',
      path,
    )
  for (const path of ['/dmesg-a-0/x', '/a/dmesg-a-0/x'])
    t.equal(
      errnoOf(() => tree.getattr(path)),
      'ENOTDIR',
      path,
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
    errnoOf(() => tree.change('/', { size: 0 })),
    'EISDIR',
  )
  t.equal(
    errnoOf(() => tree.unlink('/a')),
    'EPERM',
  )
})

t.test('folders hidden, or off, or of nothing', async t => {
  const backend = make(t)
  const hidden = new ByPath([backend], { subdirs: 'hidden' })
  t.same(hidden.readdir('/'), ['.', '..', 'console-ramoops-0', 'dmesg-ramoops-0'])
  t.match(hidden.getattr('/'), { nlink: 2 })
  t.match(hidden.getattr('/ramoops/dmesg-ramoops-0'), { nlink: 2 })
  const off = new ByPath([backend], { subdirs: 'off' })
  t.match(off.getattr('/dmesg-ramoops-0'), { nlink: 1 })
  t.equal(
    errnoOf(() => off.getattr('/ramoops')),
    'ENOENT',
  )
  const none = new ByPath([])
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
  t.same(
    new ByPath([empty]).readdir('/'),
    ['.', '..', 'empty'],
    'quiet is not the same as not there',
  )
})

t.test('a ring that grows is the same file, another dump is another', async t => {
  const backend = make(t)
  const tree = new ByPath([backend])
  const [ring, old] = [tree.getattr('/console-ramoops-0'), tree.getattr('/dmesg-ramoops-0')]
  tree.change('/console-ramoops-0', { size: 3 })
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
  const tree = new ByPath([backend], {
    onOpen: ({ name }) => told.push(`open ${name}`),
    onErase: ({ name }) => told.push(`erase ${name}`),
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

  const plain = new ByPath([backend])
  const open = plain.open('/console-ramoops-0')
  plain.replace([], 'visible')
  t.match(open.attributes(), { nlink: 0 }, 'its store is shown no more')
  t.same(plain.readdir('/'), ['.', '..'])
  plain.replace([backend], 'visible')
  plain.unlink('/console-ramoops-0')
  t.same(plain.readdir('/ramoops'), ['.', '..'])
})

t.test('other stores instead of some: the files of those that stay are the same', async t => {
  const [a, b] = [make(t, 'a'), make(t, 'b')]
  const tree = new ByPath([a, b])
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

t.test('an open file whose names are gone', async t => {
  const backend = make(t)
  const tree = new ByPath([backend])
  const first = tree.open('/dmesg-ramoops-0')
  tree.unlink('/dmesg-ramoops-0')
  t.match(atOnce(tree.tree.attributes(first.ino)), { nlink: 0, size: 19 })
  t.match(atOnce(tree.tree.change(first.ino, { mode: 0o600 })), { mode: 0o100600 })
  const again = atOnce(tree.tree.open(first.ino))
  t.equal(again.content, first.content, 'opened by /proc/PID/fd')
  first.close()
  t.match(atOnce(tree.tree.attributes(first.ino)), { nlink: 0 }, 'still open')
  again.close()
  const stale = (): unknown => tree.tree.attributes(first.ino)
  t.equal(errnoOf(stale), 'ESTALE')
})

t.test('between two questions the record goes, or another takes its place', async t => {
  const backend = make(t)
  const { tree } = new ByPath([backend])
  const find = (): number => atOnce(tree.lookup(Tree.root, 'dmesg-ramoops-0')).ino
  let ino = find()
  backend.find('dmesg-ramoops-0')!.erase()
  t.equal(
    errnoOf(() => tree.open(ino)),
    'ENOENT',
  )
  backend.write(dump('Panic#1 Part1\nsecond', 1_700_000_001n))
  backend.write(dump('Panic#1 Part1\nthird', 1_700_000_002n))
  ino = find()
  tree.hold(ino)
  backend.find('dmesg-ramoops-0')!.erase()
  backend.write(dump('Panic#1 Part1\nfourth', 1_700_000_003n))
  t.equal(
    errnoOf(() => tree.open(ino)),
    'ESTALE',
    'another file',
  )
  t.match(atOnce(tree.attributes(ino)), { nlink: 0 }, 'which is held, and has no name')
  t.equal(
    errnoOf(() => tree.open(ino)),
    'ESTALE',
    'nor is it open',
  )
  ino = find()
  backend.find('dmesg-ramoops-0')!.erase()
  t.equal(
    errnoOf(() => tree.attributes(ino)),
    'ESTALE',
    'neither named nor open',
  )
  // A name is unlinked that nobody has looked at.
  atOnce(tree.unlink(Tree.root, 'console-ramoops-0'))
  t.equal(backend.find('console-ramoops-0'), null)
})

t.test('an answer that comes when its store is shown no more', async t => {
  const backend = make(t)
  const here = recordsOf(backend)
  let answer = (): void => {}
  const asked = new Promise<void>(resolve => (answer = resolve))
  const later: Records = {
    ...here,
    find: async name => (await asked, here.find(name)),
    names: async () => (await asked, here.names()),
  }
  const tree = new Tree([later])
  const [looked, listed] = [tree.lookup(Tree.root, 'console-ramoops-0'), tree.list(Tree.root)]
  tree.replace([], 'visible')
  answer()
  t.match(await looked, { nlink: 0, size: 7 })
  t.equal((await listed).length, 4, 'as it was when it was asked')
  t.equal(tree.inodes, 1)
})

t.test('a ring that did not rest when it was looked at keeps its size', async t => {
  const backend = make(t)
  const here = recordsOf(backend)
  const rests = backend.find('console-ramoops-0')!
  let record: RecordFacts = rests
  const moving: Records = {
    ...here,
    find: () => record,
    open: () => ({ record, content: backend.open(rests.name)!.content }),
  }
  const tree = new Tree([moving])
  const { ino } = atOnce(tree.lookup(Tree.root, rests.name))
  record = { ...rests, version: 'moving 1', size: 3, cut: 4 }
  t.match(atOnce(tree.attributes(ino)), { size: 7 }, 'whoever has it open may read so much')
  const file = atOnce(tree.open(ino))
  t.match(file.attributes(), { size: 3 }, 'as it was opened')
  file.close()
})

t.test('of a store of which some cannot be read the others are listed', async t => {
  const backend = make(t)
  const error = new StoreError('a bad sector', 'EIO')
  const bad = { type: 'dmesg', id: 0n, name: 'dmesg-ramoops-0', time: null, error } as const
  const there = ['console-ramoops-0']
  function* names(told?: (what: Unreadable) => void): Generator<string> {
    told?.(bad)
    yield* there
    told?.(bad)
  }
  const told: Unreadable[] = []
  const records = recordsOf({ ...bare(backend), names }, what => told.push(what))
  const tree = new Tree([records])
  const listed = (): string[] => atOnce(tree.list(Tree.root)).map(({ name }) => name)
  t.same(listed(), ['.', '..', 'console-ramoops-0', 'ramoops'])
  t.same(told, [bad, bad], 'and who serves them is told')
  there.pop()
  t.throws(listed, error, 'where none can be read, that is the answer')
})

t.test('how full a store is', async t => {
  const backend = make(t)
  const usage = { size: 100, free: 60, records: 40 }
  const of = (...usages: (() => Usage | null)[]): Usage | null =>
    new Tree(
      usages.map((usage, i) => ({ ...recordsOf({ ...bare(backend), usage }), name: `b${i}` })),
    ).usage()
  t.same(
    of(() => usage),
    usage,
  )
  t.equal(
    of(() => null),
    null,
  )
  t.equal(
    of(
      () => usage,
      () => usage,
    ),
    null,
    'there are several',
  )
  t.equal(
    of(() => {
      throw new StoreError('a bad sector', 'EIO')
    }),
    null,
  )
})

t.test('no more inodes are kept than there are names, and holds', async t => {
  const backend = make(t)
  const { tree } = new ByPath([backend])
  const before = tree.inodes
  const { ino } = atOnce(tree.lookup(Tree.root, 'console-ramoops-0'))
  tree.hold(ino)
  tree.hold(ino)
  t.equal(tree.inodes, before + 1)
  backend.find('console-ramoops-0')!.erase()
  t.equal(
    errnoOf(() => tree.lookup(Tree.root, 'console-ramoops-0')),
    'ENOENT',
  )
  t.equal(tree.inodes, before + 1, 'the kernel still knows it')
  tree.forget(ino, 1)
  t.equal(tree.inodes, before + 1)
  tree.forget(ino, 5)
  t.equal(tree.inodes, before)
  tree.forget(ino, 1)
  tree.forget(Tree.root, 9)
  t.match(atOnce(tree.attributes(Tree.root)), { ino: Tree.root })
})

t.test('open files share the bytes of an unchanged record, and keep so many', async t => {
  const region = `${folder(t)}/region.img`
  const [console_size, mem_size] = [32 << 20, 64 << 20]
  const options = { record_size: 4096, console_size, pmsg_size: 0, ftrace_size: 0 }
  format(region, { ...options, mem_size })
  const backend = attach(region, options)
  t.teardown(() => backend.close())
  const open = (byte: string): OpenFile => {
    // Written around exactly once the ring has the header that it had.
    backend.write({ type: 'console', bytes: Buffer.alloc(console_size, byte) })
    return tree.open('/console-ramoops-0')
  }
  const tree = new ByPath([backend])
  const first = open('a')
  const again = tree.open('/console-ramoops-0')
  t.equal(again.content, first.content)
  const second = open('b')
  t.equal(first.content.slice(0, 1).toString(), 'a')
  t.equal(second.content.slice(0, 1).toString(), 'b', 'of the same version, and other bytes')
  t.equal(
    errnoOf(() => open('c')),
    'EMFILE',
  )
  for (const file of [first, second, again]) file.close()
  const fourth = open('d')
  t.equal(fourth.content.slice(0, 1).toString(), 'd', 'what was closed is given back')
  fourth.close()
})

t.test('modes, owners and times last as long as the file', async t => {
  const backend = make(t)
  const tree = new ByPath([backend])
  tree.change('/dmesg-ramoops-0', { mode: 0o170400 })
  tree.change('/dmesg-ramoops-0', { uid: 7 })
  tree.change('/dmesg-ramoops-0', { gid: 8 })
  const time = { sec: 5n, nsec: 6 }
  tree.change('/dmesg-ramoops-0', { atime: time, mtime: { sec: 7n, nsec: 8 } })
  t.match(tree.getattr('/ramoops/dmesg-ramoops-0'), {
    mode: 0o100400,
    uid: 7,
    gid: 8,
    atime: time,
    mtime: { sec: 7n, nsec: 8 },
  })
})

t.test('unlink changes the times of the folders that had the name, and of the file', async t => {
  const tree = new ByPath([make(t, 'a'), make(t, 'b')])
  const old = { sec: 5n, nsec: 0 }
  for (const path of ['/', '/a', '/b']) tree.change(path, { mtime: old })
  const changed = (): string[] =>
    ['/', '/a', '/b'].filter(path => tree.getattr(path).mtime.sec !== old.sec)
  const open = tree.open('/b/dmesg-b-0')
  tree.unlink('/b/dmesg-b-0')
  t.same(changed(), ['/b'], 'the root has only names of the first backend')
  t.not(open.attributes().ctime.sec, 1_700_000_000n)
  t.equal(open.attributes().mtime.sec, 1_700_000_000n)
  open.close()
  tree.unlink('/dmesg-a-0')
  t.same(changed(), ['/', '/a', '/b'])
  t.same(tree.getattr('/a').ctime, tree.getattr('/').mtime)
})

t.test('a store that cannot be read any more', async t => {
  const [a, b] = [make(t, 'a'), make(t, 'b')]
  const tree = new ByPath([a, b])
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
  const tree = new ByPath([backend], { onErase: record => told.push(record.version) })
  tree.getattr(`/${name}`)
  // Another dump takes the place of the one that was looked at.
  backend.find(name)!.erase()
  backend.write(dump('Panic#2 Part1\nsecond', 1_700_000_001n))
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
