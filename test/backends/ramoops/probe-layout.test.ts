/** The prober's door: the layout that a command takes, and the reasons why it takes none. */
import t, { type Test } from 'tap'
import {
  probeLayout,
  probeRegion,
  type LayoutOptions,
  type OpenRegion,
} from '#src/backends/ramoops/probe/index.js'
import { makeLayout } from '#src/backends/ramoops/layout.js'
import { StoreError, UncertainLayout } from '#src/pstore/errors.js'
import { Region } from '#src/region/region.js'
import { loadFixture } from '../../fixtures.js'
import { file } from '../../program.js'
import { makeBlob, u32 } from './blob.js'
import { silentRegion } from './made.js'

const M = 2 ** 20

const openRegion: OpenRegion = (path, { mem_address, mem_size, readOnly, map }) =>
  new Region(path, {
    readOnly,
    map,
    ...(mem_address === undefined ? {} : { offset: mem_address }),
    ...(mem_size === undefined ? {} : { length: mem_size }),
  })

const layoutOf = (source: string, options: LayoutOptions = {}): ReturnType<typeof probeLayout> =>
  probeLayout(source, options, openRegion)

/** Memory with two regions: at 1 MiB and at 2 MiB. */
const twoRegions = (t: Test): string => {
  const ram = Buffer.alloc(4 * M)
  loadFixture('ecc1-all').region().copy(ram, M)
  loadFixture('all-noecc')
    .region()
    .copy(ram, 2 * M)
  return file(t, ram)
}

t.test('the region that is there', async t => {
  const { region, layout } = loadFixture('ecc1-all')
  const found = layoutOf(file(t, region()))
  t.same(makeLayout(found, 0).zones, makeLayout(layout, 0).zones)
  t.equal(found.mem_address, 0)

  const source = twoRegions(t)
  const reading = { readOnly: true, report: () => {} }
  t.equal(layoutOf(source, { ...reading, mem_address: M }).mem_address, M, 'at the address')
  const part = { mem_address: M - 4096, mem_size: M }
  const [only] = probeRegion(source, part, openRegion).regions
  t.equal(only?.mem_address, M, "an address is the source's, not the part's")
  const done: [number, number][] = []
  probeRegion(
    source,
    { ...part, progress: (bytes, total) => done.push([bytes, total]) },
    openRegion,
  )
  t.same(done.at(-1), [M, M])
})

t.test('a guess is enough to read, and not to write', async t => {
  const source = file(t, silentRegion())
  const lines: string[] = []
  const reading = layoutOf(source, { readOnly: true, report: line => lines.push(line) })
  t.equal(reading.mem_size, 65536)
  const undecided = 'console_size, pmsg_size and tty_size cannot be told from the bytes'
  t.equal(lines.length, 1)
  t.ok(
    lines[0]?.startsWith(`${source}: layout guessed (${undecided}); using: --mem-size 65536 `),
    lines[0],
  )
  t.equal(layoutOf(source).readOnly, true, 'whoever does not say which reads')
  t.throws(() => layoutOf(source, { readOnly: false }), UncertainLayout)
  t.throws(() => layoutOf(source, { readOnly: false }), {
    message: new RegExp(
      `^${source}: ${undecided}: refusing to write with a guessed layout; pass it explicitly: --mem-size 65536 `,
    ),
  })

  const damaged = loadFixture('all-noecc').region()
  damaged.fill('x', 0, 12)
  t.throws(() => layoutOf(file(t, damaged), { readOnly: false }), UncertainLayout)
})

t.test('no region, or more than one', async t => {
  const zeros = file(t, Buffer.alloc(M))
  t.throws(() => layoutOf(zeros), {
    message:
      `no pstore region found in ${zeros}. If you know the layout, give it: --record-size, ` +
      '--console-size, --ftrace-size, --pmsg-size, --tty-size, --ecc, --flags, --cpus, --preset, --order',
  })
  const two = twoRegions(t)
  t.throws(() => layoutOf(two), {
    message: `${two}: has 2 regions: say which: --mem-address 0x100000, --mem-address 0x200000`,
  })
  t.throws(() => layoutOf(two, { mem_address: 3 * M }), { message: /^no pstore region found/ })
})

t.test('a file that only describes regions', async t => {
  const node = {
    compatible: Buffer.from('ramoops\0'),
    reg: u32(0, 0x1000, 0x40000),
    'record-size': u32(0x4000),
    'console-size': u32(0x4000),
  }
  const cases: [bytes: Buffer, message: RegExp][] = [
    [
      makeBlob({ 'reserved-memory': { a: node } }),
      /: is a device tree: it describes a region but does not contain it\. Run the command on the memory dump with: --mem-address 0x1000 --mem-size 262144 /,
    ],
    [
      makeBlob({ 'reserved-memory': { a: node, b: node } }),
      /: is a device tree: it describes 2 regions but does not contain them\. /,
    ],
    [
      makeBlob({ r: { compatible: Buffer.from('ramoops\0') } }),
      /: it describes no ramoops region: the device tree's node r: Linux ignores it: /,
    ],
    [makeBlob({ memory: {} }), /: is a device tree: it describes no ramoops region$/],
    [
      Buffer.from('quiet ramoops.mem_size=1048576\n'),
      /: is a kernel command line: it describes a region but does not contain it\. /,
    ],
  ]
  for (const [bytes, message] of cases) {
    const source = file(t, bytes)
    t.throws(() => layoutOf(source, { readOnly: true }), { message, constructor: StoreError })
    const { regions, notes } = probeRegion(source, {}, openRegion)
    if (notes.some(note => note.includes('Linux ignores it'))) continue
    t.same(
      notes,
      regions.length
        ? ["this file only describes the region; its contents are in the machine's memory"]
        : [],
    )
  }
})
