/** What a terminal printed, without its escape sequences. The first byte says how it is cut. */
import assert from 'node:assert/strict'
import { stamper, stripper } from '#src/frontends/tty/filters.js'
import type { Target } from '../target.js'

export const target: Target = {
  seeds: () =>
    [
      '\x1b[31mred\x1b[0m\r\n',
      '\x1b]0;title\x07text',
      '\x1bP0;1q#0~~\x1b\\pixels',
      '\x1b(Btext\n',
    ].map(text => Buffer.from(`\x05${text}`)),
  words: ['\x1b[', '\x1b]', '\x1b\\', '\x07', '\x18', '\n'],
  longest: 8192,
  run(bytes) {
    if (bytes.length === 0) return
    const text = bytes.subarray(1)
    const kept = Buffer.from(stripper()(text))
    assert.ok(kept.length <= text.length)
    assert.ok(!kept.includes(0x1b))
    const strip = stripper()
    const pieces: Buffer[] = []
    for (let at = 0; at < text.length; at += 1 + bytes[0])
      pieces.push(Buffer.from(strip(text.subarray(at, at + 1 + bytes[0]))))
    assert.ok(Buffer.concat(pieces).equals(kept), 'the same in pieces')
    const stamp = '[    0.000001] '
    const lines = kept.toString('latin1').split('\n')
    const stamped = stamper(() => 1n)(kept)
    const marked = lines.map((line, i) =>
      line === '' && i === lines.length - 1 ? '' : stamp + line,
    )
    assert.equal(stamped.toString('latin1'), marked.join('\n'))
  },
}
