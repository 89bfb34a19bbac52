/** Damaged headers: they are marks as well as sound ones, and never make a layout certain that is wrong. */
import t, { type Test } from 'tap'
import { makeLayout, type RamoopsParameters } from '#src/backends/ramoops/layout.js'
import { probeSource, type FoundRegion } from '#src/index.js'
import { file } from '../../program.js'
import { randomFor, type Random } from '../../random.js'
import { calls, dump, header, makeRegion, numbers } from './made.js'

const K = 2 ** 10
const log = '[    0.000000] Linux version 6.1.0\n'
const regionsIn = (t: Test, source: Buffer): FoundRegion[] => probeSource(file(t, source)).regions

/** Four zones at equal distances: two dumps, a console, a message. */
const four = {
  mem_size: 64 * K,
  record_size: 16 * K,
  console_size: 16 * K,
  pmsg_size: 16 * K,
  ftrace_size: 0,
}
const contents = { dmesg0: dump(0), console0: log.repeat(100), pmsg0: 'message\n'.repeat(50) }
const at = [0, 16 * K, 32 * K, 48 * K]

const flip = (region: Buffer, offset: number, bit: number): void => {
  region[offset + (bit >> 3)]! ^= 1 << (bit & 7)
}

t.test('a bit of any signature is wrong, or one of each', async t => {
  for (const endian of ['little', 'big'] as const)
    for (const damaged of [[0], [1], [2], [3], [0, 1, 2, 3]])
      for (const bit of [0, 18, 20]) {
        const region = makeRegion({ ...four, endian }, contents)
        for (const zone of damaged) flip(region, at[zone]!, bit)
        const what = `bit ${bit} of ${damaged.join()}, ${endian}-endian`
        const [found, ...more] = regionsIn(t, region)
        t.same(more, [], what)
        t.match(found, { ...four, mem_address: 0, endian, certain: false }, what)
        t.match(found?.evidence.join('\n'), /damaged headers: \d zones?, so this is not certain/)
      }
})

t.test('parity corrects a signature: nothing is damaged', async t => {
  const layout = { ...four, ecc: 16 }
  for (const bits of [[20], [0, 12, 18]]) {
    const region = makeRegion(layout, contents)
    for (const bit of bits) flip(region, at[2]!, bit)
    t.match(regionsIn(t, region), [{ ...layout, order: ['dmesg', 'console', 'pmsg'] }])
    t.notMatch(regionsIn(t, region)[0]?.evidence.join('\n'), /damaged/)
  }
})

t.test('in a dump of memory a page tells, and a lone wrong signature is none', async t => {
  const region = makeRegion(four, contents)
  for (const [i, offset] of at.entries()) flip(region, offset, 4 * i)
  const memory = Buffer.alloc(32 * K * K)
  region.copy(memory, 5 * K * K)
  t.match(regionsIn(t, memory), [{ ...four, mem_address: 5 * K * K, certain: false }])
  const lone = header(0)
  flip(lone, 0, 7)
  for (const [offset, found] of [
    [0, 1],
    [8 * K, 0],
    [8 * K + 2, 0],
  ] as const) {
    const source = Buffer.alloc(16 * K)
    lone.copy(source, offset)
    t.equal(regionsIn(t, source).length, found, `at ${offset}`)
  }
  // Nor does a sound one that is too far away to be of the same region make it one.
  for (const [gap, found] of [
    [100_001, []],
    [17 * K * K, [{ mem_address: 8 * K + 17 * K * K }]],
  ] as const) {
    const source = Buffer.alloc(32 * K * K)
    lone.copy(source, 8 * K)
    header(0).copy(source, 8 * K + gap)
    const regions = regionsIn(t, source)
    t.equal(regions.length, found.length, `${gap} bytes before a sound one`)
    t.match(regions, found)
  }
})

t.test('headers whose numbers are impossible, at equal distances', async t => {
  const layout = {
    mem_size: 2 ** 21,
    record_size: 128 * K,
    console_size: 128 * K,
    pmsg_size: 128 * K,
    ftrace_size: 0,
  }
  const { zones } = makeLayout(layout, 0)
  const impossible = numbers('little', 1116786789, 791282217)
  for (const sound of [null, 14, 5]) {
    const region = makeRegion(layout, { console0: log.repeat(1000) })
    for (const [i, { offset }] of zones.entries())
      if (i !== sound) impossible.copy(region, offset + 4)
    const [found, ...more] = regionsIn(t, region)
    t.same(more, [])
    t.match(
      found,
      { mem_address: 0, mem_size: 2 ** 21, record_size: 128 * K, certain: false },
      `${sound}`,
    )
  }
  // Three signatures are no row.
  const few = makeRegion({ ...layout, mem_size: 3 * 128 * K }, {})
  for (let i = 0; i < 3; i++) impossible.copy(few, i * 128 * K + 4)
  t.same(regionsIn(t, few), [])
})

t.test('an ftrace zone that another version might have signed with a few wrong bits', async t => {
  const layout = { ...four, pmsg_size: 8 * K, ftrace_size: 8 * K, preset: 'linux-pre-6.2' }
  // 4.0.0 differs from `DBGC` in one bit.
  for (const [ftrace0, certain] of [
    [calls(20, 1), true],
    ['', false],
  ] as const) {
    const region = makeRegion(layout, {
      ...contents,
      pmsg0: Buffer.alloc(8180, 0xfe),
      console0: log.repeat(460),
      dmesg1: dump(1),
      ftrace0,
    })
    const ftrace = makeLayout(layout, 0).zones.find(({ kind }) => kind === 'ftrace')!
    header(0, 0x40000).copy(region, ftrace.offset, 0, 4)
    const [found, ...more] = regionsIn(t, region)
    t.same(more, [])
    if (certain) t.match(found, { ftrace_size: 8 * K })
    else t.equal(found.certain, false)
  }
})

t.test(
  'a dump whose signature is gone, in what would be the unused bytes of another zone',
  async t => {
    const layout = {
      mem_size: 42_316,
      record_size: 16 * K,
      console_size: 0,
      pmsg_size: 0,
      ftrace_size: 4 * K,
      ecc: 16,
    }
    const { zones } = makeLayout(layout, 0)
    const gone = (text: string): FoundRegion => {
      const region = makeRegion(layout, { dmesg0: dump(0), dmesg1: text, ftrace0: calls(20, 1) })
      region.writeUInt32LE(0x5a478844, zones[1]!.offset)
      const [found, ...more] = regionsIn(t, region)
      t.same(more, [])
      return found!
    }
    const found = gone(dump(1) + log.repeat(80))
    t.match(found, { certain: false, parameters: { record_size: 16 * K } })
    t.match(found.evidence.join('\n'), /2 dmesg zones, \d+ bytes apart/)
    // Lines that only look like it are passed over, and no number of them is looked at for ever.
    const many = '===='.repeat(3000)
    t.match(gone(`${many}${dump(1)}`), { certain: true, parameters: { record_size: 32 * K } })
    t.match(gone(`====\n${log}`), { certain: true })
    // Without a dump nothing tells it from one zone.
    t.match(gone(''), { certain: true, parameters: { record_size: 32 * K } })
  },
)

t.test(
  'an ftrace zone that is empty, and signed by another version, has the size that its parity fits',
  async t => {
    const layout: RamoopsParameters = {
      mem_size: 41_376,
      record_size: 16 * K,
      console_size: 4 * K,
      pmsg_size: 4 * K,
      ftrace_size: 4 * K,
      ecc: 5,
      cpus: 1,
      preset: 'linux-6.2',
    }
    const { zones } = makeLayout(layout, 0)
    const offset = (kind: string): number => zones.find(zone => zone.kind === kind)!.offset
    const region = makeRegion(layout, { dmesg0: dump(0), console0: log.repeat(4), pmsg0: 'said\n' })
    // 6.14.117 instead of 6.12.117; and the console's signature has gone with three bits.
    region.writeUInt32LE(0x43414c31, offset('ftrace'))
    region.writeUInt32LE(0x4347c044, offset('console'))
    const [found, ...more] = regionsIn(t, Buffer.concat([region, Buffer.alloc(4 * K)]))
    t.same(more, [])
    t.equal(found!.certain, false)
    t.match(
      found!.evidence.join('\n'),
      /ftrace headers that no parity fits: 1 zone, so this is not certain/,
    )
  },
)

const rounds = Number(process.env.ROUNDS ?? 30)

/** A layout of a kernel, and what its zones hold. */
const randomLayout = (random: Random): RamoopsParameters => {
  const size = (): number => random.pick([0, 4096, 4096, 8192, 16384])
  return {
    mem_size: random.pick([32 * K, 64 * K, 64 * K, random.between(30 * K, 100 * K)]),
    record_size: random.pick([4096, 4096, 8192, 16384]),
    console_size: size(),
    pmsg_size: size(),
    ftrace_size: size(),
    ecc: random.pick([0, 0, 0, 16, 5]),
    cpus: random.pick([1, 1, 2, 3]),
    preset: random.pick(['linux-6.2', 'linux-pre-6.2']),
    endian: random.pick(['little', 'big'] as const),
  }
}

const zonesOf = (parameters: RamoopsParameters): string => {
  const { zones, ecc, endian } = makeLayout(parameters, 0)
  return `${zones.map(({ kind, offset, size }) => `${kind}@${offset}+${size}`).join()} ecc ${ecc} ${endian}`
}

t.test("a sound header is no other zone's, by parity at an end that both have", async t => {
  const layout: RamoopsParameters = {
    mem_size: 62_176,
    record_size: 4 * K,
    console_size: 8 * K,
    pmsg_size: 4 * K,
    ftrace_size: 8 * K,
    ecc: 16,
    cpus: 2,
    preset: 'linux-pre-6.2',
  }
  const region = makeRegion(layout, {
    dmesg1: dump(1),
    ftrace1: calls(15, 1),
    pmsg0: log.repeat(9),
  })
  const { zones } = makeLayout(layout, 0)
  // Another version, by one bit: of two zones of one kernel this is the damaged one.
  flip(region, zones.find(({ kind }) => kind === 'ftrace')!.offset, 7)
  for (const { certain, parameters } of regionsIn(t, region))
    t.ok(!certain || zonesOf(parameters) === zonesOf({ ...layout, endian: 'little' }))
})

t.test(`${rounds} random layouts, 1 to 3 bits of some signatures wrong`, async t => {
  const random = randomFor(t)
  let found = 0
  for (let round = 0; round < rounds;) {
    const layout = randomLayout(random)
    let zones
    try {
      zones = makeLayout(layout, 0).zones
    } catch {
      continue
    }
    round++
    const filled: { [zone: string]: Buffer | string } = {}
    for (const { kind, index, size } of zones) {
      const room = random.below(Math.floor(size / 2))
      const content = {
        dmesg: dump(index) + log.repeat(room / 40),
        console: log.repeat(room / 35),
        pmsg: random.bytes(room),
        tty: '',
        'boot-log': '',
        ftrace: calls(Math.floor(room / 24), 1, layout.endian),
      }[kind]
      if (random.below(3)) filled[`${kind}${index}`] = content
    }
    const region = makeRegion(layout, filled)
    const places = new Set(Array.from({ length: random.between(1, 3) }, () => random.pick(zones)))
    for (const { offset } of places) {
      for (let bits = random.between(1, 3); bits > 0; bits--) flip(region, offset, random.below(32))
    }
    // As much as the last ring has would make one of twice its size, that ends where the source does.
    const source = random.below(2)
      ? region
      : Buffer.concat([region, Buffer.alloc(random.pick([5000, 2 ** 20]))])
    const regions = regionsIn(t, source)
    const what = `${JSON.stringify(layout)}: ${regions.map(({ options, open }) => `${options} (${open.join()})`).join('; ')}`
    for (const one of regions)
      if (one.certain && zonesOf(one.parameters) !== zonesOf(layout))
        t.fail(`certain of another: ${what}`)
    if (regions.length === 1) found++
  }
  t.ok(found >= rounds * 0.9, `one region in ${found}`)
})
