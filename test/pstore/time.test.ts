/** Times as manifests and `--json` have them. */
import t from 'tap'
import { fromMs, parseTime, printTime } from '#src/pstore/time.js'

t.test('seconds with nine decimals', async t => {
  for (const [sec, nsec, printed] of [
    [0n, 0, '0.000000000'],
    [1_700_000_000n, 5, '1700000000.000000005'],
    [0n, 2 ** 32 - 1, '4.294967295'],
    [-1n, 0, '-1.000000000'],
    [-1n, 750_000_000, '-0.250000000'],
    [-2n, 1_500_000_000, '-0.500000000'],
    [-(2n ** 63n), 0, '-9223372036854775808.000000000'],
  ] as const)
    t.equal(printTime({ sec, nsec }), printed)
  for (const text of ['0.000000000', '-0.250000000', '-1.000000000', '1700000000.000000005'])
    t.equal(printTime(parseTime(text)!), text)
  for (const text of [
    '',
    '1',
    '1.5',
    '1.0000000000',
    'x1.000000000',
    `${'9'.repeat(20)}.000000000`,
  ])
    t.equal(parseTime(text), null)
})

t.test('milliseconds', async t => {
  t.same(fromMs(1_700_000_000_123), { sec: 1_700_000_000n, nsec: 123_000_000 })
})
