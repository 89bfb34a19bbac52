/** A dump's stream, in pieces and as zlib inflates it at once. The first byte says how much may come out. */
import assert from 'node:assert/strict'
import zlib from 'node:zlib'
import { chunksOf } from '#src/pstore/content.js'
import { salvage } from '#src/pstore/codecs/deflate.js'
import { Random } from '../../random.js'
import type { Target } from '../target.js'

/** The text, as Linux would have it; null where the stream is broken, cut short, or too much comes out. */
const reference = (stream: Buffer, limit: number): Buffer | null => {
  try {
    return zlib.inflateRawSync(stream, { maxOutputLength: limit })
  } catch {
    return null
  }
}

export const target: Target = {
  seeds() {
    const noise = new Random(1).bytes(40000)
    const texts = [Buffer.alloc(0), Buffer.from('hello'), Buffer.alloc(200_000, 'abc\n'), noise]
    return texts.flatMap(text =>
      [0, 6].flatMap(level => {
        const stream = zlib.deflateRawSync(text, { level })
        return [stream, Buffer.concat([stream, noise.subarray(0, 50)])].map(stream =>
          Buffer.concat([Buffer.of(18), stream]),
        )
      }),
    )
  },
  run(bytes) {
    if (bytes.length < 2) return
    const limit = 1 << (bytes[0] % 20)
    const stream = bytes.subarray(1)
    const expected = reference(stream, limit)
    const saved = salvage(stream, limit)
    const text = saved.breaks === null ? saved.text : null
    assert.equal(text === null, expected === null)
    if (text !== null && expected !== null) {
      assert.equal(text.length, expected.length)
      assert.ok(text.all().equals(expected))
      // From any place, also backwards.
      for (const at of [text.length >> 1, 0, text.length - 1, text.length])
        if (at >= 0) {
          const piece = text.slice(at, 10)
          assert.ok(piece.length > 0 || at === text.length)
          assert.ok(piece.equals(expected.subarray(at, at + piece.length)))
        }
    }
    assert.ok((saved.breaks ?? 0) <= stream.length && saved.text.length <= limit)
    const whole = Buffer.concat([...chunksOf(saved.text)])
    assert.equal(whole.length, saved.text.length)
    if (expected) assert.ok(whole.equals(expected))
  },
}
