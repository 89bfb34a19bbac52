/** What a region's own log says settles what its bytes leave open, and nothing that they contradict. */
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { probeSource, type FoundRegion } from '#src/index.js'
import { loadFixture } from '../../fixtures.js'
import { file } from '../../program.js'
import { makeRegion } from './made.js'

const probed = (t: Test, bytes: Buffer): FoundRegion => {
  const [region] = probeSource(file(t, bytes)).regions
  if (!region) throw new Error('no region')
  return region
}

const dumpsOnly = {
  mem_size: 65536,
  record_size: 16384,
  console_size: 0,
  pmsg_size: 0,
  ftrace_size: 0,
}
const asDump = (text: string): Buffer =>
  Buffer.from(`====1700000000.000000-D\nPanic#1 Part1\n${text}`)
const packed = (text: string): Buffer =>
  Buffer.concat([
    Buffer.from('====1700000000.000000-C\n'),
    zlib.deflateRawSync(Buffer.from(`Panic#1 Part1\n${text}`)),
  ])
const sizes = (console = 0): string =>
  `ramoops.record_size=0x4000 ramoops.console_size=${console} ramoops.pmsg_size=0 ramoops.ftrace_size=0`
const line = (parameters: string): string =>
  `<6>[    0.000000] Kernel command line: ${parameters}\n`
const using = (size = '0x10000', ecc = 0): string =>
  `<6>[    0.400000] ramoops: using ${size}@0x8000000, ecc: ${ecc}\n`
const linux = '<5>[    0.000000] Linux version 6.12.1 (gcc)\n'
const command = line(`ramoops.mem_address=0x8000000 ramoops.mem_size=0x10000 ${sizes()}`)

const cases: [what: string, dump: Buffer, expected: Partial<FoundRegion>, said: RegExp][] = [
  [
    'nothing',
    asDump('<6>[    1.000000] hello\n'),
    { open: ['console_size', 'pmsg_size', 'tty_size'] },
    /mem_size/,
  ],
  [
    'all',
    asDump(linux + command + using()),
    { certain: true, open: [], console_size: 0 },
    /its own dump: the kernel's command line/,
  ],
  [
    'all, compressed',
    packed(linux + command + using()),
    { certain: true, open: [] },
    /its own dump/,
  ],
  ['the command line alone', asDump(command), { certain: true, open: [] }, /its own dump/],
  [
    'another of the possible layouts',
    asDump(line(`ramoops.mem_size=0x10000 ${sizes(0x4000)}`)),
    { certain: true, console_size: 0x4000, record_size: 0x4000 },
    /its own dump/,
  ],
  // Its memory's name is of no use: the length stays as the bytes have it.
  ['no size', asDump(line(`ramoops.mem_name=oops ${sizes()}`)), { certain: true }, /its own dump/],
  [
    'only where it was',
    asDump(using()),
    { open: ['console_size', 'pmsg_size', 'tty_size'], certain: false },
    /its own dump: the log's line/,
  ],
  // Lies: what no layout of the bytes is.
  ...[
    line(`ramoops.mem_size=0x10000 ramoops.record_size=0x8000`),
    using('0x20000'),
    using('0x10000', 16),
    using('0x3'),
    using('0x400'),
  ].map((lie): [string, Buffer, Partial<FoundRegion>, RegExp] => [
    lie,
    asDump(lie),
    { certain: false, mem_size: 65536, record_size: 16384, ecc: 0 },
    /a layout that the bytes contradict: it is not believed/,
  ]),
  [
    'a broken stream',
    Buffer.from('====1700000000.000000-C\n\xff\xff'),
    { certain: false },
    /mem_size/,
  ],
]

t.test('what a dump says', async t => {
  for (const [what, dump, expected, said] of cases) {
    const region = probed(t, makeRegion(dumpsOnly, { dmesg0: dump }))
    t.match(region, expected, what)
    t.match(region.evidence.join('\n'), said, what)
  }
  // What is in a dump's place and is none.
  const none = probed(t, makeRegion(dumpsOnly, { dmesg1: command }))
  t.notOk(none.evidence.some(each => each.startsWith('its own dump')))
})

t.test("kernels' own regions", async t => {
  for (const name of ['console-plain', 'dmesg-deflate', 'layout-console-pmsg']) {
    const { region, layout } = loadFixture(name)
    const { mem_size, record_size, console_size, pmsg_size } = layout
    const expected = { mem_size, record_size, console_size, pmsg_size, certain: true }
    t.match(probed(t, region()), expected, name)
  }
})

t.test('signatures that no zone explains stay unexplained', async t => {
  const bytes = makeRegion(dumpsOnly, { dmesg0: asDump(linux + command + using()) })
  bytes.write('DBGC', 0x6000)
  t.equal(probed(t, bytes).certain, false)
})

t.test('a version does not tell whether shares are even', async t => {
  const layout = { ...dumpsOnly, console_size: 8192, pmsg_size: 4096, preset: 'linux-4.10' }
  const rings = 'ramoops.console_size=8192 ramoops.pmsg_size=4096 ramoops.ftrace_size=0'
  const command = line(`ramoops.mem_size=0x10000 ramoops.record_size=16384 ${rings}`)
  for (const [version, preset] of [
    ['5.4.0', 'linux-4.10'],
    ['6.5.0', 'linux-pre-6.8'],
    // Nor does no version.
    [null, 'linux-pre-6.8'],
  ] as const) {
    const banner = version === null ? '' : `<5>[    0.000000] Linux version ${version} (gcc)\n`
    const log = banner + command + using()
    const contents = { dmesg0: asDump(log), dmesg1: asDump(log), console0: log }
    const found = probed(t, makeRegion(layout, { ...contents, pmsg0: 'a line\n'.repeat(99) }))
    t.match(found, { ...layout, preset, certain: true, open: [] }, `${version}`)
    t.match(found.evidence.join('\n'), /its own console: the kernel's command line/, `${version}`)
  }
})
