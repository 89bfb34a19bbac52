/** Records' facts as extended attributes: which ones a file has, and what they say. */
import t, { type Test } from 'tap'
import { attach, format, StoreError, type Backend } from '#src/index.js'
import { recordsOf, type Records } from '#src/pstore/records.js'
import { Tree } from '#src/tree/tree.js'
import { extendedNames, extendedValue } from '#src/tree/extended.js'
import { isoTime } from '#src/pstore/time.js'
import { folder } from '../program.js'
import { atOnce } from './by-path.js'

const make = (t: Test, ecc: number): Backend => {
  const path = `${folder(t)}/region.img`
  const layout = { record_size: 4096, console_size: 4096, pmsg_size: 0, ftrace_size: 0, ecc }
  format(path, { ...layout, mem_size: 12288 })
  const backend = attach(path, { ...layout, name: 'web' })
  t.teardown(() => backend.close())
  const time = { sec: 1_700_000_000n, nsec: 123_456_000 }
  backend.write({ type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\nfirst'), time })
  backend.write({ type: 'console', bytes: Buffer.from('console') })
  return backend
}

const crash = { reason: 'Panic', title: 'BUG: \x1b[31min f' }

/** All attributes of a file, by their names. */
const shown = (tree: Tree, name: string): { [name: string]: string } => {
  const { ino } = atOnce(tree.lookup(Tree.root, name))
  return Object.fromEntries(
    tree.attributeNames(ino).map(name => [name, atOnce(tree.attribute(ino, name))]),
  )
}

const errnoOf = (work: () => unknown): string => {
  try {
    work()
    return 'none'
  } catch (error) {
    return error instanceof StoreError ? error.code : String(error)
  }
}

t.test('a dump and a ring, with parity and without', async t => {
  const records: Records = { ...recordsOf(make(t, 16)), crash: () => crash }
  const tree = new Tree([records])
  const ecc = '0 bytes corrected, 0 blocks uncorrectable'
  t.same(shown(tree, 'dmesg-web-0'), {
    'user.pstore.backend': 'web',
    'user.pstore.ecc': ecc,
    'user.pstore.reason': 'Panic',
    'user.pstore.time': '2023-11-14T22:13:20.123Z',
    'user.pstore.title': 'BUG: ^[[31min f',
    'user.pstore.zone': '0',
  })
  t.same(shown(tree, 'console-web-0'), {
    'user.pstore.backend': 'web',
    'user.pstore.ecc': ecc,
    'user.pstore.zone': 'console',
  })
  const plain = new Tree([recordsOf(make(t, 0))])
  t.same(shown(plain, 'dmesg-web-0'), {
    'user.pstore.backend': 'web',
    'user.pstore.time': '2023-11-14T22:13:20.123Z',
    'user.pstore.zone': '0',
  })
})

t.test('names take no look at a store; values are of this moment', async t => {
  const backend = make(t, 0)
  let asked = 0
  const counted: Records = {
    ...recordsOf(backend),
    find: name => (asked++, backend.find(name)),
    crash: () => (asked++, null),
  }
  const tree = new Tree([counted])
  const { ino } = atOnce(tree.lookup(Tree.root, 'dmesg-web-0'))
  asked = 0
  t.equal(tree.attributeNames(ino).length, 5)
  t.equal(asked, 0)
  t.equal(
    errnoOf(() => tree.attribute(ino, 'user.pstore.title')),
    'ENODATA',
    'nobody knows what crashed',
  )
  backend.find('dmesg-web-0')!.erase()
  t.equal(
    errnoOf(() => tree.attribute(ino, 'user.pstore.time')),
    'ESTALE',
  )
})

t.test('what has none', async t => {
  const tree = new Tree([recordsOf(make(t, 0))])
  const { ino } = atOnce(tree.lookup(Tree.root, 'console-web-0'))
  for (const name of ['time', 'ecc', 'title', 'reason', 'nothing', '', 'toString'])
    t.equal(
      errnoOf(() => tree.attribute(ino, `user.pstore.${name}`)),
      'ENODATA',
      name,
    )
  t.same(tree.attributeNames(Tree.root), [])
  t.equal(
    errnoOf(() => tree.attribute(Tree.root, 'user.pstore.zone')),
    'ENODATA',
  )
  t.equal(
    errnoOf(() => tree.attributeNames(9999)),
    'ESTALE',
  )
  // A listing names files that were not looked at yet.
  const fresh = new Tree([recordsOf(make(t, 0))])
  const listed = atOnce(fresh.list(Tree.root)).find(({ name }) => name === 'console-web-0')!
  t.same(fresh.attributeNames(listed.ino), [])
})

t.test("the root's own, which no list has", async t => {
  const status = 'user.pstore.status'
  const tree = new Tree([recordsOf(make(t, 0))], { onAsk: { [status]: () => 'well' } })
  t.equal(atOnce(tree.attribute(Tree.root, status)), 'well')
  t.same(tree.attributeNames(Tree.root), [])
  const { ino } = atOnce(tree.lookup(Tree.root, 'web'))
  t.equal(
    errnoOf(() => tree.attribute(ino, status)),
    'ENODATA',
  )
})

t.test('a time that no calendar has, and an answer that comes later', async t => {
  const backend = make(t, 0)
  const record = { ...backend.find('dmesg-web-0')!, time: { sec: 2n ** 62n, nsec: 0 } }
  const later: Records = { ...recordsOf(backend), crash: async () => crash }
  t.equal(isoTime(record.time), null)
  t.notOk(extendedNames(later, record).includes('user.pstore.time'))
  t.equal(await extendedValue(later, record, 'user.pstore.reason'), 'Panic')
})
