/** Inflating in pieces says of every stream what zlib says of it in one. */
import zlib from 'node:zlib'
import t from 'tap'
import type { SizedContent } from '#src/pstore/content.js'
import { salvage } from '#src/pstore/codecs/deflate.js'
import { randomFor, type Random } from '../../random.js'

/** Text of several pieces, which deflates to a third or a thousandth. */
const textOf = (random: Random): Buffer => {
  const text = Buffer.alloc(random.below(400_000))
  const spread = random.pick([1, 3, 20, 256])
  for (let i = 0; i < text.length; i++) text[i] = random.below(spread)
  return text
}

/** A sound stream's text. */
const inflate = (stream: Buffer, limit: number): SizedContent | null => {
  const { text, breaks } = salvage(stream, limit)
  return breaks === null ? text : null
}

const oracle = (stream: Buffer, limit: number, finishFlush = zlib.constants.Z_FINISH) => {
  try {
    return zlib.inflateRawSync(stream, { maxOutputLength: Math.max(1, limit), finishFlush })
  } catch {
    return null
  }
}

/** A sound stream, or one that is cut, changed in a byte or in a hundred, or followed by others. */
const streamOf = (random: Random, text: Buffer): Buffer => {
  const stream = zlib.deflateRawSync(text, { level: random.below(10) })
  switch (random.below(5)) {
    case 0:
      return stream
    case 1:
      return stream.subarray(0, random.below(stream.length + 1))
    case 2:
      stream[random.below(stream.length)] ^= 1 << random.below(8)
      return stream
    case 3:
      random.bytes(100).copy(stream, random.below(2) * random.below(stream.length))
      return stream
    default:
      return Buffer.concat([stream, random.bytes(random.below(40_000))])
  }
}

t.test('streams, sound and broken', async t => {
  const random = randomFor(t)
  let [sound, broken] = [0, 0]
  for (let round = 0; round < 150; round++) {
    const text = textOf(random)
    const stream = streamOf(random, text)
    const limit = random.pick([text.length, text.length - 1, 2 ** 20, 100])
    const expected = oracle(stream, limit)
    // Node takes no limit of 0.
    if (limit <= 0) continue
    const found = inflate(stream, limit)
    if (expected) {
      sound++
      t.ok(found?.all().equals(expected), `round ${round}: ${found?.length} of ${expected.length}`)
      for (let i = 0; i < 10 && found; i++) {
        const from = random.below(found.length + 2)
        const piece = found.slice(from, 1 + random.below(50_000))
        if (!piece.equals(expected.subarray(from, from + piece.length))) t.fail(`at ${from}`)
        if (piece.length === 0 && from < found.length) t.fail(`nothing at ${from}`)
      }
    } else {
      broken++
      t.equal(found, null, `round ${round}`)
    }
  }
  t.ok(sound > 20 && broken > 20, `${sound} sound, ${broken} broken`)
})

t.test('what is salvaged is all that comes before the byte that is wrong', async t => {
  const random = randomFor(t)
  let [wrong, cut] = [0, 0]
  for (let round = 0; round < 100; round++) {
    const text = textOf(random)
    const stream = streamOf(random, text)
    const limit = text.length + random.pick([1, 100_000])
    const prefix = (length: number): Buffer | null =>
      oracle(stream.subarray(0, length), limit, zlib.constants.Z_SYNC_FLUSH)
    const { text: salvaged, breaks } = salvage(stream, limit)
    const sound = prefix(breaks ?? stream.length)
    if (!sound) return t.fail(`round ${round}: breaks before ${breaks}`)
    t.ok(sound.equals(salvaged.all().subarray(0, sound.length)), `round ${round}: ${breaks}`)
    if (breaks === null || breaks === stream.length) {
      t.equal(salvaged.length, sound.length, 'no more than zlib has of it')
      if (breaks !== null) cut++
      continue
    }
    wrong++
    t.equal(prefix(breaks + 1), null, 'a byte more is wrong')
    // What the wrong byte's sound bits say; a code takes a bit at least, and says 258 bytes at most.
    t.ok(salvaged.length - sound.length <= 8 * 258)
  }
  t.ok(wrong > 5 && cut > 5, `${wrong} wrong, ${cut} cut`)
})

t.test('a text that is too long is kept up to the limit', async t => {
  const random = randomFor(t)
  for (let round = 0; round < 30; round++) {
    const text = Buffer.concat([textOf(random), Buffer.from('end')])
    const limit = random.pick([0, 1, text.length - 1, random.below(text.length), 65_536])
    if (limit >= text.length) continue
    const stream = zlib.deflateRawSync(text, { level: random.below(10) })
    const { text: salvaged, breaks } = salvage(stream, limit)
    t.ok(salvaged.all().equals(text.subarray(0, limit)), `round ${round}: ${salvaged.length}`)
    t.ok(breaks !== null && breaks < stream.length, `at ${breaks} of ${stream.length}`)
    t.equal(inflate(stream, limit), null)
  }
})

t.test('of a long text no more is kept than its stream', async t => {
  const stream = zlib.deflateRawSync(Buffer.alloc(1 << 20, 'text '))
  t.same(inflate(stream, 2 << 20)!.held, [stream])
})
