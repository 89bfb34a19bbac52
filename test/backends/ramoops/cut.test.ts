/** A source that was cut short, and other layouts that leave something out: a guess says it. */
import t, { type Test } from 'tap'
import { attach, probeSource, type FoundRegion } from '#src/index.js'
import { file } from '../../program.js'
import { dump, header, makeRegion } from './made.js'

const K = 2 ** 10
const layout = {
  mem_size: 80 * K,
  record_size: 16 * K,
  console_size: 8 * K,
  pmsg_size: 8 * K,
  ftrace_size: 0,
}
const log = '[    0.000000] Linux version 6.1.0\n'
const long = (n: number): string => dump(n) + log.repeat(100)
const region = makeRegion(layout, {
  dmesg0: long(0),
  dmesg1: long(1),
  dmesg2: long(2),
  console0: log.repeat(200),
  pmsg0: 'message\n'.repeat(500),
})

/** What speaks against the layout of the only region in a source, by the region and by a backend. */
const against = (t: Test, bytes: Buffer): { found: FoundRegion; doubts: string[] } => {
  const path = file(t, bytes)
  const [found, ...more] = probeSource(path).regions
  t.same(more, [])
  const backend = attach(path, { readOnly: true, report: () => {} })
  t.teardown(() => backend.close())
  return { found: found!, doubts: backend.doubts() }
}

t.test('a zone that is not all there is told', async t => {
  for (const [what, length, zone, holds] of [
    ['the third dump', 34 * K, 32 * K, long(2).length],
    ['the console', 66 * K, 64 * K, log.length * 200],
    ['pmsg, from a zone of 8 bytes', 72 * K + 20, 72 * K, 4000],
    ['pmsg', 73 * K, 72 * K, 4000],
  ] as const) {
    const { found, doubts } = against(t, region.subarray(0, length))
    const line = `the source was cut short: of the ${holds} bytes in the zone at 0x${zone.toString(16)} ${length - zone - 12} are there`
    t.ok(found.evidence.includes(line), what)
    t.same(doubts, [`${line}: they are not shown`], what)
    t.match(found, { record_size: 16 * K, certain: false }, what)
  }
})

t.test('what is cut off behind all contents nobody knows', async t => {
  for (const length of [64 * K, 79 * K]) {
    const { found, doubts } = against(t, region.subarray(0, length))
    t.same(doubts, [])
    t.notMatch(found.evidence.join('\n'), /cut short/)
  }
})

t.test('in a dump of memory the end is not that of a region', async t => {
  const memory = Buffer.concat([Buffer.alloc(64 * K), region.subarray(0, 73 * K)])
  t.notMatch(probeSource(file(t, memory)).regions[0]?.evidence.join('\n'), /cut short/)
})

t.test('signatures that a guess does not explain are counted', async t => {
  for (const [more, line] of [
    [[40 * K + 512], '1 signature stands where this layout, which is a guess, has no zone'],
    // In the middle of a zone, where half of it would end, it is one, too.
    [[40 * K], '1 signature stands where this layout, which is a guess, has no zone'],
    [
      [40 * K + 512, 62 * K + 2],
      '2 signatures stand where this layout, which is a guess, has no zone',
    ],
  ] as const) {
    const bytes = Buffer.from(region)
    for (const at of more) header(0).copy(bytes, at)
    t.same(against(t, bytes).doubts, [line])
  }
})

t.test('a ring does not begin as a dump', async t => {
  // The second dump's zone is cut short behind its content: a ring of that length explains it.
  const { doubts } = against(t, region.subarray(0, 24 * K))
  t.same(doubts, ['a dump is in the tty zone of this layout, which is a guess'])
})

t.test('a layout that explains all says nothing', async t => {
  t.same(against(t, region).doubts, [])
})
