/** Lists of zones: what they mean, what is refused, and that what is written is read back. */
import t from 'tap'
import { makeLayout, presets, type RamoopsParameters } from '#src/backends/ramoops/layout.js'
import { encodeZones, parseZones, zonesListed } from '#src/backends/ramoops/zone-list.js'

const K = 1024

t.test('what a list says', async t => {
  const two = { kind: 'dmesg', size: 0x14000, count: 2 }
  const console = { kind: 'console', size: 512 * K, count: 1 }
  for (const text of ['dmesg:0x14000x2,console:0x80000', 'dmesg:80Kx2:console:512K'])
    t.same(parseZones('zones', text), [two, console], text)
  t.same(parseZones('zones', 'gap:0x2,pmsg:100'), [
    { kind: 'gap', size: 2, count: 1 },
    { kind: 'pmsg', size: 100, count: 1 },
  ])
})

t.test('where the zones lie', async t => {
  const list = 'boot-log:1Kx2,dmesg:2K,gap:100,dmesg:2Kx2,console:999,ftrace:64x3'
  const zones = zonesListed(parseZones('zones', list), 64 * K)
  t.same(
    zones.map(({ kind, index, offset, size }) => `${kind} ${index} ${offset}+${size}`),
    [
      'boot-log 0 0+1024',
      'boot-log 1 1024+1024',
      'dmesg 0 2048+2048',
      'dmesg 1 4196+2048',
      'dmesg 2 6244+2048',
      'console 0 8292+999',
      'ftrace 0 9291+64',
      'ftrace 1 9355+64',
      'ftrace 2 9419+64',
    ],
  )
})

t.test('what is refused, and which part of it', async t => {
  const cases: [text: string, why: RegExp][] = [
    ['', /^zones '': no zone is called ''; there is dmesg, .*boot-log, and gap for bytes of none$/],
    ['mce:4K', /no zone is called 'mce'/],
    ['dmesg', /dmesg:: give its size, as dmesg:64K, or dmesg:64Kx2 for two/],
    ['dmesg:x2', /dmesg:x2: give its size/],
    ['dmesg:4Kx2x3', /dmesg:4Kx2x3: give its size/],
    ['console:4K;pmsg:4K', /^zones: console '4K;pmsg': not a size/],
    ['console:0', /^zones: console:0x0: must have at least one byte/],
    ['dmesg:4Kx0', /^zones: dmesg:0x1000: must have .* and there must be one/],
    ['console:4Kx2', /^zones: console:0x1000x2: a region has one zone of console$/],
    ['pmsg:4K,pmsg:4K', /^zones: pmsg:0x1000: a region has one zone of pmsg$/],
    [
      'dmesg:4K,dmesg:8K',
      /^zones: dmesg:0x2000: all zones of dmesg have one size, and one of 0x1000/,
    ],
    ['gap:60K,console:8K', /^zones: console:0x2000: ends at 0x11000, beyond the region's 0x10000$/],
    ['gap:1,console:0xffff,gap:1', /^zones: gap:0x1: ends at 0x10001/],
    ['dmesg:1x999999', /more than 524288 zones/],
    ['gap:4K', /^zones: names no zone$/],
    ['console:12', /^console zone of 12 bytes: smaller than its header/],
  ]
  for (const [text, why] of cases)
    t.throws(() => makeLayout({ zones: parseZones('zones', text) }, 64 * K), { message: why }, text)
})

t.test('what says the same another way is refused', async t => {
  const zones = parseZones('zones', 'dmesg:4K,ftrace:4Kx2')
  const cases: [other: RamoopsParameters, why: RegExp | null][] = [
    [
      { console_size: 0 },
      /^zones: names every zone and its size: console_size cannot be given, too$/,
    ],
    [{ boot_log_count: 1 }, /boot_log_count cannot/],
    [{ order: ['dmesg'] }, /order cannot/],
    [{ cpus: 2 }, /cpus cannot/],
    [{ flags: 0 }, /^zones: ftrace: where CPUs share a zone/],
    [{ preset: 'linux-pre-4.10' }, /^zones: ftrace: where CPUs share a zone/],
    [{ preset: 'crosvm', ecc: 4, flags: 1, endian: 'big', mem_size: 16 * K, max_reason: 1 }, null],
  ]
  for (const [other, why] of cases) {
    const lay = (): unknown => makeLayout({ ...other, zones }, 64 * K)
    if (why) t.throws(lay, { message: why })
    else t.doesNotThrow(lay, 'names, parity and the like are no sizes')
  }
  t.same(makeLayout({ zones, preset: 'anolis' }, 64 * K).labels, { tty: 'ttyprobe' })
})

t.test('what is written is read back', async t => {
  t.equal(
    encodeZones(makeLayout({ preset: 'rockchip' }, 896 * K).zones),
    'boot-log:0x8000,dmesg:0x14000x2,console:0x80000,pmsg:0x30000',
  )
  const gapped = 'gap:0x10,dmesg:0x20x2,gap:0x1,dmesg:0x20,pmsg:0x21'
  t.equal(encodeZones(zonesListed(parseZones('zones', gapped), 4096)), gapped)
  for (const preset of Object.keys(presets)) {
    // 3.4 has nothing but the console.
    const cpus = preset === 'linux-3.4' ? {} : { flags: 1, ftrace_size: 8192, cpus: 3 }
    const { zones } = makeLayout({ preset, ...cpus }, 2 ** 20 - 4)
    t.same(zonesListed(parseZones('zones', encodeZones(zones)), 2 ** 20), zones, preset)
  }
})
