/** Regions that are described elsewhere: on command lines, in device trees. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { describedBy } from '#src/backends/ramoops/probe/described.js'
import type { FoundRegion } from '#src/backends/ramoops/probe/found.js'
import { probeSource } from '#src/index.js'
import { file, folder } from '../../program.js'
import { makeBlob, u32, type Tree } from './blob.js'

const describedIn = (t: Test, bytes: Uint8Array): FoundRegion[] | null =>
  describedBy(file(t, bytes))

t.test('what cannot be read describes nothing', t => {
  // A read of its start is EIO.
  t.equal(describedBy('/proc/self/mem'), null)
  t.end()
})

t.test('command lines', async t => {
  const cases: [line: string, expected: Partial<FoundRegion>, evidence: RegExp][] = [
    [
      'ro ramoops.mem_address=0x8000000 ramoops.mem_size=0x100000 ramoops.record_size=0x4000 ramoops.ecc=1',
      {
        mem_address: 0x8000000,
        mem_size: 0x100000,
        record_size: 0x4000,
        console_size: 4096,
        ftrace_size: 4096,
        pmsg_size: 4096,
        tty_size: 0,
        ecc: 16,
        order: ['dmesg', 'console', 'pmsg', 'ftrace'],
        open: ['cpus', 'order', 'endian'],
      },
      /^63 dmesg zones$/,
    ],
    [
      'quiet "ramoops.mem-size=0x100000" ramoops.console_size=0200000 ramoops.pmsg_size=0 ramoops.tty_size=9000',
      {
        mem_size: 0x100000,
        console_size: 0x10000,
        pmsg_size: 0,
        tty_size: 8192,
        open: ['cpus', 'order', 'endian'],
      },
      /^237 dmesg zones$/,
    ],
    [
      'ramoops.mem_size=65536 ramoops.ftrace_size=0',
      { mem_size: 0x10000, ftrace_size: 0, open: ['endian'] },
      /^14 dmesg zones$/,
    ],
    [
      'reserve_mem=2M:4096:oops ramoops.mem_name=oops ramoops.ftrace_size=0',
      { mem_size: 0x200000, open: ['mem_address', 'endian'] },
      /^memory reserved under the name oops$/,
    ],
    // What is said is told, though nobody says how large the region is.
    ...['', 'reserve_mem=2M:4096:other', 'reserve_mem=lots:4096:oops'].map(
      (reserved): [string, Partial<FoundRegion>, RegExp] => [
        `${reserved} ramoops.mem_name=oops ramoops.record_size=0x8000 ramoops.pmsg_size=0 ramoops.ecc=1`,
        {
          mem_size: 0,
          record_size: 0x8000,
          console_size: 4096,
          ftrace_size: 4096,
          ecc: 16,
          order: ['dmesg', 'console', 'ftrace'],
          open: ['mem_address', 'mem_size', 'cpus', 'endian'],
        },
        /^memory reserved under the name oops$/,
      ],
    ),
    [
      'ramoops.mem_size=4096 ramoops.console_size=65536 ramoops.record_size=0',
      { mem_size: 4096, order: [] },
      /^no such region can be: the zones up to console need 64 KiB, the region has 4 KiB /,
    ],
    [
      'ramoops.mem_size=2147483648 ramoops.record_size=16',
      { mem_size: 2 ** 31, order: [] },
      /^no such region can be: more zones than any region has$/,
    ],
  ]
  for (const [line, expected, evidence] of cases) {
    const regions = describedIn(t, Buffer.from(line))
    t.match(regions, [{ ...expected, certain: false }], line)
    const { evidence: said = [] } = regions?.[0] ?? {}
    t.ok(
      said.some(what => evidence.test(what)),
      said.join('; '),
    )
    t.equal(
      said.some(what => what.startsWith('no such region')),
      expected.order?.length === 0,
    )
  }
  t.equal(describedIn(t, Buffer.from('ro quiet')), null, 'nothing of ramoops')
  for (const line of ['ramoops.record_size=4096', 'ramoops.mem_size=much', 'ramoops.mem_size'])
    t.same(describedIn(t, Buffer.from(line)), [], `${line}: no region`)
})

t.test('what describes nothing, whatever it is', async t => {
  const large = file(t, Buffer.alloc(0))
  fs.truncateSync(large, 2 ** 25)
  for (const source of [folder(t), large, '/dev/zero', '/nonexistent'])
    t.equal(describedBy(source), null, source)
})

const ramoops: Tree = {
  compatible: Buffer.from('ramoops\0'),
  reg: u32(0, 0x8000000, 0x100000),
  'record-size': u32(0x4000),
  'max-reason': u32(5),
}

/** A tree that has something so many levels down. */
const nested = (levels: number, tree: Tree): Tree =>
  levels === 0 ? tree : { node: nested(levels - 1, tree) }

t.test('what a node says', async t => {
  t.match(describedIn(t, makeBlob({ ramoops })), [
    {
      mem_address: 0x8000000,
      mem_size: 0x100000,
      record_size: 0x4000,
      parameters: { max_reason: 5 },
    },
  ])
})

t.test("Rockchip's nodes have a boot log, and no size is rounded", async t => {
  const rockchip = {
    ...ramoops,
    'record-size': u32(0x14000),
    'console-size': u32(0x80000),
    'boot-log-size': u32(0x8000),
  }
  t.match(describedIn(t, makeBlob({ ramoops: { ...rockchip, 'boot-log-count': u32(1) } })), [
    {
      record_size: 0x14000,
      console_size: 0x80000,
      order: ['boot-log', 'dmesg', 'console'],
      open: ['boot_log_size', 'endian'],
      options: /--boot-log-size 32768 --max-reason 5 --flags 0 --preset rockchip$/,
    },
  ])
  // Without a count its kernel makes no zone.
  t.match(describedIn(t, makeBlob({ ramoops: rockchip })), [
    {
      order: ['dmesg', 'console'],
      options:
        /--boot-log-size 32768 --boot-log-count 0 --max-reason 5 --flags 0 --preset rockchip$/,
    },
  ])
})

/** A blob of hand-made tokens. */
const blobOf = (...tokens: Buffer[]): Buffer => {
  const structs = Buffer.concat(tokens)
  return Buffer.concat([u32(0xd00dfeed, 0, 40, 40, 0, 17, 16, 0, 0, structs.length), structs])
}
const begin = u32(1, 0)
const end = u32(2)
const last = u32(9)

t.test('broken blobs describe nothing', async t => {
  const most = 2 ** 17
  const cases: [what: string, blob: Buffer][] = [
    ['no node', blobOf(last)],
    ['an end without a beginning', blobOf(end, last)],
    ['a node without its end', blobOf(begin, last)],
    ['cut short', blobOf(begin, end)],
    ['an unknown token', blobOf(begin, u32(7), end, last)],
    ['too many nodes', blobOf(begin, Buffer.alloc(12 * most, u32(1, 0, 2)), end, last)],
    ['too deep', makeBlob(nested(64, { ramoops }))],
  ]
  for (const [what, blob] of cases) t.same(describedIn(t, blob), [], what)
  t.equal(describedIn(t, makeBlob(nested(62, { ramoops })))?.length, 1, 'not quite too deep')
})

t.test('a blob that is broken or cut short is told', async t => {
  const blob = makeBlob({ ramoops })
  for (const [bytes, note] of [
    [blob.subarray(0, 100), `it is cut short: its header says ${blob.length} bytes`],
    [blob.subarray(0, 50), `it is cut short: its header says ${blob.length} bytes`],
    [blobOf(begin, u32(7), end, last), 'it is broken: nothing in it can be read'],
  ] as const)
    t.match(probeSource(file(t, bytes)), {
      regions: [],
      notes: [note],
      describes: 'a device tree',
    })
})

t.test('a folder that is deeper than any tree', async t => {
  const put = (at: string, tree: Tree): void => {
    fs.mkdirSync(at, { recursive: true })
    for (const [name, value] of Object.entries(tree))
      if (Buffer.isBuffer(value)) fs.writeFileSync(path.join(at, name), value)
      else put(path.join(at, name), value)
  }
  for (const [levels, found] of [
    [63, 1],
    [64, 0],
  ]) {
    const made = folder(t)
    // A property that is too long to count is no matter.
    const long = Buffer.alloc(5000)
    put(made, { '#address-cells': u32(2), long, ...nested(levels, { ramoops }) })
    t.equal(describedBy(made)?.length, found, `${levels} levels`)
  }
})
