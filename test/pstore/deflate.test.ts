/** Inflating in pieces says of every stream what zlib says of it in one. */
import zlib from 'node:zlib'
import t from 'tap'
import { inflate, salvage } from '#src/pstore/deflate.js'
import { randomFor, type Random } from '../random.js'

/** Text of several pieces, which deflates to a third or a thousandth. */
const textOf = (random: Random): Buffer => {
  const text = Buffer.alloc(random.below(400_000))
  const spread = random.pick([1, 3, 20, 256])
  for (let i = 0; i < text.length; i++) text[i] = random.below(spread)
  return text
}

const oracle = (stream: Buffer, limit: number, finishFlush = zlib.constants.Z_FINISH) => {
  try {
    return zlib.inflateRawSync(stream, { maxOutputLength: Math.max(1, limit), finishFlush })
  } catch {
    return null
  }
}

/** A sound stream, or one that is cut, changed in a byte, or followed by others. */
const streamOf = (random: Random, text: Buffer): Buffer => {
  const stream = zlib.deflateRawSync(text, { level: random.below(10) })
  switch (random.below(4)) {
    case 0:
      return stream
    case 1:
      return stream.subarray(0, random.below(stream.length + 1))
    case 2:
      stream[random.below(stream.length)] ^= 1 << random.below(8)
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

t.test('what is salvaged is of the longest beginning that zlib takes', async t => {
  const random = randomFor(t)
  for (let round = 0; round < 40; round++) {
    const text = textOf(random)
    const stream = streamOf(random, text)
    const limit = random.pick([text.length + 1, 1000])
    const prefix = (length: number): Buffer | null =>
      oracle(stream.subarray(0, length), limit, zlib.constants.Z_SYNC_FLUSH)
    const { text: salvaged, used } = salvage(stream, limit)
    t.ok(prefix(used)?.equals(salvaged.all()), `round ${round}: ${used} of ${stream.length}`)
    if (used < stream.length) t.equal(prefix(used + 1), null, 'a byte more is too much')
  }
})
