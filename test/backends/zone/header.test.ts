/** Headers: what Linux wrote is encoded as it is decoded. */
import t from 'tap'
import {
  encodeKmsgHeader,
  encodeZoneHeader,
  isCounted,
  isSigned,
  kmsgForms,
  kmsgHeaderSize,
  decodeKmsgHeader,
  decodeZoneHeader,
  reasonNumber,
  signatureOf,
  totalLine,
  zoneHeaderSize,
} from '#src/backends/zone/header.js'
import { loadFixture } from '../../fixtures.js'
import { randomFor } from '../../random.js'
import { layoutOf } from './stores.js'
import { zoneKinds, type Endian } from '#src/pstore/types.js'

t.test("Linux's own headers", async t => {
  for (const name of ['blk-all', 'blk-two-boots', 'blk-two-boots-text']) {
    const fixture = loadFixture(name)
    const region = fixture.region()
    let dumps = 0
    for (const { kind, index, offset } of layoutOf(fixture).zones) {
      const bytes = region.subarray(offset, offset + zoneHeaderSize)
      const header = decodeZoneHeader(bytes, 'little')
      if (header.sig === 0) continue
      t.equal(header.sig, signatureOf(kind))
      t.same(encodeZoneHeader(header, 'little'), bytes)
      if (kind !== 'dmesg') continue
      const data = region.subarray(
        offset + zoneHeaderSize,
        offset + zoneHeaderSize + kmsgHeaderSize,
      )
      const dump = decodeKmsgHeader(data, 'little')!
      t.same(encodeKmsgHeader(dump, 'little'), data)
      t.same([dump.counter, dump.reason], [index + 1, 2])
      t.equal(dump.compressed, name !== 'blk-two-boots-text')
      dumps++
    }
    t.ok(dumps >= 3)
  }
})

t.test('both byte orders', async t => {
  const random = randomFor(t)
  for (const endian of ['little', 'big'] satisfies Endian[])
    for (let i = 0; i < 100; i++) {
      const u32 = (): number => random.pick([0, 1, 0xffffffff, random.below(2 ** 31)])
      const zone = { sig: u32(), datalen: u32(), start: u32() }
      t.same(decodeZoneHeader(encodeZoneHeader(zone, endian), endian), zone)
    }
})

/** Each form's bytes, by hand: magic, seconds 0x6543f100, nanoseconds 123456789 or less, compressed, counter 7, panic. */
const byHand: { [form in keyof typeof kmsgForms]: { [endian in Endian]: string } } = {
  bits64: {
    little:
      'e53afc4d 00000000 00f14365 00000000 15cd5b07 00000000 01000000 07000000 01000000 00000000',
    big: '4dfc3ae5 00000000 00000000 6543f100 00000000 075bcd15 01000000 00000007 00000001 00000000',
  },
  bits32: {
    little:
      'e53afc4d 00000000 00f14365 00000000 15cd5b07 00000000 01000000 07000000 01000000 00000000',
    big: '4dfc3ae5 00000000 00000000 6543f100 075bcd15 00000000 01000000 00000007 00000001 00000000',
  },
  i386: {
    little: 'e53afc4d 00f14365 00000000 15cd5b07 01000000 07000000 01000000',
    big: '4dfc3ae5 00000000 6543f100 075bcd15 01000000 00000007 00000001',
  },
}
const formNames = ['bits64', 'bits32', 'i386'] as const
const endians = ['little', 'big'] satisfies Endian[]
const text = Buffer.from('Panic#1 Part1\n<6>[   97.000000] ')

t.test("each machine's form, by hand", async t => {
  for (const name of formNames)
    for (const endian of endians) {
      const bytes = Buffer.from(byHand[name][endian].replaceAll(' ', ''), 'hex')
      const header = {
        form: kmsgForms[name],
        time: { sec: 0x6543f100n, nsec: 123456789 },
        compressed: true,
        counter: 7,
        reason: 1,
      }
      t.same(encodeKmsgHeader(header, endian), bytes, `${name}, ${endian}`)
      const found = decodeKmsgHeader(Buffer.concat([bytes, text]), endian)
      // The two that place numbers alike are one on little-endian machines.
      const form = name === 'bits32' && endian === 'little' ? kmsgForms.bits64 : header.form
      t.same(found, { ...header, form }, `${name}, ${endian}`)
      t.equal(decodeKmsgHeader(bytes, endian === 'big' ? 'little' : 'big'), null)
    }
})

t.test('whatever a kernel writes is read as it was written', async t => {
  const random = randomFor(t)
  for (const name of formNames)
    for (const endian of endians)
      for (let i = 0; i < 200; i++) {
        const header = {
          form: kmsgForms[name],
          time: {
            // 0: a machine without a clock, whose nanoseconds tell.
            sec: BigInt(random.pick([0, 1, 2 ** 32 - 1, random.below(2 ** 32), 1_700_000_000])),
            nsec: random.pick([5, 999_999_999, random.between(4, 999_999_999)]),
          },
          compressed: random.below(2) === 1,
          counter: random.pick([0, 1, 300, random.below(2 ** 16)]),
          reason: random.between(1, 4),
        }
        const head = encodeKmsgHeader(header, endian)
        const found = decodeKmsgHeader(Buffer.concat([head, text]), endian)!
        const { form, ...rest } = header
        t.equal(found.form.size, form.size, `${name}, ${endian}`)
        t.same({ ...found, form: null }, { ...rest, form: null }, `${name}, ${endian}`)
        if (endian === 'big') t.equal(found.form, form)
        t.same(encodeKmsgHeader(found, endian), head)
      }
})

t.test('what no kernel writes: 64 bits, unless another form fits better', async t => {
  const header = {
    form: kmsgForms.bits64,
    time: { sec: 2n ** 63n - 1n, nsec: 0xffffffff },
    compressed: true,
    counter: 0xffffffff,
    reason: 2,
  }
  for (const endian of endians) {
    t.same(decodeKmsgHeader(encodeKmsgHeader(header, endian), endian), header)
    // Each field in turn, of each form: one that is wrong does not make it another.
    for (const name of formNames) {
      const time = { sec: 1_700_000_000n, nsec: 123456789 }
      const form = kmsgForms[name]
      const sound = { form, time, compressed: false, counter: 3, reason: 2 }
      for (const at of [form.sec, form.nsec, form.compressed, form.reason]) {
        const bytes = Buffer.concat([encodeKmsgHeader(sound, endian), text])
        bytes[at]! ^= 0x80
        bytes[at + 3]! ^= 0x80
        t.equal(decodeKmsgHeader(bytes, endian)!.form.size, form.size, `${name}, ${endian}, ${at}`)
      }
    }
  }
  const random = randomFor(t)
  for (let i = 0; i < 500; i++) {
    const bytes = random.bytes(random.between(kmsgForms.i386.size, 60))
    bytes.writeUInt32LE(0x4dfc3ae5, 0)
    const size = decodeKmsgHeader(bytes, 'little')?.form.size ?? 0
    t.ok(size <= bytes.length, 'a form has room')
  }
})

t.test('no header', async t => {
  const time = { sec: 1n, nsec: 5 }
  const facts = { time, compressed: true, counter: 3, reason: 4 }
  const bytes = encodeKmsgHeader({ form: kmsgForms.bits64, ...facts }, 'little')
  t.equal(decodeKmsgHeader(bytes.subarray(0, kmsgHeaderSize - 1), 'little'), null, 'cut short')
  bytes[0]!++
  t.equal(decodeKmsgHeader(bytes, 'little'), null)
  const short = encodeKmsgHeader({ form: kmsgForms.i386, ...facts }, 'little')
  t.same(decodeKmsgHeader(short, 'little'), { form: kmsgForms.i386, ...facts }, 'i386 needs less')
  t.equal(decodeKmsgHeader(short.subarray(0, short.length - 1), 'little'), null)
  t.equal(decodeKmsgHeader(Buffer.alloc(0), 'little'), null)
})

t.test('signatures', async t => {
  // A boot log is ramoops's alone.
  const kinds = zoneKinds.filter(kind => kind !== 'boot-log')
  t.same(
    kinds.map(kind => signatureOf(kind).toString(16)),
    ['43474244', '43474246', '43474243', '4347424d', '43474247'],
  )
  for (const kind of kinds)
    for (const other of kinds)
      t.equal(
        isSigned(signatureOf(other), kind),
        kind === other || (kind === 'tty' && other === 'dmesg'),
        `${other} as ${kind}`,
      )
})

t.test('reasons', async t => {
  const words = ['Panic', 'Oops', 'Emergency', 'Shutdown', 'Restart', 'Halt', 'Poweroff', 'Hm']
  t.same(words.map(reasonNumber), [1, 2, 3, 4, 4, 4, 4, 0])
  t.same([0, 1, 2, 3, 4].map(isCounted), [false, true, true, false, false])
  const line = (reason: number, counter: number): string => totalLine({ reason, counter })
  t.equal(line(2, 7), 'Oops: Total 7 times\n')
  t.equal(line(1, 0xffffffff), 'Panic: Total -1 times\n')
  t.equal(line(0, 0), 'Unknown: Total 0 times\n')
  t.equal(line(0xffffffff, 1), 'Unknown: Total 1 times\n')
})
