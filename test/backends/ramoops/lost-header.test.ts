/** Headers of ramoops zones that are damaged: what they still say. */
import t from 'tap'
import { doubtOf } from '#src/backends/ramoops/lost-header.js'

const bit = /^the signature has 1 wrong bit$/
const bits = /^the signature has 3 wrong bits$/
const other = /another kind/
const linux6 = 0x060c05

t.test('doubts', async t => {
  for (const [kind, code, start, size, wanted] of [
    ['console', 0, 5, 5, null],
    ['console', 0, 0, 0, { state: 'empty', signature: null, numbers: null, impossible: null }],
    ['console', 0, 5, 101, { state: 'invalid', numbers: null, impossible: /claims more/ }],
    ['console', 0, 2048, 0, { state: 'invalid', impossible: /size 0 and start 2048/ }],
    ['console', 1, 5, 5, { state: 'unsigned', signature: bit, numbers: { start: 5, size: 5 } }],
    ['console', 0x80000011, 0, 0, { state: 'unsigned', signature: bits, numbers: null }],
    ['console', 7, 5, 101, { signature: bits, numbers: null, impossible: /claims more/ }],
    ['console', 15, 5, 5, { signature: null, numbers: null, impossible: null }],
    ['console', 15, 5, 101, { signature: null, numbers: null, impossible: null }],
    ['console', linux6, 5, 5, { signature: other, numbers: { start: 5, size: 5 } }],
    ['console', linux6, 5, 101, { signature: null, numbers: null, impossible: null }],
    ['ftrace', linux6, 5, 5, null],
    ['ftrace', 0, 5, 5, { signature: other }],
    ['ftrace', 0, 0, 0, { signature: null }],
    ['ftrace', linux6 + 0x40000000, 24, 24, { signature: bit }],
    ['ftrace', (linux6 + 0xe0000000) >>> 0, 24, 24, { signature: bits }],
    ['ftrace', (linux6 + 0xf0000000) >>> 0, 24, 24, { signature: null }],
    ['ftrace', linux6 + 0x40000000, 0, 0, { signature: null }],
  ] as const)
    t.match(
      doubtOf({ code, start, size }, kind, 100, false) ?? 'none',
      wanted ?? 'none',
      `${kind} ${code.toString(16)} ${start} ${size}`,
    )
  t.match(doubtOf({ code: 15, start: 0, size: 0 }, 'pmsg', 100, true), { unmendable: true })
})
