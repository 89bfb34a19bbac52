/** Pieces of one region: which are joined, and what speaks against a layout behind it. */
import t, { type Test } from 'tap'
import { probeSource, type FoundRegion } from '#src/index.js'
import { file } from '../../program.js'
import { dump, header, numbers } from './made.js'

const K = 1024
const text = '[    0.000000] Linux version 6.1.0\n'

/** A source with a zone, by its offset: what a header and a content say there. */
const source = (size: number, zones: [offset: number, content: string][]): Buffer => {
  const bytes = Buffer.alloc(size)
  for (const [offset, content] of zones) {
    header(content.length).copy(bytes, offset)
    bytes.write(content, offset + 12)
  }
  return bytes
}

const regionsIn = (t: Test, bytes: Buffer): FoundRegion[] => probeSource(file(t, bytes)).regions

const dumps: [number, string][] = [
  [0, dump(0)],
  [4 * K, dump(1)],
]

const cases: [what: string, size: number, zones: [number, string][], regions: number][] = [
  ['a ring at the end of the source', 256 * K, [...dumps, [252 * K, text]], 1],
  [
    'more dumps and a ring',
    256 * K,
    [...dumps, [244 * K, dump(2)], [248 * K, dump(3)], [252 * K, text]],
    1,
  ],
  ['a ring at no multiple of a dump', 256 * K, [...dumps, [250 * K, text]], 1],
  ['dumps of another size', 256 * K, [...dumps, [128 * K, dump(2)], [136 * K, dump(3)]], 2],
  [
    'two pieces of rings',
    256 * K,
    [
      [0, text],
      [4 * K, 'message\n'],
      [128 * K, text],
      [132 * K, 'message\n'],
    ],
    2,
  ],
]

for (const [what, size, zones, regions] of cases)
  t.test(what, async t => {
    const found = regionsIn(t, source(size, zones))
    t.equal(found.length, regions, found.map(({ options }) => options).join('; '))
    t.equal(found[0]?.certain, false)
  })

t.test('a signature behind a region that begins no region of its own', async t => {
  // Alone with a wrong bit at a page, it is somebody's zone; off every page and multiple, and with numbers that
  // no zone has, it is chance.
  const decayed = header(0)
  decayed[3]! ^= 1
  const strays: [what: string, at: number, bytes: Buffer, stray: boolean][] = [
    ['at a page', 100 * K, decayed, true],
    ['off all pages', 100 * K + 512, decayed, false],
    ['of no zone', 100 * K, numbers('little', 0x43474244, 9, 8), false],
  ]
  for (const [what, at, stray, counts] of strays) {
    const bytes = source(256 * K, dumps)
    stray.copy(bytes, at)
    const [region] = regionsIn(t, bytes)
    t.equal(/further on, in no zone of this/.test(region!.evidence.join('\n')), counts, what)
  }
})

t.test('of both byte orders nothing is joined', async t => {
  const bytes = source(256 * K, dumps)
  header(0, 0, 'big').copy(bytes, 252 * K)
  const found = regionsIn(t, bytes)
  t.equal(found[0]?.endian, 'little')
  t.notOk(found.some(({ mem_size }) => mem_size === 256 * K))
})
