/** A bad sector at every record of every driver in turn: all others are listed, read and erased. */
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { crc32 } from 'node:zlib'
import t, { type Test } from 'tap'
import { EfiDriver } from '#src/backends/efi/driver.js'
import { VariableStore } from '#src/backends/efi/variable-store.js'
import { ringGuid } from '#src/backends/efi/names.js'
import { attach, format, type AttachOptions, type Unreadable } from '#src/index.js'
import { Store } from '#src/pstore/store.js'
import { deflate } from '#src/pstore/codecs/deflate.js'
import { StoreError } from '#src/pstore/errors.js'
import { Region } from '#src/region/region.js'
import { makeStore } from './efi/stores.js'
import { file, folder } from '../program.js'
import { storeOf } from './store.js'

/** Where reads fail, in bytes of the source; null: nowhere. */
let bad: readonly [from: number, to: number] | null = null

const { loadInto } = Region.prototype
Region.prototype.loadInto = function (bytes, offset, length) {
  const at = this.offset + offset
  if (bad && at < bad[1] && at + length > bad[0])
    throw new StoreError(`${this.path}: EIO: a bad sector`, 'EIO')
  loadInto.call(this, bytes, offset, length)
}
t.beforeEach(() => (bad = null))

const dump = (n: number) =>
  ({
    type: 'dmesg',
    bytes: Buffer.from(`Panic#${n} Part1\ntext ${n}\n`),
    time: { sec: 1_700_000_000n + BigInt(n), nsec: 0 },
  }) as const

const rings = { console_size: 4096, pmsg_size: 4096, tty_size: 4096, ftrace_size: 0 }
const zoned: [driver: string, options: AttachOptions][] = [
  ['ramoops', { record_size: 4096, ...rings }],
  ['ramoops', { record_size: 4096, ...rings, ecc: 16 }],
  ['zone', { kmsg_size: 4096, ...rings }],
]

const make = (t: Test, driver: string, options: AttachOptions, size: number): Store => {
  const source = `${driver}:${folder(t)}/store.img`
  format(source, { ...options, mem_size: size })
  const backend = attach(source, options) as Store
  t.teardown(() => backend.close())
  return backend
}

const ringTypes = ['console', 'pmsg', 'tty'] as const
const stores: [what: string, options: AttachOptions, (t: Test) => Store][] = [
  ...zoned.map(([driver, options]): (typeof stores)[number] => [
    `${driver}${'ecc' in options ? ' with parity' : ''}`,
    options,
    t => {
      const backend = make(t, driver, options, 6 * 4096)
      for (const n of [1, 2, 3]) backend.write(dump(n))
      for (const type of ringTypes) backend.write({ type, bytes: Buffer.from(`${type}\n`) })
      return backend
    },
  ]),
  [
    'erst',
    {},
    t => {
      const backend = make(t, 'erst', { record_size: 4096 }, 8 * 4096)
      for (const n of [1, 2, 3]) backend.write(dump(n))
      return backend
    },
  ],
]

/** What a listing gives: names, and what it is told of. */
const listing = (backend: Store): { names: string[]; told: Unreadable[] } => {
  const told: Unreadable[] = []
  const names = Array.from(
    backend.records(what => told.push(what)),
    ({ name }) => name,
  )
  t.same([...backend.names(() => {})], names)
  return { names, told }
}

for (const [what, options, makeOne] of stores)
  t.test(what, async t => {
    const all = listing(makeOne(t)).names
    t.ok(all.length >= 3)
    for (const name of all) {
      const backend = makeOne(t)
      const before = new Map(Array.from(backend.records(), r => [r.name, r.read().toString()]))
      const place = [...backend.survey.conditions()].find(({ record }) => record === name)!
      // As who attaches it when the sector is bad already: nothing is remembered.
      const source = `${backend.identity.driver}:${backend.identity.path}`
      const reader = attach(source, options) as Store
      t.teardown(() => reader.close())
      bad = [place.offset!, place.offset! + 512]
      attach(source, options).close()
      const others = all.filter(other => other !== name)
      const { names, told } = listing(reader)
      t.same(names, others, `${name} is bad: the others are listed`)
      t.match(told, [{ error: { code: 'EIO' } }])
      t.throws(() => [...reader.records()], { name: 'StoreError' }, 'or who is not told stumbles')
      t.throws(() => reader.open(name), { name: 'StoreError' }, 'it cannot be read')
      const states = [...reader.survey.conditions()].filter(({ state }) => state === 'damaged')
      t.match(states, [{ offset: place.offset, findings: [/a bad sector/] }], 'check finds it')
      for (const other of others) {
        t.equal(reader.find(other)!.read().toString(), before.get(other))
        t.equal(reader.find(other)!.erase(), true)
      }
      t.same(listing(reader).names, [])
      bad = null
      t.same(listing(reader).names, [name], 'and it is there when it is well again')
    }
  })

for (const [driver, options] of zoned)
  t.test(
    `${driver}${'ecc' in options ? ' with parity' : ''}: what is bad is left, all else is written`,
    async t => {
      const { path } = make(t, driver, options, 6 * 4096).identity
      const open = (): Store => {
        const backend = attach(`${driver}:${path}`, options) as Store
        t.teardown(() => backend.close())
        return backend
      }
      const maker = open()
      for (const n of [1, 2, 3]) maker.write(dump(n))
      const [first] = [...maker.survey.conditions()].filter(({ type }) => type === 'dmesg')
      const at = first!.offset!
      // Its header, and where its dump begins: a turn takes a look at no more.
      for (const [turn, sector] of [at, at + 20].entries()) {
        const backend = open()
        bad = [sector, sector + 12]
        t.same(backend.doubts(), [], 'it is no other layout for that')
        t.equal(backend.unused(), null)
        backend.write({ type: 'console', bytes: Buffer.from('console\n') })
        for (const n of [4, 5, 6, 7]) backend.write(dump(10 * turn + n))
        bad = null
        const texts = Array.from(backend.records(), record => record.read().toString())
        t.ok(
          texts.some(text => text.includes('text 1\n')),
          'nobody wrote over it',
        )
        t.ok(texts.some(text => text.includes(`text ${10 * turn + 6}\n`)))
        t.ok(texts.some(text => text.includes(`text ${10 * turn + 7}\n`)))
      }
      const reader = open()
      bad = [0, 1e9]
      t.throws(() => reader.unused(), { code: 'EIO' }, 'of what cannot be read at all nobody knows')
      t.throws(() => reader.write(dump(8)), { code: 'EIO' })
      if (driver !== 'zone') return
      bad = [at + 60, at + 70]
      const found = attach(`blk:${path}`) as Store
      t.teardown(() => found.close())
      t.ok(
        listing(found).names.includes('console-pstore_blk-0'),
        'its layout is found all the same',
      )
    },
  )

t.test('headers that lie close together, of which one is bad', async t => {
  const options = { record_size: 1024, console_size: 1024, pmsg_size: 0, ftrace_size: 0 }
  const { path } = make(t, 'ramoops', options, 2 ** 17).identity
  const backend = attach(`ramoops:${path}`, options) as Store
  t.teardown(() => backend.close())
  bad = [5 * 1024, 5 * 1024 + 512]
  t.same(backend.doubts(), [])
  const wrong = attach(`ramoops:${path}`, { ...options, record_size: 2048 }) as Store
  t.teardown(() => wrong.close())
  t.match(wrong.doubts(), [/the layout is not this region's/])
})

t.test('an EFI variable store', async t => {
  const name = (part: number): string => `dump-type0-${part}-1-1700000000-D`
  const variables = [
    { name: 'Boot0000', data: Buffer.alloc(2000, 'x'), vendor: ringGuid },
    ...[1, 2, 3, 4].map(part => ({
      name: name(part),
      data: `Panic#1 Part${part}\n`.padEnd(900, 'x'),
    })),
    { name: `tty-0-4`, data: 'ring', vendor: ringGuid },
  ]
  const { bytes, offsets } = makeStore(variables)
  const path = file(t, bytes, 'VARS.fd')
  const storeAt = (from: number, length = 4): Store => {
    bad = null
    const backend = storeOf(
      new EfiDriver(new VariableStore(new Region(path, { readOnly: true })), {}),
      'efi_pstore',
    )
    t.teardown(() => backend.close())
    bad = [from, from + length]
    return backend
  }
  const file1 = (part: number): string => `dmesg-efi_pstore-17000000000${part}001`
  const all = [1, 2, 3, 4].map(file1)
  for (const part of [1, 2, 3, 4]) {
    const others = all.filter(other => other !== file1(part))
    // Its data: the name still says what it is.
    const inData = storeAt(offsets[part]! + 600)
    t.same(listing(inData).names, [...all, 'tty-efi_pstore-0'])
    t.match(listing(inData).told, [{ name: file1(part), error: { code: 'EIO' } }])
    t.throws(() => inData.open(file1(part)), { name: 'StoreError' })
    t.match(
      [...inData.survey.conditions()].filter(({ state }) => state === 'damaged'),
      [{ name: file1(part), findings: [/a bad sector/] }],
    )
    bad = null
    t.equal(inData.open(file1(part))?.content.all().length, 900, 'when it is well again')
    // Its header: what follows is found all the same.
    const inHeader = storeAt(offsets[part]! + 8)
    const { names, told } = listing(inHeader)
    for (const other of others.filter(other => all.indexOf(other) >= part))
      t.ok(names.includes(other), `${other} behind ${file1(part)}`)
    t.notOk(names.includes(file1(part)))
    t.ok(told.some(({ name }) => name.startsWith('the variable at 0x')))
    t.ok([...inHeader.survey.conditions()].some(({ name }) => name.startsWith('the variable at')))
    t.equal(inHeader.open('tty-efi_pstore-0')?.content.all().toString(), 'ring')
    // Its name.
    const inName = storeAt(offsets[part]! + 64)
    t.notOk(listing(inName).names.includes(file1(part)))
  }
  const none = storeAt(offsets[1]!, 65536)
  t.same(listing(none).names, [], 'nothing can be read behind there')
  t.same(none.usage()?.records, 0)
  bad = null
  const cut = file(t, bytes.subarray(0, 20000), 'VARS.fd')
  const short = attach(`efi:${cut}`, {}) as Store
  t.teardown(() => short.close())
  const wasCut = "was cut short: its volume's header says 65536 bytes, the source has 20000"
  t.same(short.doubts(), [wasCut])
  t.match([...short.survey.conditions()].at(-1), {
    name: 'the store',
    state: 'damaged',
    record: null,
    findings: [wasCut],
  })
  const whole = attach(`efi:${path}`, {}) as Store
  t.teardown(() => whole.close())
  const { size, free, records } = whole.usage()!
  t.ok(size > free && free > 0)
  t.equal(records, 4 * (60 + 2 * (name(1).length + 1) + 900))
  t.equal(crc32(fs.readFileSync(path)), crc32(bytes), 'reading has changed nothing')
})

t.test('a compressed variable that cannot be read has no text, and no codec', async t => {
  const text = `Panic#1 Part1\n${randomBytes(1500).toString('hex')}`
  const data = deflate(Buffer.from(text))
  const name = 'dump-type0-1-1-1700000000-C'
  // Its data begin a sector, and end behind the next: its header, and what follows, can be read whenever they are.
  const prefix = 60 + 2 * (name.length + 1)
  const storeWith = (length: number): ReturnType<typeof makeStore> =>
    makeStore([
      { name: 'Boot0000', data: Buffer.alloc(length, 'x'), vendor: ringGuid },
      { name, data },
    ])
  const [, before = 0] = storeWith(512).offsets
  const { bytes, offsets } = storeWith(1024 - ((before + prefix) % 512))
  const backend = attach(`efi:${file(t, bytes, 'VARS.fd')}`, {}) as Store
  t.teardown(() => backend.close())
  const facts = (): unknown[] =>
    Array.from(backend.survey.conditions(), ({ state, dump }) => [state, dump?.codec, dump?.text])
  t.same(facts(), [['sound', 'deflate', text.length]])
  const start = offsets[1]! + prefix
  t.equal(start % 512, 0)
  t.ok(data.length > 1024)
  bad = [start + 600, start + 601]
  for (let n = 0; n < 50; n++) t.same(facts(), [['damaged', null, null]])
})

t.test('a ring in pieces: a hole is no text', async t => {
  const make = (): { backend: Store; offsets: number[] } => {
    const path = `${folder(t)}/erst.img`
    const options = { tty_size: 65536, console_size: 0, pmsg_size: 0 }
    format(`erst:${path}`, { record_size: 4096, mem_size: 8 * 4096 })
    const backend = attach(`erst:${path}`, options) as Store
    t.teardown(() => backend.close())
    for (let n = 0; n < 3; n++)
      backend.write({ type: 'tty', bytes: Buffer.alloc(4096 - 208, `${n}`) })
    const offsets = Array.from(backend.survey.conditions()).flatMap(({ used, offset }) =>
      used > 0 ? offset! : [],
    )
    return { backend, offsets }
  }
  const { backend, offsets } = make()
  t.equal(backend.find('tty-erst-0')?.size, 3 * 3888)
  bad = [offsets[1]!, offsets[1]! + 4]
  t.throws(() => backend.open('tty-erst-0'), /a bad sector/, 'what is missing may be there')
  bad = [offsets[1]! + 3000, offsets[1]! + 3004]
  t.throws(() => backend.open('tty-erst-0'), /a bad sector/, 'a read that fails in the middle')
  bad = [offsets[0]!, offsets[0]! + 4]
  t.equal(backend.open('tty-erst-0')?.content.all().length, 2 * 3888, 'the oldest goes first')
  t.throws(() => backend.write({ type: 'tty', bytes: Buffer.from('x') }), /a bad sector/)
  t.equal(backend.find('tty-erst-0')!.erase(), true)
  bad = null
  t.equal(backend.find('tty-erst-0')?.size, 3888, 'what could not be read is not erased')
})

t.test('an EFI variable whose name is in the next sector, and headers in data', async t => {
  const dumpName = 'dump-type0-1-1-1700000000-D'
  const attachAt = (bytes: Buffer, from: number): Store => {
    const path = file(t, bytes, 'VARS.fd')
    bad = null
    const region = new Region(path, { readOnly: true })
    const backend = storeOf(new EfiDriver(new VariableStore(region), {}), 'efi_pstore')
    t.teardown(() => backend.close())
    bad = [from, from + 4]
    return backend
  }
  // A header has 60 bytes.
  for (let length = 2000; length < 2600; length += 4) {
    const { bytes, offsets } = makeStore([
      { name: 'Boot0000', data: Buffer.alloc(length, 'x'), vendor: ringGuid },
      { name: dumpName, data: 'Panic#1 Part1\n' },
    ])
    if (offsets[1]! % 512 !== 448) continue
    const { names, told } = listing(attachAt(bytes, offsets[1]! + 64))
    t.same(names, [])
    t.match(told, [{ name: /^the variable at 0x/, error: { code: 'EIO' } }])
  }
  const inner = makeStore([{ name: dumpName, data: 'no variable' }])
  const [from = 0] = inner.offsets
  // To a multiple of 4.
  const fake = inner.bytes.subarray(from, from + 60 + 2 * dumpName.length + 2 + 12)
  const huge = Buffer.from(fake)
  huge.writeUInt32LE(0xffffff, 40)
  const { bytes, offsets } = makeStore([
    {
      name: 'Boot0000',
      data: Buffer.concat([Buffer.alloc(802), fake, Buffer.alloc(4), huge, Buffer.alloc(100)]),
    },
    { name: dumpName, data: 'Panic#1 Part1\n' },
  ])
  const { names } = listing(attachAt(bytes, offsets[0]!))
  t.same(names, ['dmesg-efi_pstore-170000000001001'], 'it is found behind them')
})

t.test('a kernel offset is looked for where the log can be read', async t => {
  const options = { record_size: 4096, console_size: 4096, pmsg_size: 0, ftrace_size: 4096 }
  const backend = make(t, 'ramoops', options, 4 * 4096)
  backend.write(dump(1))
  backend.write({ type: 'ftrace', bytes: Buffer.alloc(48, 1) })
  const place = [...backend.survey.conditions()].find(({ record }) => record?.startsWith('dmesg'))!
  const reader = attach(`ramoops:${backend.identity.path}`, options) as Store
  t.teardown(() => reader.close())
  bad = [place.offset!, place.offset! + 512]
  t.ok(reader.open('ftrace-ramoops-0')!.content.all().length > 0)
})

t.test('the bytes of an ERST record that lie there', async t => {
  const backend = stores.at(-1)![2](t)
  const [first] = listing(backend).names
  t.equal(backend.survey.raw(first!)?.toString(), 'Panic#1 Part1\ntext 1\n')
})
