/** Variable stores with a damaged header: what is behind it is shown, and that it is damaged is said. */
import t from 'tap'
import { Region } from '#src/region/region.js'
import { StoreError } from '#src/pstore/errors.js'
import { file, pstorefs } from '../../program.js'
import { measureWork } from '../../work.js'
import { attachedTo, makeStore, shown } from './stores.js'

const names = [1, 2, 3, 4].map(part => `dump-type0-${part}-1-1700000000-D`)
const fileOf = (part: number): string => `dmesg-efi_pstore-17000000000${part}001`
const made = (): ReturnType<typeof makeStore> => makeStore(names.map(name => ({ name })))
const broken = (at: number): string =>
  `its list of variables is broken at 0x${at.toString(16)}: ` +
  'those behind are found by their headers, and some may be missing'

t.test('one damaged header hides no other variable', async t => {
  const { offsets } = made()
  const [first = 0, second = 0, third = 0] = offsets
  const cases: [what: string, damage: (bytes: Buffer) => unknown, at: number, shown: number[]][] = [
    ['the first has no start', bytes => bytes.writeUInt16LE(0, first), first, [2, 3, 4]],
    ['the second has none', bytes => bytes.writeUInt16LE(0x1234, second), second, [1, 3, 4]],
    [
      'a length past the end',
      bytes => bytes.writeUInt32LE(1 << 30, second + 40),
      second,
      [1, 3, 4],
    ],
    [
      'too long a length',
      bytes => bytes.writeUInt32LE(60, second + 40),
      second + 176,
      [1, 2, 3, 4],
    ],
    ['erased sizes', bytes => bytes.fill(0xff, second + 36, second + 44), second + 60, [1, 3, 4]],
    ['an erased header', bytes => bytes.fill(0xff, second, second + 60), second, [1, 3, 4]],
    ['two of them', bytes => bytes.fill(0, second, third + 60), second, [1, 4]],
  ]
  for (const [what, damage, at, parts] of cases) {
    const { bytes } = made()
    damage(bytes)
    const backend = attachedTo(t, bytes)
    t.same(Object.keys(shown(backend)).sort(), parts.map(fileOf), what)
    t.same(backend.doubts(), [broken(at)], what)
  }
})

t.test('check calls it damage', async t => {
  const { bytes, offsets } = made()
  bytes.writeUInt16LE(0, offsets[0])
  const path = file(t, bytes, 'VARS.fd')
  const { status, stdout } = pstorefs(['check', path])
  t.equal(status, 1)
  t.match(stdout.toString(), `the store  damaged  ${broken(offsets[0] ?? 0)}`)
})

t.test('a list that ends before erased flash, or zeros, is whole', async t => {
  for (const rest of [0xff, 0]) {
    const { bytes, offsets } = made()
    bytes.fill(rest, offsets[3])
    const backend = attachedTo(t, bytes)
    t.same(Object.keys(shown(backend)), [1, 2, 3].map(fileOf))
    t.same(backend.doubts(), [])
  }
})

t.test('what cannot be read of erased flash breaks nothing', async t => {
  const bad = 20 * 1024
  const { load } = Region.prototype
  t.teardown(() => (Region.prototype.load = load))
  Region.prototype.load = function (offset, length) {
    if (offset <= bad && offset + length > bad) throw new StoreError('a bad sector', 'EIO')
    return load.call(this, offset, length)
  }
  const { bytes, offsets } = made()
  const whole = attachedTo(t, bytes)
  t.same(Object.keys(shown(whole)), [1, 2, 3, 4].map(fileOf))
  t.same(whole.doubts(), [])
  bytes.writeUInt16LE(0, offsets[1])
  const backend = attachedTo(t, bytes)
  t.same(Object.keys(shown(backend)), [1, 3, 4].map(fileOf))
  t.same(backend.doubts(), [broken(offsets[1] ?? 0)])
})

t.test('sizes that lead to what cannot be read', async t => {
  const bad = 200 * 512
  const tried: number[] = []
  const { load } = Region.prototype
  t.teardown(() => (Region.prototype.load = load))
  Region.prototype.load = function (offset, length) {
    if (offset >= bad + 512 || offset + length <= bad) return load.call(this, offset, length)
    tried.push(offset)
    throw new StoreError('a bad sector', 'EIO')
  }
  const variables = names.map((name, i) => ({
    name,
    data: i === 1 ? Buffer.alloc(bad + 116) : 'text',
  }))
  const { bytes, offsets } = makeStore(variables, { length: 256 * 1024 })
  bytes.writeUInt16LE(0, offsets[0])
  const backend = attachedTo(t, bytes)
  // The second is too long for a record, and the third's header begins in that sector.
  const unseen: string[] = []
  t.same([...backend.names(({ name }) => unseen.push(name))], [fileOf(4)])
  t.same(unseen, ['the variable at 0x191c4'])
  t.same(backend.doubts(), [broken(offsets[0] ?? 0)])
  t.equal(tried.length, 3, `tried ${tried.length} times`)
})

t.test('headers that all lead to the same nowhere cost no more than the store is long', async t => {
  const { bytes } = makeStore([], { length: 2 << 20 })
  const start = 100
  const end = bytes.length - 4096
  for (let at = start; at + 60 < end - 1024; at += 60) {
    bytes.writeUInt16LE(0x55aa, at)
    bytes[at + 2] = 0x3f
    bytes.writeUInt32LE(0, at + 36)
    bytes.writeUInt32LE(end - 512 - at - 60, at + 40)
  }
  bytes[end - 1] = 1
  const work = measureWork()
  t.same(shown(attachedTo(t, bytes)), {})
  const took = work()
  t.ok(took < 5000, `${took} ms`)
})
