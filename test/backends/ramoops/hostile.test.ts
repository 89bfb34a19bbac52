/** Regions from hostile or broken machines: whatever lies in them, they are shown, quickly, or refused. */
import fs from 'node:fs'
import t from 'tap'
import { attach, StoreError, type AttachOptions, type Backend } from '#src/index.js'
import { loadFixture } from '../../fixtures.js'
import { folder } from '../../program.js'
import { randomFor, type Random } from '../../random.js'

const sources = [
  'all-noecc',
  'ecc1-all',
  'dmesg-many',
  'layout-odd-zone',
  'ftrace-percpu4',
  'raw-random',
]
const rounds = Number(process.env.ROUNDS ?? 400)
const numbers = [0, 1, 2, 11, 12, 0x7fffffff, 0x80000000, 0xffffffff, 4084, 4085, 16372, 16373]

/** Change a region in one of the ways that crashes, cosmic rays and attackers have. */
const mutate = (random: Random, bytes: Buffer, zones: number[]): void => {
  const way = random.below(5)
  if (way === 0)
    for (let i = random.below(50); i >= 0; i--)
      bytes[random.below(bytes.length)] ^= 1 << random.below(8)
  else if (way === 1)
    bytes.fill(random.below(256), random.below(bytes.length), random.below(bytes.length) + 1)
  else if (way === 2 && zones.length) {
    const zone = random.pick(zones)
    if (zone + 12 <= bytes.length)
      bytes.writeUInt32LE(random.pick(numbers), zone + 4 * random.between(1, 2))
  } else if (way === 3 && zones.length) {
    const text = random.pick([
      '====1.1-C\n',
      '====-9223372036854775808.4294967295-D\nx',
      '====',
      '====1.1-C\n\x03\x00',
      `====${'9'.repeat(3000)}.1-D\n`,
    ])
    const zone = random.pick(zones)
    bytes.write(text, Math.min(zone + 12, bytes.length - 1), 'latin1')
  } else random.bytes(random.below(4096)).copy(bytes, random.below(bytes.length))
}

const layoutOf = (random: Random, own: AttachOptions): AttachOptions => {
  if (random.below(3)) return own
  const size = (): number => random.pick([0, 16, 32, 100, 512, 4096, 5000, 16384])
  return {
    ...own,
    record_size: size(),
    console_size: size(),
    pmsg_size: size(),
    ftrace_size: size(),
    tty_size: size(),
    ecc: random.pick([0, 1, 2, 7, 16, 32, 127, 128, 300]),
    cpus: random.pick([1, 2, 3, 64]),
    endian: random.pick(['little', 'big'] as const),
  }
}

t.test(`${rounds} mutated regions`, async t => {
  const random = randomFor(t)
  const path = `${folder(t)}/region.img`
  let shown = 0
  let slowest = 0
  for (let round = 0; round < rounds; round++) {
    const fixture = loadFixture(random.pick(sources))
    const bytes = fixture.region()
    const zones = fixture.zones?.map(({ offset }) => offset) ?? []
    for (let i = random.between(1, 8); i > 0; i--) mutate(random, bytes, zones)
    fs.writeFileSync(path, bytes)
    const start = performance.now()
    let backend: Backend
    try {
      backend = attach(path, layoutOf(random, fixture.layout))
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      continue
    }
    const seen = new Set<string>()
    for (const record of backend.records()) {
      const content = record.read()
      if (!/^(dmesg|console|pmsg|tty|ftrace)-ramoops-\d+(\.enc\.z)?$/.test(record.name))
        t.fail(record.name)
      if (seen.has(record.name)) t.fail(`${record.name} stands twice`)
      seen.add(record.name)
      // Three times a zone at most, or five times for ftrace's text; and the notice.
      if (content.length > 5.5 * bytes.length + 100)
        t.fail(`${record.name}: ${content.length} bytes`)
      if (record.type !== 'ftrace' && content.length !== record.size) t.fail(`${record.name}: size`)
      if (backend.find(record.name)?.version !== record.version)
        t.fail(`${record.name}: found otherwise by name`)
      shown++
    }
    backend.close()
    slowest = Math.max(slowest, performance.now() - start)
    if (!fs.readFileSync(path).equals(bytes)) t.fail('reading has written')
  }
  t.ok(shown > rounds, `${shown} records, at most ${slowest.toFixed(0)} ms a region`)
})

t.test('the worst that 64 MiB can hold is shown in seconds', async t => {
  const path = `${folder(t)}/large.img`
  const size = 2 ** 26
  const cases: [name: string, options: AttachOptions, fill: (bytes: Buffer) => void][] = [
    [
      '65,536 zones of 16 bytes',
      { record_size: 16, console_size: 0, pmsg_size: 0, ftrace_size: 0, mem_size: 2 ** 20 },
      bytes => bytes.fill(0xff),
    ],
    [
      'a ring that is all damaged blocks',
      {
        record_size: 0,
        console_size: 2 ** 24,
        pmsg_size: 0,
        ftrace_size: 0,
        ecc: 16,
        mem_size: 2 ** 24,
      },
      bytes => {
        for (let i = 0; i < 2 ** 24; i += 4) bytes.writeInt32LE(Math.imul(i, 2654435761), i)
        bytes.writeUInt32LE(0x43474244, 0)
        bytes.writeUInt32LE(0, 4)
        bytes.writeUInt32LE(14 * 2 ** 20, 8)
      },
    ],
    ['zeros', { record_size: 4096 }, () => {}],
  ]
  for (const [name, options, fill] of cases) {
    const bytes = Buffer.alloc(size)
    fill(bytes)
    fs.writeFileSync(path, bytes)
    const backend = attach(path, options)
    for (const record of backend.records()) record.read()
    backend.close()
    t.pass(name)
  }
})
