/** The line before a dump, as sscanf reads it. */
import assert from 'node:assert/strict'
import { encodeDmesgHeader, decodeDmesgHeader } from '#src/backends/ramoops/dmesg-header.js'
import type { Target } from '../target.js'

export const target: Target = {
  seeds: () =>
    [
      '====1700000000.123456-C\n',
      '====-5.42-D\n \n',
      '====  12.7-X',
      '====1.2-\0',
      '====1.2\ntext',
    ].map(text => Buffer.from(text)),
  longest: 256,
  run(bytes) {
    const header = decodeDmesgHeader(bytes)
    if (!header) return
    const { time, compressed, length } = header
    assert.ok(length > 0 && length <= bytes.length)
    assert.ok(time.nsec >= 0 && time.nsec < 2 ** 32 && BigInt.asIntN(64, time.sec) === time.sec)
    // What this program writes for it, it reads as the same.
    const line = Buffer.from(encodeDmesgHeader(time, compressed))
    const again = decodeDmesgHeader(line)
    assert.deepEqual(again, {
      time: { sec: time.sec, nsec: time.nsec - (time.nsec % 1000) },
      compressed,
      length: line.length,
    })
  },
}
