/** Regions made by hand, each with something in which a layout could be missed, or wrongly believed. */
import t, { type Test } from 'tap'
import { shapesAt } from '#src/backends/ramoops/probe/shapes.js'
import { Budget, View } from '#src/backends/ramoops/probe/view.js'
import { makeLayout, type RamoopsParameters } from '#src/backends/ramoops/layout.js'
import { probeSource, type FoundRegion } from '#src/index.js'
import { Region } from '#src/region/region.js'
import { parityOf } from '../../model/parity.js'
import { file } from '../../program.js'
import { calls, dump, header, makeRegion, numbers, version } from './made.js'

/** At an offset in memory of zeros. */
const at = (offset: number, region: Buffer): Buffer =>
  Buffer.concat([Buffer.alloc(offset), region, Buffer.alloc(65536)])

const regionsIn = (t: Test, source: Buffer): FoundRegion[] => probeSource(file(t, source)).regions

t.test('the first zones have lost their signatures: their dumps tell', async t => {
  const layout = { mem_size: 65536, record_size: 4096, pmsg_size: 4096, ftrace_size: 0 }
  const contents = Object.fromEntries([0, 1, 2, 3].map(n => [`dmesg${n}`, dump(n)]))
  const region = makeRegion(layout, contents)
  region.fill(0, 0, 4)
  region.fill(0, 4096, 4100)
  t.match(regionsIn(t, at(8192, region)), [
    { mem_address: 8192, record_size: 4096, certain: false },
  ])
})

t.test('a region that begins with ftrace zones in which nothing is', async t => {
  // What three CPUs share is no power of two: the next zone is at no page.
  for (const cpus of [1, 2, 3]) {
    const layout = {
      mem_size: 12288,
      record_size: 0,
      console_size: 0,
      ftrace_size: 8192,
      pmsg_size: 4096,
      cpus,
      preset: 'linux-pre-6.2',
    }
    const region = makeRegion(layout, { pmsg0: 'a message\n' })
    t.match(
      regionsIn(t, at(8192, region)),
      [{ mem_address: 8192, ftrace_size: 8192, cpus, order: ['ftrace', 'pmsg'] }],
      `${cpus}`,
    )
  }
})

t.test('one dump, and ftrace behind it, of any machine', async t => {
  for (const endian of ['little', 'big'] as const)
    for (const cpus of [1, 2]) {
      const layout = {
        mem_size: 8192,
        console_size: 0,
        pmsg_size: 0,
        record_size: 4096,
        cpus,
        endian,
      }
      for (const ftrace0 of ['', calls(20, 1, endian)]) {
        const [found, ...more] = regionsIn(t, makeRegion(layout, { dmesg0: dump(0), ftrace0 }))
        t.same(more, [])
        t.match(found, { record_size: 4096, ftrace_size: 4096, cpus, endian })
        t.equal(found.options.includes('--endian big'), endian === 'big')
      }
    }
})

t.test('a tty zone, which two kernels that have one order call different names', async t => {
  for (const preset of ['linux-6.2', 'linux-pre-6.2']) {
    const layout = {
      mem_size: 32768,
      record_size: 4096,
      tty_size: 4096,
      preset,
    }
    const region = makeRegion(layout, {
      dmesg0: dump(0),
      console0: '[    0.000000] Linux version 6.1.0\n'.repeat(113),
      ftrace0: calls(20, 1),
      pmsg0: 'a message\n',
      tty0: '\x1b[1mlogin:\x1b[m \n'.repeat(200),
    })
    const [found] = regionsIn(t, region)
    t.match(found, { tty_size: 4096, ftrace_size: 4096, console_size: 4096 }, preset)
    const isOld = preset === 'linux-pre-6.2'
    t.equal(found.open.includes('preset'), isOld, found.open.join())
    t.equal(found.options.includes('--preset anolis'), isOld, found.options)
  }
})

t.test('an ftrace zone that says that it holds more than there is', async t => {
  const source = Buffer.alloc(8192)
  header(100_000, version).copy(source)
  calls(100, 1).copy(source, 12)
  t.same(regionsIn(t, source), [])
})

t.test('signatures in which no zone begins', async t => {
  const program = numbers('little', 0x43474244, 2, 1)
  for (const offset of [4096, 4100]) t.same(regionsIn(t, at(offset, program)), [])
})

t.test('an ftrace zone that CPUs share', async t => {
  const layout = { mem_size: 16384, record_size: 4096, pmsg_size: 0, cpus: 1 }
  for (const cpus of [1, 2]) {
    const [found, ...more] = regionsIn(
      t,
      makeRegion(layout, { dmesg0: dump(0), console0: 'text\n', ftrace0: calls(50, cpus) }),
    )
    t.same(more, [])
    t.match(found, { ftrace_size: 4096, cpus: 1, flags: cpus === 1 ? 1 : 0 })
    t.equal(found.options.includes('--flags 0'), cpus > 1)
    t.equal(
      found.evidence.some(line => line.endsWith('with records of several CPUs in one')),
      cpus > 1,
    )
  }
})

t.test(
  'a page behind an empty ring, whose parity is not where a ring that fills it has it',
  async t => {
    const layout = {
      mem_size: 65536,
      record_size: 16384,
      console_size: 4096,
      pmsg_size: 4096,
      ftrace_size: 0,
      ecc: 16,
    }
    const text = '[    0.000000] Linux version 6.1.0\n'.repeat(8)
    const contents = { dmesg0: dump(0), dmesg1: dump(1), dmesg2: dump(2), console0: text }
    const region = makeRegion(layout, contents)
    const source = Buffer.concat([region, Buffer.alloc(4096)])
    t.match(regionsIn(t, region), [layout])
    t.match(regionsIn(t, source), [{ certain: false }])
  },
)

t.test('a header that two parities fit: neither is certain', async t => {
  const region = Buffer.alloc(8192)
  header(0).copy(region)
  parityOf(region.subarray(0, 12), 16).copy(region, 4096 - 16)
  parityOf(region.subarray(0, 12), 32).copy(region, 8192 - 32)
  const [found, ...more] = regionsIn(t, region)
  t.same(more, [])
  t.notOk(found.certain)
  t.ok(found.open.includes('ecc'), found.open.join())
})

t.test('a source that ends within the bytes that CPUs share out unused', async t => {
  const ftrace_size = 4096
  for (const dumps of [0, 2]) {
    const layout = {
      mem_size: ftrace_size + 4096 * dumps,
      record_size: dumps ? 4096 : 0,
      console_size: 0,
      pmsg_size: 0,
      ftrace_size,
      cpus: 3,
    }
    const contents = { ftrace0: calls(9, 1), ftrace1: calls(9, 1), ftrace2: calls(9, 1) }
    const region = makeRegion(layout, { ...contents, dmesg0: dump(0), dmesg1: dump(1) })
    const size = (source: Buffer): number | undefined =>
      regionsIn(t, source).find(({ cpus }) => cpus === 3)?.mem_size
    t.equal(size(region), layout.mem_size)
    t.equal(size(region.subarray(0, -4)), undefined, 'no length makes such zones')
  }
})

t.test('what follows ftrace is no ftrace zone, whoever signed those', async t => {
  // 4.18.0 is 3 bits from no version, and so is 6.1.0.
  for (const kernel of [0x41200, 0x60100, 0x41307])
    for (const cpus of [2, 3, 4]) {
      const layout = {
        mem_size: 32768,
        record_size: 4096,
        console_size: 4096,
        ftrace_size: 8192,
        pmsg_size: 4096,
        preset: 'linux-pre-6.2',
      }
      const ofCpu = Array.from({ length: cpus }, (_, cpu) => [`ftrace${cpu}`, calls(20, 1)])
      const contents = { dmesg0: dump(0), dmesg1: dump(1), ...Object.fromEntries(ofCpu) }
      const rings = {
        console0: '[    0.000000] Linux\n'.repeat(99),
        pmsg0: 'a message\n'.repeat(99),
      }
      const region = makeRegion({ ...layout, cpus }, { ...contents, ...rings }, kernel)
      t.match(regionsIn(t, region), [{ ...layout, cpus }], `${kernel.toString(16)} of ${cpus} CPUs`)
    }
})

t.test('shares of before 6.8, which are not made even', async t => {
  const rings = { console_size: 4096, ftrace_size: 4096, pmsg_size: 4096 }
  const table: [what: string, layout: RamoopsParameters & { cpus: number }][] = [
    ['of dumps', { ...rings, mem_size: 65536, record_size: 16384, cpus: 1 }],
    ['of CPUs', { ...rings, mem_size: 65536 + 12288, record_size: 16384, cpus: 3 }],
    ['of both', { ...rings, mem_size: 65536, record_size: 16384, cpus: 3 }],
    ['of CPUs, no dumps', { ...rings, mem_size: 12288, record_size: 0, cpus: 3 }],
  ]
  for (const [what, layout] of table)
    for (const preset of ['linux-pre-6.8', 'linux-4.10']) {
      const ofCpu = Array.from({ length: layout.cpus }, (_, cpu) => [`ftrace${cpu}`, calls(20, 1)])
      const contents = {
        ...Object.fromEntries(ofCpu),
        dmesg0: dump(0),
        dmesg1: dump(1),
        console0: '[    0.000000] Linux\n'.repeat(99),
        pmsg0: 'a message\n'.repeat(99),
      }
      const region = makeRegion({ ...layout, preset }, contents, 0x60c75)
      t.match(regionsIn(t, region), [{ ...layout, preset }], `${what}: ${preset}`)
      for (const { kind, index, offset } of makeLayout({ ...layout, preset }, 0).zones) {
        if (offset % 2 === 0) continue
        const damaged = Buffer.from(region).fill(0, offset, offset + 12)
        const lost = `${what}: ${preset}: the header of ${kind} ${index} is lost`
        const [found, ...more] = regionsIn(t, damaged)
        t.same(more, [])
        t.equal(found!.certain, false, lost)
        if (kind !== 'ftrace' && layout.record_size) t.match(found, { ...layout, preset }, lost)
      }
      // It may as well lie in the midst of memory.
      t.match(regionsIn(t, at(8192, region)), [{ mem_address: 8192, preset }], `${what}: ${preset}`)
    }
})

t.test('zones that Linux refuses to make are no region', async t => {
  const layout = { record_size: 0, console_size: 0, pmsg_size: 4096, ftrace_size: 0, ecc: 16 }
  const ring = makeRegion({ ...layout, mem_size: 4096 }, { pmsg0: 'a message\n' })
  t.match(regionsIn(t, ring), [{ ecc: 16 }])
  // Before it one that has no room for such parity.
  const tiny = Buffer.concat([header(0), Buffer.alloc(4)])
  t.same(regionsIn(t, Buffer.concat([tiny, ring])), [])
})

t.test('a large ring whose numbers only parity mends', async t => {
  const layout = {
    mem_size: 2 ** 21 + 8192,
    record_size: 4096,
    console_size: 2 ** 21,
    pmsg_size: 0,
    ftrace_size: 0,
  }
  const region = makeRegion(
    { ...layout, ecc: 16 },
    { dmesg0: dump(0), console0: '[    0.000000] Linux\n' },
  )
  region.fill(0xff, 8192 + 4, 8192 + 8)
  t.match(regionsIn(t, region), [
    { record_size: 4096, console_size: 2 ** 21, ecc: 16, certain: true },
  ])
})

t.test('a source in which too much is possible is given up, and not read any more', async t => {
  const source = file(t, makeRegion({ mem_size: 65536, ecc: 16 }, { dmesg0: dump(0) }))
  class Counted extends Region {
    loads = 0
    override loadInto(bytes: Buffer, offset: number, length: number): void {
      this.loads++
      super.loadInto(bytes, offset, length)
    }
  }
  const region = new Counted(source)
  t.teardown(() => region.close())
  const budget = new Budget()
  const view = new View(region, [0], 'little', region.length, budget)
  t.ok(view.header(0))
  budget.left = 0
  region.loads = 0
  t.equal(view.correctedHeader(0, 4096, 16), null)
  t.same(view.spacings(0), [])
  t.same(view.ftraceIn(0, 65536), [])
  t.equal(region.loads, 0)
})

t.test('a source in which more layouts are possible than are looked at', async t => {
  // Signatures everywhere, with numbers that no zone has: none says where another ends.
  const source = Buffer.alloc(65536, numbers('little', 0x43474244, 2, 1, 0))
  header(0).copy(source)
  const region = new Region(file(t, source))
  t.teardown(() => region.close())
  const plain = Array.from({ length: 4096 }, (_, i) => 16 * i)
  const view = new View(region, plain, 'little', region.length, new Budget())
  const { length } = shapesAt(view, 0, false)
  t.ok(length >= 4096 && length < 4200, `${length}`)
  for (const { certain } of regionsIn(t, source)) t.notOk(certain)
})
