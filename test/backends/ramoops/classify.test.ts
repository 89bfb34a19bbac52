/** What a zone's bytes are taken for. */
import t from 'tap'
import { classify, type ContentKind } from '#src/backends/ramoops/probe/classify.js'

/** An entry of Android's log: 'l', its length, who wrote it, one of eight logs, a time, and the text. */
const entry = (text: string, log = 0, length = 18 + text.length): Buffer => {
  const header = Buffer.alloc(18)
  header.write('l')
  header.writeUInt16LE(length, 1)
  header[7] = log
  return Buffer.concat([header, Buffer.from(text)])
}

const cases: [what: string, content: ContentKind, bytes: Buffer | string][] = [
  ['nothing', 'empty', ''],
  ['a dump, whatever is in it', 'dump', '====1700000000.123456-C\n\x01\x02\x03'],
  ["a console's text", 'stamped', '[    0.000000] Linux\n[    1.000000] init\n'],
  ['the same, its first line cut', 'stamped', 'nux\n[    1.000000] init\n[    1.100000] done\n'],
  ['with levels, as dmesg has it', 'stamped', '<6>[    0.000000] Linux\n'],
  ['a stamp here and there', 'text', 'a\nb\nc\n[    1.000000] d\ne\nf\n'],
  [
    "Android's log",
    'android',
    Buffer.concat([entry('\x04Tag\0one\0'), entry('\x04Tag\0two\0', 7)]),
  ],
  ['its last entry cut', 'android', entry('\x04Tag\0a long one\0').subarray(0, 25)],
  ['a log that Android has not', 'binary', entry('\x04Tag\0one\0', 8)],
  ['an entry of no length', 'binary', entry('\x04Tag\0one\0', 0, 3)],
  ['bytes', 'binary', Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
  ['a terminal’s output', 'terminal', '\x1b[1mbold\x1b[m\r\n'],
  ['text', 'text', 'one line\nand another\n'],
]

t.test('contents', async t => {
  for (const [what, content, bytes] of cases) t.equal(classify(Buffer.from(bytes)), content, what)
})
