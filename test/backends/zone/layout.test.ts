/** Layouts: Linux's, and what it refuses. */
import t from 'tap'
import { dumpRoom, makeZoneLayout, type ZoneParameters } from '#src/backends/zone/layout.js'
import { fixtures } from '../../fixtures.js'
import { layoutOf } from './stores.js'

const KiB = 1024
const brief = (given: ZoneParameters, size: number): string[] =>
  makeZoneLayout(given, size).zones.map(
    ({ kind, index, offset, size }) => `${kind} ${index} ${offset}+${size}`,
  )

t.test('the order is pmsg, console, tty, ftrace, dmesg', async t => {
  const sizes = { pmsg_size: 4096, console_size: 8192, tty_size: 4096, ftrace_size: 8192 }
  t.same(brief({ ...sizes, kmsg_size: 16384, cpus: 2 }, 64 * KiB), [
    'pmsg 0 0+4096',
    'console 0 4096+8192',
    'tty 0 12288+4096',
    'ftrace 0 16384+4096',
    'ftrace 1 20480+4096',
    'dmesg 0 24576+16384',
    'dmesg 1 40960+16384',
  ])
})

t.test("Linux's defaults, and as many dumps as fit", async t => {
  t.same(brief({}, 512 * KiB), [
    'pmsg 0 0+65536',
    'console 0 65536+65536',
    'ftrace 0 131072+65536',
    'dmesg 0 196608+65536',
    'dmesg 1 262144+65536',
    'dmesg 2 327680+65536',
    'dmesg 3 393216+65536',
    'dmesg 4 458752+65536',
  ])
  const only = { pmsg_size: 0, console_size: 0, ftrace_size: 0 }
  t.same(brief({ ...only, kmsg_size: 12288 }, 32768), ['dmesg 0 0+12288', 'dmesg 1 12288+12288'])
  t.same(brief({ ...only, kmsg_size: 0, tty_size: 4096 }, 4096), ['tty 0 0+4096'])
  t.equal(dumpRoom(4096), 4096 - 12 - 40)
})

t.test('what ftrace leaves of its size shifts the dumps', async t => {
  const only = { pmsg_size: 0, console_size: 0, kmsg_size: 4096 }
  t.same(brief({ ...only, ftrace_size: 4096, cpus: 3 }, 12288), [
    'ftrace 0 0+1365',
    'ftrace 1 1365+1365',
    'ftrace 2 2730+1365',
    'dmesg 0 4095+4096',
    'dmesg 1 8191+4096',
  ])
  // 4096 / 100 is 40, of which 102 fit.
  const many = makeZoneLayout({ ...only, ftrace_size: 4096, cpus: 100 }, 12288).zones
  t.equal(many.filter(({ kind }) => kind === 'ftrace').length, 102)
  t.equal(many.find(({ kind }) => kind === 'dmesg')?.offset, 4080)
  // Less than a byte for each: none, but the dumps do not get the place.
  t.same(brief({ ...only, ftrace_size: 4096, cpus: 4097 }, 12288), [
    'dmesg 0 0+4096',
    'dmesg 1 4096+4096',
  ])
})

t.test('zones are whole sectors, not whole pages', async t => {
  const sizes = { pmsg_size: 512, console_size: 1536, ftrace_size: 0, kmsg_size: 2560 }
  t.same(brief(sizes, 8192), [
    'pmsg 0 0+512',
    'console 0 512+1536',
    'dmesg 0 2048+2560',
    'dmesg 1 4608+2560',
  ])
})

t.test('no more than 128 MiB is used', async t => {
  const layout = makeZoneLayout({}, 200 * KiB * KiB + 5)
  t.equal(layout.memSize, 128 * KiB * KiB)
  const last = layout.zones.at(-1)!
  t.equal(last.offset + last.size, layout.memSize)
  const given = makeZoneLayout({ mem_size: 256 * KiB, mem_address: 512 }, 1 << 30)
  t.same([given.memAddress, given.memSize, given.endian], [512, 256 * KiB, 'little'])
})

t.test('what Linux refuses, or crashes on', async t => {
  const none = { kmsg_size: 0, pmsg_size: 0, console_size: 0, ftrace_size: 0 }
  const refused: [given: ZoneParameters, size: number, why: RegExp][] = [
    [{}, 4095, /^total_size must be >= 4096$/],
    [{}, 524288 + 512, /^total_size must be a multiple of 4096/],
    [none, 524288, /^at least one record size must be non-zero$/],
    [{ ...none, kmsg_size: 64 }, 524288, /^kmsg_size 64: must align to 512 \(.* KiB\)$/],
    [{ ...none, pmsg_size: 6100 }, 524288, /^pmsg_size 6100: must align to 512/],
    [{ ...none, tty_size: 1 }, 524288, /^tty_size 1: must align to 512/],
    [
      { ...none, pmsg_size: 8192 },
      4096,
      /^the zones up to pmsg need 8 KiB, the store has 4 KiB \(Linux: no room for pmsg\)$/,
    ],
    [
      { ...none, pmsg_size: 4096, console_size: 8192 },
      8192,
      /^the zones up to console need 12 KiB, the store has 8 KiB/,
    ],
    [
      { ...none, ftrace_size: 8192 },
      4096,
      /^the zones up to ftrace need 8 KiB, .*no room for zones ftrace\)$/,
    ],
    [{ ...none, kmsg_size: 8192 }, 4096, /^zone dmesg total_size too small/],
    [{ ...none, kmsg_size: 4096, pmsg_size: 4096 }, 4096, /^no room for zones dmesg: .*crashes/],
    [{ cpus: 0 }, 524288, /^cpus 0: must be/],
    [{ cpus: 8193 }, 524288, /^cpus 8193: must be/],
    [{ ftrace_size: 4096, cpus: 400 }, 524288, /^ftrace zones of 10 bytes .*crashes/],
  ]
  for (const [given, size, message] of refused)
    t.throws(() => makeZoneLayout(given, size), { name: 'StoreError', message })
})

t.test("the fixtures' zones fill their disks", async t => {
  for (const fixture of fixtures('blk-')) {
    const { zones, memSize } = layoutOf(fixture)
    let end = 0
    for (const { offset, size } of zones) {
      t.equal(offset, end)
      end = offset + size
    }
    t.ok(end <= memSize && end + fixture.layout.kmsg_size! * KiB > memSize, fixture.name)
  }
})
