/** A crash's report amid the lines around it. */
import t from 'tap'
import { isReadable, storyLines, storyOf } from '#src/crash/story.js'

const oops = [
  '<6>[    1.000000] before',
  '<1>[    2.000000] BUG: kernel NULL pointer dereference, address: 0000000000000010',
  '<4>[    2.100000] RIP: 0010:lkdtm_EXCEPTION+0xa/0x20',
  '<4>[    2.200000] Call Trace:',
  '<4>[    2.300000]  lkdtm_EXCEPTION+0xa/0x20',
  '<4>[    2.400000] ---[ end trace 0000000000000000 ]---',
]

t.test('where the report is, and which frame is to blame', async t => {
  const { report, lines, start, end } = storyOf(
    Buffer.from([...oops, '[    3.000000] after'].join('\n')),
  )
  t.equal(report?.guilty, 'lkdtm_EXCEPTION')
  t.same([start, end], [1, 6])
  t.same(
    lines.map(({ line, level, time, guilty }) => [line.slice(15, 30), level, time, guilty]),
    [
      ['before', 6, 1, false],
      ['BUG: kernel NUL', 1, 2, false],
      ['RIP: 0010:lkdtm', 4, 2.1, true],
      ['Call Trace:', 4, 2.2, false],
      [' lkdtm_EXCEPTIO', 4, 2.3, false],
      ['---[ end trace ', 4, 2.4, false],
      ['after', null, 3, false],
    ],
  )
})

t.test('texts that have no report, no end, or are long', async t => {
  const at = (text: string): unknown[] => {
    const { report, lines, start, end } = storyOf(Buffer.from(text))
    return [report !== null, lines.length, start, end]
  }
  t.same(at(''), [false, 0, 0, 0])
  t.same(at('nothing\nto see\n'), [false, 2, 2, 2])
  t.same(at(oops.slice(0, 4).join('\r\n')), [true, 4, 1, 4], 'a dump that was cut short')
  const filler = Array.from(
    { length: 5000 },
    (_, i) => `[    0.${String(i).padStart(6, '0')}] ${'x'.repeat(i % 90)}ü`,
  )
  t.same(at([...filler, ...oops].join('\n')), [true, 5006, 5001, 5006])
  t.same(at([oops[1], ...filler].join('\n')), [true, 5001, 0, 200], 'a report without an end')
  t.same(at([oops[1], oops[5], oops[1]].join('\n')), [true, 3, 0, 2], 'the first of two')
})

t.test('a report that begins amid a long line', async t => {
  const long = `${'x'.repeat(600)} ${oops[1]!}`
  const { report, lines, start, end } = storyOf(Buffer.from(`one\n${long}\nlast\n`))
  t.ok(report!.offset > 4)
  t.same([lines.length, start, end], [3, 1, 3])
  t.same(storyOf(Buffer.from(long)).start, 0, 'in the last line')
})

t.test('what is a text', async t => {
  const cases: [what: string, bytes: Buffer, readable: boolean][] = [
    ['nothing', Buffer.alloc(0), true],
    ['colours, tabs and umlauts', Buffer.from('\x1b[31mrot\x1b[0m\tgr\u00fcn\n'), true],
    ['some damage', Buffer.from('hello w\0rld, how are \xff you\n', 'latin1'), true],
    ['what a program packed', Buffer.from(Array.from({ length: 256 }, (_, i) => i)), false],
    ['numbers', Buffer.from('01000000020000000300', 'hex'), false],
  ]
  for (const [what, bytes, readable] of cases)
    t.equal(isReadable(storyLines(bytes)), readable, what)
})
