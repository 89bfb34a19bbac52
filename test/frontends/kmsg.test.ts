/** /dev/kmsg's records as the kernel's console prints them. */
import t from 'tap'
import { KernelConsole, parseMessage } from '#src/frontends/kmsg.js'
import { randomFor } from '../random.js'

/** What the console prints for some records. */
const print = (records: string[], loglevel = 8, first: bigint | null = null): string => {
  const lines = new KernelConsole(loglevel, first)
  const printed = records.map(record => {
    const message = parseMessage(Buffer.from(record, 'latin1'))
    return message ? lines.print(message).toString('latin1') : '(no record)'
  })
  return printed.join('') + lines.end().toString()
}

t.test('one record', async t => {
  for (const [record, text] of [
    ['6,339,5140900,-;NET: Registered protocol family 10\n', '[    5.140900] NET: Reg'],
    // A dictionary follows, with a line for each of its values.
    [
      '6,0,0,-;pci_root PNP0A03:00: host bridge\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n',
      '[    0.000000] pci_root PNP0A03:00: host bridge\n',
    ],
    ['30,1,123456789012345,-;any facility\n', '[123456789.012345] any facility\n'],
    // Escapes: what is no printable ASCII, and the backslash.
    [
      '4,1,1000000,-;tab\\x09gr\\xc3\\xbcn \\x5c \\x5cx41\n',
      '[    1.000000] tab\tgr\xc3\xbcn \\ \\x41\n',
    ],
    ['4,1,1000000,-;no \\xg0 \\x1 escapes \\x\n', '[    1.000000] no \\xg0 \\x1 escapes \\x\n'],
    // Each line of a message has its time.
    [
      '4,1,1000001,-;one\\x0atwo\\x0a\n',
      '[    1.000001] one\n[    1.000001] two\n[    1.000001] \n',
    ],
    ['4,1,1,-;a; semicolon; or two\n', '[    0.000001] a; semicolon; or two\n'],
    ['4,1,1,-;\n', '[    0.000001] \n'],
    // With CONFIG_PRINTK_CALLER, and what later kernels may add.
    ['4,1,1,-,caller=T1;text\n', '[    0.000001][    T1] text\n'],
    ['4,1,1,-,more=5,caller=C12345;text\n', '[    0.000001][C12345] text\n'],
    ['4,1,1,-,more=5;text\n', '[    0.000001] text\n'],
  ] as const)
    t.ok(print([record]).startsWith(text), JSON.stringify(print([record])))
  for (const record of ['', ';', 'text', '4,1;text', '4,1,1;text', '-1,1,1,-;text', 'x,1,1,-;text'])
    t.equal(print([record]), '(no record)', record)
})

t.test('continuation lines', async t => {
  // Kernels before 4.10 tell which pieces belong to one line.
  const old = [
    '6,1,1000000,c;one',
    '6,2,1000100,+; two',
    '6,3,1000200,+; three',
    '6,4,2000000,-;next',
  ]
  t.equal(print(old), '[    1.000000] one two three\n[    2.000000] next\n')
  t.equal(print(old.slice(0, 2)), '[    1.000000] one two\n')
  t.equal(
    print([old[2], old[3]]),
    '[    1.000200]  three\n[    2.000000] next\n',
    'without its start',
  )
  // Later ones merge pieces themselves, and print what could not be merged as lines.
  const later = ['6,1,1000000,-;one', '6,2,1000100,c;two', '6,3,1000200,c;three']
  t.equal(print(later), '[    1.000000] one\n[    1.000100] two\n[    1.000200] three\n')
})

t.test('levels', async t => {
  const records = [0, 3, 4, 7].map((level, i) => `${8 + level},${i},0,-;level ${level}\n`)
  t.equal(print(records, 4, 0n), '[    0.000000] level 0\n[    0.000000] level 3\n')
  t.notMatch(print(records, 4), /level 4/)
  t.match(print(records, 8), /level 7/)
  t.equal(print(records, 0), '')
})

t.test('messages that were lost', async t => {
  const [a, b] = ['6,7,0,-;seven\n', '6,19,0,-;nineteen\n']
  t.equal(
    print([a, b]),
    '[    0.000000] seven\n** 11 printk messages dropped **\n[    0.000000] nineteen\n',
  )
  t.match(print([a], 8, 0n), /^\*\* 7 printk messages dropped \*\*\n/)
  t.match(print(['6,7,0,c;piece', b]), /piece\n\*\* 11 printk messages dropped \*\*\n/)
  t.equal(print([b, a]), '[    0.000000] nineteen\n[    0.000000] seven\n', 'numbers that go back')
})

t.test('any bytes', async t => {
  const random = randomFor(t)
  const likely = Buffer.from('0123456789,;-c+\\xa\n =')
  for (let round = 0; round < 5000; round++) {
    const record = random.bytes(random.below(80))
    for (let i = 0; i < record.length; i++)
      if (random.below(4)) record[i] = likely[random.below(likely.length)]
    const bytes = Buffer.concat([Buffer.from(random.below(2) ? '6,1,1,-;' : ''), record])
    const message = parseMessage(bytes)
    if (!message) continue
    const printed = new KernelConsole(8, null).print(message)
    if (!printed.includes(message.text.subarray(0, Math.max(0, message.text.indexOf(10)))))
      t.fail(`${bytes.toString('hex')}: the text is not there`)
    if (message.text.length > bytes.length) t.fail(`${bytes.toString('hex')}: it grew`)
  }
})
