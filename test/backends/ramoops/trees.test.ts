/** Device trees after real boards' (linux-rockchip, raspberrypi/linux, sonyxperiadev, armbian): each as Linux takes it. */
import t from 'tap'
import {
  describedWithin,
  readDescription,
  type DescribedRegions,
} from '#src/backends/ramoops/probe/described.js'
import { treesIn } from '#src/backends/ramoops/probe/flat-tree.js'
import type { FoundRegion } from '#src/backends/ramoops/probe/found.js'
import { probeSource } from '#src/index.js'
import { file } from '../../program.js'
import { readShared, skipWithoutShared } from '../../shared.js'
import { makeBlob, u32, type Tree } from './blob.js'

const text = (...words: string[]): Buffer => Buffer.from(words.map(word => `${word}\0`).join(''))
const ramoops = { compatible: text('ramoops') }
const cells = (address: number, size: number): Tree => ({
  '#address-cells': u32(address),
  '#size-cells': u32(size),
})
const none = Buffer.alloc(0)

/** A board's tree with a node below /reserved-memory. */
const board = (node: Tree, [address, size] = [2, 2]): Tree => ({
  ...cells(address!, size!),
  'reserved-memory': { ...cells(address!, size!), ranges: none, ...node },
})

/** An overlay for the label `rmem`. */
const overlay = (node: Tree, more: Tree = {}): Tree => ({
  'fragment@0': { target: u32(0xffffffff), __overlay__: node, ...more },
  __fixups__: { rmem: text('/fragment@0:target:0') },
})

const pi = (...reg: number[]): Tree => ({
  'ramoops@c000000': {
    ...ramoops,
    reg: u32(...reg),
    'record-size': u32(0x8000),
    'console-size': u32(0),
  },
})
const piRegion = {
  mem_address: 0xc000000,
  mem_size: 0x20000,
  record_size: 0x8000,
  console_size: 0,
  pmsg_size: 0,
}
const usual = { ...ramoops, reg: u32(0, 0x8f000000, 0, 0x100000), 'record-size': u32(0x4000) }
const usualRegion = { mem_address: 0x8f000000, mem_size: 0x100000, record_size: 0x4000 }
const usualBlob = makeBlob(board({ 'ramoops@8f000000': usual }))

const describe = (bytes: Buffer): DescribedRegions | null => readDescription(file(t, bytes))

type Expected = Partial<Omit<FoundRegion, 'options'> & { options: string | RegExp }>[]
const trees: [what: string, tree: Tree | Buffer, expected: Expected, said: RegExp][] = [
  ['as the binding has it', usualBlob, [{ ...usualRegion, open: ['endian'] }], /ramoops@8f000000/],
  [
    'an overlay of 2 + 1 cells',
    overlay(pi(0, 0xc000000, 0x20000)),
    [piRegion],
    /an overlay for rmem/,
  ],
  [
    'an overlay of 1 + 1',
    overlay(pi(0xc000000, 0x20000)),
    [piRegion],
    /reg has 8 bytes: cells of 1 /,
  ],
  [
    'an overlay of 2 + 2',
    overlay(pi(0, 0xc000000, 0, 0x20000)),
    [piRegion],
    /16 bytes: cells of 2 /,
  ],
  [
    'an overlay that says its cells',
    overlay({ ...cells(1, 2), ...pi(0xc000000, 0, 0x20000) }),
    [piRegion],
    /overlay for rmem/,
  ],
  [
    'an overlay with a reg of no known length',
    overlay(pi(0, 0, 0xc000000, 0, 0x20000)),
    [{ mem_address: 0, mem_size: 0, open: ['mem_address', 'mem_size', 'endian'] }],
    /20 bytes, and the overlay does not say its target's cells/,
  ],
  [
    'an overlay for the root: an old Chromebook by Linux',
    { 'fragment@0': { 'target-path': text('/'), __overlay__: pi(0, 0xc000000, 0x20000) } },
    [{ ...piRegion, console_size: 0x8000, pmsg_size: 0x8000 }],
    /console and pmsg as large as a record/,
  ],
  [
    'an overlay by path',
    { f: { 'target-path': text('/reserved-memory'), __overlay__: pi(0xc000000, 0x20000) } },
    [piRegion],
    /overlay for \/reserved-memory/,
  ],
  [
    'an overlay for a node of its own tree, and for one that is not there',
    {
      a: { phandle: u32(7), ...cells(1, 1), '#x': none },
      f: { target: u32(7), __overlay__: pi(0xc000000, 0x20000) },
      g: { target: u32(8), __overlay__: pi(0xd000000, 0x20000) },
      h: { __overlay__: pi(0xe000000, 0x20000) },
    },
    [{ mem_address: 0xc000000 }, { mem_address: 0xd000000 }, { mem_address: 0xe000000 }],
    /a target that it does not name/,
  ],
  [
    'an overlay and its base',
    Buffer.concat([
      makeBlob({ ...board({}), __symbols__: { rmem: text('/reserved-memory') } }),
      makeBlob(overlay(pi(0, 0xc000000, 0, 0x20000))),
    ]),
    [piRegion],
    /overlay for rmem/,
  ],
  [
    'overlays whose targets are each other',
    {
      a: {
        phandle: u32(1),
        target: u32(2),
        __overlay__: { phandle: u32(2), ...pi(0xc000000, 0x20000) },
      },
    },
    [{ mem_address: 0xc000000 }],
    /reg has 8 bytes/,
  ],
  [
    'memory-region',
    {
      ...board({
        'x@9ff00000': {
          reg: u32(0, 0x9ff00000, 0, 0x100000),
          'linux,phandle': u32(1),
          'no-dump-oops': none,
        },
      }),
      ramoops: {
        ...ramoops,
        'memory-region': u32(1),
        'record-size': u32(0x20000),
        'pmsg-size': u32(0x20000),
      },
    },
    [
      {
        mem_address: 0x9ff00000,
        pmsg_size: 0x20000,
        options: /--max-reason 1/,
      },
    ],
    /memory-region is x@9ff00000/,
  ],
  [
    'sizes of 8 bytes',
    board({ r: { ...usual, 'record-size': u32(0, 0x20000), 'console-size': u32(0x4000, 0) } }),
    [{ record_size: 0x20000, console_size: 0x4000 }],
    /record-size has 8 bytes, of which/,
  ],
  [
    'a place that is chosen at boot',
    board({
      a: {
        compatible: text('qcom,ramoops'),
        size: u32(0, 0x200000),
        'alloc-ranges': u32(0, 0, 0, 1),
        'record-size': u32(0x20000),
      },
      b: { ...ramoops, size: u32(0x100000), 'record-size': u32(0x20000), 'max-reason': u32(5) },
    }),
    [
      { mem_size: 0x200000, open: ['mem_address', 'endian'] },
      { mem_size: 0x100000, options: /--max-reason 5/ },
    ],
    /as it boots, within alloc-ranges/,
  ],
  [
    "Android's binding",
    {
      ramoops: {
        ...ramoops,
        status: text('ok'),
        'android,ramoops-buffer-start': u32(0x7ff00000),
        'android,ramoops-buffer-size': u32(0, 0x100000),
        'android,ramoops-console-size': u32(0x80000),
        'android,ramoops-record-size': u32(0x7f800),
      },
    },
    [
      {
        mem_address: 0x7ff00000,
        mem_size: 0x100000,
        record_size: 0x40000,
        console_size: 0x80000,
        pmsg_size: 0,
        preset: 'linux-pre-4.10',
      },
    ],
    /Android's kernels/,
  ],
  [
    'cells missing below /reserved-memory',
    { ...cells(2, 2), 'reserved-memory': { 'ramoops@8f000000': usual } },
    [usualRegion],
    /Linux ignores what is below \/reserved-memory there: it has no #address-cells, no #size-cells, no ranges/,
  ],
  [
    'cells that are not the root’s'.replace('’', "'"),
    {
      ...cells(2, 1),
      'reserved-memory': { ...cells(2, 2), ranges: none, 'ramoops@8f000000': usual },
    },
    [usualRegion],
    /it has not the root's #size-cells/,
  ],
  [
    'two trees in a row',
    Buffer.concat([makeBlob(cells(2, 2)), usualBlob, usualBlob]),
    [usualRegion],
    /ramoops@8f000000/,
  ],
  [
    'Rockchip',
    board({
      r: {
        ...usual,
        'record-size': u32(0x14000),
        'boot-log-size': u32(0x8000),
        'boot-log-count': u32(1),
      },
    }),
    [{ record_size: 0x14000, preset: 'rockchip' }],
    /CONFIG_PSTORE_BOOT_LOG/,
  ],
  [
    'a disabled node',
    board({ r: { ...usual, status: text('disabled') } }),
    [usualRegion],
    /it is disabled/,
  ],
  [
    'overlays and a base that has none of their targets',
    Buffer.concat([
      makeBlob(board({})),
      makeBlob({
        f: { 'target-path': text('/reserved-memory/x/y'), __overlay__: pi(0xc000000, 0x20000) },
        g: { __overlay__: pi(0xd000000, 0x20000) },
      }),
    ]),
    [{ mem_address: 0xc000000 }, { mem_address: 0xd000000 }],
    /an overlay for/,
  ],
  // What Linux takes no region of.
  [
    'too short a reg',
    board(pi(0, 0xc000000, 0x20000)),
    [],
    /12 bytes, and the cells above ask for 16/,
  ],
  ['no reg', board({ ramoops }), [], /it has no reg and no size/],
  [
    'a size that is none',
    board({ r: { ...ramoops, size: none } }),
    [],
    /it has no reg and no size/,
  ],
  [
    'a memory-region of nobody',
    board({ r: { ...ramoops, 'memory-region': u32(9) } }),
    [],
    /names no node of this tree/,
  ],
  [
    'an empty memory-region',
    board({ r: { ...ramoops, 'memory-region': none } }),
    [],
    /names no node of this tree/,
  ],
  [
    'too short a size',
    board({ r: { ...usual, 'record-size': none } }),
    [],
    /record-size has 0 bytes/,
  ],
  [
    'a size above INT_MAX',
    board({ r: { ...usual, 'ecc-size': u32(2 ** 31) } }),
    [],
    /ecc-size 0x80000000 is more than Linux takes/,
  ],
  [
    'no memory',
    board({ r: { ...usual, reg: u32(2 ** 31, 0, 0, 1) } }),
    [],
    /no machine has memory there/,
  ],
  [
    'cells without end',
    { '#address-cells': u32(2 ** 31), r: usual },
    [],
    /the cells above ask for 36/,
  ],
]

t.test('every form of the binding', async t => {
  for (const [what, tree, expected, said] of trees) {
    const found = describe(Buffer.isBuffer(tree) ? tree : makeBlob(tree))
    t.equal(found?.kind, 'a device tree', what)
    t.match(found?.regions, expected, what)
    t.equal(found?.regions.length, expected.length, what)
    const lines = [
      ...(found?.notes ?? []),
      ...(found?.regions.flatMap(({ evidence }) => evidence) ?? []),
    ]
    t.ok(
      lines.some(line => said.test(line)),
      `${what}: ${lines.join('; ')}`,
    )
  }
})

t.test('trees behind other bytes', async t => {
  const kernel = Buffer.alloc(2 ** 20 + 3, 'kernel')
  // What is no header may look like one.
  const broken = Buffer.from(usualBlob)
  broken.writeUInt32BE(7, broken.readUInt32BE(8))
  const lie = Buffer.concat([u32(0xd00dfeed, 0xfffffff0), Buffer.alloc(40)])
  const image = Buffer.concat([
    kernel,
    lie,
    broken,
    usualBlob,
    Buffer.from([0xd0, 0x0d, 0xfe, 0xed]),
  ])
  const { regions, describes } = probeSource(file(t, image))
  t.match(regions, [usualRegion])
  t.equal(describes, 'a file with device trees in it')
  const nothing = Buffer.concat([kernel, makeBlob(cells(2, 2))])
  t.match(probeSource(file(t, nothing)), { regions: [], describes: undefined })
  const long = Buffer.concat([usualBlob, Buffer.alloc(2 ** 24)])
  t.match(probeSource(file(t, long)).regions, [usualRegion], 'a partition')
})

t.test('no source has trees without end', async t => {
  t.equal(describedWithin({ length: 2 ** 29, load: () => Buffer.alloc(0) }), null)
  const nodes = Object.fromEntries(Array.from({ length: 99 }, (_, i) => [`r${i}`, usual]))
  t.equal(describe(makeBlob(nodes))?.regions.length, 64)
  const small = makeBlob({ a: {} })
  const many = Buffer.concat(Array.from({ length: 300 }, () => small))
  const bytes = { length: many.length, load: (at: number, n: number) => many.subarray(at, at + n) }
  t.equal(treesIn(bytes).length, 256)
})

const shared: [name: string, expected: Expected][] = [
  ['cat', [{ mem_address: 0x8f000000 }]],
  ['dyn', [{ mem_size: 0x200000 }, { mem_size: 0x100000 }]],
  ['memreg', [{ mem_address: 0x9ff00000 }]],
  ['nodump', [{ mem_address: 0x8f000000, ecc: 32 }]],
  ['pi5-merged', []],
  ['rock5', [{ mem_address: 0x120000, record_size: 0x14000, boot_log_size: 0x8000 }]],
  ['rpi-overlay', [piRegion]],
  ['rpi4-overlay', [piRegion]],
]
t.test("reports' trees", { skip: skipWithoutShared('cases') }, async t => {
  for (const [name, expected] of shared) {
    const found = describe(readShared('cases', 'dt', `${name}.dtb`))
    t.match(found?.regions, expected, name)
    t.equal(found?.regions.length, expected.length, name)
  }
})

t.test('a blob of which any word is another', async t => {
  let most = 0
  const at = (bytes: Buffer): void => {
    const load = (from: number, n: number): Buffer => bytes.subarray(from, from + n)
    most = Math.max(most, treesIn({ length: bytes.length, load }).length)
  }
  for (let word = 40; word < usualBlob.length; word += 4)
    for (const value of [0, 1, 2, 3, 9, 0x7fffffff]) {
      const bytes = Buffer.from(usualBlob)
      bytes.writeUInt32BE(value, word)
      at(bytes)
    }
  // Names without an end: of a property, and of a node.
  for (const from of [usualBlob.length - 8, 44]) {
    const bytes = Buffer.from(usualBlob)
    bytes.fill('x', from)
    at(bytes)
  }
  const cut = Buffer.from(usualBlob)
  cut.writeUInt32BE(cut.length - 8, 8)
  cut.writeUInt32BE(3, cut.length - 8)
  at(cut)
  let deep: Tree = {}
  for (let level = 0; level < 200; level++) deep = { a: deep }
  at(makeBlob(deep))
  t.equal(most, 1)
})
