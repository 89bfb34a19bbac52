/** The ERST driver: what QEMU and Linux left is shown and erased as they do it, and the reverse. */
import fs from 'node:fs'
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { ErstDriver } from '#src/backends/erst/driver.js'
import { encodeCper, type CperType } from '#src/backends/erst/cper.js'
import { makeErst } from '#src/backends/erst/mkfs.js'
import { encodeHeader } from '#src/backends/erst/slot-map.js'
import type { NewRecord, StoredRecord } from '#src/pstore/backend.js'
import { StoreError, type ErrorCode } from '#src/pstore/errors.js'
import { recordTypes } from '#src/pstore/types.js'
import { Region } from '#src/region/region.js'
import { fixtures, loadFixture } from '../../fixtures.js'
import { file, folder } from '../../program.js'
import { randomFor, type Random } from '../../random.js'
import { measureWork } from '../../work.js'
import { NotingRegion } from '../../region/noting.js'
import { qemuReads } from './qemu.js'
import { storeOf } from '../store.js'
import type { Backend } from '#src/pstore/backend.js'

const attach = (t: Test, path: string, readOnly = false): Backend => {
  const backend = storeOf(new ErstDriver(new Region(path, { readOnly })), 'erst')
  t.teardown(() => backend.close())
  return backend
}

/** A store of our own: 8 slots of 4096 bytes, the first for the header. */
const make = (t: Test, size = 8 * 4096): string => {
  const path = `${folder(t)}/erst.img`
  makeErst(path, size, 4096)
  return path
}

/** What is done must fail with a StoreError of this errno. */
const throws = (t: Test, errno: ErrorCode, work: () => unknown): void => {
  try {
    work()
    t.fail(`no ${errno}`)
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    t.equal(error.code, errno, error.message)
  }
}

const names = (backend: Backend): string[] => Array.from(backend.records(), r => r.name)

const dump = (text: string, sec = 1_700_000_000n, more: Partial<NewRecord> = {}): NewRecord => ({
  type: 'dmesg',
  bytes: Buffer.from(text),
  time: { sec, nsec: 5 },
  ...more,
})

const idFor = (sec: bigint, n: bigint): bigint => (sec << 32n) | n

for (const fixture of fixtures('erst-')) {
  t.test(`${fixture.name}: ${fixture.description}`, async t => {
    const path = file(t, fixture.region())
    const backend = attach(t, path)
    t.equal(backend.name, 'erst')
    const records = [...backend.records()]
    t.same(
      records.map(({ type, name, size, time, compressed, ecc }) => ({
        type,
        name,
        size,
        time,
        compressed,
        ecc,
      })),
      fixture.files.map(({ name, size, mtime }) => ({
        type: 'dmesg',
        name,
        size,
        time: mtime,
        compressed: false,
        ecc: null,
      })),
      'names, sizes and times, in the order of the slots',
    )
    for (const record of records) {
      t.equal(record.name, `dmesg-erst-${record.id}`)
      t.ok(record.read().equals(fixture.file(record.name)), record.name)
      t.equal(backend.find(record.name), record, 'looked at anew, nothing has changed')
    }
    t.equal(backend.capacity('dmesg')?.room ?? 0, fixture.layout.record_size! - 200)
    t.ok(fs.readFileSync(path).equals(fixture.region()), 'reading has changed nothing')

    for (const run of fixture.erased) {
      const path = file(t, fixture.region())
      const backend = attach(t, path)
      for (const name of run.names) backend.find(name)!.erase()
      t.ok(fs.readFileSync(path).equals(run.region()), `without ${run.names.join()}, as QEMU does`)
      t.same(
        names(backend),
        fixture.files.map(({ name }) => name).filter(name => !run.names.includes(name)),
      )
    }
  })
}

t.test('erasing all, one by one', async t => {
  const fixture = loadFixture('erst-panics')
  const path = file(t, fixture.region())
  const backend = attach(t, path)
  for (const record of backend.records()) {
    record.erase()
    t.equal(backend.find(record.name), null)
    throws(t, 'ENOENT', () => record.read())
    throws(t, 'ENOENT', () => record.erase())
  }
  t.same(names(backend), [])
  const [before, after] = [fixture.region(), fs.readFileSync(path)]
  t.ok(after.subarray(0, 0x14).equals(before.subarray(0, 0x14)), 'the header stays')
  t.ok(after.subarray(8192).equals(before.subarray(8192)), 'and so do the bytes')
  t.same(after.subarray(0x14, 8192), Buffer.alloc(8192 - 0x14), 'count and map are zero')
})

t.test('what is written is read back', async t => {
  const path = make(t)
  const backend = attach(t, path)
  const text = 'Panic#1 Part1\n<0>[    1.000000] Ünïcode, NUL \0 and \xff\n'
  t.equal(backend.write(dump(text)), Buffer.byteLength(text))
  const z = zlib.deflateRawSync(Buffer.from(text))
  backend.write(dump('', 1_700_000_000n, { bytes: z, compressed: true }))
  backend.write(dump('a machine check', 1_700_000_001n, { type: 'mce' }))
  const records = [...backend.records()]
  t.same(
    records.map(({ type, id, time }) => [type, id, time]),
    [
      ['dmesg', idFor(1_700_000_000n, 1n), { sec: 1_700_000_000n, nsec: 0 }],
      ['dmesg', idFor(1_700_000_000n, 2n), { sec: 1_700_000_000n, nsec: 0 }],
      ['mce', idFor(1_700_000_001n, 1n), { sec: 1_700_000_001n, nsec: 0 }],
    ],
  )
  for (const { type, id, name } of records) t.equal(name, `${type}-erst-${id}`)
  t.same(
    records.map(record => record.read().toString()),
    [text, text, 'a machine check'],
  )
  const seen = qemuReads(fs.readFileSync(path))!
  t.same(
    [...seen.keys()],
    records.map(({ id }) => id),
  )
  const guest = storeOf(new ErstDriver(new Region(path)), 'guest1')
  t.same(
    names(guest),
    records.map(({ name }) => name.replace('erst', 'guest1')),
    'under a configured name',
  )
  guest.close()
})

t.test('what does not fit is refused, and nothing is changed', async t => {
  const path = make(t)
  const backend = attach(t, path)
  const before = fs.readFileSync(path)
  for (const type of recordTypes) {
    const room = backend.capacity(type)?.room ?? 0
    t.equal(room, type === 'dmesg' || type === 'mce' ? 4096 - 200 : 0, type)
    if (room === 0) throws(t, 'ENOSPC', () => backend.write(dump('x', 1n, { type })))
  }
  throws(t, 'ENOSPC', () => backend.write(dump('x'.repeat(3897))))
  t.throws(() => backend.write(dump('x', 1n, { type: 'mce', compressed: true })), {
    name: 'StoreError',
  })
  throws(t, 'EINVAL', () => backend.write(dump('')))
  t.ok(fs.readFileSync(path).equals(before))

  for (let i = 0; i < 7; i++) t.equal(backend.write(dump('x'.repeat(3896))), 3896)
  const full = fs.readFileSync(path)
  throws(t, 'ENOSPC', () => backend.write(dump('x')))
  t.throws(() => backend.write(dump('x')), { message: /all 7 slots are in use: erase a record$/ })
  t.ok(fs.readFileSync(path).equals(full))
  const third = [...backend.records()][2]!
  third.erase()
  backend.write(dump('in its place'))
  const again = [...backend.records()]
  t.equal(again[2]!.read().toString(), 'in its place')
  t.not(again[2]!.id, third.id, 'under an id of its own')
  t.not(again[2]!.version, third.version)

  const reader = attach(t, path, true)
  t.equal(reader.readOnly, true)
  throws(t, 'EROFS', () => reader.write(dump('x')))
  throws(t, 'EROFS', () => [...reader.records()][0]!.erase())
})

t.test('a store that nobody has made yet is empty, and is not made by writing', async t => {
  const path = file(t, Buffer.alloc(65536))
  const backend = attach(t, path)
  t.same(names(backend), [])
  t.same([...backend.survey.conditions()], [])
  t.equal(backend.find('dmesg-erst-1'), null)
  t.equal(backend.find('tty-erst-0'), null)
  t.ok((backend.capacity('dmesg')?.room ?? 0) > 0)
  t.throws(() => backend.write(dump('x')), { message: /QEMU has not made an ERST store of it yet/ })
  t.same(fs.readFileSync(path), Buffer.alloc(65536))
  // As when its guest is started meanwhile.
  fs.writeFileSync(path, loadFixture('erst-panics').region())
  t.equal(names(backend).length, 4)
  fs.writeFileSync(path, Buffer.alloc(65536, 0x5a))
  t.same(names(backend), [], 'what has become garbage shows nothing')
  t.throws(() => backend.write(dump('x')), { message: /is not an ERST store/ })
})

t.test('what is no store is refused with its reason', async t => {
  const edited = (edit: (image: Buffer) => void): Buffer => {
    const image = loadFixture('erst-panics').region()
    edit(image)
    return image
  }
  const cases: [image: Buffer, why: RegExp][] = [
    [Buffer.from('short'), /has only 5 bytes/],
    [Buffer.alloc(4096, 'x'), /does not begin with ERSTSTOR/],
    ...[0, 1, 4095, 2048, 12288, 8193, 2 ** 31, 2 ** 32 - 1].map((size): [Buffer, RegExp] => [
      edited(image => image.writeUInt32LE(size, 8)),
      new RegExp(`record_size ${size} is no power of two`),
    ]),
  ]
  for (const [image, why] of cases) {
    const region = new Region(file(t, image))
    t.throws(() => storeOf(new ErstDriver(region), 'erst'), { name: 'StoreError', message: why })
    region.close()
  }
})

/** Like a store's records: texts by id. */
type Model = Map<bigint, string>

const shownBy = (backend: Backend): Model =>
  new Map(Array.from(backend.records(), r => [r.id, r.read().toString('latin1')]))

const shownByQemu = (image: Buffer): Model =>
  new Map(Array.from(qemuReads(image)!, ([id, r]) => [id, r.toString('latin1', 200)]))

const sorted = (model: Model): [bigint, string][] => [...model].sort(([a], [b]) => (a < b ? -1 : 1))

const same = (a: Model, b: Model): boolean =>
  a.size === b.size && [...a].every(([id, text]) => b.get(id) === text)

/** Each prefix of a call's stores must be a store that both QEMU and this driver read. */
t.test('a kill after any store leaves the old records or the new', async t => {
  const random = randomFor(t)
  const path = make(t)
  const region = new NotingRegion(path)
  const backend = storeOf(new ErstDriver(region), 'erst')
  t.teardown(() => backend.close())
  const copy = `${path}.copy`
  const model: Model = new Map()
  let states = 0
  for (let round = 0; round < 150; round++) {
    const before = fs.readFileSync(path)
    const old: Model = new Map(model)
    region.stores = []
    const erase = model.size === 7 || (model.size > 0 && random.below(2))
    if (erase) {
      const id = random.pick([...model.keys()])
      backend.find(`dmesg-erst-${id}`)!.erase()
      model.delete(id)
    } else {
      const text = random.bytes(random.between(1, 3896)).toString('latin1')
      const sec = BigInt(random.pick([0, 5, 1_700_000_000, -1]))
      const known = new Set(model.keys())
      backend.write(dump('', sec, { bytes: Buffer.from(text, 'latin1') }))
      const id = [...backend.records()].map(r => r.id).find(id => !known.has(id))!
      t.equal(id >> 32n, BigInt.asUintN(32, sec))
      model.set(id, text)
    }
    if (!same(shownBy(backend), model)) t.fail(`round ${round}: not what was written`)
    const image = Buffer.from(before)
    for (const { offset, bytes } of region.stores) {
      bytes.copy(image, offset)
      fs.writeFileSync(copy, image)
      const other = storeOf(new ErstDriver(new Region(copy)), 'erst')
      for (const shown of [shownBy(other), shownByQemu(image)])
        if (!same(shown, old) && !same(shown, model)) t.fail(`round ${round}: neither old nor new`)
      other.close()
      states++
    }
    t.ok(image.equals(fs.readFileSync(path)), 'those were all the stores')
    t.equal(image.readUInt32LE(0x14), model.size, 'the count is right')
    t.same(sorted(shownByQemu(image)), sorted(model))
  }
  t.ok(states > 2 * 150, `${states} states`)
})

t.test('a count that lies is put right by the next change', async t => {
  for (const lie of [0, 1, 4000, 2 ** 32 - 1]) {
    const image = loadFixture('erst-panics').region()
    image.writeUInt32LE(lie, 0x14)
    const path = file(t, image)
    const backend = attach(t, path)
    t.equal(names(backend).length, 4, 'all are shown')
    const count = (): number => fs.readFileSync(path).readUInt32LE(0x14)
    t.equal(count(), lie)
    backend.write(dump('x'))
    t.equal(count(), 5)
    t.equal(qemuReads(fs.readFileSync(path))!.size, 5)
    backend.records().next().value!.erase()
    t.equal(count(), 4)
  }
})

t.test('two backends of one store, as two processes would', async t => {
  const path = make(t)
  const [a, b] = [attach(t, path), attach(t, path)]
  a.write(dump('one'))
  b.write(dump('two'))
  a.write(dump('three'))
  t.same([...shownBy(b).values()], ['one', 'two', 'three'])
  const [first] = a.records()
  first!.erase()
  throws(t, 'ENOENT', () => first!.read())
  t.same([...shownBy(a).values()], ['two', 'three'])
})

/** A copy of the fixture's store with something done to it, attached. */
const hostile = (t: Test, edit: (image: Buffer) => Buffer | void): Backend => {
  const image = loadFixture('erst-panics').region()
  return attach(t, file(t, edit(image) ?? image))
}
const all = loadFixture('erst-panics').files.map(({ name }) => name)
const [one, two, three, four] = all
const entry = (slot: number): number => 0x18 + 8 * slot

t.test('hostile stores show what is sound', async t => {
  const shows = (what: string, wanted: string[], edit: (image: Buffer) => Buffer | void): void => {
    const backend = hostile(t, edit)
    t.same(names(backend), wanted, what)
    for (const record of backend.records()) {
      t.equal(record.read().length, record.size)
      t.equal(backend.find(record.name)?.version, record.version)
    }
  }
  for (const offset of [0, 3, 0x1000, 0x2001, 0x10000, 2 ** 32 - 1, 2 ** 32 - 8192])
    shows(`storage_offset ${offset}`, all, image => void image.writeUInt32LE(offset, 12))
  shows('version 2', all, image => void image.writeUInt16LE(0x200, 16))
  shows(
    'two entries of one id: the second is called by its slot',
    [one!, two!, three!, `${one}.4`],
    image => void image.copy(image, entry(4), entry(1), entry(2)),
  )
  shows('… the first that is sound', [two!, three!, one!], image => {
    image.copy(image, entry(4), entry(1), entry(2))
    image[8192 + 64] ^= 1
  })
  shows('no free slot at all', all, image => {
    for (let slot = 5; slot < 8; slot++) image.writeBigUInt64LE(BigInt(slot), entry(slot))
  })
  shows('entries of the header’s own slots', all, image => {
    image.writeBigUInt64LE(77n, entry(0))
  })
  shows(
    'the largest id',
    [one!, 'dmesg-erst-18446744073709551615', three!, four!],
    image => void image.writeBigUInt64LE(2n ** 64n - 1n, entry(2)),
  )
  shows(
    'ids that no double holds',
    ['dmesg-erst-9007199254740993', two!, three!, four!],
    image => void image.writeBigUInt64LE(2n ** 53n + 1n, entry(1)),
  )
  for (const length of [0, 1, 128, 199, 200, 8193, 2 ** 31, 2 ** 32 - 1])
    shows(
      `record_length ${length}`,
      [two!, three!, four!],
      image => void image.writeUInt32LE(length, 8192 + 20),
    )
  for (const [what, at] of [
    ['creator', 64],
    ['section type', 144],
  ] as const)
    shows(`another ${what}`, [one!, three!, four!], image => void (image[2 * 8192 + at] ^= 0x80))
  shows(
    'a stream cut short',
    [`${one}.enc.z`, two!, three!, four!],
    image => void image.writeUInt32LE(300, 8192 + 20),
  )
  shows('cut off in the third slot', [one!, two!], image => image.subarray(0, 3 * 8192 + 500))
  // Its bytes are all there.
  shows('cut off behind the second', [one!, two!], image => image.subarray(0, 2 * 8192 + 4000))
  shows('cut off in the map', [], image => image.subarray(0, entry(3) + 4))
  shows('nothing but a header', [], image => image.subarray(0, 24))
  shows('a map and no slots', [], image => image.subarray(0, 8192))
  shows('grown', all, image => Buffer.concat([image, Buffer.alloc(1 << 20)]))
})

t.test('a store that QEMU refuses is not written, but erased', async t => {
  for (const [at, value, why] of [
    [12, 3, /ERST header is damaged: storage_offset 3 is no place/],
    [16, 0x200, /ERST header is damaged: version 0x200 is not 0x100$/],
  ] as const) {
    const backend = hostile(t, image => void image.writeUInt32LE(value, at))
    t.throws(() => backend.write(dump('x')), { name: 'StoreError', message: why })
    backend.find(two!)!.erase()
    t.same(names(backend), [one!, three!, four!])
  }
})

t.test('a stream that inflates to more than Linux allows stays as it is', async t => {
  const path = make(t)
  const backend = attach(t, path)
  const limit = 3 * (4096 - 200)
  for (const [length, name] of [
    [limit, 'dmesg-erst-7301444403200000001'],
    [limit + 1, ''],
    [100 << 20, ''],
  ] as const) {
    const bytes = zlib.deflateRawSync(Buffer.alloc(length)).subarray(0, 3896)
    backend.write(dump('', 1n, { bytes, compressed: true }))
    const record = [...backend.records()].at(-1)!
    t.equal(record.compressed, name === '')
    t.equal(record.name.endsWith('.enc.z'), name === '')
    t.equal(record.size, name === '' ? bytes.length : length)
    if (name === '') t.ok(record.read().equals(bytes))
    t.equal(backend.find(record.name), record)
    const other = name === '' ? record.name.slice(0, -6) : `${record.name}.enc.z`
    t.equal(backend.find(other), null, 'by its other name it is not there')
  }
})

t.test('a piece of a ring further on than any writer comes is none', async t => {
  const path = make(t)
  const region = new Region(path)
  const backend = storeOf(new ErstDriver(region, { tty_size: 4096 }), 'erst')
  t.teardown(() => backend.close())
  backend.write({ type: 'tty', bytes: Buffer.from('hello') })
  const shown = (position: bigint): string | null => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(position)
    region.store(4096 + 200, bytes)
    const record = backend.find('tty-erst-0')
    return record && record.read().toString()
  }
  t.equal(shown(2n ** 62n), 'hello')
  t.equal(shown(2n ** 62n + 1n), null)
  t.equal(shown(2n ** 64n - 1n), null)
})

t.test("a piece of a ring that the source's end cuts amid its header is none", async t => {
  const path = make(t)
  const tty = (): Backend => {
    const backend = storeOf(new ErstDriver(new Region(path), { tty_size: 4096 }), 'erst')
    t.teardown(() => backend.close())
    return backend
  }
  tty().write({ type: 'tty', bytes: Buffer.from('hello') })
  for (const [length, text] of [
    [4096 + 213, 'hello'],
    [4096 + 208, undefined],
    [4096 + 1, undefined],
  ] as const) {
    fs.truncateSync(path, length)
    t.equal(tty().find('tty-erst-0')?.read().toString(), text, `${length} bytes`)
  }
})

t.test('a record without a time has none', async t => {
  const backend = hostile(t, image => {
    image.writeUInt32LE(0, 8192 + 16)
    image.writeBigUInt64LE(0n, 2 * 8192 + 24)
    image.writeBigUInt64LE(2n ** 64n - 1n, 3 * 8192 + 24)
    image.writeUInt32LE(0xffffffff, 4 * 8192 + 16)
  })
  t.same(
    Array.from(backend.records(), ({ time }) => time),
    [null, null, { sec: -1n, nsec: 0 }, { sec: 1795406348n, nsec: 0 }],
  )
})

t.test('erasing where an id is there twice leaves the other', async t => {
  const path = make(t)
  const backend = attach(t, path)
  backend.write(dump('first'))
  backend.write(dump('second'))
  const fd = fs.openSync(path, 'r+')
  const map = Buffer.alloc(8)
  fs.readSync(fd, map, 0, 8, entry(1))
  fs.writeSync(fd, map, 0, 8, entry(2))
  fs.closeSync(fd)
  const [first, second, ...rest] = backend.records()
  t.same(rest, [])
  t.equal(second!.name, `${first!.name}.2`)
  t.same(
    [first, second].map(record => record!.read().toString()),
    ['first', 'second'],
  )
  const other = attach(t, path)
  t.equal(other.find(first!.name)!.erase(), true)
  throws(t, 'ENOENT', () => first!.erase())
  t.same(names(backend), [second!.name], 'the other is called as before')
  t.equal(backend.find(first!.name), null)
  t.equal(backend.find(second!.name)!.read().toString(), 'second')
  const fresh = attach(t, path)
  t.same(names(fresh), [first!.name], 'who has not seen the first calls it by its id')
  t.equal(fresh.find(second!.name)!.read().toString(), 'second', 'and knows it by its slot, too')
  t.equal(second!.erase(), true)
  t.same(names(backend), [])
  t.equal(fresh.find(second!.name), null)
})

t.test('odd names stand for nothing', async t => {
  const backend = hostile(t, () => {})
  const id = one!.slice('dmesg-erst-'.length)
  for (const name of [
    '',
    'dmesg-erst-',
    'dmesg-erst-0',
    `dmesg-erst-0${id}`,
    `dmesg-erst-+${id}`,
    `dmesg-erst-${id} `,
    `mce-erst-${id}`,
    `dmesg-efi_pstore-${id}`,
    `dmesg-erst-${id}.enc.z`,
    `dmesg-erst-${BigInt(id) + 2n ** 64n}`,
    `${one}.2`,
    `mce-erst-${id}.1`,
    `${one}.0`,
    `${one}.01`,
    `../${one}`,
    '9'.repeat(4000),
  ])
    t.equal(backend.find(name), null, name.slice(0, 60))
  t.not(backend.find(one!), null)
})

t.test('a store that becomes shorter gives EIO, and is not written', async t => {
  const path = file(t, loadFixture('erst-panics').region())
  const backend = attach(t, path)
  const [record] = backend.records()
  fs.truncateSync(path, 4096)
  throws(t, 'EIO', () => record!.read())
  throws(t, 'EIO', () => backend.write(dump('x')))
  throws(t, 'EIO', () => record!.erase())
  t.equal(fs.statSync(path).size, 4096)
})

t.test('a last slot that the end of the file cuts short', async t => {
  for (const [left, isForeign] of [
    [100, true],
    [3, false],
  ] as const) {
    const bytes = Buffer.alloc(4 * 4096 + left)
    encodeHeader(4096, 8 * 4096).copy(bytes)
    bytes.writeBigUInt64LE(7n, 24 + 8 * 4)
    bytes.write('CPER', 4 * 4096)
    const place = [...attach(t, file(t, bytes)).survey.conditions()].find(
      ({ offset }) => offset === 4 * 4096,
    )
    t.match(place, { offset: 4 * 4096, length: left, room: 0, used: 0, record: null })
    t.equal(place?.state, isForeign ? 'unsigned' : 'damaged')
  }
})

t.test("another's record is told from one that is lost", async t => {
  const position = Buffer.alloc(8)
  position.writeBigUInt64LE(2n ** 62n + 1n)
  const piece = Buffer.concat([position, Buffer.from('text')])
  const cper = (type: CperType, data: Buffer): Buffer =>
    encodeCper({ id: 7n, type, compressed: false, sec: 1n, data }, 4096)
  const dump = cper('dmesg', Buffer.from('Panic#1 Part1\n'))
  const changed = (at: number, n: number): Buffer => {
    const bytes = Buffer.from(dump)
    bytes.writeUInt32LE(n, at)
    return bytes
  }
  for (const [what, slot, state, finding] of [
    ["another creator's", changed(64, 1), 'unsigned', /none of Linux's pstore/],
    ["Linux's, longer than its slot", changed(20, 4097), 'damaged', /4097 is more than the 4096/],
    ["Linux's, without data", changed(20, 200), 'damaged', /record_length 200 leaves no data/],
    [
      "Linux's, of no known type",
      changed(144, 1),
      'damaged',
      /^a record, but section type 00000001-d545-4a70-9c17-a5549419eb12 is not one that pstore has$/,
    ],
    ['nothing', Buffer.alloc(4096), 'damaged', /^no record, though the map says so/],
    ['a piece of no stream', cper('tty', piece), 'damaged', /no piece of a ring/],
    ['a piece of nothing', cper('tty', position), 'damaged', /no piece of a ring/],
  ] as const) {
    const path = make(t)
    const store = fs.readFileSync(path)
    store.writeUInt32LE(1, 20)
    store.writeBigUInt64LE(7n, 24 + 8)
    slot.copy(store, 4096)
    fs.writeFileSync(path, store)
    const backend = attach(t, path)
    t.same(names(backend), [], what)
    t.match([...backend.survey.conditions()][0], { state, findings: [finding], record: null }, what)
  }
})

t.test('a record whose id an earlier slot has is shown by a file of its own', async t => {
  const backend = hostile(t, image => void image.copy(image, entry(4), entry(1), entry(2)))
  const [first, second, third, hidden] = backend.survey.conditions()
  t.match(first, { record: one, findings: [] })
  t.match([second, third], [{ record: two }, { record: three }])
  const findings = [/earlier slot has the same id: Linux shows that one$/]
  t.match(hidden, { state: 'damaged', name: `${one}.4`, record: `${one}.4`, findings })
})

/** Change a store as nobody should: bytes anywhere, but more often where numbers are. */
const mutate = (random: Random, image: Buffer): Buffer => {
  const recordSize = 8192
  const odd = [0, 1, 199, 200, 201, 4096, 8192, 8193, 0x7fffffff, 0x80000000, 0xffffffff]
  for (let n = random.between(1, 6); n > 0; n--) {
    const slot = random.below(8) * recordSize
    const at = random.pick([
      random.below(0x60) & ~3,
      slot + 4 * random.below(50),
      slot + random.pick([16, 20, 24, 28, 64, 144]),
      random.below(image.length - 4),
    ])
    if (random.below(2)) image.writeUInt32LE(random.pick(odd), at)
    else image[at] = random.below(256)
  }
  return random.below(5) ? image : image.subarray(0, random.below(image.length))
}

t.test('mutations: nothing crashes, and what is shown can be read and erased', async t => {
  const random = randomFor(t)
  const fixture = loadFixture('erst-panics')
  const region = fixture.region()
  const path = `${folder(t)}/erst.img`
  let shown = 0
  let refused = 0
  for (let round = 0; round < 1500; round++) {
    const image = mutate(random, Buffer.from(region))
    if (image.length === 0) continue
    fs.writeFileSync(path, image)
    const source = new Region(path)
    let backend: Backend
    try {
      backend = storeOf(new ErstDriver(source), 'erst')
    } catch (error) {
      source.close()
      if (!(error instanceof StoreError)) throw error
      if (/\n/.test(error.message)) t.fail(`not one line: ${error.message}`)
      refused++
      continue
    }
    const records: StoredRecord[] = [...backend.records()]
    if (new Set(records.map(({ name }) => name)).size < records.length) t.fail('a name twice')
    for (const record of records) {
      if (!/^(dmesg|mce)-erst-[1-9]\d*(\.[1-9]\d*)?(\.enc\.z)?$/.test(record.name))
        t.fail(record.name)
      if (record.read().length !== record.size) t.fail(`${record.name}: its size`)
      if (record.size > 3 * 7992) t.fail(`${record.name}: too long`)
      // What still stands where the kernel wrote it is shown as the kernel shows it.
      const slot = all.indexOf(record.name) + 1
      const stands = (from: number, to: number): boolean =>
        image.length >= to && image.subarray(from, to).equals(region.subarray(from, to))
      if (
        slot &&
        stands(8, 12) &&
        stands(entry(0), entry(8)) &&
        stands(slot * 8192, (slot + 1) * 8192)
      )
        if (!record.read().equals(fixture.file(record.name))) t.fail(`${record.name}: other bytes`)
      shown++
    }
    if (!fs.readFileSync(path).equals(image)) t.fail('reading has changed something')
    try {
      backend.write(dump('written'))
      if (![...backend.records()].some(r => r.read().toString() === 'written'))
        t.fail('what was written is not shown')
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
    }
    for (const record of backend.records()) record.erase()
    if (names(backend).length) t.fail('something is left')
    if (fs.statSync(path).size !== image.length) t.fail('its size has changed')
    backend.close()
  }
  t.ok(shown > 2000 && refused > 20, `${shown} records shown, ${refused} stores refused`)
})

t.test('a large store is listed quickly', async t => {
  const path = make(t, 64 << 20)
  const backend = attach(t, path)
  const slots = (64 << 20) / 4096 - Math.ceil((24 + 8 * ((64 << 20) / 4096)) / 4096)
  backend.write(dump('the last', 1n))
  const image = fs.readFileSync(path)
  const first = image.readUInt32LE(12) / 4096
  for (let i = 1; i < slots; i++) {
    image.copy(image, (first + i) * 4096, first * 4096, (first + 1) * 4096)
    image.writeBigUInt64LE(BigInt(i) << 40n, entry(first + i))
  }
  fs.writeFileSync(path, image)
  const listing = measureWork()
  const listed = names(backend)
  t.equal(listed.length, slots)
  t.ok(listing() < 5000, `${listed.length} records`)
  const looking = measureWork()
  for (let i = 0; i < 200; i++) t.ok(backend.find(listed[(i * 81) % slots]!))
  t.ok(looking() < 2000)
})

t.test('what a store that was cut short lacks is said', async t => {
  const faultsOf = (edit: (image: Buffer) => Buffer | void) =>
    Array.from(hostile(t, edit).survey.conditions()).flatMap(({ name, state, record, findings }) =>
      name.startsWith('dmesg-') ? [] : [[name, state, record, findings.join()]],
    )
  t.same(
    faultsOf(() => {}),
    [],
  )
  for (const [length, beyond] of [
    [
      3 * 8192,
      /^2 records of its map lie beyond its end: the source was cut short at 24576 bytes$/,
    ],
    [4 * 8192, /^1 record of its map lies beyond its end/],
    [8192 + 1, /^3 records/],
  ] as const)
    t.match(
      faultsOf(image => image.subarray(0, length)),
      [['map', 'damaged', null, beyond]],
    )
  t.match(
    faultsOf(image => image.subarray(0, 8192)),
    [['header', 'damaged', null, /storage_offset 8192 is no place .*: the source ends at 8192$/]],
  )
  t.match(
    faultsOf(image => void image.writeUInt32LE(0, 20)),
    [['record_count', 'damaged', null, /^it says 0, and the map has 4 records: QEMU/]],
  )
  t.same(
    faultsOf(image => void image.writeUInt32LE(5, 20)),
    [],
    'one that is too high is what a kill leaves',
  )
  t.match(hostile(t, image => image.subarray(0, 3 * 8192)).doubts(), [
    /^2 records of its map lie beyond its end: the source was cut short at 24576 bytes$/,
  ])
  t.match(hostile(t, image => void image.writeUInt32LE(7, 16)).doubts(), [
    /^its ERST header is damaged: version 0x7 is not/,
  ])
  t.same(hostile(t, () => {}).doubts(), [])
  // 509 entries are all that the map of one block holds.
  const full = Buffer.alloc(600 * 4096)
  encodeHeader(4096, full.length).copy(full)
  full.writeUInt32LE(4096, 12)
  t.same(attach(t, file(t, full)).doubts(), [], 'a map with no entry left')
  const largest = Buffer.alloc(8 << 20)
  encodeHeader(4096, 2 ** 31).copy(largest)
  largest.writeBigUInt64LE(7n, entry(2 ** 31 / 4096 - 1))
  t.match([...attach(t, file(t, largest)).survey.conditions()].at(-1), {
    name: 'map',
    findings: [/^1 record of/],
  })
})

t.test('how full a store is', async t => {
  const backend = attach(t, make(t))
  t.same(backend.usage(), { size: 7 * 4096, free: 7 * 4096, records: 0 })
  backend.write(dump('one'))
  backend.write(dump('two'))
  t.same(backend.usage(), { size: 7 * 4096, free: 5 * 4096, records: 2 * 4096 })
  t.equal(attach(t, file(t, Buffer.alloc(65536))).usage(), null)
})

t.test('a store that QEMU has yet to make, and one without a slot', async t => {
  const blank = (size: number): Backend => attach(t, file(t, Buffer.alloc(size)))
  t.same(blank(65536).doubts(), [])
  t.match(blank(65536).unused(), /^QEMU has not made an ERST store of it yet: start its guest/)
  t.match(blank(8192).doubts(), [/^has no slot for a record: 8192 bytes hold nothing but/])
  const made = attach(t, make(t))
  t.same([made.doubts(), made.unused()], [[], null])
})
