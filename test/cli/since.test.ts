/** Points in time as people write them. */
import t from 'tap'
import { parseWhen } from '#src/cli/options/since.js'

process.env.TZ = 'UTC'

t.test('each form', async t => {
  const day = 86_400_000
  const today = new Date().setUTCHours(0, 0, 0, 0)
  for (const [text, at] of [
    ['2026-11-23', Date.UTC(2026, 10, 23)],
    ['2028-02-29', Date.UTC(2028, 1, 29)],
    ['2026-11-23 10:00', Date.UTC(2026, 10, 23, 10)],
    ['2026-11-23T10:00:01', Date.UTC(2026, 10, 23, 10, 0, 1)],
    ['2026-11-23T10:00:00Z', Date.UTC(2026, 10, 23, 10)],
    ['2026-11-23 10:00+02:00', Date.UTC(2026, 10, 23, 8)],
    ['@1795404737', 1_795_404_737_000],
  ] as const)
    t.equal(parseWhen(text), at, text)
  t.ok([today, today + day].includes(parseWhen('today')), 'midnight may have come meanwhile')
  t.ok([today, today - day].includes(parseWhen('yesterday')))
  for (const [text, ago] of [
    ['now', 0],
    ['-2h', 7_200_000],
    ['3d', 3 * day],
    ['1w ago', 7 * day],
    ['30 min', 1_800_000],
  ] as const) {
    const off = Date.now() - ago - parseWhen(text)
    t.ok(off >= 0 && off < 60_000, text)
  }
  for (const text of [
    '',
    'soon',
    '2026-13-01',
    '2026-02-30',
    '2026-11-31T10:00',
    '2026-11-23 25:00',
    '5 parsecs',
    '@',
    '1e3',
    '9999999d',
  ])
    t.throws(() => parseWhen(text), { message: /is no time: write/ }, text)
})
