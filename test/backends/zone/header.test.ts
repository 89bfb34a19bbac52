/** Headers: what Linux wrote is encoded as it is decoded. */
import t from 'tap'
import {
  encodeKmsgHeader,
  encodeZoneHeader,
  isCounted,
  isSigned,
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
      const header = {
        time: {
          sec: random.pick([0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), BigInt(u32())]),
          nsec: u32(),
        },
        compressed: random.below(2) === 1,
        counter: u32(),
        reason: u32(),
      }
      t.same(decodeKmsgHeader(encodeKmsgHeader(header, endian), endian), header)
      const other = endian === 'big' ? 'little' : 'big'
      t.equal(decodeKmsgHeader(encodeKmsgHeader(header, endian), other), null)
      const zone = { sig: u32(), datalen: u32(), start: u32() }
      t.same(decodeZoneHeader(encodeZoneHeader(zone, endian), endian), zone)
    }
  // As a 32-bit machine lays it out: nsec is a long.
  const bytes = encodeKmsgHeader(
    { time: { sec: 1n, nsec: 0 }, compressed: false, counter: 1, reason: 2 },
    'big',
  )
  bytes.writeUInt32BE(123456789, 16)
  t.same(decodeKmsgHeader(bytes, 'big')?.time, { sec: 1n, nsec: 123456789 })
})

t.test('no header', async t => {
  const bytes = encodeKmsgHeader(
    { time: { sec: 1n, nsec: 2 }, compressed: true, counter: 3, reason: 4 },
    'little',
  )
  t.equal(decodeKmsgHeader(bytes.subarray(0, kmsgHeaderSize - 1), 'little'), null)
  bytes[0]!++
  t.equal(decodeKmsgHeader(bytes, 'little'), null)
})

t.test('signatures', async t => {
  t.same(
    zoneKinds.map(kind => signatureOf(kind).toString(16)),
    ['43474244', '43474246', '43474243', '4347424d', '43474247'],
  )
  for (const kind of zoneKinds)
    for (const other of zoneKinds)
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
  const time = { sec: 0n, nsec: 0 }
  const line = (reason: number, counter: number): string =>
    totalLine({ time, compressed: false, reason, counter })
  t.equal(line(2, 7), 'Oops: Total 7 times\n')
  t.equal(line(1, 0xffffffff), 'Panic: Total -1 times\n')
  t.equal(line(0, 0), 'Unknown: Total 0 times\n')
  t.equal(line(0xffffffff, 1), 'Unknown: Total 1 times\n')
})
