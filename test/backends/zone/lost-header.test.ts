/** Headers of pstore/zone that are damaged: what they still say. */
import t from 'tap'
import { signatureOf } from '#src/backends/zone/header.js'
import { doubtOf } from '#src/backends/zone/lost-header.js'

t.test('doubts', async t => {
  const sig = signatureOf('dmesg')
  for (const [state, more, datalen, start, wanted] of [
    ['empty', 0, 0, 5, { signature: null, numbers: null, impossible: null }],
    ['invalid', 0, 101, 5, { signature: null, numbers: null, impossible: /claims more/ }],
    [
      'unsigned',
      0x10000,
      50,
      99,
      { signature: /has 1 wrong bit$/, numbers: { start: 0, size: 50 } },
    ],
    ['unsigned', 2, 50, 99, { signature: /another kind/, numbers: { start: 0, size: 50 } }],
    ['unsigned', 2, 0, 0, { signature: /has 1 wrong bit$/, numbers: null }],
    ['unsigned', 0xf0000, 50, 0, { signature: null, numbers: null, impossible: null }],
  ] as const)
    t.match(doubtOf({ sig: sig ^ more, datalen, start }, state, 'dmesg', 100), wanted)
  const ring = { sig: signatureOf('console'), datalen: 6, start: 7 }
  t.match(doubtOf(ring, 'invalid', 'console', 100), { impossible: /size 6 and start 7/ })
})
