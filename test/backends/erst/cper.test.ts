/** A slot's content: what is made here is, byte for byte, what Linux and QEMU make. */
import t from 'tap'
import { cperHeaderSize, encodeCper, isCperType, decodeCper } from '#src/backends/erst/cper.js'
import { recordTypes } from '#src/pstore/types.js'
import { fixtures } from '../../fixtures.js'

for (const fixture of fixtures('erst-'))
  t.test(`${fixture.name}: the kernel's records, made again`, async t => {
    const recordSize = fixture.layout.record_size!
    const region = fixture.region()
    let slot = 1
    for (const { name, mtime } of fixture.files) {
      const bytes = region.subarray(slot * recordSize, ++slot * recordSize)
      const header = decodeCper(bytes, recordSize)!
      t.same(header.time, mtime)
      t.equal(header.type, 'dmesg')
      t.equal(header.compressed, fixture.name !== 'erst-uncompressed')
      const again = encodeCper(
        {
          ...header,
          id: BigInt(name.slice('dmesg-erst-'.length)),
          sec: mtime.sec,
          data: bytes.subarray(cperHeaderSize, header.length),
        },
        recordSize,
      )
      t.ok(again.equals(bytes), name)
    }
  })

t.test('what is made can be parsed', async t => {
  for (const [type, compressed] of [
    ['dmesg', false],
    ['dmesg', true],
    ['mce', false],
  ] as const)
    for (const sec of [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      const data = Buffer.from(`${type} ${sec}`)
      const bytes = encodeCper({ id: 2n ** 64n - 2n, type, compressed, sec, data }, 4096)
      t.equal(bytes.length, 4096)
      t.equal(bytes.readBigUInt64LE(96), 2n ** 64n - 2n)
      t.same(decodeCper(bytes, 4096), {
        type,
        compressed,
        time: sec === 0n ? null : { sec, nsec: 0 },
        length: 200 + data.length,
      })
      t.equal(decodeCper(bytes, 200 + data.length - 1), null, 'not in a slot that is too short')
    }
})

t.test('the types that have a section', async t => {
  t.same(recordTypes.filter(isCperType), ['dmesg', 'mce', 'console', 'pmsg', 'tty'])
})
