/** The pstore/zone driver: what Linux left is shown and erased as Linux does it, and the reverse. */
import fs from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import zlib from 'node:zlib'
import t from 'tap'
import { ZoneDriver } from '#src/backends/zone/driver.js'
import {
  encodeKmsgHeader,
  encodeZoneHeader,
  kmsgForms,
  kmsgHeaderSize,
  signatureOf,
  zoneHeaderSize,
} from '#src/backends/zone/header.js'
import { writeDump } from '#src/frontends/dmesg.js'
import { recordTypes } from '#src/pstore/types.js'
import { Region } from '#src/region/region.js'
import { fixtures, loadFixture } from '../../fixtures.js'
import { file } from '../../program.js'
import { storeLz4 } from '../../model/lz4.js'
import { randomFor } from '../../random.js'
import {
  attach,
  dump,
  ftrace,
  layoutOf,
  make,
  names,
  regionOf,
  small,
  textOf,
  throws,
} from './stores.js'
import { Store } from '#src/pstore/store.js'

for (const fixture of fixtures('blk-')) {
  t.test(`${fixture.name}: ${fixture.description}`, async t => {
    const layout = layoutOf(fixture)
    const path = file(t, fixture.region())
    const backend = attach(t, path, layout)
    const records = [...backend.records()]
    t.same(
      records.map(({ name }) => name),
      fixture.readdir_order!.toReversed(),
      'in the order in which Linux enumerates',
    )
    for (const record of records) {
      const { name, type, id, size, time, compressed, ecc } = record
      const expected = fixture.files.find(file => file.name === name)!
      t.equal(name, `${type}-pstore_blk-${id}`)
      t.same([size, compressed, ecc], [expected.size, false, null])
      t.same(time, expected.mtime_is_mount_time ? null : expected.mtime)
      const bytes = record.read()
      t.equal(bytes.length, expected.read_len)
      t.ok(bytes.equals(fixture.file(name)), `${name}: its bytes`)
      t.equal(backend.find(name), record, 'looked at anew, nothing has changed')
    }
    t.ok(fs.readFileSync(path).equals(fixture.region()), 'reading has changed nothing')

    for (const { names: erased, region } of fixture.erased) {
      const path = file(t, fixture.region())
      const backend = attach(t, path, layout)
      for (const name of erased) backend.find(name)!.erase()
      const expected = region()
      // Linux erases the first of ftrace's zones only.
      if (erased.includes('ftrace-pstore_blk-0'))
        for (const { kind, offset } of layout.zones)
          if (kind === 'ftrace') expected.fill(0, offset + 4, offset + zoneHeaderSize)
      t.ok(fs.readFileSync(path).equals(expected), `without ${erased.join()}, as Linux does`)
      t.same(
        names(backend),
        fixture.readdir_order!.toReversed().filter(name => !erased.includes(name)),
      )
      for (const name of erased) t.equal(backend.find(name), null)
    }
  })
}

t.test("dumps are stored as Linux stores them: the fixtures' zones, byte for byte", async t => {
  for (const name of ['blk-all', 'blk-two-boots', 'blk-two-boots-text', 'blk-uncompressed']) {
    const fixture = loadFixture(name)
    const layout = layoutOf(fixture)
    const region = fixture.region()
    const empty = Buffer.alloc(region.length)
    encodeZoneHeader({ sig: signatureOf('pmsg'), datalen: 0, start: 0 }, 'little').copy(empty)
    const path = file(t, empty)
    const backend = attach(t, path, layout)
    const source = attach(t, file(t, region), layout)
    for (const { kind, index, offset, size } of layout.zones) {
      if (kind !== 'dmesg') continue
      const zone = region.subarray(offset, offset + size)
      const datalen = zone.readUInt32LE(4)
      if (datalen === 0) continue
      const { time } = source.find(`dmesg-pstore_blk-${index}`)!
      backend.write({
        type: 'dmesg',
        bytes: zone.subarray(zoneHeaderSize + kmsgHeaderSize, zoneHeaderSize + datalen),
        compressed: zone[zoneHeaderSize + 24] === 1,
        ...(time ? { time } : {}),
      })
      const written = fs.readFileSync(path).subarray(offset, offset + size)
      t.ok(written.equals(zone), `${name}: dump ${index}`)
    }
    t.equal(names(backend).length, names(source).filter(name => name.startsWith('dmesg')).length)
  }
})

t.test('what is written is read back', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  for (const type of ['console', 'pmsg', 'tty'] as const)
    t.equal(
      backend.write({ type, bytes: Buffer.from(`a ${type}\t\0\xff`, 'latin1') }),
      type.length + 5,
    )
  const record = Buffer.alloc(24)
  record.writeBigUInt64LE(0xffffffff81000000n, 0)
  record.writeBigUInt64LE(7n << 8n, 16)
  backend.write({ type: 'ftrace', bytes: record })
  const text = 'Panic#1 Part1\n<0>[    1.000000] Ünïcode, NUL \0 and \xff\n'
  t.equal(backend.write(dump(text, 1_700_000_000n)), Buffer.byteLength(text))
  const bytes = zlib.deflateRawSync(Buffer.from(text))
  backend.write(dump('', 1_700_000_001n, { bytes, compressed: true }))

  t.same(names(backend), [
    'dmesg-pstore_blk-0',
    'dmesg-pstore_blk-1',
    'ftrace-pstore_blk-0',
    'pmsg-pstore_blk-0',
    'console-pstore_blk-0',
    'tty-pstore_blk-0',
  ])
  t.equal(textOf(backend, 'tty-pstore_blk-0'), 'a tty\t\0\xff')
  const latin1 = Buffer.from(text).toString('latin1')
  t.equal(textOf(backend, 'dmesg-pstore_blk-0'), `Panic: Total 1 times\n${latin1}`)
  t.equal(textOf(backend, 'dmesg-pstore_blk-1'), latin1)
  t.match(textOf(backend, 'ftrace-pstore_blk-0'), /^CPU:0 ts:7 ffffffff81000000  00000000  /)
  t.equal(backend.find('ftrace-pstore_blk-0')!.size, 24)
  t.same(backend.find('dmesg-pstore_blk-1')!.time, { sec: 1_700_000_001n, nsec: 0 })

  const guest = new Store(
    'guest1',
    new ZoneDriver(new Region(path, { readOnly: true }), layout),
    ftrace,
  )
  t.same(
    names(guest),
    names(backend).map(name => name.replace('pstore_blk', 'guest1')),
    'under a configured name',
  )
  guest.close()
})

t.test('a tty ring with the plain signature', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  const { offset } = layout.zones.find(({ kind }) => kind === 'tty')!
  regionOf(backend).store(offset, Buffer.from('DBGC'))
  backend.write({ type: 'tty', bytes: Buffer.from('plain') })
  t.equal(textOf(backend, 'tty-pstore_blk-0'), 'plain')
  t.equal(fs.readFileSync(path).toString('latin1', offset, offset + 4), 'DBGC')
})

t.test('dumps go to the places in turn, also after a restart, and count on', async t => {
  const { path, layout } = make(t, { ...small, tty_size: 0 }, 7 * 4096)
  const shown = (): string[] => {
    const backend = attach(t, path, layout)
    return names(backend).map(name => textOf(backend, name).replaceAll('\n', '|'))
  }
  const oops = (n: number, sec = 1000n): ReturnType<typeof dump> => dump(`Oops#${n} Part1\n`, sec)
  const total = (n: number, of = n): string => `Oops: Total ${n} times|Oops#${of} Part1|`
  const first = attach(t, path, layout)
  // All in one moment.
  for (let n = 1; n <= 6; n++) first.write(oops(n))
  t.same(shown(), [total(5), total(6), total(3), total(4)])
  first.write(oops(7, 1001n))
  t.same(shown(), [total(5), total(6), total(7), total(4)])

  const second = attach(t, path, layout)
  second.write(dump('Panic#1 Part1\n', 1002n))
  second.write(dump('Restart#2 Part1\n', 1003n))
  second.write(dump('Hm, no title', 1003n))
  t.same(shown(), [
    'Shutdown: Total 0 times|Restart#2 Part1|',
    'Unknown: Total 0 times|Hm, no title',
    total(7),
    'Panic: Total 1 times|Panic#1 Part1|',
  ])
  // As in Linux, what was erased is still known: where it was, and what it counted.
  for (const record of second.records()) record.erase()
  t.same(shown(), [])
  attach(t, path, layout).write(oops(8, 1004n))
  t.same(names(attach(t, path, layout)), ['dmesg-pstore_blk-2'])
  t.same(shown(), [total(8)])
  // A compressed dump's reason is in its text.
  const bytes = zlib.deflateRawSync(Buffer.from('Panic#3 Part1\nwhy\n'))
  second.write(dump('', 1005n, { bytes, compressed: true }))
  second.write(dump('Panic#4 Part1\n', 1006n))
  t.same(shown()[0], 'Panic: Total 3 times|Panic#4 Part1|')
  // Whatever its codec: only kernels since 6.6 have one.
  second.write(
    dump('', 1007n, { bytes: storeLz4(Buffer.from('Panic#5 Part1\n')), compressed: true }),
  )
  second.write(dump('Panic#6 Part1\n', 1008n))
  t.same(shown()[2], 'Panic: Total 5 times|Panic#6 Part1|')
})

t.test('a counter at its end', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  const { offset } = layout.zones.find(({ kind }) => kind === 'dmesg')!
  const time = { sec: 5n, nsec: 0 }
  const header = encodeKmsgHeader(
    { form: kmsgForms.bits64, time, compressed: false, counter: 0xffffffff, reason: 2 },
    'little',
  )
  regionOf(backend).store(offset + zoneHeaderSize, header)
  backend.write(dump('Oops#1 Part1\n', 6n))
  t.match(textOf(backend, 'dmesg-pstore_blk-1'), /^Oops: Total 0 times\n/)
})

t.test('what does not fit is refused, and nothing is changed', async t => {
  const { path, layout } = make(t, { ...small, tty_size: 0 }, 7 * 4096)
  const backend = attach(t, path, layout)
  const before = fs.readFileSync(path)
  const rooms: { [type: string]: number } = {
    dmesg: 4096 - 52,
    console: 4096 - 12,
    pmsg: 4096 - 12,
    ftrace: 2048 - 12,
  }
  for (const type of recordTypes) {
    const room = rooms[type] ?? 0
    t.equal(backend.capacity(type)?.room ?? 0, room, type)
    if (room === 0) throws(t, 'ENOSPC', () => backend.write({ type, bytes: Buffer.from('x') }))
  }
  throws(t, 'ENOSPC', () => backend.write(dump('x'.repeat(4096 - 51), 1n)))
  throws(t, 'EINVAL', () => backend.write(dump('', 1n)))
  t.ok(fs.readFileSync(path).equals(before))
  t.equal(backend.write(dump('x'.repeat(4096 - 52), 1n)), 4096 - 52)
  t.equal(
    textOf(backend, 'dmesg-pstore_blk-0').length,
    4096 - 52 + 'Unknown: Total 0 times\n'.length,
  )

  const reader = attach(t, path, layout, true)
  t.equal(reader.readOnly, true)
  throws(t, 'EROFS', () => reader.write(dump('x', 1n)))
  throws(t, 'EROFS', () => [...reader.records()][0]!.erase())
})

t.test('what never was a store is not written to', async t => {
  const { layout } = make(t)
  for (const byte of [0, 0x5a]) {
    const path = file(t, Buffer.alloc(7 * 4096, byte))
    const backend = attach(t, path, layout)
    t.same(names(backend), [])
    t.throws(() => backend.write({ type: 'console', bytes: Buffer.from('x') }), {
      message: /no zone of this layout has a header/,
    })
    t.ok(fs.readFileSync(path).equals(Buffer.alloc(7 * 4096, byte)))
  }
})

t.test('erasing', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  backend.write(dump('Oops#1 Part1\n', 5n))
  const record = backend.find('dmesg-pstore_blk-0')!
  const other = attach(t, path, layout)
  other.find(record.name)!.erase()
  throws(t, 'ENOENT', () => record.read())
  throws(t, 'ENOENT', () => record.erase())
  for (let n = 0; n < 3; n++) backend.write(dump(`Oops#${n} Part1\n`, 6n))
  t.equal(textOf(backend, record.name), 'Oops: Total 4 times\nOops#2 Part1\n')
  record.erase()
  t.ok(backend.find(record.name), 'a dump that has taken its place stays')
  backend.find(record.name)!.erase()
  t.equal(backend.find(record.name), null)
  const after = fs.readFileSync(path)
  const { offset } = layout.zones.find(({ kind }) => kind === 'dmesg')!
  t.ok(after.includes('Oops#2 Part1', offset), 'its bytes stay')
})

t.test('a changed record has another version, and an unchanged one has not', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  backend.write({ type: 'console', bytes: Buffer.from('abc') })
  backend.write(dump('Oops#1 Part1\nfirst\n', 5n))
  const [oops, ring] = [...backend.records()]
  t.equal(backend.find(oops!.name)!.version, oops!.version)
  backend.write({ type: 'console', bytes: Buffer.from('d') })
  t.not(backend.find(ring!.name)!.version, ring!.version)
  const { offset } = layout.zones.find(({ kind }) => kind === 'dmesg')!
  regionOf(backend).store(offset + zoneHeaderSize + kmsgHeaderSize + 13, Buffer.from('F'))
  t.not(backend.find(oops!.name)!.version, oops!.version, 'only a byte of its text is another')
})

t.test('a stream that cannot be inflated', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  const limit = 3 * (backend.capacity('dmesg')?.room ?? 0)
  const stream = (length: number): Buffer => zlib.deflateRawSync(Buffer.alloc(length, 'x'))
  const raw = (bytes: Buffer): ReturnType<typeof dump> => dump('', 5n, { bytes, compressed: true })
  backend.write(raw(Buffer.from('no stream')))
  backend.write(raw(stream(limit)))
  t.same(names(backend), ['dmesg-pstore_blk-0.enc.z', 'dmesg-pstore_blk-1'])
  t.equal(textOf(backend, 'dmesg-pstore_blk-0.enc.z'), 'no stream')
  t.equal(backend.find('dmesg-pstore_blk-0'), null, 'not by the name of another state')
  t.equal(backend.find('dmesg-pstore_blk-1')!.size, limit)
  for (const record of backend.records()) record.erase()
  // One byte more than Linux gives it, and a bomb.
  const bomb = zlib.deflateRawSync(Buffer.alloc(3_500_000))
  for (const bytes of [stream(limit + 1), bomb]) {
    backend.write(raw(bytes))
    const [record] = [...backend.records()]
    t.match(record!.name, /\.enc\.z$/)
    t.same([record!.compressed, record!.size], [true, bytes.length])
    record!.erase()
  }
  // Linux ends its enumeration at a compressed dump without bytes.
  const { path: image, layout: more } = make(t)
  const odd = attach(t, image, more)
  for (const n of [1, 2]) odd.write(dump(`Oops#${n} Part1\n`, BigInt(n)))
  const { offset } = more.zones.find(({ kind }) => kind === 'dmesg')!
  const form = kmsgForms.bits64
  const header = { form, time: { sec: 9n, nsec: 0 }, compressed: true, counter: 1, reason: 2 }
  regionOf(odd).store(offset + zoneHeaderSize, encodeKmsgHeader(header, 'little'))
  const sig = signatureOf('dmesg')
  regionOf(odd).store(
    offset,
    encodeZoneHeader({ sig, datalen: kmsgHeaderSize, start: 0 }, 'little'),
  )
  t.same(names(odd), ['dmesg-pstore_blk-1'])
  t.match(
    [...odd.survey.conditions()].find(({ type }) => type === 'dmesg'),
    {
      record: null,
      findings: [/^an empty dump: /, /^it is no deflate, .* stream: .* is cut short$/],
    },
  )
  t.equal(
    odd.survey.salvage('dmesg-pstore_blk-1'),
    null,
    'of a plain dump there is nothing to salvage',
  )
  // Less than a header of either form; Linux writes past its buffer there.
  for (const datalen of [1, kmsgHeaderSize - 1]) {
    regionOf(odd).store(offset, encodeZoneHeader({ sig, datalen, start: 0 }, 'little'))
    t.same(names(odd), ['dmesg-pstore_blk-1'])
  }
})

t.test('a time of 1970 is none, and any other is shown as it is', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  const { offset } = layout.zones.find(({ kind }) => kind === 'dmesg')!
  backend.write(dump('Oops#1 Part1\n', 1n))
  for (const [sec, nsec] of [
    [0n, 5],
    [-1n, 0],
    [2n ** 63n - 1n, 0xffffffff],
  ] as const) {
    const form = kmsgForms.bits64
    const header = { form, time: { sec, nsec }, compressed: false, counter: 1, reason: 2 }
    regionOf(backend).store(offset + zoneHeaderSize, encodeKmsgHeader(header, 'little'))
    const { time } = backend.find('dmesg-pstore_blk-0')!
    t.same(time, sec === 0n ? null : { sec, nsec })
  }
})

t.test('less than one ftrace record is no file', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  backend.write({ type: 'ftrace', bytes: Buffer.alloc(24, 1) })
  const [whole] = backend.records()
  t.match(textOf(backend, whole.name), /^CPU:1 .*\n$/)
  whole.erase()
  backend.write({ type: 'ftrace', bytes: Buffer.alloc(23, 1) })
  t.same(names(backend), [])
  t.match(
    [...backend.survey.conditions()].find(({ type }) => type === 'ftrace'),
    { state: 'sound', used: 23, record: null },
  )
  throws(t, 'ENOENT', () => whole.read())
})

t.test('big-endian', async t => {
  const { path, layout } = make(t, { ...small, endian: 'big' })
  const backend = attach(t, path, layout)
  backend.write({ type: 'pmsg', bytes: Buffer.from('hello') })
  backend.write(dump('Oops#1 Part1\n', 5n))
  t.equal(textOf(backend, 'pmsg-pstore_blk-0'), 'hello')
  t.equal(textOf(backend, 'dmesg-pstore_blk-0'), 'Oops: Total 1 times\nOops#1 Part1\n')
  t.equal(fs.readFileSync(path).readUInt32BE(0), signatureOf('pmsg'))
})

t.test('a store of a 32-bit machine: its dumps are read, and the next are written so', async t => {
  for (const endian of ['little', 'big'] as const)
    for (const form of [kmsgForms.i386, kmsgForms.bits32]) {
      const { path, layout } = make(t, { ...small, tty_size: 0, endian })
      const [first] = layout.zones.filter(({ kind }) => kind === 'dmesg')
      const stream = zlib.deflateRawSync(Buffer.from('Panic#2 Part1\nsecond\n'))
      const time = { sec: 1_700_000_000n, nsec: 123456789 }
      const dumps = [
        {
          facts: { compressed: false, reason: 2, counter: 3 },
          body: Buffer.from('Oops#1 Part1\na\n'),
        },
        { facts: { compressed: true, reason: 1, counter: 8 }, body: stream },
        // Nothing behind the header: 28 bytes of i386's are one.
        { facts: { compressed: false, reason: 4, counter: 0 }, body: Buffer.alloc(0) },
      ]
      const bytes = fs.readFileSync(path)
      dumps.forEach(({ facts, body }, index) => {
        const header = encodeKmsgHeader({ form, time, ...facts }, endian)
        const datalen = header.length + body.length
        const zone = { sig: signatureOf('dmesg'), datalen, start: 0 }
        const whole = Buffer.concat([encodeZoneHeader(zone, endian), header, body])
        whole.copy(bytes, first!.offset + index * 4096)
      })
      fs.writeFileSync(path, bytes)
      const backend = attach(t, path, layout)
      t.same(
        names(backend).map(name => textOf(backend, name)),
        [
          'Oops: Total 3 times\nOops#1 Part1\na\n',
          'Panic#2 Part1\nsecond\n',
          'Shutdown: Total 0 times\n',
        ],
      )
      t.same(backend.find('dmesg-pstore_blk-0')!.time, time)
      const [, second] = [...backend.survey.conditions()].filter(({ type }) => type === 'dmesg')
      t.match(second, { state: 'sound', findings: [] })

      backend.write(
        dump('Panic#3 Part1\n', 1_700_000_009n, { time: { sec: 1_700_000_009n, nsec: 7 } }),
      )
      const written = fs
        .readFileSync(path)
        .subarray(first!.offset + 3 * 4096, first!.offset + 4 * 4096)
      const facts = {
        compressed: false,
        counter: 9,
        reason: 1,
        time: { sec: 1_700_000_009n, nsec: 7 },
      }
      const header = encodeKmsgHeader({ form, ...facts }, endian)
      t.ok(
        written
          .subarray(zoneHeaderSize)
          .toString('latin1')
          .startsWith(`${header.toString('latin1')}Panic#3 Part1\n`),
        `${endian}, ${form.size}`,
      )
      t.equal(textOf(backend, 'dmesg-pstore_blk-3'), 'Panic: Total 9 times\nPanic#3 Part1\n')
    }
})

t.test('the newest dump says which machine reads the next', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  const places = layout.zones.filter(({ kind }) => kind === 'dmesg')
  const put = (index: number, form: (typeof kmsgForms)['bits64' | 'i386'], sec: bigint): void => {
    const header = { form, time: { sec, nsec: 9 }, compressed: false, counter: 0, reason: 4 }
    regionOf(backend).store(
      places[index]!.offset + zoneHeaderSize,
      encodeKmsgHeader(header, 'little'),
    )
  }
  const { i386, bits64 } = kmsgForms
  const formOf = (index: number): number =>
    fs.readFileSync(path).indexOf('Oops#', places[index]!.offset) - places[index]!.offset - 12
  put(0, i386, 100n)
  put(1, bits64, 200n)
  backend.write(dump('Oops#1 Part1\n', 300n))
  t.equal(formOf(2), bits64.size)
  put(0, i386, 400n)
  backend.write(dump('Oops#2 Part1\n', 500n))
  t.equal(formOf(1), i386.size)
})

t.test('the dmesg frontend', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  const text = Buffer.from('<6>[    0.000000] a line\n'.repeat(1000))
  writeDump(backend, text, { reason: 'oops' })
  writeDump(backend, text, { reason: 'panic', compress: false })
  t.match(textOf(backend, 'dmesg-pstore_blk-0'), /^Oops#1 Part1\n/)
  t.match(textOf(backend, 'dmesg-pstore_blk-1'), /^Panic: Total 1 times\nPanic#2 Part1\n/)
  t.equal(
    backend.find('dmesg-pstore_blk-1')!.size,
    (backend.capacity('dmesg')?.room ?? 0) + 'Panic: Total 1 times\n'.length,
  )
})

t.test('a store that shrinks is an I/O error', async t => {
  const { path, layout } = make(t)
  const backend = attach(t, path, layout)
  backend.write(dump('Oops#1 Part1\n', 5n))
  const [record] = [...backend.records()]
  fs.truncateSync(path, 4096)
  throws(t, 'EIO', () => [...backend.records()])
  throws(t, 'EIO', () => record!.read())
  throws(t, 'EIO', () =>
    attach(t, path, layout).write({ type: 'console', bytes: Buffer.from('x') }),
  )
  t.equal(fs.statSync(path).size, 4096, 'writing has not made it larger')
})

t.test('hostile stores show what is sound', async t => {
  const random = randomFor(t)
  const fixture = loadFixture('blk-all')
  const layout = layoutOf(fixture)
  const original = fixture.region()
  const path = file(t, original)
  const backend = attach(t, path, layout)
  const name = /^(dmesg-pstore_blk-[0-5](\.enc\.z)?|(ftrace|pmsg|console)-pstore_blk-0)$/
  let shown = 0
  for (let round = 0; round < 300; round++) {
    const image = Buffer.from(original)
    const harmed = new Set<string>()
    for (let i = random.between(1, 3); i > 0; i--) {
      const { kind, index, offset, size } = random.pick(layout.zones)
      harmed.add(`${kind}-pstore_blk-${kind === 'dmesg' ? index : 0}`)
      const value = random.pick([
        0,
        1,
        39,
        40,
        41,
        size - 12,
        size - 11,
        size,
        2 ** 31,
        2 ** 32 - 1,
      ])
      if (random.below(4)) image.writeUInt32LE(value, offset + 4 * random.between(0, 12))
      else random.bytes(60).copy(image, offset + random.pick([0, 4, 12, 52, 100]))
    }
    // A writer keeps the lock, and what it knows of the zones, until its turn ends.
    await setImmediate()
    fs.writeFileSync(path, image)
    const records = [...backend.records()]
    for (const record of records) {
      t.match(record.name, name)
      const bytes = record.read()
      if (record.type !== 'ftrace') t.equal(bytes.length, record.size)
      if (bytes.length > 3 * 32768 + 100) t.fail(`${record.name}: ${bytes.length} bytes`)
      if (!harmed.has(record.name.replace('.enc.z', '')))
        t.ok(bytes.equals(fixture.file(record.name)), `${record.name}: not harmed`)
      shown++
    }
    for (const { name } of fixture.files)
      if (!harmed.has(name))
        t.ok(
          records.some(record => record.name === name),
          `${name}: shown`,
        )
    if (random.below(8) === 0)
      for (const record of records) {
        record.erase()
        t.equal(backend.find(record.name), null)
      }
    if (random.below(8) === 0) {
      backend.write({ type: 'console', bytes: Buffer.from('the end') })
      t.match(textOf(backend, 'console-pstore_blk-0'), /the end$/)
      writeDump(backend, Buffer.from('text'), { reason: 'oops' })
    }
    t.equal(fs.statSync(path).size, original.length)
  }
  t.ok(shown > 300)
})
