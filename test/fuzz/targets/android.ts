/** Android's log in pmsg, at once and in pieces. The first byte says how long these are. */
import assert from 'node:assert/strict'
import { AndroidLog } from '#src/decoders/android.js'
import type { Target } from '../target.js'

/** A record; a text's payload begins with its priority, an event's with its tag. */
const record = (id: number, payload: string): Buffer => {
  const bytes = Buffer.alloc(18 + payload.length)
  bytes.write('l', 0)
  bytes.writeUInt16LE(bytes.length, 1)
  bytes[7] = id
  bytes.write(payload, 18, 'latin1')
  return bytes
}

export const target: Target = {
  seeds: () => {
    const records = [
      record(0, '\x04Tag\0one\ntwo\n\0'),
      record(4, '\x07Tag'),
      record(2, '\x01\0\0\0\0\x07\0\0\0'),
      record(2, '\x01\0\0\0\x03\x04\x02\x03\0\0\0abc\x01\x01\0\0\0\0\0\0\0\x04\0\0\x80\x3f\x03\0'),
      record(6, '\x01\0\0'),
    ]
    return [...records, Buffer.concat(records)].map(bytes => Buffer.concat([Buffer.of(7), bytes]))
  },
  words: ['l', 'l\x1a\0', '\x03\x02', '\x02\x04\0\0\0'],
  longest: 16384,
  run(bytes) {
    if (bytes.length === 0) return
    const log = bytes.subarray(1)
    const whole = new AndroidLog()
    const text = whole.decode(log)
    // A line's prefix is 127 bytes at most, and each needs a line feed, or a header.
    assert.ok(text.length <= 160 * log.length, `${text.length} bytes of text of ${log.length}`)
    assert.ok(whole.count * 20 + whole.skipped <= log.length)
    const pieces = new AndroidLog()
    const step = 1 + bytes[0] * 16
    for (let at = 0; at < log.length; at += step) pieces.decode(log.subarray(at, at + step))
    assert.ok(pieces.count * 20 + pieces.skipped <= log.length)
  },
}
