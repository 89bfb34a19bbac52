/** Regions of old kernels, of Rockchip's and of no kernel: made, written to, read back, damaged, erased. */
import fs from 'node:fs'
import t from 'tap'
import { parseZones } from '#src/backends/ramoops/zone-list.js'
import { attach, format, type AttachOptions } from '#src/index.js'
import { file, folder } from '../../program.js'

const K = 1024
const text = (n: number): Buffer => Buffer.from('a line of text\n'.repeat(n))

const layouts: [what: string, options: AttachOptions, memSize: number, names: string[]][] = [
  [
    'before 4.10',
    { preset: 'linux-pre-4.10', record_size: 8 * K },
    45 * K,
    ['dmesg-ramoops-0', 'console-ramoops-0', 'pmsg-ramoops-0'],
  ],
  ['3.x', { preset: 'linux-3.x' }, 45 * K, ['dmesg-ramoops-0', 'console-ramoops-0']],
  [
    'before 3.10',
    { preset: 'linux-pre-3.10', record_size: 8 * K, ecc: 7 },
    45 * K,
    ['dmesg-ramoops-0', 'console-ramoops-0'],
  ],
  ['3.4', { preset: 'linux-3.4', ecc: 1 }, 45 * K + 3, ['console-ramoops-0']],
  [
    'Rockchip',
    { preset: 'rockchip' },
    896 * K,
    ['dmesg-ramoops-0', 'console-ramoops-0', 'pmsg-ramoops-0', 'boot-log-ramoops-0'],
  ],
  [
    'a list',
    { zones: parseZones('zones', 'pmsg:5K,gap:3K,dmesg:0x1804x2,console:4097'), ecc: 4 },
    64 * K,
    ['dmesg-ramoops-0', 'console-ramoops-0', 'pmsg-ramoops-0'],
  ],
]

for (const [what, options, mem_size, names] of layouts)
  t.test(what, async t => {
    const source = `${folder(t)}/region.img`
    format(source, { ...options, mem_size })
    t.equal(fs.statSync(source).size, mem_size)
    const backend = attach(source, options)
    t.teardown(() => backend.close())
    const bytes = text(20)
    for (const type of ['console', 'pmsg', 'boot-log'] as const)
      if (names.includes(`${type}-ramoops-0`)) backend.write({ type, bytes })
    if (names.includes('dmesg-ramoops-0'))
      backend.write({ type: 'dmesg', bytes, time: { sec: 1n, nsec: 0 }, compressed: false })
    t.same([...backend.names()], names)
    for (const record of backend.records())
      t.equal(record.read().subarray(0, bytes.length).toString(), bytes.toString(), record.name)
    for (const { state } of backend.survey.conditions()) t.match(state, /sound|empty/)
    for (const record of backend.records()) record.erase()
    t.same([...backend.names()], [])
  })

t.test('several boot logs are a file each', async t => {
  const source = `${folder(t)}/region.img`
  const options = { preset: 'rockchip', boot_log_size: 3 * K, boot_log_count: 3, mem_size: 896 * K }
  format(source, options)
  const region = fs.readFileSync(source)
  for (const [i, at] of [0, 2 * K].entries()) {
    region.writeUInt32LE(6, at + 4)
    region.writeUInt32LE(6, at + 8)
    region.write(`log ${i}\n`, at + 12)
  }
  fs.writeFileSync(source, region)
  const backend = attach(source, options)
  t.teardown(() => backend.close())
  t.same([...backend.names()], ['boot-log-ramoops-0', 'boot-log-ramoops-2'])
  const second = backend.find('boot-log-ramoops-2')!
  t.equal(second.read().toString(), 'log 1\n')
  t.same(
    [...backend.survey.conditions()]
      .slice(0, 3)
      .map(({ name, index, used }) => [name, index, used]),
    [0, 6, 0].map((_, i) => [`boot-log-ramoops-${i}`, i, i === 1 ? 0 : 6]),
  )
  backend.write({ type: 'boot-log', bytes: Buffer.from('more\n') })
  t.equal(backend.find('boot-log-ramoops-0')!.read().toString(), 'log 0\nmore\n')
  t.same(
    backend.rings().map(({ name }) => name),
    ['console-ramoops-0', 'pmsg-ramoops-0', 'boot-log-ramoops-0'],
  )
  second.erase()
  t.same([...backend.names()], ['boot-log-ramoops-0'])
  t.equal(backend.find('boot-log-ramoops-3'), null)
})

t.test("3.4's parity corrects what is damaged", async t => {
  const source = `${folder(t)}/region.img`
  const options = { preset: 'linux-3.4', ecc: 1, mem_size: 16 * K }
  format(source, options)
  const writer = attach(source, options)
  writer.write({ type: 'console', bytes: text(2000) })
  writer.close()
  const region = fs.readFileSync(source)
  const sound = attach(source, options)
  const whole = sound.find('console-ramoops-0')!.read().toString()
  sound.close()
  // Eight bytes of each of five blocks, the last one too, and of the header.
  const { data } = { data: 16 * K - 12 - (128 + 1) * 16 }
  for (const block of [0, 1, 7, 60, Math.floor((data - 1) / 128)])
    for (let i = 0; i < 8; i++) region[12 + block * 128 + i] ^= 0xff
  fs.writeFileSync(source, region)
  const backend = attach(source, options)
  t.teardown(() => backend.close())
  const [record] = backend.records()
  t.same(record.ecc, { corrected: 40, bad: 0 })
  t.equal(
    record.read().toString(),
    whole.replace('No errors detected', '40 Corrected bytes, 0 unrecoverable blocks'),
  )
  const wrong = attach(source, {
    ...options,
    preset: 'linux-pre-4.10',
    record_size: 0,
    console_size: 16 * K,
    pmsg_size: 0,
    ftrace_size: 0,
  })
  t.teardown(() => wrong.close())
  t.not(wrong.find('console-ramoops-0')?.ecc?.bad, 0, 'which newer parity does not')
})

t.test('a long ring with little in it, without a layout', async t => {
  // As boards of Rockchip without a boot log have it.
  const source = `${folder(t)}/region.img`
  const options = { zones: parseZones('zones', 'dmesg:128K,console:512K,pmsg:320K') }
  format(source, { ...options, mem_size: 960 * K })
  const backend = attach(source, options)
  backend.write({ type: 'dmesg', bytes: text(20), time: { sec: 1n, nsec: 0 }, compressed: false })
  for (const type of ['console', 'pmsg'] as const) backend.write({ type, bytes: text(20) })
  const names = [...backend.names()]
  backend.close()
  // format remembers its options in an attribute, which a copy has not.
  const copy = file(t, fs.readFileSync(source))
  const found = attach(copy, { readOnly: true })
  t.teardown(() => found.close())
  t.same([...found.names()], names, 'the last ring is 384 KiB behind what the first two need')
})

t.test('ftrace behind an empty console is in no dump', async t => {
  const source = `${folder(t)}/region.img`
  const options: AttachOptions = {
    preset: 'linux-pre-6.2',
    record_size: 32 * K,
    console_size: 16 * K,
    ftrace_size: 16 * K,
    pmsg_size: 64 * K,
    cpus: 8,
  }
  format(source, { ...options, mem_size: 352 * K })
  const backend = attach(source, options)
  backend.write({ type: 'dmesg', bytes: text(20), time: { sec: 1n, nsec: 0 }, compressed: false })
  backend.write({ type: 'pmsg', bytes: text(20) })
  backend.close()
  const bytes = fs.readFileSync(source)
  const records = 20
  for (let cpu = 0; cpu < 8; cpu++) {
    const zone = 272 * K + cpu * 2 * K
    for (const field of [4, 8]) bytes.writeUInt32LE(24 * records, zone + field)
    for (let n = 0; n < records; n++) {
      const at = zone + 12 + 24 * n
      bytes.writeBigUInt64LE(0xffff_ffff_8100_0000n + BigInt(n * 64), at)
      bytes.writeBigUInt64LE(0xffff_ffff_8120_0000n + BigInt(n * 96), at + 8)
      bytes.writeBigUInt64LE(BigInt((n * 8 + cpu) * 256 + cpu), at + 16)
    }
  }
  const found = attach(file(t, bytes), { readOnly: true })
  t.teardown(() => found.close())
  t.same([...found.names()], ['dmesg-ramoops-0', 'pmsg-ramoops-0', 'ftrace-ramoops-0'])
  t.equal(found.find('ftrace-ramoops-0')!.size, 8 * records * 24)
})

t.test('a remainder that makes a ring as long as the source is outweighed by parity', async t => {
  const source = `${folder(t)}/region.img`
  const options: AttachOptions = {
    preset: 'linux-pre-4.10',
    record_size: 64 * K,
    console_size: 8 * K,
    pmsg_size: 8 * K,
    ftrace_size: 0,
    ecc: 16,
  }
  // Today's kernels would have made 8 dumps' zones of it, too, with a pmsg of 16 KiB.
  format(source, { ...options, mem_size: 536 * K })
  const backend = attach(source, options)
  backend.write({ type: 'dmesg', bytes: text(20), time: { sec: 1n, nsec: 0 }, compressed: false })
  for (const type of ['console', 'pmsg'] as const) backend.write({ type, bytes: text(20) })
  const names = [...backend.names()]
  backend.close()
  const found = attach(file(t, fs.readFileSync(source)), { readOnly: true })
  t.teardown(() => found.close())
  t.same([...found.names()], names)
})
