/** Dumps: their first line, what fits, and streams that Linux reads back. */
import t from 'tap'
import {
  decodeTitle,
  encodeTitle,
  mostText,
  packDump,
  packParts,
  reasons,
} from '#src/pstore/dump.js'
import { deflate, isSpace } from '#src/pstore/codecs/deflate.js'
import { decompress } from '#src/pstore/codecs/index.js'
import { randomFor } from '../random.js'

t.test('the first line', async t => {
  for (const reason of reasons) {
    const line = encodeTitle({ reason, count: 3, part: 2 })
    t.match(line, /^[A-Z][a-z]+#3 Part2\n$/)
    t.same(decodeTitle(Buffer.from(`${line}text`)), {
      reason: line.split('#')[0],
      count: 3,
      part: 2,
    })
  }
  for (const text of [
    '',
    'Panic',
    'Panic#1 Part1',
    '#1 Part1\n',
    'Panic#-1 Part1\n',
    ' Panic#1 Part1\n',
    'Panic#9999999999 Part1\n',
  ])
    t.equal(decodeTitle(Buffer.from(text)), null, JSON.stringify(text))
})

t.test('a stream never starts with what sscanf takes for white space', async t => {
  const random = randomFor(t)
  const seen = new Set<number>()
  for (let i = 0; i < 2000; i++) {
    const text = Buffer.from(
      `Panic#${random.below(1000)} Part1\n${'line '.repeat(random.below(20))}${random.below(1e6)}\n`,
    )
    const stream = deflate(text)
    if (isSpace(stream[0])) t.fail(`${stream[0]}`)
    if (!decompress(stream, text.length)?.all().equals(text)) t.fail('lost')
    seen.add(stream[0])
  }
  t.ok(seen.has(0), 'some would have')
})

t.test('inflating stops at the limit, at damage and at the end', async t => {
  const text = Buffer.alloc(1000, 'text ')
  const stream = deflate(text)
  t.same(decompress(stream, 1000)!.all(), text)
  t.equal(decompress(stream, 999), null, 'a byte too long')
  t.same(decompress(Buffer.concat([stream, Buffer.from('garbage')]), 1000)!.all(), text)
  t.equal(decompress(stream.subarray(0, -1), 1000), null, 'cut short')
  t.equal(decompress(Buffer.alloc(0), 1000), null)
  const bomb = deflate(Buffer.alloc(50_000_000))
  t.equal(decompress(bomb, 3000), null)
})

t.test('what fits', async t => {
  const random = randomFor(t)
  const title = { reason: 'panic', count: 1, part: 1 }
  for (let i = 0; i < 300; i++) {
    const room = random.between(1, 3000)
    const text = random.below(2)
      ? random.bytes(random.below(6000))
      : Buffer.alloc(random.below(6000), 'a line of text\n')
    for (const compress of [true, false]) {
      const packed = packDump(title, text, room, compress)
      if (!packed) {
        t.ok(room <= 'Panic#1 Part1\n'.length)
        continue
      }
      if (packed.bytes.length > room) t.fail(`${packed.bytes.length} > ${room}`)
      const whole = packed.compressed ? decompress(packed.bytes, 3 * room)!.all() : packed.bytes
      const body = whole.subarray('Panic#1 Part1\n'.length)
      if (!text.subarray(text.length - body.length).equals(body)) t.fail('not the end of the text')
      if (!compress && packed.compressed) t.fail('compressed')
      const most = Math.floor((room * 100) / 60)
      if (packed.compressed ? whole.length > most : whole.length < Math.min(room, text.length + 14))
        t.fail('length')
    }
  }
})

t.test('records that hold no more than a title', async t => {
  const text = Buffer.from('text')
  const title = { reason: 'panic', count: 1 }
  const line = 'Panic#1 Part1\n'
  for (const compress of [true, false]) {
    t.equal(packDump({ ...title, part: 1 }, text, line.length, compress), null)
    t.same([...packParts(title, text, line.length, compress)], [])
  }
  t.same(
    Array.from(packParts(title, text, line.length + 1, false), ({ bytes }) => bytes.toString()),
    ['t', 'x', 'e', 't'].map((letter, i) => `Panic#1 Part${i + 1}\n${letter}`),
    'the newest first, and nothing lost',
  )
})

t.test('no more text than can be of use is asked for', async t => {
  const title = { reason: 'panic', count: 1 }
  for (const room of [64, 1000, 3000]) {
    const most = mostText(room)
    // Nothing shrinks more: half of it is used.
    const text = Buffer.alloc(most + 5000, '\n')
    const parts = [...packParts(title, text, room, true)]
    t.same([...packParts(title, text.subarray(-most), room, true)], parts, `${room} bytes a record`)
  }
})
