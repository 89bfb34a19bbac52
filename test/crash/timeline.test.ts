/** All that a crash's records say, by time. */
process.env.TZ = 'UTC'
import t from 'tap'
import { storyLines } from '#src/crash/story.js'
import { bootOf, timelineOf, type Origin, type Timeline } from '#src/crash/timeline.js'
import { wallTimeOf } from '#src/crash/wall-clock.js'

const origin = (name: string, ...lines: string[]): Origin => ({
  origin: name,
  lines: storyLines(Buffer.from(lines.join('\n'))),
})
const stamped = (at: number, text: string): string => `[${at.toFixed(6).padStart(12)}] ${text}`

/** 2023-11-14 22:13:20 UTC. */
const stored = { sec: 1_700_000_000n, nsec: 0 }
/** The last line at 100 s, so that the machine booted at 22:11:40. */
const dump = origin('dmesg', stamped(90, 'a'), 'goes on', stamped(95, 'b'), stamped(100, 'end'))

const shown = ({ lines, unplaced }: Timeline): string[] => [
  ...lines.map(({ at, origin: of, line, isTimed }) => `${at}${isTimed ? '' : '+'} ${of} ${line}`),
  ...unplaced.flatMap(({ origin: of, lines: left }) => left.map(({ line }) => `? ${of} ${line}`)),
]
const plain = (lines: string[]): string[] => lines.map(line => line.replace(/\[ *[\d.]+\] /, ''))

t.test('the dump, the console and user space in one order', async t => {
  const console = origin(
    'console',
    stamped(95, 'b'),
    'login: ',
    stamped(100, 'end'),
    stamped(103, 'later'),
  )
  const others = [
    origin('pmsg', 'without a time', '11-14 22:13:12.500  1  1 I Tag: at 92.5', '  more', 'Z'),
    origin('tty', stamped(97, 'journal'), '2023-11-14T22:13:18+00:00 at 98'),
    origin('tty-1', 'nothing tells'),
  ]
  t.same(plain(shown(timelineOf([dump, console], others, stored, true))), [
    '90 dmesg a',
    '90+ dmesg goes on',
    '92.5+ pmsg without a time',
    '92.5 pmsg 11-14 22:13:12.500  1  1 I Tag: at 92.5',
    '92.5+ pmsg   more',
    '92.5+ pmsg Z',
    '95 dmesg b',
    '95+ console login: ',
    '97 tty journal',
    '98 tty 2023-11-14T22:13:18+00:00 at 98',
    '100 dmesg end',
    '103 console later',
    '? tty-1 nothing tells',
  ])
})

t.test('a time that cannot be right places nothing', async t => {
  const lines = [
    '1970-01-01T00:00:07Z before the clock was set',
    'its next line',
    '2023-11-14T22:13:19Z at 99',
    '2023-11-14T23:13:19Z of another zone',
    '2023-11-14T22:13:22Z at 102',
  ]
  const of = (goesOn: boolean, at: typeof stored | null = stored): string[] =>
    shown(timelineOf([dump], [origin('tty', ...lines)], at, goesOn)).filter(line =>
      line.includes('tty'),
    )
  t.same(of(false), [
    `99 tty ${lines[2]}`,
    `102 tty ${lines[4]}`,
    `? tty ${lines[0]}`,
    `? tty ${lines[1]}`,
    `? tty ${lines[3]}`,
  ])
  t.match(of(true)[2], /^3699 tty .*of another zone$/, 'a machine that went on')
  t.same(
    of(true, null),
    lines.map(line => `? tty ${line}`),
    'a dump without a time',
  )
  t.same(shown(timelineOf([origin('console')], [origin('tty', lines[2]!)], stored, true)), [
    `? tty ${lines[2]}`,
  ])
})

t.test('a machine that was up for days', async t => {
  const up = 40 * 86_400
  const last = origin('dmesg', stamped(up, 'end'))
  const of = (at: typeof stored, ...lines: string[]): string[] =>
    shown(timelineOf([last], [origin('tty', ...lines)], at, false)).filter(line =>
      line.includes('tty'),
    )
  const lines = ['Nov 12 22:13:20 two days ago', '11-14 22:13:10.000  1  1 I Tag: ten seconds ago']
  t.same(of(stored, ...lines), [`${up - 2 * 86_400} tty ${lines[0]}`, `${up - 10} tty ${lines[1]}`])
  const newYear = { sec: BigInt(Date.UTC(2024, 0, 1) / 1000), nsec: 0 }
  const around = ['Dec 31 23:59:50 before', 'Jan  1 00:00:01 behind']
  for (const at of [newYear, { ...newYear, sec: newYear.sec - 1n }])
    t.match(of(at, ...around), [/^\d+ tty Dec/, /^\d+ tty Jan/], 'at the turn of the year')
})

t.test('when the clock was 0', async t => {
  t.equal(bootOf(stored, dump.lines), 1_699_999_900_000)
  t.equal(bootOf({ sec: 5n, nsec: 500_000_000 }, [{ time: 2 }]), 3500)
  t.equal(bootOf(null, dump.lines), null)
  t.equal(bootOf(stored, [{ time: null }]), null)
})

t.test('times of the wall clock', async t => {
  const near = Date.UTC(2024, 0, 2)
  const table: [line: string, at: number | null][] = [
    ['2023-11-14T22:13:20Z x', Date.UTC(2023, 10, 14, 22, 13, 20)],
    ['2023-11-14T22:13:20.123456+01:00 x', Date.UTC(2023, 10, 14, 21, 13, 20, 123)],
    ['[2023-11-14 22:13:20,5] x', Date.UTC(2023, 10, 14, 22, 13, 20, 500)],
    ['2023-11-14 22:13:20 -0230 x', Date.UTC(2023, 10, 15, 0, 43, 20)],
    ['2023-11-14 22:13:20 UTC', Date.UTC(2023, 10, 14, 22, 13, 20)],
    ['01-02 03:04:05.678  1  2 I x', Date.UTC(2024, 0, 2, 3, 4, 5, 678)],
    ['12-31 23:59:59.999  1  2 I x', Date.UTC(2023, 11, 31, 23, 59, 59, 999)],
    ['<13>Jan  2 03:04:05 host x', Date.UTC(2024, 0, 2, 3, 4, 5)],
    ['Dec 31 03:04:05 host x', Date.UTC(2023, 11, 31, 3, 4, 5)],
    ['[Tue Nov 14 22:13:20 2023] x', Date.UTC(2023, 10, 14, 22, 13, 20)],
    ['Foo 14 22:13:20 x', null],
    ['13-01 00:00:00.000 x', null],
    ['01-01 24:00:00 x', null],
    ['12.5 s', null],
    ['', null],
  ]
  const eve = Date.UTC(2023, 11, 31, 23, 59, 59)
  t.equal(wallTimeOf('Jan  1 00:00:01 host x', eve), Date.UTC(2024, 0, 1, 0, 0, 1), 'soon after')
  for (const [line, at] of table) {
    const found = wallTimeOf(line, near)
    t.equal(found === null ? null : Math.floor(found), at, line)
  }
})
