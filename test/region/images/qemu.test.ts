/** QEMU's migration streams as images of a guest's memory: what is where, what is refused, what is missing. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { openRegion } from '#src/backends/module.js'
import { Region } from '#src/region/region.js'
import { PageTable } from '#src/region/images/page-table.js'
import {
  capabilities,
  configuration,
  eos,
  footer,
  head,
  join,
  list,
  more,
  page,
  pageBits,
  saveOf,
  start,
  streamOf,
  uuid,
  type Part,
} from '../../model/migration.js'
import { file } from '../../program.js'
import { randomFor } from '../../random.js'

const open = (t: Test, bytes: Uint8Array): Region => {
  const region = new Region(file(t, bytes, 'guest.dump'))
  t.teardown(() => region.close())
  return region
}

/** What an image is filled with, page by page: its first byte, or two of them where its last is another. */
const shown = (region: Region, size = 4096): (number | [number, number])[] =>
  Array.from({ length: region.length / size }, (_, i) => {
    const bytes = region.load(i * size, size)
    return bytes[0] === bytes[size - 1] ? bytes[0] : [bytes[0], bytes[size - 1]]
  })

const full = (byte: number, size = 4096): Buffer => Buffer.alloc(size, byte)
const two: [string, number][] = [
  ['pc.ram', 0x4000],
  ['region', 0x2000],
]

/** A stream of a list and pages. */
const stream = (
  pages: Part[],
  blocks: [string, number, ...Part[]][] = two,
  ...setup: Part[]
): Buffer =>
  join(
    head,
    ...setup,
    start([list(blocks), eos]),
    footer,
    more(2, [...pages, eos]),
    footer,
    more(3, [eos]),
  )

t.test('pages are where they belong', async t => {
  const bytes = stream([
    page('region', 0x1000, full(6)),
    page('pc.ram', 0, full(1)),
    page(null, 0x1000, 0),
    page(null, 0x2000, 7),
    page(null, 0x3000, full(3)),
    // Written again while the guest ran.
    page('pc.ram', 0, full(9)),
    page('region', 0x1000, full(8)),
    page('pc.ram', 0x3000, 0),
  ])
  const region = open(t, bytes)
  t.equal(region.length, 0x6000)
  t.ok(region.readOnly)
  t.same(shown(region), [9, 0, 7, 0, 0, 8])
  t.same(region.notes, [
    'a QEMU migration stream: offsets are in its RAM blocks, pc.ram at 0x0, region at 0x4000',
  ])
  const lines: string[] = []
  openRegion(region.path, { readOnly: true, report: line => lines.push(line) }).close()
  t.match(lines, [/guest\.dump: a QEMU migration stream: offsets are in its RAM blocks/])
  openRegion(region.path, { readOnly: true }).close()
  openRegion('/dev/zero', { readOnly: true, mem_size: 4096 }).close()
  t.same([...region.load(0x2ffe, 4)], [7, 7, 0, 0], 'from one page to the next')
  t.same(region.nextData(0), { from: 0, to: 0x1000 })
  t.same(region.nextData(0x1234), { from: 0x2000, to: 0x3000 })
  t.same(region.nextData(0x3000), { from: 0x5000, to: 0x6000 })
  t.equal(region.nextData(0x6000), null)
  t.throws(() => region.store(0, full(1)), {
    code: 'EROFS',
    message: /guest.dump: is a QEMU migration stream file: unpack it to write to it$/,
  })
  const part = new Region(region.path, { offset: 0x1800, length: 0x1000 })
  t.teardown(() => part.close())
  t.same([...part.load(0x7fe, 4)], [0, 0, 7, 7], 'a part of it')
  t.same(part.nextData(0), { from: 0x800, to: 0x1000 })
  const nothing = new Region(region.path, { offset: 0x3000, length: 0x1000 })
  t.teardown(() => nothing.close())
  t.equal(nothing.nextData(0), null)
})

t.test('what the configuration says', async t => {
  const small = stream(
    [page('a', 0x400, full(5, 1024))],
    [
      ['a', 0x800],
      ['b', 0x400],
    ],
    configuration('virt\x1b-9.0', pageBits(10), uuid, capabilities('x-colo')),
    join({ u8: 8 }, { u16: 5 }, { u16: 3 }, Buffer.from('abc')),
  )
  const region = open(t, small)
  t.same(shown(region, 1024), [0, 5, 0, 0, 0, 0, 0, 0], 'each block begins at a multiple of 4 KiB')
  t.match(
    region.notes[0],
    /stream of virt.*-9.0: offsets are in its RAM blocks, a at 0x0, b at 0x1000$/,
  )
  t.notMatch(region.notes[0], '\x1b')
  const large = open(
    t,
    stream(
      [page('b', 0, full(5, 2 ** 16))],
      [
        ['a', 2 ** 17],
        ['b', 2 ** 16],
      ],
      configuration('x', pageBits(16)),
    ),
  )
  t.same(shown(large, 2 ** 16), [0, 0, 5])

  const shared = configuration('pc', capabilities('x-ignore-shared'))
  const address = { u64: 0x100000 }
  const ignored = open(
    t,
    stream(
      [page('a', 0, full(4))],
      [
        ['a', 4096, address],
        ['b', 4096, address],
      ],
      shared,
    ),
  )
  t.same(shown(ignored), [4, 0])
  t.match(ignored.doubts[0], /shared with files is not in it/)
})

t.test('pages at places of their own (mapped-ram)', async t => {
  const mapped = configuration('pc', capabilities('mapped-ram'))
  const header = (bitmap: number, pages: number, size = 4096): Buffer =>
    join({ u32: 1 }, { u64: size }, { u64: bitmap }, { u64: pages })
  /** Two blocks: the second is left out, as shared with a file. */
  const make = (a: Buffer, length = 0x9000): Buffer => {
    const bytes = Buffer.alloc(0x10000 + 0x9000)
    const front = join(
      head,
      mapped,
      start([join({ u64: length + 4096 + 4 }, 'a', { u64: length }, a)]),
    )
    bytes.set(front)
    bytes.set([0b1000_0101, 0b1111_1111], 0x8000)
    for (let i = 0; i < 9; i++) bytes.fill(i + 1, 0x10000 + 4096 * i, 0x10000 + 4096 * (i + 1))
    return Buffer.concat([
      bytes,
      join('b', { u64: 4096 }, header(0, 0), eos),
      footer,
      more(3, [eos]),
    ])
  }
  const region = open(t, make(header(0x8000, 0x10000)))
  t.same(shown(region), [1, 0, 3, 0, 0, 0, 0, 8, 9, 0])
  const cut = open(t, make(header(0x8000, 0x10000)).subarray(0, 0x12800))
  t.same(shown(cut), [1, 0, 0, 0, 0, 0, 0, 0, 0])
  t.match(
    cut.doubts.join(),
    /3 pages of a beyond the end of the file: shown as zeros,it ends at 0x12800/,
  )
  const unmapped = open(t, make(header(2 ** 40, 0x10000)))
  t.match(unmapped.doubts[0], /^the map of pages of a is beyond the end/)

  for (const [what, bytes, message] of [
    ['other pages', make(header(0x8000, 0x10000, 8192)), /pages are of two sizes/],
    ['pages before their name', make(header(0x8000, 16)), /lie before its name/],
  ] as const)
    t.throws(() => open(t, bytes), { message }, what)
})

t.test("libvirt's header before it", async t => {
  const memory = Buffer.alloc(0x3000, 'memory')
  const raw = streamOf(memory)
  for (const endian of ['little', 'big'] as const)
    t.ok(open(t, saveOf(raw, { endian })).load(0, 0x3000).equals(memory), endian)
  t.ok(
    open(t, saveOf(raw, { version: 3, format: 6 }))
      .load(0, 0x3000)
      .equals(memory),
    'sparse',
  )
  const partial = open(t, saveOf(raw, { magic: 'LibvirtQemudPart' }))
  t.ok(partial.load(0, 0x3000).equals(memory))
  t.match(partial.doubts[0], /libvirt did not finish/)
  for (const [what, bytes, message] of [
    [
      'xz',
      saveOf(raw, { format: 3 }),
      /packed with xz: .*: tail -c \+103 \S+guest.dump \| xz -dc > stream$/,
    ],
    ['zstd', saveOf(raw, { format: 5 }), /zstd -dc/],
    ['another', saveOf(raw, { format: 9 }), /of an unknown form: .*virsh dump --memory-only/],
    ['no stream', saveOf(Buffer.from('nothing')), /of an unknown form/],
    ['its end', saveOf(raw).subarray(0, 50), /ends before its RAM/],
  ] as const)
    t.throws(() => open(t, bytes), { message }, what)
})

t.test('what is missing is said, and the rest is shown', async t => {
  const good = page('pc.ram', 0x1000, full(5))
  const after = page('pc.ram', 0x2000, full(6))
  const cases: [what: string, bytes: Buffer, note: RegExp, shows: number[]][] = [
    [
      'cut within a page',
      stream([good, after]).subarray(0, -100),
      /^it ends at 0x[0-9a-f]+, before the end of its RAM: pages that do not come before are shown as zeros$/,
      [0, 5, 0, 0, 0, 0],
    ],
    [
      'a page outside its block',
      stream([page('pc.ram', 0x4000, full(9)), good]),
      /^1 page outside the RAM/,
      [0, 5, 0, 0, 0, 0],
    ],
    [
      'wild ones',
      stream([page('pc.ram', 2 ** 52, 9), page('region', 2 ** 52, full(9)), good]),
      /^2 pages outside/,
      [0, 5, 0, 0, 0, 0],
    ],
    [
      'of no block',
      stream([page('what', 0, full(9)), page(null, 0, 9), good]),
      /^2 pages outside/,
      [0, 5, 0, 0, 0, 0],
    ],
    [
      'a first page of the block before',
      stream([page(null, 0, 9), good]),
      /^1 page outside/,
      [0, 5, 0, 0, 0, 0],
    ],
    [
      'no page',
      stream([good, join({ u64: 0x1001 }), after]),
      /^no page begins at 0x[0-9a-f]+: /,
      [0, 5, 0, 0, 0, 0],
    ],
    ['a flag with none', stream([good, join({ u64: 0x200 }), after]), /^$/, [0, 5, 6, 0, 0, 0]],
    [
      'a second list',
      stream([good, list(two), after]),
      /^a second list of RAM blocks/,
      [0, 5, 0, 0, 0, 0],
    ],
    [
      'a name twice',
      stream(
        [good],
        [
          ['pc.ram', 0x2000],
          ['pc.ram', 0x1000],
        ],
      ),
      /^it names its RAM block pc.ram twice/,
      [0, 5, 0],
    ],
    [
      'another section first',
      join(
        head,
        start([list(two), eos]),
        footer,
        more(2, [good, eos]),
        footer,
        start([], { name: 'vf\x1bio', id: 9 }),
      ),
      /^a section vf.*io at 0x[0-9a-f]+, whose length is not told, comes before the end/,
      [0, 5, 0, 0, 0, 0],
    ],
    [
      'a part of another',
      join(head, start([list(two), good, eos]), more(2, [eos], 7)),
      /^a section of an unknown kind/,
      [0, 5, 0, 0, 0, 0],
    ],
    [
      'no section',
      join(head, start([list(two), good, eos]), { u8: 0x77 }),
      /^no section begins/,
      [0, 5, 0, 0, 0, 0],
    ],
  ]
  for (const [what, bytes, note, shows] of cases) {
    const region = open(t, bytes)
    t.match(region.doubts[0] ?? '', note, what)
    t.notMatch(region.doubts.join(), '\x1b')
    t.same(shown(region), shows, what)
  }
})

t.test('what cannot be read is refused in one line', async t => {
  const sizes = (...lengths: number[]): [string, number][] =>
    lengths.map((length, i) => [`b${i}`, length])
  const none = /guest.dump: is a QEMU migration stream in which no RAM can be found: /
  const cases: [what: string, bytes: Buffer, message: RegExp][] = [
    ['the magic alone', head.subarray(0, 4), none],
    ['another version', join(Buffer.from('QEVM'), { u32: 2 }), /its version is 2/],
    ['no list', join(head, start([eos]), footer, more(3, [eos])), none],
    ['devices first', join(head, start([], { name: 'timer', kind: 4 })), /a section timer at 0x8/],
    ['its end', join(head, configuration('pc')), none],
    ['a machine of a long name', join(head, { u8: 7 }, { u32: 2 ** 31 }), /name is too long/],
    [
      'an unknown part',
      join(head, configuration('pc', { u8: 5 }, 'configuration/new', { u32: 1 })),
      /unknown part, configuration\/new/,
    ],
    ['pages of no size', join(head, configuration('pc', pageBits(60))), /pages of 2\^60 bytes/],
    [
      'capabilities',
      join(
        head,
        configuration('pc', { u8: 5 }, 'configuration/capabilities', { u32: 1 }, { u32: 1e9 }),
      ),
      /too many capabilities/,
    ],
    ['much', stream([], sizes(2 ** 42)), /names more than 1 TiB/],
    ['much together', stream([], sizes(2 ** 39, 2 ** 39, 4096)), /names more than 1 TiB/],
    [
      'more than all',
      join(head, start([{ u64: 4096 + 4 }, 'a', { u64: 8192 }])),
      /list of RAM blocks is broken/,
    ],
    [
      'many',
      join(
        head,
        start([
          { u64: 4096 + 4 },
          ...Array.from({ length: 2000 }, () => ['a', { u64: 0 }] as const).flat(),
        ]),
      ),
      /list of RAM blocks is broken/,
    ],
    [
      'xbzrle',
      stream([join({ u64: 0x40 }, 'pc.ram')]),
      /with compressed pages: .*virsh dump --memory-only/,
    ],
    ['zlib', stream([join({ u64: 0x100 }, 'pc.ram')]), /with compressed pages: /],
  ]
  for (const [what, bytes, message] of cases)
    t.throws(() => open(t, bytes), { message, code: 'EINVAL' }, what)
})

t.test('a stream that becomes shorter gives EIO', async t => {
  const bytes = streamOf(Buffer.alloc(0x3000, 'memory'))
  const region = open(t, bytes)
  fs.truncateSync(region.path, 3000)
  t.throws(() => region.load(0, 0x3000), { code: 'EIO', message: /was truncated/ })
  t.doesNotThrow(() => region.checkSize())
})

t.test('a table of pages gives what it was told', async t => {
  const random = randomFor(t)
  const pages = random.between(1, 300_000)
  const table = new PageTable(pages)
  const told = new Map<number, number>()
  for (let i = 0; i < 5000; i++) {
    const at = random.below(pages)
    const where = random.pick([0, -3, random.between(8, 2 ** 50)])
    table.set(at, where)
    told.set(at, where)
  }
  t.ok([...told].every(([at, where]) => table.get(at) === where))
  const filled = [...told].filter(([, where]) => where !== 0).map(([at]) => at)
  const walked: number[] = []
  for (let at = table.next(0, false); at < pages; at = table.next(at + 1, false)) walked.push(at)
  t.same(
    walked,
    filled.toSorted((a, b) => a - b),
  )
  t.equal(table.next(pages, true), pages)
  t.ok(table.leaves <= told.size)
})
