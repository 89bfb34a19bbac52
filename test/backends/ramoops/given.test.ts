/** What users say of a region: layout files, bases, and what `format` made and remembers. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, probeSource, type AttachOptions } from '#src/index.js'
import { ramoops } from '#src/backends/ramoops/index.js'
import { parseOptions } from '#src/backends/ramoops/layout-file.js'
import { getAttribute, setAttribute } from '#src/native/attribute.js'
import { loadFixture } from '../../fixtures.js'
import { file, folder } from '../../program.js'
import { makeBlob, u32 } from './blob.js'
import { dump, makeRegion } from './made.js'

const M = 2 ** 20
const node = (address: number) => ({
  compatible: Buffer.from('ramoops\0'),
  reg: u32(0, address, M),
  'record-size': u32(0x10000),
  'console-size': u32(0x20000),
})
const parameters = {
  mem_size: M,
  record_size: 0x10000,
  console_size: 0x20000,
  pmsg_size: 0,
  ftrace_size: 0,
}
const region = (): Buffer =>
  makeRegion(parameters, { dmesg0: dump(0), console0: '[    1.000000] hello\n' })
const board = (...addresses: number[]): Buffer =>
  makeBlob(Object.fromEntries(addresses.map(address => [`r@${address}`, node(address)])))

/** The records that are shown, or the message of a refusal; and what was told. */
const shown = (source: string, options: AttachOptions): [records: string, told: string[]] => {
  const told: string[] = []
  try {
    const backend = attach(source, { readOnly: true, report: line => told.push(line), ...options })
    const names = Array.from(backend.records(), ({ name }) => name).join()
    backend.close()
    return [names, told]
  } catch (error) {
    return [(error as Error).message, told]
  }
}
const all = 'dmesg-ramoops-0,console-ramoops-0'

const layoutIn = (t: Test, content: Buffer | string): string =>
  file(t, typeof content === 'string' ? Buffer.from(content) : content, 'layout')

t.test('a layout from a file', async t => {
  const source = file(t, region())
  const { regions } = probeSource(source)
  const line = Object.entries(parameters).map(([name, value]) => `${name} = ${value}\n`)
  const told = /has the length of the region alone, so it starts at 0 here/
  const cases: [what: string, layout: Buffer | string, told?: RegExp][] = [
    ['a device tree', board(0x8f000000), told],
    ['a tree without the place', makeBlob({ a: { ...node(0), reg: u32(0, 0, M) } })],
    [
      'a command line',
      'ramoops.mem_address=0x5000 ramoops.mem_size=0x100000 ramoops.record_size=0x10000 ramoops.console_size=0x20000 ramoops.pmsg_size=0 ramoops.ftrace_size=0',
      told,
    ],
    ["probe's JSON", JSON.stringify({ regions })],
    [
      'JSON without options',
      JSON.stringify({ ...parameters, order: ['dmesg'], open: ['cpus'] }),
      /leaves cpus open/,
    ],
    ['TOML', `[backends.a]\nsource = "x"\n${line.join('')}order = "dmesg,console"\n`],
    ['TOML at its top', line.join('')],
    ['a log that says no sizes', 'ramoops: using 0x100000@0x8f000000, ecc: 0', told],
  ]
  for (const [what, layout, said] of cases) {
    const [records, told] = shown(source, { layout: layoutIn(t, layout) })
    t.equal(records, all, what)
    if (said) t.match(told.join(), said, what)
  }
  const given = { layout: layoutIn(t, board(0x8f000000)) }
  t.match(shown(source, { ...given, record_size: 0x20000 })[0], /console/, 'options win')
  t.equal(
    shown(source, { ...given, zones: [{ kind: 'dmesg', size: 0x10000, count: 14 }] })[0],
    'dmesg-ramoops-0',
  )
})

t.test('where a region is in its source', async t => {
  const ram = Buffer.alloc(4 * M)
  region().copy(ram, 2 * M)
  const source = file(t, ram)
  const layout = layoutIn(t, board(0x80200000))
  t.equal(shown(source, { layout, base: 0x80000000 })[0], all)
  t.equal(shown(source, { layout, mem_address: 2 * M })[0], all)
  t.equal(shown(source, { ...parameters, base: 0x80000000, mem_address: 0x80200000 })[0], all)
  t.match(
    shown(source, { layout, base: 0x90000000 })[0],
    /mem_address 0x80200000 is below its base 0x90000000$/,
  )
  t.match(
    shown(source, { layout })[0],
    /is past its end \(0x400000 bytes\): a dump of just the region starts at 0; --base says where a RAM dump starts$/,
  )
  t.equal(
    probeSource(source, { mem_address: 0x80200000, base: 0x80000000 } as object).regions[0]
      ?.mem_address,
    2 * M,
  )
  const two = layoutIn(t, board(0x200000, 0x300000))
  t.match(
    shown(source, { layout: two })[0],
    /describes 2 regions: say which: --mem-address 0x200000, --mem-address 0x300000$/,
  )
  t.equal(shown(source, { layout: two, mem_address: 0x200000 })[0], all)
  const again = { record_size: 4096, mem_size: M }
  const nameless = layoutIn(t, JSON.stringify({ regions: [again, { mem_address: M, ...again }] }))
  t.match(
    shown(source, { layout: nameless })[0],
    /say which: --mem-address 0x0, --mem-address 0x100000$/,
  )
  const unsized = layoutIn(t, JSON.stringify({ record_size: 4096, open: ['record_size'] }))
  t.match(shown(source, { layout: unsized })[0], /does not say where the region is/)
  t.match(shown('/nonexistent', { record_size: 4096 })[0], /no such file/)
  const nowhere = layoutIn(t, 'reserve_mem=1M:4096:oops ramoops.mem_name=oops')
  t.match(shown(source, { layout: nowhere })[0], /does not say where the region is/)
  t.match(shown(source, { layout: layoutIn(t, 'ramoops.mem_name=oops') })[0], /does not say where/)

  // An ELF core says which memory it has: one segment, of physical address 0x80000000.
  const head = Buffer.alloc(4096)
  head.write('\x7fELF\x02\x01\x01', 'latin1')
  head.writeUInt16LE(4, 16)
  head.writeBigUInt64LE(64n, 32)
  head.writeUInt16LE(56, 54)
  head.writeUInt16LE(1, 56)
  head.writeUInt32LE(1, 64)
  for (const [at, value] of [
    [72, 4096],
    [88, 0x80000000],
    [96, ram.length],
  ] as const)
    head.writeBigUInt64LE(BigInt(value), at)
  const core = file(t, Buffer.concat([head, ram]))
  t.equal(shown(core, { layout })[0], all)
  t.match(shown(core, { layout: layoutIn(t, board(0x200000)) })[0], /^$/, 'memory that it has not')
})

t.test('files that say no layout', async t => {
  const source = file(t, region())
  const cases: [what: string, layout: Buffer | string, why: RegExp][] = [
    ['nothing', '', /layout: says no layout: give a device tree/],
    ['some text', 'hello\n', /says no layout/],
    ['an array', '["a"]', /says no layout/],
    ['broken JSON', '{"a": ', /: it is no JSON/],
    ['no regions', '{"regions": []}', /says no layout/],
    ['a wrong value', 'record_size = "much"', /layout: record_size 'much': not a size/],
    ['a value of no kind', 'record_size = true', /layout: record_size: must be a number or a text/],
    [
      'a node that says nothing',
      makeBlob({ r: { compatible: Buffer.from('ramoops\0') } }),
      /layout: the device tree's node r: Linux ignores it/,
    ],
  ]
  for (const [what, layout, why] of cases)
    t.match(shown(source, { layout: layoutIn(t, layout) })[0], why, what)
  t.match(shown(source, { layout: `${folder(t)}/x` })[0], /x: no such file$/)
})

const isTold = (
  options: AttachOptions,
  line: string,
  kernel: RegExp,
): [AttachOptions, string, RegExp] => [options, line, kernel]

t.test('what was made is known', async t => {
  const cases = [
    isTold(
      { mem_size: M, record_size: 0x10000, console_size: 0x20000, ecc: 1, cpus: 2 },
      '--mem-size 1048576 --record-size 65536 --console-size 131072 --ftrace-size 4096 --pmsg-size 4096 --ecc 1 --cpus 2',
      /^ramoops\.mem_address=ADDRESS ramoops\.mem_size=1048576 .*ramoops\.ecc=16$/,
    ),
    isTold(
      { mem_size: M, mem_address: M, preset: 'anolis', tty_size: 0x4000 },
      '--mem-address 0x100000 ',
      /ramoops\.ttyprobe_size=16384/,
    ),
    isTold(
      { mem_size: M, zones: [{ kind: 'dmesg', size: 0x10000, count: 2 }] },
      '--mem-size 1048576 --zones dmesg:0x10000x2',
      /^no parameters/,
    ),
    isTold(
      { mem_size: M, preset: 'rockchip', boot_log_count: 2 },
      '--boot-log-count 2 --preset rockchip',
      /^no parameters/,
    ),
    isTold(
      { mem_size: M, order: ['console', 'dmesg'], endian: 'big' },
      '--console-size 4096 --order console,dmesg --endian big',
      /^no parameters/,
    ),
  ]
  for (const [options, line, kernel] of cases) {
    const made = `${folder(t)}/made.img`
    const [said = '', parameters] = format(made, options)
    t.match(said, line)
    t.match(parameters, kernel)
    t.match(probeSource(made).regions, [{ certain: true, open: [], options: said }], said)
    const told: string[] = []
    attach(made, { report: each => told.push(each) }).close()
    t.same(told, [], 'nothing is guessed')
  }
})

t.test('a region is made by a layout file', async t => {
  const made = `${folder(t)}/made.img`
  const layout = layoutIn(t, 'ramoops.mem_address=0x5000 ramoops.mem_size=0x100000')
  const told: string[] = []
  const [said] = format(made, { layout, report: line => told.push(line) })
  t.equal(fs.statSync(made).size, M, 'the region alone')
  t.same(format(made, { layout }, true), format(made, { ...probedOf(said) }, true))
  t.match(told, [/leaves cpus, order open/])
})

/** The parameters of a line of options. */
const probedOf = (line = ''): AttachOptions => parseOptions(line, ramoops.parameters)

t.test('what was made, among others, and where the bytes tell all', async t => {
  const ram = Buffer.alloc(4 * M)
  const fixture = loadFixture('ecc1-all').region()
  fixture.copy(ram, 2 * M)
  const source = file(t, ram)
  format(source, { mem_address: 0, mem_size: M, record_size: 0x10000 })
  t.match(probeSource(source).regions, [
    { mem_address: 0, certain: true },
    { mem_address: 2 * M, certain: true },
  ])
  const rings = `${folder(t)}/rings.img`
  format(rings, { mem_size: M, zones: [{ kind: 'console', size: 0x10000, count: 1 }] })
  t.match(probeSource(rings).regions, [{ record_size: 0, certain: true }])
  const told = file(t, fixture)
  const { options, evidence } = probeSource(told).regions[0]!
  const fd = fs.openSync(told, 'r+')
  t.teardown(() => fs.closeSync(fd))
  setAttribute(fd, 'user.pstorefs.layout', options)
  t.match(probeSource(told).regions, [{ evidence }])
})

t.test('who gives another layout than was made is told that one', async t => {
  const made = `${folder(t)}/made.img`
  const layout = { record_size: 4096, console_size: 4096, pmsg_size: 0, ftrace_size: 0 }
  format(made, { ...layout, mem_size: 65536 })
  const backend = attach(made, { ...layout, console_size: 0, pmsg_size: 4096, ftrace_size: 4096 })
  t.teardown(() => backend.close())
  const [{ options }] = probeSource(made).regions
  t.match(options, /--console-size 4096/)
  t.match(backend.doubts(), [new RegExp(`: \`pstorefs probe\` finds ${options}$`)])
})

t.test('what was made and is so no more', async t => {
  const made = `${folder(t)}/made.img`
  format(made, { mem_size: M, record_size: 0x10000 })
  const bytes = fs.readFileSync(made)
  const fd = fs.openSync(made, 'r+')
  t.teardown(() => fs.closeSync(fd))
  const isKnown = (): boolean => /as `pstorefs format`/.test(JSON.stringify(probeSource(made)))
  t.ok(isKnown())
  // Another kernel signs zones of its own, or the first zone is lost.
  fs.writeSync(fd, Buffer.from('DBGC'), 0, 4, 0x8000)
  t.notOk(isKnown())
  fs.writeSync(fd, bytes, 0, bytes.length, 0)
  fs.writeSync(fd, Buffer.from('none'), 0, 4, 0)
  t.notOk(isKnown())
  // An attribute that is no layout of this file.
  fs.writeSync(fd, bytes, 0, bytes.length, 0)
  for (const line of [
    '',
    '--mem-size 9',
    '--record-size 4Q --console-size 4096',
    '--zones dmesg',
    '--mem-size 2097152',
    '--mem-address 0x1000 --mem-size 4096 --record-size 4096',
  ]) {
    setAttribute(fd, 'user.pstorefs.layout', line)
    t.notOk(isKnown(), line)
  }
  t.equal(getAttribute(fd, 'user.pstorefs.other', 16), null)
})
