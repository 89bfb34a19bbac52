/** Which records belong to one crash, and what a crash's text says. */
import t from 'tap'
import { diagnose } from '#src/crash/diagnosis.js'
import { crashesOf } from '#src/crash/grouping.js'
import { attach, type StoredRecord } from '#src/index.js'
import { fixtures, loadFixture } from '../fixtures.js'
import { file } from '../program.js'

/** These records are told apart by their names alone. */
const none = (): never => {
  throw new Error('nothing is read')
}

const record = (
  name: string,
  sec: number | null,
  facts: Partial<Pick<StoredRecord, 'type' | 'compressed'>> = {},
): StoredRecord => ({
  type: 'dmesg',
  id: 0n,
  name,
  size: 1,
  time: sec === null ? null : { sec: BigInt(sec), nsec: 0 },
  compressed: false,
  ecc: null,
  cut: 0,
  version: '',
  open: none,
  read: none,
  erase: none,
  ...facts,
})

/** Each record is `TIME TITLE`; a TITLE of `z` cannot be inflated. Gives each crash's records. */
const group = (parts: boolean, ...records: string[]): string[] =>
  crashesOf(
    records.map(text => {
      const [time, title] = text.split(' ')
      return record(text, time === '-' ? null : Number(time), {
        ...(title === 'z' ? { compressed: true } : {}),
        ...(title === 'ring' ? { type: 'console' } : {}),
      })
    }),
    parts,
    ({ name }) => Buffer.from(`${name.split(' ')[1].replace('.', ' Part')}\n`),
  ).map(
    ({ reason, count, dumps, rings }) =>
      `${reason} ${count}: ${[...dumps, ...rings].map(({ name }) => name).join(', ')}`,
  )

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
    'panic 2: 20 Panic#2.2',
  ])
  t.same(group(true, '10 z', '10 Panic#2.1', '30 z', '- z'), [
    'dump 1: - z',
    'panic 2: 10 Panic#2.1, 10 z',
    'dump 1: 30 z',
  ])
})

t.test('the crashes that real kernels left in EFI', async t => {
  for (const [name, crashes] of [
    ['efi-panic', ['panic 1']],
    ['efi-oopses', ['oops 1', 'panic 2']],
  ] as const) {
    const backend = attach(`efi:${file(t, loadFixture(name).region())}`, {})
    const found = crashesOf(backend.records(), true, record => record.read())
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
