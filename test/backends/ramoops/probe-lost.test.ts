/** Lost headers: a zone that no signature shows is no part of the one before it, where something lies in it. */
import t, { type Test } from 'tap'
import { makeLayout } from '#src/backends/ramoops/layout.js'
import { probeSource, type FoundRegion } from '#src/index.js'
import { file } from '../../program.js'
import { calls, dump, makeRegion } from './made.js'

const K = 2 ** 10
const regionsIn = (t: Test, source: Buffer): FoundRegion[] => probeSource(file(t, source)).regions
const log = '[    0.000000] Linux version 6.1.0\n'

/** Four dumps, a console, a message. */
const layout = {
  mem_size: 80 * K,
  record_size: 16 * K,
  console_size: 8 * K,
  pmsg_size: 8 * K,
  ftrace_size: 0,
}
const contents = {
  ...Object.fromEntries([0, 1, 2, 3].map(i => [`dmesg${i}`, dump(i)])),
  console0: log.repeat(100),
  pmsg0: 'message\n'.repeat(50),
}

/** What stands where a header was. */
const losses = {
  zeros: Buffer.alloc(12),
  'erased flash': Buffer.alloc(12, 0xff),
  noise: Buffer.from('8f1c3be0a5d2c97f61e04b17', 'hex'),
}

t.test('a dump whose header is lost is a zone of its own', async t => {
  for (const [what, loss] of Object.entries(losses))
    for (const lost of [[1], [3], [1, 3], [2]]) {
      const region = makeRegion(layout, contents)
      for (const zone of lost) loss.copy(region, zone * 16 * K)
      const [found, ...more] = regionsIn(t, region)
      t.same(more, [], `${what} over ${lost.join()}`)
      t.match(found, { ...layout, certain: false }, `${what} over ${lost.join()}`)
      t.match(
        found?.evidence.join('\n'),
        `damaged headers: ${lost.length} zone${lost.length > 1 ? 's' : ''}, so this is not certain`,
      )
    }
})

t.test('so is one behind the last zone', async t => {
  const dumps = { mem_size: 64 * K, record_size: 16 * K, console_size: 0, pmsg_size: 0 }
  const only = { ...dumps, ftrace_size: 0 }
  const region = makeRegion(only, contents)
  losses.zeros.copy(region, 48 * K)
  t.match(regionsIn(t, region), [{ ...only, certain: false }])
})

t.test('what only looks like a header line begins no zone', async t => {
  const two = { ...layout, mem_size: 48 * K }
  const stray = (at: number, line: string): void => {
    const region = makeRegion(two, contents)
    region.write(line, at, 'latin1')
    const [found, ...more] = regionsIn(t, region)
    t.same(more, [])
    t.match(found, two, JSON.stringify(line))
    t.notMatch(found?.evidence.join('\n'), /damaged|more signature/, JSON.stringify(line))
  }
  for (const line of [
    '==== a rule, and no dump\n',
    '====12-D\nPanic#1 Part1\n',
    '==== 12.5-D\nPanic#1 Part1\n',
    '====12.5-D\n',
    '====12.5-D\n\xff\xff',
    '='.repeat(66),
  ])
    stray(8 * K + 12, line)
  // At an odd offset, where no zone begins, and at the end of what is searched.
  stray(8 * K + 13, '====12.5-D\nPanic#1 Part1\n')
  stray(48 * K - 11, '====12.5-D\n')
})

/** The same with a ring of each kind; nothing is in the last dump's zone. */
const rings = {
  mem_size: 96 * K,
  record_size: 16 * K,
  console_size: 16 * K,
  pmsg_size: 8 * K,
  ftrace_size: 8 * K,
  cpus: 2,
}
const inRings = {
  dmesg0: dump(0),
  dmesg1: dump(1),
  console0: log.repeat(1000).slice(0, 16 * K - 12),
  pmsg0: 'message\n'.repeat(50),
  ftrace0: calls(100, 2),
  ftrace1: calls(60, 2),
}
const dumps = 64 * K

t.test('a ring whose header is lost is found by its text, or by records', async t => {
  for (const [what, loss] of Object.entries(losses))
    for (const [ring, offset] of Object.entries({
      console: dumps,
      pmsg: dumps + 16 * K,
      'the first ftrace zone': dumps + 24 * K,
      'the last ftrace zone': dumps + 28 * K,
    })) {
      const region = makeRegion(rings, inRings)
      loss.copy(region, offset)
      const [found, ...more] = regionsIn(t, region)
      t.same(more, [], `${what} over ${ring}`)
      t.match(found, { ...rings, certain: false }, `${what} over ${ring}`)
    }
})

t.test('the last ring, behind bytes that CPUs do not divide', async t => {
  for (const cpus of [2, 3, 6, 7]) {
    const ofAll = {
      mem_size: 12 * K,
      record_size: 0,
      console_size: 4 * K,
      ftrace_size: 4 * K,
      pmsg_size: 4 * K,
      cpus,
      preset: 'linux-pre-6.2',
    }
    const ofCpu = Array.from({ length: cpus }, (_, cpu) => [`ftrace${cpu}`, calls(20, 2)])
    const rings = { console0: log.repeat(20), pmsg0: 'message\n'.repeat(50) }
    const region = makeRegion(ofAll, { ...Object.fromEntries(ofCpu), ...rings })
    const { offset } = makeLayout(ofAll, 0).zones.at(-1)!
    losses.zeros.copy(region, offset)
    t.match(regionsIn(t, region), [{ ...ofAll, certain: false }], `${cpus} CPUs`)
  }
})

t.test('one that has wrapped ends with what is in it, whatever follows', async t => {
  const region = makeRegion(rings, {
    ...inRings,
    pmsg0: losses.noise.toString('latin1').repeat(90),
  })
  // Its oldest byte is amid it.
  region.writeUInt32LE(100, dumps + 4)
  losses.zeros.copy(region, dumps + 16 * K)
  t.match(regionsIn(t, region), [{ ...rings, certain: false }])
  // Of a ring that has not, it may be the end.
  region.writeUInt32LE(16 * K - 12, dumps + 4)
  t.match(regionsIn(t, region), [{ console_size: 32 * K }])
})

t.test('what is left of an older content is no ring', async t => {
  const two = { ...layout, mem_size: 48 * K }
  for (const [what, from, to] of [
    ['of one that was as long as the zone', 4 * K, 16 * K],
    ['of one that begins where no ring does', 8 * K + 100, 16 * K],
    ['of a few words', 8 * K + 12, 8 * K + 70],
  ] as const) {
    const region = makeRegion(two, contents)
    region.write(log.repeat(500), from, to - from, 'latin1')
    const [found] = regionsIn(t, region)
    t.match(found, two, what)
    t.notMatch(found?.evidence.join('\n'), /damaged|more signature/, what)
  }
})

t.test('in a dump of memory what follows a region is none of its rings', async t => {
  const memory = Buffer.concat([makeRegion(rings, inRings), Buffer.from(log.repeat(2000))])
  t.match(regionsIn(t, memory), [rings])
  t.notMatch(regionsIn(t, memory)[0]?.evidence.join('\n'), /damaged/)
  // But one between its zones is.
  losses.noise.copy(memory, dumps)
  t.match(regionsIn(t, memory), [{ ...rings, certain: false }])
})
