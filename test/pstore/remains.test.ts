/** What bytes hold that no header tells of (doc/formats.md 1.10). */
import t from 'tap'
import { endOfPlain, findText, isTrace, withoutFiller } from '#src/pstore/remains.js'
import { textIn, tracesIn } from '../model/remains.js'
import { randomFor, type Random } from '../random.js'

const log = (length: number): Buffer =>
  Buffer.from(
    Array.from(
      { length: Math.ceil(length / 20) },
      (_, n) => `[${String(n).padStart(5)}.000000] unit ${n}: ok\n`,
    ).join(''),
  ).subarray(0, length)

t.test('texts, and what is none', async t => {
  const random = randomFor(t)
  const noise = random.bytes(8192)
  const zeros = Buffer.alloc(4096)
  const found = (bytes: Buffer, hasLines = true): [number, number] | null => {
    const text = findText(bytes, hasLines)
    return text && [text.from, text.to]
  }
  const strings = Buffer.from('memcpy_fast_path\0'.repeat(100))
  for (const [what, bytes, wanted] of [
    ['nothing', Buffer.alloc(0), null],
    ['zeros', zeros, null],
    ['erased flash', Buffer.alloc(4096, 0xff), null],
    ['a pattern', Buffer.alloc(4096, 'Z'), null],
    ['noise', noise, null],
    ['a text', log(1000), [0, 1000]],
    ['the least', Buffer.from('sixteen letters!'), [0, 16]],
    ['less', Buffer.from('fifteen letters'), null],
    ['a text, then zeros', Buffer.concat([log(300), zeros]), [0, 300]],
    ['zeros, then a text', Buffer.concat([zeros, log(300)]), [4096, 4396]],
    [
      'in UTF-8',
      Buffer.from('Ünïcödé, 日本語のテキスト, 😀😀😀\n'),
      [0, Buffer.byteLength('Ünïcödé, 日本語のテキスト, 😀😀😀\n')],
    ],
    ['broken UTF-8', Buffer.from('c3c3c3c3c3e282e282f09f98c0f5'.repeat(20), 'hex'), null],
    ['the strings of a program', strings, null],
  ] as const)
    t.same(found(bytes), wanted, what)
  const [from, to] = found(Buffer.concat([log(1024), noise]))!
  t.same([from, to >= 1024 && to < 1300], [0, true], 'in front of much noise')
  t.equal(found(Buffer.concat([noise, log(1024)])), null, 'a little, behind it')
  t.ok(found(Buffer.concat([noise, log(16384)])), 'much, behind it')
  t.ok(found(strings, false), 'where no lines are needed')
})

t.test('records of ftrace, and what is none', async t => {
  const random = randomFor(t)
  const records = (size: number, word: 4 | 8): Buffer => {
    const bytes = Buffer.alloc(40 * size)
    for (let at = 0, time = 1_000_000_000; at < bytes.length; at += size) {
      for (const part of [0, word]) {
        bytes.writeUInt32LE((0x81000000 + random.below(1e6)) >>> 0, at + part)
        if (word === 8) bytes.writeInt32LE(-1, at + part + 4)
      }
      bytes.writeUInt32LE((time += random.below(1000)), at + 2 * word)
    }
    return bytes
  }
  t.ok(isTrace(records(24, 8)))
  t.ok(isTrace(records(16, 4)))
  t.ok(isTrace(records(12, 4)))
  const pointers = Buffer.alloc(1024)
  for (let at = 0; at < 1024; at += 8)
    pointers.writeBigInt64LE(-0x80000000n + BigInt(random.below(1e6)), at)
  for (const [what, bytes] of [
    ['nothing', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(4096)],
    ['erased flash', Buffer.alloc(4096, 0xff)],
    ['noise', random.bytes(4096)],
    ['text', log(4096)],
    ['pointers', pointers],
    ['two records', records(24, 8).subarray(0, 40)],
  ] as const)
    t.notOk(isTrace(bytes), what)
})

t.test('ends', async t => {
  t.equal(endOfPlain(Buffer.from('text\0more')), 4)
  t.equal(endOfPlain(Buffer.from('text')), 4)
  t.equal(withoutFiller(Buffer.from('00610000ff', 'hex')), 2)
  t.equal(withoutFiller(Buffer.alloc(3)), 0)
})

/** Pieces of all kinds. */
const patchwork = (random: Random): Buffer =>
  Buffer.concat(
    Array.from({ length: random.between(0, 6) }, () => {
      const length = random.pick([1, 7, 8, 100, 256, 1000])
      return random.pick([
        () => log(length),
        () => random.bytes(length),
        () => Buffer.alloc(length, random.pick([0, 0xff, 0x5a])),
        () => Buffer.from('Ünï, 日本 '.repeat(20)).subarray(random.below(9), length),
      ])()
    }),
  )

t.test('a second reading finds the same', async t => {
  const random = randomFor(t)
  for (let round = 0; round < 500; round++) {
    const bytes = patchwork(random)
    for (const hasLines of [true, false])
      t.strictSame(findText(bytes, hasLines), textIn(bytes, hasLines))
    t.equal(isTrace(bytes), tracesIn(bytes))
  }
})
