/** What a zone keeps of a terminal's bytes, however they are cut. */
import t from 'tap'
import { stamper, stripper, timestamp, type Filter } from '#src/frontends/tty/filters.js'
import { randomFor, type Random } from '../../random.js'

/** Feed a text in random pieces. */
const inPieces = (transform: Filter, bytes: Buffer, random: Random): Buffer => {
  const kept: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const n = random.below(4)
    kept.push(Buffer.from(transform(bytes.subarray(at, at + n))))
    at += n
  }
  return Buffer.concat(kept)
}

const stripped: [string, string][] = [
  ['plain\ttext\r\n', 'plain\ttext\r\n'],
  ['\x1b[31mred\x1b[0m \x1b[1;38:2::1:2:3mmore\x1b[m', 'red more'],
  ['\x1b[?2004h$ \x1b[?2004l\r\n', '$ \r\n'],
  ['\x1b]0;title\x07text', 'text'],
  ['\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\', 'link'],
  ['\x1bP0;1q#0~~\x1b\\pixels', 'pixels'],
  ['\x1b(B\x1b)0\x1b#8\x1b=\x1b>\x1bM\x1b7text\x1b8', 'text'],
  ['\x1b([B', 'B'],
  ['\x1b\x1b[1mtwice', 'twice'],
  ['\x1b[12\x1b[3mbegun anew', 'begun anew'],
  ['\x1b[12\x18cancelled', 'cancelled'],
  ['\x1b[1\n2mobeyed in the middle', '\nobeyed in the middle'],
  ['\x1b]0;never ended\nthe last words', '\nthe last words'],
  ['\x1b]0;one\x1b]0;two\x07text', 'text'],
  ['\x1b[3mgrün \x1b[0m✓', 'grün ✓'],
  ['\x1b[3✓', '✓'],
  ['text\x1b[3', 'text'],
]

t.test('escape sequences are dropped, text is not', async t => {
  const random = randomFor(t)
  for (const [from, to] of stripped) {
    t.equal(stripper()(Buffer.from(from)).toString(), to, JSON.stringify(from))
    const pieces = inPieces(stripper(), Buffer.from(from), random)
    t.equal(pieces.toString(), to, 'in pieces')
  }
})

t.test('any bytes: nothing is added, and pieces make no difference', async t => {
  const random = randomFor(t)
  const likely = Buffer.from('\x1b\x1b[];?0m\\PX\x07\x18\n\r é')
  for (let round = 0; round < 2000; round++) {
    const bytes = random.bytes(random.below(60))
    for (let i = 0; i < bytes.length; i++)
      if (random.below(3)) bytes[i] = likely[random.below(likely.length)]
    const kept = stripper()(Buffer.from(bytes))
    const pieces = inPieces(stripper(), bytes, random)
    if (!kept.equals(pieces)) t.fail(`${bytes.toString('hex')}: in pieces`)
    if (kept.includes(0x1b)) t.fail(`${bytes.toString('hex')}: an escape is left`)
    const lines = (text: Buffer): number => text.filter(byte => byte === 0x0a).length
    if (lines(kept) !== lines(bytes)) t.fail(`${bytes.toString('hex')}: a line is gone`)
    let at = 0
    for (const byte of kept) {
      at = bytes.indexOf(byte, at) + 1
      if (at === 0) t.fail(`${bytes.toString('hex')}: something was added`)
    }
  }
})

t.test('times stand before lines', async t => {
  t.equal(timestamp(1_234_567n), '[    1.234567] ')
  t.equal(timestamp(123_456_000_001n), '[123456.000001] ')
  let now = 0n
  const stamp = stamper(() => (now += 1_000_000n))
  const kept = ['one\ntwo', ' goes on', '\n', '', '\nafter an empty one\r\n']
    .map(text => stamp(Buffer.from(text)).toString())
    .join('')
  t.equal(
    kept,
    '[    1.000000] one\n[    1.000000] two goes on\n' +
      '[    4.000000] \n[    4.000000] after an empty one\r\n',
  )
})
