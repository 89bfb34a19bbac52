/** Several dumps of one life: each is told by its own report, not by those that its log holds from before. */
import assert from 'node:assert'
import t from 'tap'
import { endWithin, isConsequence, ownReport } from '#src/crash/earlier.js'
import { diagnose } from '#src/crash/diagnosis.js'
import { crashesOf, type Crash } from '#src/crash/grouping.js'
import { storyOf } from '#src/crash/story.js'
import { textOfAll } from '#src/crash/text.js'
import { attach, type StoredRecord } from '#src/index.js'
import { contentOf } from '#src/pstore/content.js'
import { loadFixture } from '../fixtures.js'
import { file } from '../program.js'

const log = (...lines: string[]): string =>
  lines.map(line => `${line.replace(/^[\d.]+/, at => `[${Number(at).toFixed(6)}]`)}\n`).join('')

const oops = (at: number, name: string): string[] => [
  `${at}.1 BUG: kernel NULL pointer dereference, address: 0000000000000010`,
  `${at}.2 RIP: 0010:${name}+0x1/0x20`,
  `${at}.3 ---[ end trace 0000000000000000 ]---`,
]
const titleOf = (name: string): string =>
  `BUG: unable to handle kernel NULL pointer dereference in ${name}`

const boot = ['0 Linux version 6.1.0', '1 up', '2 and running']
const one = log(...boot, ...oops(5, 'first_one'))
const two = log(...boot, ...oops(5, 'first_one'), '6 goes on', ...oops(9, 'second_one'))

/** Dumps as a store has them: each `TITLE` and its text. */
const crashesIn = (...dumps: [title: string, text: string][]): Crash[] =>
  crashesOf(
    dumps.map(([title, text], n): StoredRecord => ({
      type: 'dmesg',
      id: BigInt(n),
      name: `dmesg-${n}`,
      size: text.length,
      time: { sec: BigInt(n), nsec: 0 },
      compressed: false,
      ecc: null,
      cut: 0,
      version: '',
      open: () => contentOf(Buffer.from(`${title} Part1\n${text}`)),
      read: () => Buffer.alloc(0),
      erase: () => false,
      toJSON: () => assert.fail(),
    })),
    false,
    record => record.open(),
  )

const titlesIn = (...dumps: [title: string, text: string][]): (string | null)[] =>
  crashesIn(...dumps).map(
    crash =>
      diagnose(
        textOfAll(crash.dumps, record => record.open()),
        crash.after,
      ).title,
  )

t.test('each dump has its own report', async t => {
  const [first, second] = [titleOf('first_one'), titleOf('second_one')]
  const fatal = log('5.31 Kernel panic - not syncing: Fatal exception')
  const table: [what: string, dumps: [string, string][], titles: (string | null)[]][] = [
    ['two oopses', [['Oops#1', one], ['Oops#2', two]], [first, second]], // prettier-ignore
    ['the first is not there', [['Oops#2', two]], [first]],
    ['a log that does not reach back', [['Oops#1', one], ['Oops#2', log(...oops(9, 'second_one'))]], [first, second]], // prettier-ignore
    ['three, of which the middle one is missing', [['Oops#1', one], ['Oops#3', two]], [first, second]], // prettier-ignore
    ['another life, with the same count', [['Oops#1', one], ['Panic#2', log('7 Linux', ...oops(8, 'other'))]], [first, titleOf('other')]], // prettier-ignore
    ['another life in between', [['Oops#1', one], ['Oops#1', log('3 x', ...oops(4, 'other'))], ['Oops#2', two]], [first, titleOf('other'), second]], // prettier-ignore
    [
      'a panic that an oops brought',
      [
        ['Oops#1', one],
        ['Panic#2', one + fatal],
      ],
      [first, first],
    ],
    ["arm64's words", [['Oops#1', one], ['Panic#2', one + fatal.replace('Fatal', 'Oops: Fatal')]], [first, first]], // prettier-ignore
    ["arm64's, of a trap", [['Oops#1', one], ['Panic#2', one + fatal.replace('Fatal', 'UBSAN: array index out of bounds: Fatal')]], [first, first]], // prettier-ignore
    ['of the second oops', [['Oops#1', one], ['Oops#2', two], ['Panic#3', two + fatal.replace('5.31', '9.31')]], [first, second, second]], // prettier-ignore
    ['the same words much later', [['Oops#1', one], ['Panic#2', one + fatal.replace('5.31', '65.3')]], [first, 'kernel panic: Fatal exception']], // prettier-ignore
    ['a machine that is shut down', [['Oops#1', one], ['Shutdown#2', one + log('60 reboot: off')]], [first, null]], // prettier-ignore
    [
      'nothing more',
      [
        ['Oops#1', one],
        ['Shutdown#2', one],
      ],
      [first, null],
    ],
    ['without a clock', [['Oops#1', 'BUG: a\n'], ['Oops#2', 'BUG: a\nBUG: b\n']], ['BUG: a', 'BUG: a']], // prettier-ignore
    ['a damaged last line', [['Oops#1', one.replace('end trace', 'end\0trace')], ['Oops#2', two]], [first, second]], // prettier-ignore
  ]
  for (const [what, dumps, titles] of table) t.same(titlesIn(...dumps), titles, what)
})

t.test('a warning that the machine survived is not what it died of', async t => {
  const warning = (at: number): string[] => [
    `${at} WARNING: CPU: 1 PID: 1 at drivers/demo.c:8 warns+0x1/0x20`,
    `${at} ---[ end trace 0000000000000000 ]---`,
  ]
  const panic = (at: number): string => `${at} Kernel panic - not syncing: sysrq triggered crash`
  const fatal = 'kernel panic: sysrq triggered crash'
  const table: [what: string, lines: string[], title: string][] = [
    ['an oops an hour later', [...warning(3), ...oops(3600, 'dies')], titleOf('dies')],
    ['a panic a minute later', [...warning(3), panic(63)], fatal],
    ['a moment later', [...warning(3), panic(4)], 'WARNING in warns'],
    ['many', [...warning(3), ...warning(40), panic(90)], fatal],
    ['the last one a moment before', [...warning(3), ...warning(85), panic(90)], 'WARNING in warns'],
    ['a lock report', ['3 WARNING: possible recursive locking detected', ...oops(60, 'dies')], titleOf('dies')],
    ['a task that hung, and a user who had enough', ['300 INFO: task a:7 blocked for more than 120 seconds.', '300  waits+0x1/0x2', panic(900)], 'INFO: task hung in waits'],
    ['two oopses', [...oops(3, 'first'), ...oops(3600, 'second')], titleOf('first')],
    ['nothing more', warning(3), 'WARNING in warns'],
  ] // prettier-ignore
  for (const [what, lines, title] of table) {
    const text = Buffer.from(log(...boot, ...lines))
    const { report, earlier } = ownReport(text, null)
    t.match({ title: report!.title, earlier }, { title, earlier: null }, what)
    const line = text.toString('latin1', report!.offset).split('\n', 1)[0]!
    t.ok(line.endsWith(`] ${report!.headline}`), `${what}: ${line}`)
  }
})

t.test('a panic is told by what is left of the oops before it', async t => {
  const fatal = '5.9 Kernel panic - not syncing: Fatal exception in interrupt'
  const table: [what: string, lines: string[], title: string, guilty: string | null][] = [
    [
      'frames',
      ['5.1  ? page_fault_oops+0x1/0x2', '5.2  dies+0x1/0x2', '5.2  vfs_write+0x1/0x2', fatal],
      'Oops in dies',
      'dies',
    ],
    [
      'the pointer, told again behind the trace',
      ['5.2  vfs_write+0x1/0x2', '5.3 ---[ end trace 0 ]---', '5.4 RIP: 0010:dies+0x1/0x2', fatal],
      'Oops in dies',
      'dies',
    ],
    [
      "a library's pointer",
      ['5.2  caller+0x1/0x2', '5.4 RIP: 0010:memcpy+0x1/0x2', fatal],
      'Oops in caller',
      'caller',
    ],
    [
      "arm64's words",
      ['5.2  dies+0x1/0x2', '5.9 Kernel panic - not syncing: Oops: Fatal exception'],
      'Oops in dies',
      'dies',
    ],
    [
      "arm64's, of a trap",
      [
        '5.2  dies+0x1/0x2',
        '5.9 Kernel panic - not syncing: UBSAN: array index out of bounds: Fatal exception',
      ],
      'Oops in dies',
      'dies',
    ],
    [
      "parisc's",
      ['5.2  IAOQ[0]: dies+0x1/0x2', '5.9 Kernel panic - not syncing: Page fault: no context'],
      'Oops in dies',
      'dies',
    ],
    [
      'what was printed long before',
      ['5.2  lives+0x1/0x2', fatal.replace('5.9', '65.9')],
      'kernel panic: Fatal exception in interrupt',
      null,
    ],
    ['no frame', ['5.2 CR2: 10', fatal], 'kernel panic: Fatal exception in interrupt', null],
    [
      'a panic of its own',
      ['5.2  frame+0x1/0x2', '5.9 Kernel panic - not syncing: why'],
      'kernel panic: why',
      null,
    ],
  ]
  for (const [what, lines, title, guilty] of table)
    t.match(ownReport(Buffer.from(log(...lines)), null).report, { title, guilty }, what)
})

t.test('where the own report is', async t => {
  const text = Buffer.from(two)
  const after = endWithin(text, Buffer.from(one))
  t.equal(after, 5.3)
  const { report, earlier } = ownReport(text, after)
  t.equal(report!.offset, two.indexOf('[9.1'))
  t.equal(earlier!.title, titleOf('first_one'))
  const story = storyOf(text, after)
  t.match(story.lines[story.start], { text: oops(9, 'x')[0]!.slice(4) })
  t.match(story.lines[story.start + 1], { guilty: true, text: /second_one/ })
  t.match(ownReport(text, null), { report: { offset: two.indexOf('[5.1') }, earlier: null })
  t.equal(isConsequence(text, 5.3), false)
  t.equal(endWithin(Buffer.from('no clock'), Buffer.from(one)), null)
  t.equal(endWithin(text, Buffer.from('no clock')), null)
})

t.test('what real kernels left in one life', async t => {
  for (const name of [
    'all-noecc',
    'ecc1-all',
    'dmesg-4k-records',
    'dmesg-many',
    'dmesg-two-boots',
  ]) {
    const fixture = loadFixture(name)
    const backend = attach(file(t, fixture.region()), { ...fixture.layout })
    const crashes = crashesOf(backend.records(), false, record => record.open())
    for (const { dumps, reason, after } of crashes) {
      const { title } = diagnose(
        textOfAll(dumps, record => record.open()),
        after,
      )
      const wanted =
        reason === 'panic' ? 'kernel panic: sysrq triggered crash' : titleOf('lkdtm_EXCEPTION')
      t.equal(title, wanted, `${name}: ${dumps[0]!.name}`)
    }
    t.ok(crashes.some(({ reason }) => reason === 'panic'))
    backend.close()
  }
})
