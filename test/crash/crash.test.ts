/** Which records belong to one crash, and what a crash's text says. */
import t from 'tap'
import { diagnose } from '#src/crash/diagnosis.js'
import { parseLines } from '#src/crash/lines.js'
import { linesOfLife } from '#src/crash/lives.js'
import { crashesOf, describeMissing } from '#src/crash/grouping.js'
import { attach, type StoredRecord } from '#src/index.js'
import { contentOf } from '#src/pstore/content.js'
import { fixtures, loadFixture } from '../fixtures.js'
import { file } from '../program.js'

/** What a record is that nobody reads: the function that would. */
const none = (): never => {
  throw new Error('nothing is read')
}

const record = (
  name: string,
  sec: number | null,
  text: string,
  facts: Partial<Pick<StoredRecord, 'type' | 'compressed' | 'id'>> = {},
): StoredRecord => ({
  type: 'dmesg',
  id: 0n,
  name,
  size: text.length,
  time: sec === null ? null : { sec: BigInt(sec), nsec: 0 },
  compressed: false,
  ecc: null,
  cut: 0,
  version: '',
  open: () => contentOf(Buffer.from(text)),
  read: none,
  erase: none,
  toJSON: none,
  ...facts,
})

/** An id as ERST's count: the boot's second, and which record since. */
const counted = (text: string): bigint => {
  const [boot, n] = text.split('+')
  return (BigInt(boot!) << 32n) + BigInt(n!)
}

/**
 * Each record is `TIME TITLE`, with `FIRST-LAST` for printk's clock in its text, and `@BOOT+N` for an id of ERST's; a
 * TITLE of `z` cannot be inflated. Gives each crash's records, and which parts are missing.
 */
const group = (parts: boolean, ...records: string[]): string[] =>
  crashesOf(
    records.map(name => {
      const [time, title, ...more] = name.split(' ')
      const clock = more.find(word => word.includes('-'))?.split('-')
      const id = more.find(word => word.startsWith('@'))?.slice(1)
      const lines = clock?.map(at => `<6>[${Number(at).toFixed(6).padStart(12)}] line\n`) ?? []
      const text = `${title!.replace('.', ' Part')}\n${lines.join('')}`
      return record(name, time === '-' ? null : Number(time), text, {
        ...(title === 'z' ? { compressed: true } : {}),
        ...(title === 'ring' ? { type: 'console' } : {}),
        ...(id === undefined ? {} : { id: counted(id) }),
      })
    }),
    parts,
    of => of.open(),
  ).map(crash => {
    const missing = describeMissing(crash)
    const { reason, count, dumps, rings } = crash
    const names = [...dumps, ...rings].map(({ name }) => name.replace(/ @.*/, ''))
    return `${reason} ${count}: ${names.join(', ')}${missing && ` (${missing})`}`
  })

t.test('one dump a record', async t => {
  t.same(group(false, '9 Oops#1.1', '9 Oops#1.2', '7 Panic#2.1', '- ring'), [
    'panic 2: 7 Panic#2.1',
    'oops 1: 9 Oops#1.1',
    'oops 1: 9 Oops#1.2, - ring',
  ])
  t.same(group(false, '- ring'), ['null 1: - ring'])
  t.same(group(false), [])
  t.same(group(false, '- Panic#1.1', '5 Oops#1.1'), ['panic 1: - Panic#1.1', 'oops 1: 5 Oops#1.1'])
  t.same(group(false, '5 ../../etc', '6 Evil#7.1', '6 z'), [
    'dump 1: 5 ../../etc',
    'dump 7: 6 Evil#7.1',
    'dump 1: 6 z',
  ])
})

t.test('dumps in parts', async t => {
  t.same(
    group(true, '10 Panic#1.1', '10 Panic#1.2', '12 Panic#1.3', '12 ring'),
    ['panic 1: 12 Panic#1.3, 10 Panic#1.2, 10 Panic#1.1, 12 ring'],
    'stored over two seconds, the oldest text first',
  )
  t.same(
    group(true, '10 Panic#1.1', '13 Panic#1.1', '13 Panic#1.2', '10 Panic#1.2'),
    ['panic 1: 10 Panic#1.2, 10 Panic#1.1', 'panic 1: 13 Panic#1.2, 13 Panic#1.1'],
    'two lives that both count from 1',
  )
  t.same(group(true, '10 Oops#1.1', '10 Panic#2.1', '20 Panic#2.2'), [
    'oops 1: 10 Oops#1.1',
    'panic 2: 10 Panic#2.1',
    'panic 2: 20 Panic#2.2 (part 1 of the dump is missing)',
  ])
  t.same(group(true, '10 z', '10 Panic#2.1', '30 z', '- z'), [
    'dump 1: - z',
    'panic 2: 10 Panic#2.1, 10 z',
    'dump 1: 30 z',
  ])
})

t.test("parts belong together by ERST's ids, whatever the clock says", async t => {
  const [a, b] = [1_700_000_000, 1_700_000_003]
  t.same(
    group(true, `- Panic#1.3 @${a}+3`, `- Panic#1.1 @${a}+1`, `- Panic#1.2 @${a}+2`),
    ['panic 1: - Panic#1.3, - Panic#1.2, - Panic#1.1'],
    'without a time',
  )
  t.same(
    group(true, `9 Panic#1.1 @${a}+1`, `900 Panic#1.2 @${a}+2`, `2 Panic#1.3 @${a}+4`),
    ['panic 1: 2 Panic#1.3, 900 Panic#1.2, 9 Panic#1.1'],
    'a clock that is set meanwhile, and a record of another kind in between',
  )
  t.same(
    group(true, `9 Panic#1.2 @${a}+2`, `9 Panic#1.3 @${a}+3`, `12 Panic#1.1 @${b}+1`),
    ['panic 1: 9 Panic#1.3, 9 Panic#1.2 (part 1 of the dump is missing)', 'panic 1: 12 Panic#1.1'],
    'two boots three seconds apart',
  )
  t.same(
    group(
      true,
      `9 Oops#1.1 @${a}+1`,
      `9 Oops#1.1 @${a}+5`,
      `9 Oops#1.2 @${a}+6`,
      `9 Oops#1.2 @${a}+2`,
    ),
    ['oops 1: 9 Oops#1.2, 9 Oops#1.1', 'oops 1: 9 Oops#1.2, 9 Oops#1.1'],
    'an id is as near as it counts',
  )
  t.same(
    group(true, `9 Panic#1.1 @${a}+1`, `9 Panic#1.3 @${a}+3`, `9 z @${a}+2`, `9 z @${b}+2`),
    ['panic 1: 9 Panic#1.3, 9 Panic#1.1, 9 z (part 2 of the dump is missing)', 'dump 1: 9 z'],
    'what cannot be inflated lies beside',
  )
  const late = 2 ** 31 + 5
  t.same(
    group(true, `- Panic#1.1 @${late}+1`, `- Panic#1.2 @${late}+2`),
    ['panic 1: - Panic#1.2, - Panic#1.1'],
    'after 2038',
  )
})

t.test("parts belong together by printk's clock", async t => {
  t.same(
    group(true, '10 Panic#1.1 8-9', '18 Panic#1.2 6-7.9', '26 Panic#1.3 4-5.8'),
    ['panic 1: 26 Panic#1.3 4-5.8, 18 Panic#1.2 6-7.9, 10 Panic#1.1 8-9'],
    'a firmware that takes 8 s a part',
  )
  t.same(
    group(true, '10 Panic#1.1 8-9', '90000 Panic#1.2 6-7.9'),
    ['panic 1: 90000 Panic#1.2 6-7.9, 10 Panic#1.1 8-9'],
    'a clock that was set, and texts that adjoin',
  )
  t.same(
    group(true, '- Panic#1.2 6-7.9', '- Panic#1.1 8-9', '- Panic#1.1 3-4'),
    ['panic 1: - Panic#1.2 6-7.9, - Panic#1.1 8-9', 'panic 1: - Panic#1.1 3-4'],
    'without a time',
  )
  t.same(
    group(true, '10 Panic#1.2 6-7.9', '10 Panic#1.3 4-5.9', '13 Panic#1.1 2-3'),
    [
      'panic 1: 10 Panic#1.3 4-5.9, 10 Panic#1.2 6-7.9 (part 1 of the dump is missing)',
      'panic 1: 13 Panic#1.1 2-3',
    ],
    'two boots three seconds apart',
  )
  t.same(group(true, '10 Panic#1.2 6-7', '80 Panic#1.1 60-61'), [
    'panic 1: 10 Panic#1.2 6-7 (part 1 of the dump is missing)',
    'panic 1: 80 Panic#1.1 60-61',
  ])
})

t.test('missing parts are named', async t => {
  t.same(group(true, '9 Panic#1.5'), ['panic 1: 9 Panic#1.5 (parts 1-4 of the dump are missing)'])
  t.same(group(true, '9 Panic#1.1', '9 Panic#1.3', '9 Panic#1.7'), [
    'panic 1: 9 Panic#1.7, 9 Panic#1.3, 9 Panic#1.1 (parts 2, 4-6 of the dump are missing)',
  ])
  t.same(group(true, '9 Panic#1.999999999').length, 1)
})

/** A console's or a dump's lines. */
const log = (...lines: string[]): string =>
  lines.map(line => line.replace(/^([\d.]+)/, (_, at) => `[${Number(at).toFixed(6)}]`)).join('\n')

t.test('a console goes with the dump of its life', async t => {
  const dump = log('9.5 init: up', '12.1 BUG: broken', '12.2 ---[ end trace 0 ]---')
  const boot = log('0 Linux version 6.1.0', '0.5 init', '9.5 init: is up')
  for (const [console, own, what] of [
    [log('12.1 BUG: broken', '12.2 ---[ end trace 0 ]---'), true, 'its end'],
    [
      log('9.5 init: up', '12.1 BUG: bro\x00en', '12.2 ---[ end trace 0 ]---'),
      true,
      'a damaged line',
    ],
    [log('12.1 BUG: broken', '30 goes on', '31 and on'), true, 'a life that goes on'],
    [log('30 goes on', '31 and on'), true, 'a ring that was filled since'],
    [boot, false, 'the next boot'],
    [log('0 Linux version 6.1.0', '3 up'), false, 'a boot that ends before the dump begins'],
    [log('9.6 heartbeat', '11 heartbeat', '13 heartbeat', '80 heartbeat'), false, 'a longer one'],
    [
      log('12.1 BUG: broken', '12.2 ---[ end trace 0 ]---', '0 Linux version 6.1.0', '0.4 init'),
      true,
      'two lives in one ring',
    ],
    ['no clock', true, 'without a clock'],
  ] as const) {
    const crashes = crashesOf(
      [
        record('dmesg', 9, `Oops#1 Part1\n${dump}\n`),
        record('console', null, `${console}\n`, { type: 'console' }),
        record('pmsg', null, 'all rings', { type: 'pmsg' }),
      ],
      false,
      of => of.open(),
    )
    const rings = ['console', 'pmsg']
    t.same(
      crashes.map(({ reason, rings }) => [reason, rings.map(({ name }) => name)]),
      own
        ? [['oops', rings]]
        : [
            ['oops', []],
            [null, rings],
          ],
      what,
    )
  }
  const after = log('30 goes on', '31 and on')
  t.same(
    linesOfLife(parseLines(dump), parseLines(after), false),
    [],
    'nothing goes on after a panic',
  )
  t.same(
    linesOfLife(
      parseLines(dump),
      parseLines(log('12.2 ---[ end trace 0 ]---', '0 Linux version 6.1.0', '0.4 init')),
      false,
    ).map(({ text }) => text),
    ['---[ end trace 0 ]---'],
    'of two lives in one ring the one that the dump ends',
  )
})

t.test('the crashes that real kernels left in EFI', async t => {
  for (const [name, crashes] of [
    ['efi-panic', ['panic 1']],
    ['efi-oopses', ['oops 1', 'panic 2']],
  ] as const) {
    const backend = attach(`efi:${file(t, loadFixture(name).region())}`, {})
    const found = crashesOf(backend.records(), true, record => record.open())
    t.same(
      found.map(({ reason, count }) => `${reason} ${count}`),
      crashes,
      name,
    )
    backend.close()
  }
})

t.test('what the texts of real kernels say', async t => {
  let panics = 0
  let kernels = 0
  for (const fixture of fixtures('dmesg-'))
    for (const { name } of fixture.files) {
      const text = fixture.file(name)
      // The smallest records have not even the line that says why.
      if (!/^Panic#\d+ Part1\n[^]*Kernel panic/.test(text.toString('latin1'))) continue
      const { cause, kernel, uptime } = diagnose(text)
      // The first report is the cause: an oops, where the panic came of one.
      t.match(cause, /^(?:Kernel panic - not|BUG: |Oops: |Unable to)/, `${fixture.name} ${name}`)
      // A small record has not the line that says it.
      if (kernel !== null) t.equal(kernel, fixture.kernel)
      kernels += Number(kernel !== null)
      t.ok(uptime && uptime > 0.5 && uptime < 100, `${uptime}`)
      panics++
    }
  t.ok(panics > 10 && kernels > 10, `${kernels} of ${panics} name their kernel`)
})

t.test('what other texts say', async t => {
  const table: [
    text: string,
    cause: string | null,
    kernel: string | null,
    uptime: number | null,
  ][] = [
    ['', null, null, null],
    ['nothing to see\n', null, null, null],
    ['<6>[    0.000000] Linux version 6.6.0-rc1+ (me@there)\n', null, '6.6.0-rc1+', 0],
    [
      '[   12.5][  T123] BUG: soft lockup - CPU#1\nlater, without a stamp',
      'BUG: soft lockup - CPU#1',
      null,
      12.5,
    ],
    [
      'CPU: 1 PID: 7 Comm: x Tainted: G      D W  O     5.10.0-8-arm64 #1 Debian',
      null,
      '5.10.0-8-arm64',
      null,
    ],
    [
      '[1.0] Oops: 0002 [#1]\r\n[2.5] Kernel panic - not syncing: why\r\n',
      'Oops: 0002 [#1]',
      null,
      2.5,
    ],
    [
      'Unable to handle kernel paging request at 0\n',
      'Unable to handle kernel paging request at 0',
      null,
      null,
    ],
  ]
  for (const [text, cause, kernel, uptime] of table)
    t.match(diagnose(Buffer.from(text)), { cause, kernel, uptime }, text)
  const long = diagnose(Buffer.from(`BUG: ${'x'.repeat(1e6)}`))
  t.equal(long.cause?.length, 1024, 'a line without end')
})
