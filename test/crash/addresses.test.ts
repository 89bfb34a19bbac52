/** Raw addresses in reports of kernels without names, by a file of symbols. */
import t, { type Test } from 'tap'
import { nameAddresses, type NamedText } from '#src/crash/addresses.js'
import { diagnose } from '#src/crash/diagnosis.js'
import { FrameNames } from '#src/decoders/frame-names.js'
import { loadSymbols } from '#src/decoders/kallsyms.js'

const load = (t: Test, lines: string) =>
  new FrameNames(
    loadSymbols(`${t.testdir({ symbols: lines.replaceAll('#', 'ffffffff81') })}/symbols`),
  )

/** A System.map of x86-64, linked at ffffffff81000000. */
const x86 = `\
#000000 T _text
#000000 T _stext
#001200 T guilty_one
#001300 t caller_two
#001400 T dies_last
#001420 T innocent
#200000 T _etext
#300000 D some_data
#400000 B _end
`
const arm64 = `\
ffff800008080000 T _text
ffff800008080000 T _stext
ffff800008081200 T guilty_one
ffff800008081300 t caller_two
ffff800008081400 T innocent
ffff800008200000 T _etext
ffff800008400000 B _end
`
const arm = `\
c0008000 T _text
c0008000 T _stext
c0101200 T guilty_one
c0101300 t caller_two
c0101400 T innocent
c0200000 T _etext
c0400000 B _end
`

const named = (t: Test, symbols: string, lines: string[]): NamedText => {
  const text = Buffer.from(lines.join('\n').replaceAll('#', 'ffffffff81'))
  return nameAddresses(text, load(t, symbols), text)
}
const linesOf = ({ text }: NamedText): string[] =>
  text.toString('latin1').replaceAll('ffffffff81', '#').split('\n')

t.test('each form in which an address stands', async t => {
  const table: [symbols: string, line: string, wanted: string][] = [
    [x86, ' [<#001210>] 0x#001210', ' [<#001210>] guilty_one+0x10/0x100'],
    [x86, ' [<#001210>] ? 0x#001210', ' [<#001210>] ? guilty_one+0x10/0x100'],
    [x86, ' [<#001210>]', ' [<#001210>] guilty_one+0x10/0x100'],
    [x86, ' [<#001210>] ?', ' [<#001210>] ? guilty_one+0x10/0x100'],
    [x86, '[   12.000001]  ? 0x#001310', '[   12.000001]  ? caller_two+0x10/0x100 (0x#001310)'],
    [x86, '<4>[    1.5][  T12]  0x#001310', '<4>[    1.5][  T12]  caller_two+0x10/0x100 (0x#001310)'],
    [x86, 'RIP: 0010:0x#001200', 'RIP: 0010:guilty_one+0x0/0x100 (0x#001200)'],
    [x86, 'RIP: 0010:[<#001200>]', 'RIP: 0010:[<#001200>] guilty_one+0x0/0x100'],
    [x86, 'RIP: 0010:[<#001210>]  [<#001210>] 0x#001210', 'RIP: 0010:[<#001210>]  [<#001210>] guilty_one+0x10/0x100'],
    [x86, 'IP: [<#001210>] 0x#001210', 'IP: [<#001210>] guilty_one+0x10/0x100'],
    // The last thing that dies_last does is to call what never returns.
    [x86, ' 0x#001420', ' dies_last+0x20/0x20 (0x#001420)'],
    // Named already, hidden, a program's, data, of a module, and no frame at all.
    [x86, ' [<#001210>] guilty_one+0x10/0x100', ' [<#001210>] guilty_one+0x10/0x100'],
    [x86, 'RIP: 0010:guilty_one+0x10/0x100', 'RIP: 0010:guilty_one+0x10/0x100'],
    [x86, 'RIP: 0010:[<#001210>] guilty_one+0x10/0x100', 'RIP: 0010:[<#001210>] guilty_one+0x10/0x100'],
    [x86, ' [<0000000000000000>]', ' [<0000000000000000>]'],
    [x86, ' [<00000000c0ffee12>]', ' [<00000000c0ffee12>]'],
    [x86, 'RIP: 0033:0x7f0123456789', 'RIP: 0033:0x7f0123456789'],
    [x86, 'BUG: unable to handle page fault for address: ffffffff81001210', 'BUG: unable to handle page fault for address: #001210'],
    [x86, 'RAX: #001210 RBX: #001210', 'RAX: #001210 RBX: #001210'],
    [arm, 'PC is at 0xc0101210', 'PC is at guilty_one+0x10/0x100 (0xc0101210)'],
    [arm, 'LR is at 0xc0101310', 'LR is at caller_two+0x10/0x100 (0xc0101310)'],
    [arm, 'pc : [<c0101210>]    lr : [<c0101310>]    psr: 600f0013', 'pc : [<c0101210>] guilty_one+0x10/0x100    lr : [<c0101310>] caller_two+0x10/0x100    psr: 600f0013'],
    [arm, '[<c0101210>] (0xc0101210) from [<c0101310>] (0xc0101310)', '[<c0101210>] (guilty_one) from [<c0101310>] (caller_two+0x10/0x100)'],
    [arm, 'Function entered at [<c0101210>] from [<c0101310>]', '[<c0101210>] (guilty_one) from [<c0101310>] (caller_two+0x10/0x100)'],
    [arm, ' 0xc0101210 from 0xc0101310', ' guilty_one from caller_two+0x10/0x100'],
    [arm64, 'pc : 0xffff800008081210', 'pc : guilty_one+0x10/0x100 (0xffff800008081210)'],
    [arm64, 'lr : 0xffff800008081310', 'lr : caller_two+0x10/0x100 (0xffff800008081310)'],
    [arm64, 'pc : [<ffff800008081210>] lr : [<ffff800008081310>] pstate: 60000145', 'pc : [<ffff800008081210>] guilty_one+0x10/0x100 lr : [<ffff800008081310>] caller_two+0x10/0x100 pstate: 60000145'],
    [arm64, ' 0xffff800008081310', ' caller_two+0x10/0x100 (0xffff800008081310)'],
  ] // prettier-ignore
  for (const [symbols, line, wanted] of table)
    t.same(linesOf(named(t, symbols, [line])), [wanted.replaceAll('ffffffff81', '#')], line)
  // ARM says it by name and by number: one is enough.
  t.same(
    linesOf(named(t, arm, ['PC is at 0xc0101210', 'pc : [<c0101210>]    lr : [<c0101310>]'])),
    ['PC is at guilty_one+0x10/0x100 (0xc0101210)', 'pc : [<c0101210>]    lr : [<c0101310>]'],
  )
})

t.test('a report gets its title and fingerprint', async t => {
  const reports: [symbols: string, lines: string[]][] = [
    [x86, ['BUG: unable to handle kernel NULL pointer dereference at 0000000000000010', 'IP: [<#001210>] 0x#001210', 'RIP: 0010:[<#001210>]  [<#001210>] 0x#001210', 'Call Trace:', ' [<#001310>] ? 0x#001310', ' [<#001410>] 0x#001410']],
    [arm, ['Unable to handle kernel NULL pointer dereference at virtual address 00000010', 'PC is at 0xc0101210', 'LR is at 0xc0101310', 'pc : [<c0101210>]    lr : [<c0101310>]    psr: 600f0013', 'Function entered at [<c0101210>] from [<c0101310>]', 'Function entered at [<c0101310>] from [<c0101410>]']],
    [arm64, ['Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010', 'pc : 0xffff800008081210', 'lr : 0xffff800008081310', 'Call trace:', ' 0xffff800008081210', ' 0xffff800008081310']],
  ] // prettier-ignore
  for (const [symbols, lines] of reports) {
    const { text } = named(t, symbols, lines)
    const before = diagnose(Buffer.from(lines.join('\n')))
    const { title, fingerprint } = diagnose(text)
    t.equal(before.title, 'BUG: unable to handle kernel NULL pointer dereference')
    t.equal(title, 'BUG: unable to handle kernel NULL pointer dereference in guilty_one')
    t.match(fingerprint, /^[\da-f]{40}$/)
    t.equal(before.fingerprint, null)
  }
})

t.test('a kernel that was moved', async t => {
  const moved = [
    'RIP: 0010:0xffffffff9b001210',
    ' 0xffffffff9b001310',
    ' 0xffffffffc0a01310',
    'Kernel Offset: 0x1a000000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)',
  ]
  const wanted = [
    'RIP: 0010:guilty_one+0x10/0x100 (0xffffffff9b001210)',
    ' caller_two+0x10/0x100 (0xffffffff9b001310)',
    ...moved.slice(2),
  ]
  const shifted = x86.replace(/#(?=\d{6} )/g, 'ffffffff9b')
  const elsewhere = x86.replace(/#(?=\d{6} )/g, 'ffffffff8d')
  for (const [symbols, what] of [
    [x86, 'a System.map'],
    [shifted, "that boot's kallsyms"],
    [elsewhere, "another boot's"],
  ] as const)
    t.same(
      { ...named(t, symbols, moved), text: named(t, symbols, moved).text.toString() },
      { text: wanted.join('\n'), count: 2, doubt: null },
      what,
    )
  // arm64's image begins a little behind where it is linked.
  const far = ['pc : 0xffffa00010081210', 'Kernel Offset: 0x200008000000 from 0xffff800008000000']
  t.match(named(t, arm64, far), { count: 1, text: /guilty_one\+0x10/ })
  t.match(named(t, x86, ['RIP: 0010:0x#001210', 'Kernel Offset: disabled']), {
    count: 1,
    doubt: null,
  })

  const silent = named(t, x86, moved.slice(0, 2))
  t.match(silent, {
    count: 0,
    doubt: /^the symbols are of another kernel, or this one was moved \(KASLR\)/,
  })
  t.equal(silent.text.toString(), moved.slice(0, 2).join('\n'))
  t.match(named(t, x86, ['RIP: 0010:0x#001210']), {
    count: 1,
    doubt: /^the log has no Kernel Offset/,
  })
  t.match(named(t, arm, ['PC is at 0xc0101210']), { count: 1, doubt: null }, '32 bits')
  t.match(named(t, arm, ['PC is at 0xc0901210']), {
    count: 0,
    doubt: /of another kernel; addresses/,
  })
  t.match(named(t, x86, ['nothing']), { count: 0, doubt: null })
})

t.test("the log's own names tell whether the symbols are right", async t => {
  const report = (name: string): string[] => [
    ` [<#001310>] ${name}+0x10/0x100`,
    ' [<#001210>] 0x#001210',
  ]
  t.match(named(t, x86, report('caller_two')), { count: 1, doubt: null })
  t.match(named(t, x86, report('caller_two.isra.0')), { count: 1, doubt: null })
  t.match(named(t, x86, report('other')), { count: 0, doubt: /of another kernel/ })
})

t.test('lines that no kernel prints', async t => {
  const lines = [`${'RIP: 0010:'.repeat(99)}0x#001210`, '[<#001210>] '.repeat(45), '', ' ', 'pc : ']
  t.same(linesOf(named(t, x86, lines)), [
    `${'RIP: 0010:'.repeat(99)}guilty_one+0x10/0x100 (0x#001210)`,
    ...lines.slice(1),
  ])
  const long = `${'x'.repeat(2000)} 0x#001210`
  t.same(linesOf(named(t, x86, [long])), [long], 'a line that is longer than any')
})
