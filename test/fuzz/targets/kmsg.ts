/** The kernel's log: records, a line each, printed one after the other. */
import assert from 'node:assert/strict'
import { KernelConsole, parseMessage } from '#src/frontends/kmsg.js'
import type { Target } from '../target.js'

export const target: Target = {
  seeds: () =>
    [
      '6,339,5140900,-;NET: Registered protocol family 10\n',
      '30,340,5690716,-,caller=T1;udevd[80]: starting \\x5c\\x0aversion 181\n',
      '6,1,1000000,c;one\n6,2,1000100,+; two\n6,9,1000200,-;three\n',
    ].map(text => Buffer.from(text)),
  words: [',', ';', '\\x0a', ',+;', ',c;', 'caller=', '\n'],
  longest: 8192,
  run(bytes) {
    const lines = new KernelConsole(8, 0n)
    let printed = 0
    let prefixes = 0
    for (let at = 0; at < bytes.length;) {
      const end = bytes.indexOf(10, at) + 1 || bytes.length
      const message = parseMessage(bytes.subarray(at, end))
      at = end
      if (!message) continue
      assert.ok(message.level >= 0 && message.level < 8)
      prefixes += 2 + message.text.filter(byte => byte === 10).length
      printed += lines.print(message).length
    }
    // What stands before a line: a time of 20 digits, a caller, and that messages were lost.
    assert.ok(printed + lines.end().length <= bytes.length + 120 * prefixes)
  },
}
