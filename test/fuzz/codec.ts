/** What must hold of a codec beside another reading of its format. The first byte of an input says how much may come out. */
import assert from 'node:assert/strict'
import type { Codec } from '#src/pstore/codecs/codec.js'
import { salvage } from '#src/pstore/codecs/index.js'
import { chunksOf } from '#src/pstore/content.js'
import type { Target } from './target.js'

/**
 * @param model the text of a sound stream; null where it is none, undefined where nobody knows
 * @param isExact false where the model also takes what is broken
 */
export const codecTarget = (
  codec: Codec,
  streams: () => Buffer[],
  model: (stream: Buffer, limit: number) => Buffer | null | undefined,
  isExact = true,
): Target => ({
  seeds: () => streams().map(stream => Buffer.concat([Buffer.of(12), stream])),
  longest: 1 << 12,
  run(bytes) {
    if (bytes.length < 2) return
    const limit = 1 << (bytes[0] % 16)
    const stream = bytes.subarray(1)
    const any = salvage(stream, limit)
    assert.ok(any.text.length <= limit && (any.breaks ?? 0) <= stream.length)
    if (codec.isOpened?.(stream) === false) return
    const found = codec.walk(stream, limit)
    if (!found) return
    const whole = Buffer.concat([...chunksOf(found.text)])
    assert.equal(whole.length, found.text.length)
    assert.ok(whole.length <= limit && (found.breaks ?? 0) >= 0)
    assert.ok((found.breaks ?? 0) <= stream.length)
    const expected = model(stream, limit)
    if (expected === undefined) return
    if (found.breaks === null) assert.ok(expected?.equals(whole))
    else if (isExact) assert.equal(expected, null)
  },
})
