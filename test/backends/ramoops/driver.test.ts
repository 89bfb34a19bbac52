/** Zones that hold something, and show no file. */
import t from 'tap'
import { encodeNumbers, encodeSignature } from '#src/backends/ramoops/zone-header.js'
import { RamoopsDriver } from '#src/backends/ramoops/driver.js'
import { attach, format } from '#src/index.js'
import type { Store } from '#src/pstore/store.js'
import { Region } from '#src/region/region.js'
import { folder } from '../../program.js'
import { randomFor } from '../../random.js'

for (const ecc of [0, 16])
  t.test(`ecc ${ecc}: less than one ftrace record`, async t => {
    const source = `${folder(t)}/region.img`
    const layout = { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: 4096, ecc }
    format(source, { ...layout, mem_size: 4096 })
    const backend = attach(source, layout)
    t.teardown(() => backend.close())
    backend.write({ type: 'ftrace', bytes: Buffer.alloc(24, 1) })
    const [whole] = backend.records()
    t.match(whole.read().toString(), /^CPU:1 .*\n/)
    whole.erase()
    backend.write({ type: 'ftrace', bytes: Buffer.alloc(23, 1) })
    t.same([...backend.records()], [])
    t.match([...backend.survey.conditions()], [{ state: 'sound', used: 23, record: null }])
    t.throws(() => whole.read(), { message: /no such record/, code: 'ENOENT' })
    t.equal(backend.survey.raw(whole.name)?.length, 23)
    t.equal(backend.capacity('dmesg')?.room ?? 0, 0)
  })

t.test('a dump whose time takes a longer line than others', async t => {
  const source = `${folder(t)}/region.img`
  const layout = { record_size: 4096, console_size: 0, pmsg_size: 0, ftrace_size: 0 }
  format(source, { ...layout, mem_size: 4096 })
  const backend = attach(source, layout)
  t.teardown(() => backend.close())
  const { room } = backend.capacity('dmesg')!
  const write = (length: number, time: { sec: bigint; nsec: number }): unknown =>
    backend.write({ type: 'dmesg', bytes: Buffer.alloc(length, 'x'), time })
  write(room, { sec: 1_700_000_000n, nsec: 0 })
  // After 2286, before 1970, and what a hostile header has beside its seconds.
  for (const [sec, nsec] of [
    [17_000_000_000n, 0],
    [-1_700_000_000n, 0],
    [1_700_000_000n, 4_000_000_000],
  ] as const) {
    t.throws(() => write(room, { sec, nsec }), { name: 'StoreError', code: 'ENOSPC' })
    t.match([...backend.records()], [{ size: room, time: { sec: 1_700_000_000n } }], 'it is there')
  }
  write(room - 1, { sec: 17_000_000_000n, nsec: 0 })
  t.match([...backend.records()], [{ size: room - 1, time: { sec: 17_000_000_000n } }])
})

t.test('the bytes of a zone that nobody has signed', async t => {
  const source = `${folder(t)}/region.img`
  const layout = { record_size: 0, console_size: 4096, pmsg_size: 0, ftrace_size: 0 }
  format(source, { ...layout, mem_size: 4096 })
  const backend = attach(source, layout)
  t.teardown(() => backend.close())
  const region = new Region(source)
  t.teardown(() => region.close())
  region.store(0, Buffer.alloc(4096, 0x5a))
  t.match([...backend.survey.conditions()], [{ state: 'unsigned', used: 0 }])
  t.equal(backend.survey.raw('console-ramoops-0')?.length, 0, 'are nobody’s')
})

/** What a zone for dumps may begin with. */
const fronts = [
  '====1700000000.123456-C\n',
  '====1700000000.123456-D\n',
  '====1700000000.123456\n',
  `====1700000000.123456-D${'\n'.repeat(50)}`,
  `====${' '.repeat(60)}1700000000.123456-D\n`,
  `====17.${'0'.repeat(54)}-`,
  `====17.${'0'.repeat(55)}-`,
  `====17.${'0'.repeat(56)}-`,
  '====-5.000001-D\n',
  '===1700000000.123456-D\n',
  '====17',
  'text',
  '',
]

for (const ecc of [0, 1, 16])
  for (const record_size of [256, 4096, 8192])
    t.test(
      `ecc ${ecc}, zones of ${record_size}: by their fronts dumps have their turns`,
      async t => {
        const random = randomFor(t)
        const source = `${folder(t)}/region.img`
        const layout = { record_size, console_size: 0, pmsg_size: 0, ftrace_size: 0, ecc }
        format(source, { ...layout, mem_size: 64 * record_size })
        const { driver } = attach(source, layout) as Store
        t.teardown(() => driver.close())
        if (!(driver instanceof RamoopsDriver)) throw new TypeError('no ramoops')
        const zones = [...driver.dumpZones()]
        for (let round = 0; round < 3; round++) {
          for (const [i, zone] of zones.entries()) {
            const epoch = driver.lock.hold(zone)
            zone.erase(epoch)
            // Some wrap, as a ring does.
            if (random.below(4) === 0)
              zone.append(Buffer.alloc(random.below(zone.dataLength)), epoch)
            const front = fronts[(i + round) % fronts.length]!
            const rest = random.pick([0, 1, 30, 100, zone.dataLength])
            zone.append(Buffer.from(front + 'x'.repeat(rest)).subarray(0, zone.dataLength), epoch)
            const damage = random.below(4)
            if (damage > 0) continue
            const at = zone.extent.offset + random.below(64)
            const byte = driver.region.load(at, 1)
            byte[0]! ^= 1 << random.below(8)
            driver.region.store(at, byte)
          }
          const area = driver.dumps('dmesg')!
          if (area.parts) throw new TypeError('no zones')
          const expected = zones.map(zone => {
            const { content } = zone.read()
            return { time: driver.dumpIn(content)?.time ?? null, free: content.length === 0 }
          })
          t.same(area.zones(), expected)
        }
      },
    )

/** Two addresses, and a time in nanoseconds that is the CPU's number. */
const ftraceRecord = (cpu: number): Buffer => {
  const record = Buffer.alloc(24)
  record.writeBigUInt64LE(0xffffffff81000000n, 0)
  record.writeBigUInt64LE(0xffffffff81000100n, 8)
  record.writeBigUInt64LE((BigInt(cpu) << 8n) | BigInt(cpu), 16)
  return record
}

t.test(
  'ftrace of more CPUs than are looked at to know its form, and of one zone for all',
  async t => {
    for (const [flags, cpus] of [
      [1, 32],
      [0, 1],
    ] as const) {
      const source = `${folder(t)}/region.img`
      const sizes = { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: cpus * 4096 }
      const layout = { ...sizes, cpus, flags }
      format(source, { ...layout, mem_size: cpus * 4096 })
      const region = new Region(source)
      for (let cpu = 0; cpu < cpus; cpu++)
        region.store(
          cpu * 4096,
          Buffer.concat([
            encodeSignature('ftrace', 'little'),
            encodeNumbers(24, 24, 'little'),
            ftraceRecord(cpu),
          ]),
        )
      region.close()
      const backend = attach(source, layout)
      t.teardown(() => backend.close())
      const [record] = backend.records()
      const lines = record.read().toString().split('\n').slice(0, -1)
      t.same(
        lines.map(line => line.split(' ').slice(0, 2).join(' ')),
        Array.from({ length: cpus }, (_, cpu) => `CPU:${cpu} ts:${cpu}`),
      )
      t.equal(record.size, 24 * cpus)
    }
  },
)
