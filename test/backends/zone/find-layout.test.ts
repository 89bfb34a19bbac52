/** Layouts of pstore/zone stores that nobody described: of those that kernels wrote, and of made ones. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, UncertainLayout } from '#src/index.js'
import { findLayout } from '#src/backends/zone/find-layout.js'
import {
  encodeKmsgHeader,
  encodeZoneHeader,
  kmsgForms,
  signatureOf,
} from '#src/backends/zone/header.js'
import { zone } from '#src/backends/zone/index.js'
import { signedIn } from '#src/backends/zone/signed.js'
import { Region } from '#src/region/region.js'
import type { Endian, ZoneKind } from '#src/pstore/types.js'
import { fixtures } from '../../fixtures.js'
import { file } from '../../program.js'

const K = 1024

/** Bytes of a zone's beginning. */
const signed = (kind: ZoneKind, used: number, endian: Endian = 'little'): Buffer => {
  const header = encodeZoneHeader({ sig: signatureOf(kind), datalen: used, start: 0 }, endian)
  if (kind !== 'dmesg') return header
  const time = { sec: 1_700_000_000n, nsec: 0 }
  const dump = { form: kmsgForms.bits64, time, compressed: false, counter: 1, reason: 1 }
  return Buffer.concat([header, encodeKmsgHeader(dump, endian)])
}

/** A store with zones' beginnings in it. */
const store = (
  length: number,
  zones: [offset: number, kind: ZoneKind, used?: number][],
  endian?: Endian,
): Buffer => {
  const bytes = Buffer.alloc(length)
  for (const [offset, kind, used = 100] of zones) signed(kind, used, endian).copy(bytes, offset)
  return bytes
}

const found = (t: Test, bytes: Buffer) => {
  const region = new Region(file(t, bytes), { readOnly: true })
  try {
    return findLayout(signedIn(region), region.length)
  } finally {
    region.close()
  }
}

t.test("kernels' stores show the same without a layout", async t => {
  for (const fixture of fixtures('blk-')) {
    if (!fixture.complete || fixture.files.length === 0) continue
    const source = file(t, fixture.region())
    const lines: string[] = []
    const told = attach(source, { readOnly: true, report: line => lines.push(line) })
    t.equal(told.name, 'pstore_blk', fixture.name)
    t.ok(lines.every(line => /layout guessed/.test(line)))
    const names = [...told.records()].map(({ name }) => name)
    t.same(names.toSorted(), fixture.files.map(({ name }) => name).toSorted(), fixture.name)
    for (const { name, read_len } of fixture.files)
      if (!name.startsWith('ftrace')) t.equal(told.find(name)!.read().length, read_len, name)
    told.close()
    t.throws(() => attach(source, { readOnly: false }), UncertainLayout, 'and never written')
  }
})

t.test('sizes by distances', async t => {
  for (const [what, zones, options, open] of [
    [
      'all of them',
      [
        [0, 'pmsg'],
        [16, 'console'],
        [48, 'tty'],
        [52, 'ftrace'],
        [56, 'dmesg'],
        [88, 'dmesg'],
        [152, 'dmesg'],
      ],
      '--kmsg-size 32768 --pmsg-size 16384 --console-size 32768 --ftrace-size 4096 --tty-size 4096',
      [],
    ],
    [
      "Linux's defaults",
      [
        [0, 'pmsg'],
        [192, 'dmesg'],
      ],
      '--kmsg-size 65536 --pmsg-size 65536 --console-size 65536 --ftrace-size 65536',
      ['pmsg_size', 'console_size', 'tty_size', 'ftrace_size', 'kmsg_size'],
    ],
    [
      'only a console',
      [[64, 'console']],
      '--kmsg-size 65536 --pmsg-size 65536 --console-size 65536 --ftrace-size 0',
      ['console_size', 'tty_size', 'ftrace_size', 'kmsg_size'],
    ],
    [
      'only dumps, the last zone not whole',
      [
        [0, 'dmesg'],
        [128, 'dmesg'],
      ],
      '--kmsg-size 131072 --pmsg-size 0 --console-size 0 --ftrace-size 0',
      [],
    ],
    [
      'a dump at the end',
      [[252, 'dmesg']],
      '--kmsg-size 4096 --pmsg-size 258048 --console-size 0 --ftrace-size 0',
      ['pmsg_size', 'console_size', 'tty_size', 'ftrace_size', 'kmsg_size'],
    ],
  ] as const) {
    const layout = found(
      t,
      store(
        256 * K,
        zones.map(([at, kind]) => [at * K, kind]),
      ),
    )
    t.equal(layout?.options, options, what)
    t.same(layout?.open, open, what)
  }
})

t.test('dump zones that `format` signed, and that never held one', t => {
  const sizes = '--kmsg-size 8192 --pmsg-size 16384 --console-size 32768 --ftrace-size 0'
  const rings: [number, ZoneKind][] = [
    [0, 'pmsg'],
    [16 * K, 'console'],
  ]
  const shared = ['console_size', 'tty_size', 'ftrace_size']
  for (const [what, zones, empty, options, open] of [
    ['behind rings', rings, [48, 56, 64], sizes, shared],
    ['one dump among them', [...rings, [56 * K, 'dmesg']], [48, 64], sizes, shared],
    [
      'before dumps that tell the size',
      [...rings, [56 * K, 'dmesg'], [64 * K, 'dmesg']],
      [48],
      sizes,
      shared,
    ],
    [
      'no ring',
      [[8 * K, 'dmesg']],
      [0, 16],
      '--kmsg-size 8192 --pmsg-size 0 --console-size 0 --ftrace-size 0',
      [],
    ],
    [
      "a text's, in a ring",
      [
        [0, 'pmsg'],
        [64 * K, 'console'],
      ],
      [1],
      '--kmsg-size 65536 --pmsg-size 65536 --console-size 65536 --ftrace-size 0',
      ['console_size', 'tty_size', 'ftrace_size', 'kmsg_size'],
    ],
    ['alone, as in ramoops', [], [0, 8, 16], undefined, []],
  ] as [string, [number, ZoneKind][], number[], string | undefined, string[]][])
    for (const endian of ['little', 'big'] as const) {
      const bytes = store(256 * K, zones, endian)
      const header = encodeZoneHeader({ sig: signatureOf('dmesg'), datalen: 0, start: 0 }, endian)
      for (const at of empty) header.copy(bytes, at * K)
      const layout = found(t, bytes)
      t.equal(layout?.options.replace(' --endian big', ''), options, what)
      t.same(layout?.open ?? [], open, what)
    }
  t.end()
})

t.test('CPUs share ftrace, whose bytes do not divide', async t => {
  const share = Math.floor((16 * K) / 3)
  const zones: [number, ZoneKind][] = [
    [0, 'ftrace'],
    [share, 'ftrace'],
    [2 * share, 'ftrace'],
    [3 * share, 'dmesg'],
    [3 * share + 8 * K, 'dmesg'],
  ]
  for (const endian of ['little', 'big'] as const)
    t.equal(
      found(t, store(64 * K, zones, endian))?.options,
      `--kmsg-size 8192 --pmsg-size 0 --console-size 0 --ftrace-size 16384 --cpus 3${endian === 'big' ? ' --endian big' : ''}`,
    )
})

t.test('what is no such store', async t => {
  for (const [what, bytes] of [
    ['nothing', Buffer.alloc(8 * K)],
    ['a ring at no place for one', store(64 * K, [[100, 'pmsg']])],
    ['impossible data', store(64 * K, [[0, 'pmsg', 2 ** 28]])],
    ['less than a store', store(1024, [[0, 'dmesg']])],
    [
      'a dump and a ring behind it',
      store(64 * K, [
        [0, 'pmsg'],
        [4 * K, 'ftrace'],
        [5 * K + 7, 'ftrace'],
        [63 * K, 'ftrace'],
      ]),
    ],
  ] as const)
    t.equal(found(t, bytes), null, what)
  const ramoops = store(64 * K, [[0, 'console']])
  ramoops.write('====', 12)
  t.equal(found(t, ramoops), null, 'a dump of ramoops whose signature lost a bit')
  const plain = store(64 * K, [[32 * K, 'pmsg']])
  encodeZoneHeader({ sig: signatureOf('dmesg'), datalen: 5, start: 5 }, 'little').copy(plain)
  t.equal(found(t, plain), null, 'as many zones are of ramoops')
  const cut = Buffer.concat([Buffer.alloc(4096 - 6), signed('pmsg', 0).subarray(0, 6)])
  t.equal(found(t, cut), null, 'a header that the end cuts')
  t.equal(found(t, Buffer.alloc(4 * 2 ** 20, 'BGCCGB')), null, 'more likenesses than are looked at')
  const many = Buffer.alloc(12 * 2 ** 14 + 12 * 8)
  for (let at = 0; at + 12 <= many.length; at += 12) signed('ftrace', 0).copy(many, at)
  t.equal(found(t, many), null, 'more zones than are believed')
})

t.test('holes are not read, and what they end is', async t => {
  const source = file(t, Buffer.alloc(0))
  fs.truncateSync(source, 300 * 2 ** 20)
  const fd = fs.openSync(source, 'r+')
  fs.writeSync(fd, signed('dmesg', 100), 0, 52, 64 * 2 ** 20)
  fs.writeSync(fd, signed('dmesg', 100), 0, 52, 64 * 2 ** 20 + 64 * K)
  fs.writeSync(fd, signed('dmesg', 100), 0, 52, 200 * 2 ** 20)
  fs.closeSync(fd)
  const region = new Region(source, { readOnly: true })
  t.same(
    signedIn(region).map(({ offset }) => offset),
    [64 * 2 ** 20, 64 * 2 ** 20 + 64 * K],
    'what is beyond 128 MiB is no part of a store',
  )
  region.close()
})

t.test('what is said of it', async t => {
  const source = file(t, store(256 * K, [[0, 'dmesg']]))
  t.match(zone.describe!(source, {}), {
    facts: { mem_size: 256 * K, kmsg_size: 64 * K, endian: 'little' },
    evidence: ['1 dmesg signed, the first at 0x0', 'kmsg_size cannot be told from the bytes'],
  })
  const sure = file(
    t,
    store(256 * K, [
      [0, 'dmesg'],
      [32 * K, 'dmesg'],
    ]),
  )
  t.same(zone.describe!(sure, {})?.evidence, ['2 dmesg signed, the first at 0x0'])
  const none = file(t, Buffer.alloc(256 * K))
  t.equal(zone.describe!(none, {}), null)
  t.throws(
    () => attach(`zone:${none}`, { readOnly: true }),
    /no layout given, and no zone's signature tells it/,
  )
  const lines: string[] = []
  attach(`zone:${source}`, { readOnly: true, report: line => lines.push(line) }).close()
  t.match(lines, [
    /layout guessed \(kmsg_size cannot be told from the bytes\); using: --kmsg-size 65536/,
  ])
  attach(`zone:${sure}`, { readOnly: true, report: line => lines.push(line) }).close()
  t.equal(lines.length, 1, 'nothing is guessed')
})

t.test('a dump whose header is lost, by its own header behind it', async t => {
  const zones: [number, ZoneKind][] = [
    [0, 'pmsg'],
    [16 * K, 'console'],
    [48 * K, 'ftrace'],
    [56 * K, 'dmesg'],
    [88 * K, 'dmesg'],
    [120 * K, 'dmesg'],
  ]
  for (const endian of ['little', 'big'] as const)
    for (const loss of [Buffer.alloc(12), Buffer.alloc(12, 0xff)])
      for (const at of [56 * K, 88 * K, 120 * K]) {
        const bytes = store(152 * K, zones, endian)
        const whole = found(t, bytes)
        loss.copy(bytes, at)
        const without = found(t, bytes)
        t.equal(without?.options, whole?.options, `${at} ${endian}`)
        t.match(without?.evidence.at(-1), '2 dmesg signed, ')
        t.match(without?.evidence.at(-1), '; 1 more by a dump whose header is lost')
      }
})

t.test('what only looks like such a header is none', async t => {
  const zones: [number, ZoneKind][] = [
    [0, 'pmsg'],
    [16 * K, 'dmesg'],
    [48 * K, 'dmesg'],
  ]
  const dump = signed('dmesg', 100).subarray(12)
  const odd = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(dump)
    bytes[at] = value
    return bytes
  }
  // Its magic alone, a reason that there is not, and a gap with bytes in it, as in a kernel's code; and cut off by the end.
  for (const [what, bytes] of [
    ['the magic', dump.subarray(0, 4)],
    ['a reason', odd(32, 9)],
    ['a gap', odd(37, 1)],
  ] as const) {
    const source = store(80 * K, zones)
    Buffer.alloc(40, 0x90).copy(source, 32 * K)
    bytes.copy(source, 32 * K)
    t.equal(found(t, source)?.parameters.kmsg_size, 32 * K, what)
  }
  const end = store(80 * K, zones)
  dump.copy(end, 80 * K - 8)
  t.equal(found(t, end)?.parameters.kmsg_size, 32 * K)
  // Nor is it looked for before the start, and where nothing else is signed it makes no store.
  const start = Buffer.alloc(80 * K)
  dump.copy(start, 4)
  t.equal(found(t, start), null)
  dump.copy(start, 32 * K + 12)
  t.equal(found(t, start), null)
})

t.test('a store that was cut short amid a zone', async t => {
  const [fixture] = fixtures('blk-all')
  const whole = fixture!.region()
  const names = (length: number): { names: string[]; doubts: string[]; lines: string[] } => {
    const lines: string[] = []
    const source = file(t, whole.subarray(0, length))
    const backend = attach(source, { readOnly: true, report: line => lines.push(line) })
    t.teardown(() => backend.close())
    t.equal(backend.name, 'pstore_blk', `${length}`)
    const shown = [...backend.records()].map(({ name }) => name.replace('-pstore_blk', ''))
    return { names: shown, doubts: backend.doubts(), lines }
  }
  const rings = ['ftrace-0', 'pmsg-0', 'console-0']
  for (const [length, dumps, at, used, there] of [
    [145_000, ['dmesg-0', 'dmesg-1'], 0x20000, 8783, 8783],
    [135_000, ['dmesg-0', 'dmesg-1'], 0x20000, 8783, 135_000 - 0x20000 - 12],
    [0x20000 + 1000, ['dmesg-0', 'dmesg-1'], 0x20000, 8783, 988],
    [100_000, ['dmesg-0'], 0x18000, 8344, 100_000 - 0x18000 - 12],
    [60_000, [], 0xe000, 8180, 60_000 - 0xe000 - 12],
  ] as const) {
    const line = `the source was cut short amid the zone at 0x${at.toString(16)}: of its ${used} bytes ${there} are there, and not shown`
    const found = names(length)
    t.same(found.names.toSorted(), [...dumps, ...rings].toSorted(), `${length}`)
    t.same(found.doubts, [line], `${length}`)
    const region = new Region(file(t, whole.subarray(0, length)), { readOnly: true })
    t.equal(findLayout(signedIn(region), region.length)?.against, line)
    region.close()
  }
  // Between two zones nobody knows.
  t.same(names(0x20000).doubts, [])
  t.same(names(whole.length).doubts, [])
})

t.test('probe tells it, too', async t => {
  const [fixture] = fixtures('blk-all')
  const source = file(t, fixture!.region().subarray(0, 135_000))
  t.match(
    zone.describe!(source, {})?.evidence.at(-1),
    /^the source was cut short amid the zone at 0x20000: /,
  )
})
