/** Lost headers: a zone that no signature shows is no part of the one before it, where a dump lies in it. */
import t, { type Test } from 'tap'
import { probeSource, type FoundRegion } from '#src/index.js'
import { file } from '../../program.js'
import { dump, makeRegion } from './made.js'

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
