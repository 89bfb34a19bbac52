/** Variable stores as firmware leaves them, and as nobody should. */
import fs from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import t from 'tap'
import { attach } from '#src/index.js'
import { likenessOf } from '#src/backends/index.js'
import { encodeGuid } from '#src/backends/guid.js'
import {
  decodeStoreHeader,
  decodeVariableHeader,
  decodeVolumeHeader,
  encodeStoreHeader,
  encodeVariable,
  encodeVolumeHeader,
} from '#src/backends/efi/variable-store-format.js'
import { vendorGuid } from '#src/backends/efi/names.js'
import { StoreError } from '#src/pstore/errors.js'
import { Region } from '#src/region/region.js'
import { loadFixture } from '../../fixtures.js'
import { file } from '../../program.js'
import { randomFor } from '../../random.js'
import { measureWork } from '../../work.js'
import { attached, attachedTo, errnoOf, makeStore, shown, variablesOf } from './stores.js'

const globalGuid = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const one = 'dump-type0-1-1-1700000000-D'
const two = 'dump-type0-2-1-1700000000-D'
const three = 'dump-type0-3-1-1700000000-D'
const fileOf = (part: number): string => `dmesg-efi_pstore-17000000000${part}001`

t.test('headers are encoded as they are decoded', async t => {
  t.same(decodeVolumeHeader(encodeVolumeHeader(540672)), { length: 540672n, headerLength: 72 })
  for (const authenticated of [true, false]) {
    const header = { authenticated, size: 262072 }
    t.same(decodeStoreHeader(encodeStoreHeader(header)), header)
    const data = Buffer.from('data')
    const variable = encodeVariable({ name: 'Ab', data, vendor: globalGuid }, authenticated)
    t.same(decodeVariableHeader(variable, authenticated), {
      state: 0x3f,
      attributes: 7,
      nameSize: 6,
      dataSize: 4,
      vendor: encodeGuid(globalGuid),
    })
  }
})

t.test("OVMF's own volume header is what is encoded here", async t => {
  const region = loadFixture('efi-panic').region()
  t.ok(encodeVolumeHeader(540672).equals(region.subarray(0, 72)))
  const store = encodeStoreHeader({ authenticated: true, size: 0x3ffb8 })
  t.ok(store.equals(region.subarray(72, 100)))
})

for (const authenticated of [true, false])
  t.test(`${authenticated ? 'authenticated' : 'plain'} variables`, async t => {
    const { bytes } = makeStore(
      [
        { name: 'BootOrder', vendor: globalGuid, data: '12345' },
        { name: one, data: 'a' },
        { name: one, vendor: globalGuid, data: 'not of Linux' },
        { name: 'dump-something', data: 'not a record' },
        { name: two, data: 'bcdef' },
        { name: three, data: 'g'.repeat(4000) },
      ],
      { authenticated },
    )
    const backend = attachedTo(t, bytes)
    t.same(shown(backend), {
      [fileOf(1)]: 'a',
      [fileOf(2)]: 'bcdef',
      [fileOf(3)]: 'g'.repeat(4000),
    })
  })

t.test('states', async t => {
  const cases: [what: string, states: [number, string][], expected: string | null][] = [
    ['added', [[0x3f, 'a']], 'a'],
    ['added, its replacement not complete', [[0x3e, 'a']], 'a'],
    ['deleted after a transition', [[0x3c, 'a']], null],
    ['deleted without', [[0x3d, 'a']], null],
    ['only a header', [[0x7f, 'a']], null],
    ['only a header, given up', [[0x7d, 'a']], null],
    ['erased', [[0xff, 'a']], null],
    ['no bit set', [[0x00, 'a']], null],
    [
      'replaced, and the old one not yet deleted',
      [
        [0x3e, 'old'],
        [0x3f, 'new'],
      ],
      'new',
    ],
    [
      'the same the other way round',
      [
        [0x3f, 'new'],
        [0x3e, 'old'],
      ],
      'new',
    ],
    [
      'replaced, and the new one not yet complete',
      [
        [0x3e, 'old'],
        [0x7f, 'new'],
      ],
      'old',
    ],
    [
      'replaced',
      [
        [0x3c, 'old'],
        [0x3f, 'new'],
      ],
      'new',
    ],
    [
      'two complete ones, which no firmware leaves: the first',
      [
        [0x3f, 'first'],
        [0x3f, 'second'],
      ],
      'first',
    ],
    [
      'two in transition: the last, as the firmware',
      [
        [0x3e, 'first'],
        [0x3e, 'second'],
      ],
      'second',
    ],
  ]
  for (const [what, states, expected] of cases) {
    const made = states.map(([state, data]) => ({ name: one, state, data }))
    const backend = attachedTo(t, makeStore([...made, { name: two, data: 'next' }]).bytes)
    const expectation = expected === null ? {} : { [fileOf(1)]: expected }
    // An erased state means that the header's sizes were never completed, and lead nowhere.
    t.same(shown(backend), { ...expectation, [fileOf(2)]: 'next' }, what)
    t.equal(backend.doubts().length, states[0][0] === 0xff ? 1 : 0)
  }
})

t.test('what the guest does is seen at once', async t => {
  const { bytes, offsets } = makeStore([{ name: one, data: 'a' }, { name: two }, { name: three }])
  const path = file(t, bytes)
  const backend = attached(t, path)
  const record = backend.find(fileOf(1))!
  t.equal(record.read().toString(), 'a')
  const fd = fs.openSync(path, 'r+')
  t.teardown(() => fs.closeSync(fd))
  // Within one tick of the file system's clock, so that stat(2) does not tell.
  const { mtime } = fs.fstatSync(fd)
  fs.writeSync(fd, Buffer.from([0x3e]), 0, 1, offsets[0] + 2)
  fs.futimesSync(fd, mtime, mtime)
  t.equal(record.read().toString(), 'a', 'on its way to be deleted')
  fs.writeSync(fd, Buffer.from([0x3c]), 0, 1, offsets[0] + 2)
  t.equal(
    errnoOf(() => record.read()),
    'ENOENT',
  )
  t.same([...backend.records()].length, 2)
  // Its firmware moves all variables to the front.
  fs.writeSync(fd, makeStore([{ name: two }, { name: three }]).bytes, 0, bytes.length, 0)
  t.same(shown(backend), { [fileOf(2)]: 'text', [fileOf(3)]: 'text' })
  // And is lost. What stat(2) does not tell of is seen a moment later.
  await setTimeout(100)
  fs.writeSync(fd, Buffer.alloc(bytes.length), 0, bytes.length, 0)
  t.same(shown(backend), {})
  fs.ftruncateSync(fd, 100)
  t.same(shown(backend), {}, 'no headers, nothing to read')
  fs.ftruncateSync(fd, 10)
  t.equal(
    errnoOf(() => [...backend.records()]),
    'EIO',
  )
})

t.test('variables of one file name: the first has it, the others are told from it', async t => {
  const names = [
    'dump-type0-1-1001-1700000000-D',
    'dump-type0-2-1-1700000000-D',
    'dump-type0-2-1-1700000000-C',
    'dump-type0-102-1-1699999999-D',
    'dump-type0-2-1-1700000000-D ',
  ]
  for (const order of [names, names.toReversed()]) {
    const made = order.map(name => ({ name, data: name }))
    const backend = attachedTo(t, makeStore(made).bytes)
    const copies = order.slice(1).map(name => {
      const suffix = name.endsWith('-C') ? '.enc.z' : ''
      return [`${fileOf(2)}.${crc32(name)}${suffix}`, name]
    })
    const own = order[0].endsWith('-C') ? `${fileOf(2)}.enc.z` : fileOf(2)
    t.same(shown(backend), { [own]: order[0], ...Object.fromEntries(copies) })
    for (const [name, text] of copies)
      t.equal(backend.find(name)?.read().toString('latin1'), text, 'each by its name')
    t.match(
      Array.from(backend.survey.conditions(), ({ findings }) => findings.join()),
      [
        '',
        ...order.slice(1).map(() => /^another record has the id of dump-.*: Linux shows that one/),
      ],
    )
  }
})

t.test('sizes that lie', async t => {
  const sizes = (nameSize: number, dataSize: number): Buffer => {
    const { bytes, offsets } = makeStore([{ name: one }, { name: two }, { name: three }])
    bytes.writeUInt32LE(nameSize, offsets[1] + 36)
    bytes.writeUInt32LE(dataSize, offsets[1] + 40)
    return bytes
  }
  const nameSize = 2 * (two.length + 1)
  const cases: [what: string, nameSize: number, dataSize: number][] = [
    ['data past the end', nameSize, 64 * 1024],
    ['almost 4 GiB', nameSize, 0xfffffffe],
    ['both', 0xfffffffe, 0xfffffffe],
    ['a name past the end', 0x7fffffff, 4],
    ['just past the end', nameSize, 65536 - 4096 - 72 - 100],
  ]
  for (const [what, nameSize, dataSize] of cases)
    t.same(
      shown(attachedTo(t, sizes(nameSize, dataSize))),
      { [fileOf(1)]: 'text', [fileOf(3)]: 'text' },
      what,
    )
  t.match(
    shown(attachedTo(t, sizes(nameSize - 2, 4 + 2))),
    { [fileOf(2)]: '\0\0text', [fileOf(3)]: 'text' },
    'a name without its end is all of it',
  )
  const ends = [fileOf(1), fileOf(3)]
  t.same(Object.keys(shown(attachedTo(t, sizes(0, 0)))), ends, 'none: a broken list')
  t.same(Object.keys(shown(attachedTo(t, sizes(nameSize, 0)))), ends, 'no data')
})

t.test('headers that lie about the volume', async t => {
  const { bytes } = makeStore([{ name: one }])
  const cases: [what: string, offset: number, value: number[], found: boolean][] = [
    ['a volume of 2^64 - 1 bytes', 32, Array(8).fill(0xff), true],
    ['a store of 2^32 - 1 bytes', 72 + 16, [0xff, 0xff, 0xff, 0xff], true],
    ['a wrong checksum', 50, [1, 2], true],
    ['an unknown kind of volume', 16, [1, 2], true],
    ['an empty volume', 32, Array(8).fill(0), false],
    ['a store of 28 bytes', 72 + 16, [28, 0, 0, 0], false],
    ['a store of 0 bytes', 72 + 16, [0, 0, 0, 0], false],
  ]
  for (const [what, offset, value, found] of cases) {
    const lying = Buffer.from(bytes)
    lying.set(value, offset)
    t.equal(attachedTo(t, lying).find(fileOf(1)) !== null, found, what)
  }
  const refused: [what: string, offset: number, value: number[]][] = [
    ['a header past the end', 48, [0xff, 0xff]],
    ['a header of 0 bytes', 48, [0, 0]],
    ['no signature', 40, [0]],
    ['no store', 72, [0]],
  ]
  for (const [what, offset, value] of refused) {
    const lying = Buffer.from(bytes)
    lying.set(value, offset)
    t.throws(
      () => attach(`efi:${file(t, lying)}`, {}),
      { message: /is no UEFI variable store/ },
      what,
    )
  }
})

t.test('what is no store is refused, and nothing stays open', async t => {
  const open = fs.readdirSync('/proc/self/fd').length
  const refuse = (bytes: Uint8Array, message: RegExp): void => {
    t.throws(() => attach(`efi:${file(t, bytes)}`, {}), { message })
  }
  refuse(Buffer.alloc(0), /is empty/)
  refuse(Buffer.alloc(1), /is no UEFI variable store/)
  refuse(Buffer.alloc(56), /is no UEFI variable store/)
  refuse(Buffer.alloc(1 << 20), /is no UEFI variable store/)
  refuse(Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(4096)]), /qemu-img convert/)
  for (const length of [57, 71, 72, 80, 99])
    refuse(makeStore([]).bytes.subarray(0, length), /is no UEFI variable store/)
  t.equal(
    errnoOf(() => attach('efi:/nonexistent', {})),
    'ENOENT',
  )
  t.equal(fs.readdirSync('/proc/self/fd').length, open)
})

t.test('a store may start within a larger image', async t => {
  const image = Buffer.concat([Buffer.alloc(8192, 0xff), makeStore([{ name: one }]).bytes])
  const backend = attached(t, file(t, image), { mem_address: 8192, name: 'guest1' })
  t.same(Object.keys(shown(backend)), ['dmesg-guest1-170000000001001'])
})

t.test('nothing is ever written', async t => {
  const { bytes } = makeStore([{ name: one }])
  const path = file(t, bytes)
  const backend = attached(t, path)
  t.equal(backend.readOnly, true)
  const record = backend.find(fileOf(1))!
  t.equal(
    errnoOf(() => record.erase()),
    'EROFS',
  )
  t.equal(
    errnoOf(() => backend.write({ type: 'dmesg', bytes: Buffer.from('a') })),
    'EROFS',
  )
  // Not by a mistake either: what is open has no right to.
  const modes: number[] = []
  for (const fd of fs.readdirSync('/proc/self/fd')) {
    try {
      if (fs.readlinkSync(`/proc/self/fd/${fd}`) !== path) continue
    } catch {
      continue
    }
    const [, flags] = /^flags:\s*(\d+)/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))!
    modes.push(parseInt(flags, 8) & 3)
  }
  t.same(modes, [fs.constants.O_RDONLY])
  t.ok(fs.readFileSync(path).equals(bytes))
})

t.test('mutated stores: no crash, no lasting work, nothing made up', async t => {
  const random = randomFor(t)
  const original = loadFixture('efi-panic').region()
  // What is used of it; the rest is erased flash.
  const used = 0x6400
  const path = file(t, original)
  const rounds = Number(process.env.ROUNDS ?? 300)
  for (let i = 0; i < rounds; i++) {
    const bytes = Buffer.from(original.subarray(0, 0x8000))
    for (let n = random.between(1, 20); n > 0; n--) {
      // Half of the damage goes to where it hurts: headers.
      const at = random.below(2)
        ? random.below(used)
        : headerByte(random.below(60), random.below(64))
      const length = Math.min(random.pick([1, 1, 2, 4, 8]), bytes.length - at)
      bytes.set(
        random.below(3) ? random.bytes(length) : Buffer.alloc(length, random.pick([0, 0xff])),
        at,
      )
    }
    fs.writeFileSync(path, bytes)
    let backend
    try {
      backend = attach(`efi:${path}`, {})
    } catch (error) {
      t.match(error, { name: 'StoreError' })
      continue
    }
    const work = measureWork()
    let total = 0
    for (const record of backend.records()) {
      if (!/^[a-z-]+-efi_pstore-\d{1,20}(\.enc\.z)?$/.test(record.name)) t.fail(record.name)
      const read = record.read()
      if (read.length !== record.size) t.fail(`${record.name}: ${record.size} and ${read.length}`)
      total += read.length
    }
    if (total > 3 * bytes.length) t.fail(`${total} bytes from a store of ${bytes.length}`)
    const took = work()
    if (took > 2000) t.fail(`took ${took} ms`)
    backend.close()
    if (!t.passing()) return
  }
})

/** A byte of one of the fixture's variable headers. */
const headers: number[] = []
const headerByte = (variable: number, byte: number): number => {
  if (headers.length === 0) {
    const bytes = loadFixture('efi-panic').region()
    for (let at = 100; bytes.readUInt16LE(at) === 0x55aa;) {
      headers.push(at)
      at = Math.ceil((at + 60 + bytes.readUInt32LE(at + 36) + bytes.readUInt32LE(at + 40)) / 4) * 4
    }
  }
  return headers[variable % headers.length] + (byte % 60)
}

t.test('a store full of the smallest records costs no more than its length', async t => {
  const made = Array.from({ length: 4200 }, (_, i) => ({
    name: `dump-type0-1-1-${1700000000 + i}-D`,
    data: 'x',
  }))
  const backend = attachedTo(t, makeStore(made, { length: 1 << 20 }).bytes)
  const work = measureWork()
  const names = Array.from(backend.records(), ({ name }) => name)
  t.equal(names.length, 4200, 'also those beyond what is kept of them')
  // As `ls -l` does: each name is looked up again.
  for (const name of names) t.ok(backend.find(name))
  const took = work()
  t.ok(took < 5000, `${took} ms`)
})

t.test('what the guest changes while it is looked at', async t => {
  const { bytes, offsets } = makeStore([{ name: 'dump-type0-1-1-1700000000-D', data: 'before' }])
  const path = file(t, bytes, 'VARS.fd')
  const source = variablesOf(attached(t, path))
  const [variable] = source.list().dumps
  t.equal(source.read(variable)?.toString(), 'before')
  bytes.write('after!', bytes.indexOf('before', offsets[0]))
  fs.writeFileSync(path, bytes)
  t.equal(source.read(variable), null, 'not what was listed')
  const [again] = source.list().dumps
  t.equal(source.read(again)?.toString(), 'after!')
  // Its firmware writes it: nobody else does.
  for (const write of [
    (): unknown => source.create(vendorGuid, 'dump-type0-2-1-1700000000-D', Buffer.from('x')),
    (): unknown => source.remove(again),
    (): unknown => source.exclusively(() => 1),
  ])
    t.equal(errnoOf(write), 'EROFS')
  t.ok(fs.readFileSync(path).equals(bytes))
})

t.test('a store in the midst of a dump of a flash chip', async t => {
  const { bytes } = makeStore([{ name: one }])
  for (const before of [4096, 15 * 4096, 2 ** 20]) {
    const path = file(t, Buffer.concat([Buffer.alloc(before, 0xff), bytes, Buffer.alloc(4096)]))
    const at = `0x${before.toString(16)}`
    const said = new RegExp(`; a UEFI variable store begins at ${at}: give --mem-address ${at}$`)
    for (const source of [path, `efi:${path}`]) t.throws(() => attach(source), { message: said })
    t.same([...attach(path, { mem_address: before }).names()], [fileOf(1)])
  }
  // A volume of firmware has no variables.
  const volume = Buffer.alloc(8192, 0xff)
  volume.set(encodeVolumeHeader(4096), 4096)
  t.throws(() => attach(file(t, volume)), { message: /--boot-log-count$/ })
  const { load } = Region.prototype
  t.teardown(() => (Region.prototype.load = load))
  Region.prototype.load = function (offset, length) {
    if (offset > 0) throw new StoreError('a bad sector', 'EIO')
    return load.call(this, offset, length)
  }
  t.equal(likenessOf(file(t, Buffer.alloc(2 ** 17))), null, 'what cannot be read is like nothing')
})
