/** The layouts of other kernels, found from the bytes: as they were made, or not certain. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { makeLayout, type RamoopsParameters } from '#src/backends/ramoops/layout.js'
import { encodeZones, parseZones } from '#src/backends/ramoops/zone-list.js'
import { attach, format, probeSource, type AttachOptions, type FoundRegion } from '#src/index.js'
import { file, folder } from '../../program.js'
import { randomFor } from '../../random.js'
import { calls, header } from './made.js'

const K = 1024
const stamped = (size: number): Buffer =>
  Buffer.from('[    0.000000] Linux version 4.4.0\n'.repeat(size / 30)).subarray(0, size)
const lines = (size: number): Buffer =>
  Buffer.from('U-Boot 2017.09 says a line\n'.repeat(size / 20)).subarray(0, size)

/** What the rings hold; a number is bytes of what the kind usually has. */
interface Held {
  dumps?: number
  console?: number
  pmsg?: number
  'boot-log'?: number
}

/** A region as this program formats and writes it; returns a copy, which remembers nothing of that. */
const made = (t: Test, options: AttachOptions, held: Held): string => {
  const source = `${folder(t)}/region.img`
  format(source, options)
  const backend = attach(source, options)
  for (let n = 0; n < (held.dumps ?? 0); n++)
    backend.write({
      type: 'dmesg',
      bytes: Buffer.from(`Oops#${n} Part1\n${'<4>text\n'.repeat(100)}`),
      time: { sec: 1_700_000_000n + BigInt(n), nsec: 0 },
      compressed: false,
    })
  for (const [type, text] of [
    ['console', stamped],
    ['pmsg', lines],
    ['boot-log', lines],
  ] as const)
    if (held[type]) backend.write({ type, bytes: text(held[type]) })
  backend.close()
  return file(t, fs.readFileSync(source))
}

const zonesOf = (parameters: RamoopsParameters): string => {
  const { zones, ecc, oldParity } = makeLayout(parameters, 0)
  return `${encodeZones(zones)} ecc ${ecc}${oldParity ? ' old' : ''}`
}

/** Without options the commands show what they show with the true ones. */
const showsTheSame = (t: Test, source: string, options: AttachOptions): void => {
  const [shown, wanted] = [{ readOnly: true, report: () => {} }, options].map(some => {
    const backend = attach(source, some)
    const records = [...backend.records()].map(record => [record.name, record.read().toString()])
    backend.close()
    return records
  })
  t.same(shown, wanted)
}

const full = { dumps: 2, console: 7 * K, pmsg: 3 * K }
const rockchip = {
  preset: 'rockchip',
  boot_log_size: 8 * K,
  record_size: 20 * K,
  console_size: 48 * K,
  pmsg_size: 24 * K,
  mem_size: 120 * K,
}

const found: [
  what: string,
  options: AttachOptions & { mem_size: number },
  held: Held,
  match: { [name: string]: unknown },
][] = [
  [
    'before 4.10, with a remainder',
    {
      preset: 'linux-pre-4.10',
      record_size: 8 * K,
      console_size: 8 * K,
      pmsg_size: 4 * K,
      ftrace_size: 0,
      mem_size: 41 * K,
    },
    full,
    { certain: false, preset: 'linux-pre-4.10', mem_size: 41 * K },
  ],
  [
    '3.x, its length rounded',
    {
      preset: 'linux-3.x',
      record_size: 8 * K,
      console_size: 8 * K,
      ftrace_size: 0,
      mem_size: 50 * K,
    },
    { dumps: 2, console: 7 * K },
    { certain: false, preset: 'linux-3.x', mem_size: 50 * K },
  ],
  [
    'before 3.10, with its own parity',
    {
      preset: 'linux-pre-3.10',
      record_size: 8 * K,
      console_size: 8 * K,
      ftrace_size: 0,
      ecc: 16,
      mem_size: 32 * K,
    },
    { dumps: 2, console: 20 * K },
    { certain: true, preset: 'linux-pre-3.10', ecc: 16, mem_size: 32 * K },
  ],
  [
    '3.4, one ring of any size, full',
    { preset: 'linux-3.4', mem_size: 45 * K },
    { console: 60 * K },
    { preset: 'linux-3.4', console_size: 45 * K },
  ],
  [
    'Rockchip',
    rockchip,
    { ...full, 'boot-log': K },
    {
      certain: true,
      preset: 'rockchip',
      boot_log_size: 8 * K,
      order: ['boot-log', 'dmesg', 'console', 'pmsg'],
    },
  ],
  [
    'Rockchip, ftrace too',
    { ...rockchip, ftrace_size: 4 * K, mem_size: 124 * K },
    { ...full, 'boot-log': K },
    { preset: 'rockchip', ftrace_size: 4 * K },
  ],
  [
    'Rockchip without a boot log, a ring fuller than one that is rounded',
    { ...rockchip, boot_log_size: 0, mem_size: 112 * K },
    { ...full, console: 40 * K },
    { preset: 'rockchip', console_size: 48 * K, pmsg_size: 24 * K },
  ],
  [
    'Rockchip without a boot log, three dumps as far apart as no other kernel puts so many',
    { ...rockchip, boot_log_size: 0, record_size: 26 * K, mem_size: 150 * K },
    { ...full, dumps: 3 },
    { certain: false, preset: 'rockchip', record_size: 26 * K, console_size: 48 * K },
  ],
  [
    'no kernel: as none rounds nothing in this order',
    { zones: parseZones('zones', 'dmesg:20Kx2,console:48K,ftrace:12K,pmsg:4K'), mem_size: 104 * K },
    { ...full, console: 40 * K },
    { zones: 'dmesg:0x5000x2,console:0xc000,ftrace:0x3000,pmsg:0x1000', console_size: 48 * K },
  ],
  [
    'no kernel: parity of before 3.10 in dumps that share what is left',
    {
      zones: parseZones('zones', 'dmesg:0x2804x2,console:8K'),
      preset: 'linux-pre-3.10',
      ecc: 16,
      mem_size: 0x5008 + 8 * K,
    },
    { dumps: 2, console: 20 * K },
    { zones: 'dmesg:0x2804x2,console:0x2000', preset: 'linux-pre-3.10', ecc: 16 },
  ],
]

for (const [what, options, held, match] of found)
  t.test(what, async t => {
    const source = made(t, options, held)
    const [region, ...more] = probeSource(source).regions
    t.same(more, [])
    t.match(region, { mem_address: 0, ...match })
    t.equal(zonesOf(region!.parameters), zonesOf(options), region!.options)
    showsTheSame(t, source, options)
  })

t.test('Rockchip, in memory: the last ring is as long as on its boards', async t => {
  for (const [pmsg_size, held, size] of [
    [0x30000, 3 * K, 0x30000],
    [0x50000, 0x4f000, 0x80000],
  ] as const) {
    const options = { ...rockchip, pmsg_size, mem_size: 96 * K + pmsg_size }
    const source = made(t, options, { ...full, pmsg: held, 'boot-log': K })
    const memory = Buffer.alloc(8 * K * K)
    fs.readFileSync(source).copy(memory, K * K)
    fs.writeFileSync(source, memory)
    const [region, ...more] = probeSource(source).regions
    t.same(more, [])
    t.match(region, { mem_address: K * K, pmsg_size: size, certain: false, preset: 'rockchip' })
  }
})

t.test("today's kernels are preferred where they explain the bytes as well", async t => {
  const layout = { record_size: 8 * K, console_size: 8 * K, pmsg_size: 8 * K, ftrace_size: 0 }
  const [region] = probeSource(made(t, { ...layout, mem_size: 48 * K }, full)).regions
  t.match(region, { ...layout, mem_size: 48 * K })
  t.equal(region?.preset, undefined)
})

t.test('an ftrace zone of no version is known by its records', async t => {
  const layout = {
    mem_size: 32 * K,
    record_size: 8 * K,
    console_size: 8 * K,
    pmsg_size: 0,
    ftrace_size: 8 * K,
  }
  const source = made(t, layout, { dumps: 2, console: 7 * K })
  const region = fs.readFileSync(source)
  const records = calls(100, 1)
  for (const [code, listed] of [
    [0x26050c, true],
    [0x7f000000, false],
  ] as const) {
    header(records.length, code).copy(region, 24 * K)
    records.copy(region, 24 * K + 12)
    fs.writeFileSync(source, region)
    const [found] = probeSource(source).regions
    t.equal(found?.ftrace_size === 8 * K, listed, `${code}`)
    t.notOk(listed && found?.certain)
    t.notMatch(found?.evidence.join('\n'), /signed by/)
  }
})

const rounds = Number(process.env.ROUNDS ?? 30)

t.test(`${rounds} random layouts of each preset: never certain of another`, async t => {
  const random = randomFor(t)
  const writers = [
    'linux-pre-4.10',
    'linux-3.x',
    'linux-pre-3.10',
    'linux-3.4',
    'rockchip',
  ] as const
  let same = 0
  for (let round = 0; round < rounds; round++) {
    const preset = writers[round % writers.length]!
    const size = (): number =>
      random.pick([0, 4 * K, 8 * K, 16 * K]) + (preset === 'rockchip' ? random.pick([0, 2 * K]) : 0)
    const ecc = preset === 'linux-pre-3.10' ? 16 : random.pick([0, 0, 16])
    const options = {
      preset,
      ecc,
      mem_size: random.between(64, 120) * K,
      ...(preset === 'linux-3.4'
        ? {}
        : {
            record_size: random.pick([4 * K, 8 * K]),
            console_size: size(),
            pmsg_size: preset === 'linux-pre-3.10' ? 0 : size(),
            ftrace_size: 0,
          }),
      ...(preset === 'rockchip' ? { boot_log_size: 6 * K } : {}),
    }
    const source = made(t, options, {
      dumps: preset === 'linux-3.4' ? 0 : random.below(4),
      ...(options.console_size === 0 ? {} : { console: random.below(20 * K) }),
      ...(options.pmsg_size ? { pmsg: random.below(8 * K) } : {}),
      ...(preset === 'rockchip' ? { 'boot-log': random.below(2 * K) } : {}),
    })
    const regions: FoundRegion[] = probeSource(source).regions
    for (const one of regions)
      if (one.certain && zonesOf(one.parameters) !== zonesOf(options))
        t.fail(`certain of another: ${JSON.stringify(options)}: ${one.options}`)
    if (regions.length === 1 && zonesOf(regions[0]!.parameters) === zonesOf(options)) same++
  }
  t.ok(same >= rounds / 2, `the same zones in ${same}`)
})
