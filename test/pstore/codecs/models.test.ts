/** lz4, lzo and 842 beside their models: streams that no compressor would write, sound and broken. */
import t, { type Test } from 'tap'
import type { Codec } from '#src/pstore/codecs/codec.js'
import { e842 } from '#src/pstore/codecs/e842.js'
import { lz4 } from '#src/pstore/codecs/lz4.js'
import { lzo } from '#src/pstore/codecs/lzo.js'
import { decode842, make842, store842 } from '../../model/e842.js'
import { decodeLz4, makeLz4, storeLz4 } from '../../model/lz4.js'
import { decodeLzo, makeLzo, storeLzo } from '../../model/lzo.js'
import { randomFor, type Random } from '../../random.js'

const title = Buffer.from('Panic#1 Part1\n<6>[    1.000000] hello\n')

interface Format {
  codec: Codec
  make(random: Random, title: Buffer): { stream: Buffer; text: Buffer }
  store(text: Buffer): Buffer
  model(stream: Buffer, limit: number): Buffer | null
  /** Where a stream has an end of its own. */
  ends: boolean
  rounds: number
}

const formats: Format[] = [
  { codec: lz4, make: makeLz4, store: storeLz4, model: decodeLz4, ends: false, rounds: 100 },
  { codec: lzo, make: makeLzo, store: storeLzo, model: decodeLzo, ends: true, rounds: 150 },
  { codec: e842, make: make842, store: store842, model: decode842, ends: true, rounds: 15 },
]

/** The stream cut short, or with a bit that is another. */
const damaged = (random: Random, stream: Buffer): Buffer => {
  const copy = Buffer.from(stream)
  if (random.below(3) === 0) return copy.subarray(0, random.below(copy.length))
  copy[random.below(copy.length)] ^= 1 << random.below(8)
  return copy
}

const check = (t: Test, { codec, model }: Format, stream: Buffer, limit: number): void => {
  const expected = model(stream, limit)
  const found = codec.walk(stream, limit)
  // What does not begin as a dump is left early.
  if (!found) return
  const { text, breaks } = found
  t.equal(breaks === null, expected !== null, `${codec.name}: breaks at ${breaks}`)
  if (expected) t.ok(text.all().equals(expected), codec.name)
  t.ok(text.length <= limit && (breaks ?? 0) >= 0 && (breaks ?? 0) <= stream.length, `${breaks}`)
}

for (const format of formats) {
  const { codec, make, store, model, ends, rounds } = format
  t.test(`${codec.name}: as its model`, async t => {
    const random = randomFor(t)
    for (let round = 0; round < rounds; round++) {
      const { stream, text } = make(random, title)
      t.ok(model(stream, text.length)?.equals(text), 'the model')
      const found = codec.walk(stream, text.length)
      t.match(found, { breaks: null })
      t.ok(found!.text.all().equals(text), `${found!.text.length} of ${text.length}`)
      check(t, format, Buffer.concat([stream, random.bytes(20)]), text.length)
      for (let i = 0; i < 5; i++)
        check(t, format, damaged(random, stream), text.length + random.pick([-20, -1, 0, 100]))
    }
  })

  t.test(`${codec.name}: texts of any length, as they are`, async t => {
    const random = randomFor(t)
    for (let length = title.length; length < 400; length += random.between(1, 9)) {
      const text = Buffer.concat([title, random.bytes(length - title.length)])
      check(t, format, store(text), text.length)
      check(t, format, store(text), text.length - 1)
    }
    // A long one is in pieces, and no more of it is kept than its stream.
    const text = Buffer.concat([title, random.bytes(150_000)])
    const stream = store(text)
    const found = codec.walk(stream, 200_000)!
    t.equal(found.breaks, null)
    t.same(
      found.text.held.map(({ length }) => length),
      [stream.length],
    )
    t.ok(found.text.all().equals(text))
    for (const at of [100_000, 10, 149_000, text.length - 1]) {
      const piece = found.text.slice(at, 500)
      t.ok(piece.length > 0 && piece.equals(text.subarray(at, at + piece.length)), `at ${at}`)
    }
    t.equal(found.text.slice(text.length, 1).length, 0)
    const behind = codec.walk(Buffer.concat([stream, Buffer.from('behind')]), 200_000)!
    t.equal(behind.breaks === null, ends, 'what follows an end is ignored')
    // Cut short, all that is there is text; and nothing beyond the limit.
    const cut = codec.walk(stream.subarray(0, 100_000), 200_000)!
    t.equal(cut.breaks, 100_000)
    t.ok(cut.text.length > 90_000 && cut.text.all().equals(text.subarray(0, cut.text.length)))
    for (const limit of [65_536, 70_000]) {
      const short = codec.walk(stream.subarray(0, 140_000), limit)!
      t.ok(short.breaks !== null && short.breaks < 140_000)
      t.ok(short.text.all().equals(text.subarray(0, limit)), `${short.text.length}`)
    }
  })
}

/** Bits, a stream's bytes. */
const bitsOf = (bits: string): Buffer =>
  Buffer.from(
    bits
      .padEnd(Math.ceil(bits.length / 8) * 8, '0')
      .match(/.{8}/g)!
      .map(b => Number.parseInt(b, 2)),
  )

t.test('broken by hand', async t => {
  const { length } = title
  const run = Buffer.concat([Buffer.of(0xf0 | 1, length - 15), title])
  const zeros = Buffer.alloc(9)
  const lzoRun = Buffer.concat([Buffer.of(17 + length), title])
  const cases: [string, Codec, Buffer, number | null, number][] = [
    ['lz4: nothing follows a match', lz4, Buffer.concat([run, Buffer.of(1, 0)]), null, 0],
    ['lz4: distance 0', lz4, Buffer.concat([run, Buffer.of(0, 0), zeros]), length + 2, length],
    [
      'lz4: beyond the text',
      lz4,
      Buffer.concat([run, Buffer.of(99, 0), zeros]),
      length + 2,
      length,
    ],
    [
      'lz4: a match’s length ends',
      lz4,
      Buffer.concat([Buffer.of(0xff, length - 15), title, Buffer.of(1, 0), Buffer.alloc(6, 255)]),
      length + 10,
      length,
    ],
    [
      'lz4: a length of literals ends',
      lz4,
      Buffer.concat([run, Buffer.of(1, 0), Buffer.alloc(7, 255)]),
      length + 11,
      length + 5,
    ],
    ['lzo: the first run is cut', lzo, Buffer.concat([Buffer.of(100), title]), length + 1, length],
    ['lzo: no end', lzo, lzoRun, length + 1, length],
    ['lzo: half a match', lzo, Buffer.concat([lzoRun, Buffer.of(64)]), length + 2, length],
    ['lzo: half a distance', lzo, Buffer.concat([lzoRun, Buffer.of(33, 0)]), length + 3, length],
    ['lzo: a length ends', lzo, Buffer.concat([lzoRun, Buffer.of(32, 0, 0)]), length + 4, length],
    [
      'lzo: another length at the end',
      lzo,
      Buffer.concat([lzoRun, Buffer.of(18, 0, 0)]),
      length + 1,
      length,
    ],
    [
      'lzo: beyond the text',
      lzo,
      Buffer.concat([lzoRun, Buffer.of(64, 255, 0)]),
      length + 1,
      length,
    ],
    [
      'lzo: literals after a match are cut',
      lzo,
      Buffer.concat([lzoRun, Buffer.of(67, 0, 65)]),
      length + 4,
      length + 4,
    ],
    [
      'lzo: a run’s length ends',
      lzo,
      Buffer.concat([lzoRun, Buffer.of(64, 0, 0, 0)]),
      length + 5,
      length + 3,
    ],
    ['842: a template that is none', e842, Buffer.of(0b11010_000), 0, 0],
    ['842: nothing to repeat', e842, Buffer.of(0b11011_000, 0), 0, 0],
    ['842: a repetition that ends', e842, Buffer.of(0b11011_000), 1, 0],
    ['842: no short data', e842, Buffer.of(0b11101_000), 0, 0],
    ['842: short data that end', e842, Buffer.of(0b11101_111, 65), 2, 1],
    ['842: half a count of short data', e842, bitsOf('11101'.padStart(15, '11100')), 2, 16],
    ['842: an index of nothing', e842, Buffer.of(0b11001_000, 0), 0, 0],
    ['842: an index that ends', e842, Buffer.of(0b11001_000), 1, 0],
    ['842: nothing', e842, Buffer.of(), 0, 0],
    ['842: half a checksum', e842, Buffer.of(0b11110_000, 0, 0), 3, 0],
  ]
  for (const [name, codec, stream, breaks, salvaged] of cases) {
    const found = codec.walk(stream, 1000)
    if (breaks === null) t.ok(found && found.breaks !== null, name)
    else t.same([found?.breaks, found?.text.length], [breaks, salvaged], name)
  }
  const wrong = store842(title)
  wrong[wrong.length - 4] ^= 1
  t.match(e842.walk(wrong, 1000), { mismatch: true, text: { length } })
})

t.test('a limit within the first literals', async t => {
  const limit = title.length - 1
  const streams: [Codec, Buffer][] = [
    [lz4, storeLz4(title)],
    [lzo, Buffer.concat([Buffer.of(17 + title.length), title, Buffer.of(0x11, 0, 0)])],
    [e842, store842(title)],
  ]
  for (const [codec, stream] of streams) {
    const found = codec.walk(stream, limit)!
    t.not(found.breaks, null, codec.name)
    t.ok(found.text.all().equals(title.subarray(0, limit)), codec.name)
  }
})

t.test('a limit within a match', async t => {
  const random = randomFor(t)
  for (const { codec, make } of formats)
    for (let round = 0; round < 30; round++) {
      const { stream, text } = make(random, title)
      const limit = random.between(24, text.length)
      const found = codec.walk(stream, limit)!
      t.equal(found.breaks === null, limit === text.length)
      t.ok(found.text.all().equals(text.subarray(0, limit)), codec.name)
    }
})
