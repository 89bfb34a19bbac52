/** zstd's frames: those of its library, small ones made by hand, and what is left of broken ones. */
import t, { type Test } from 'tap'
import type { Walk } from '#src/pstore/codecs/codec.js'
import { zstd } from '#src/pstore/codecs/zstd/index.js'
import { randomFor, type Random } from '../../random.js'
import { zstdLibrary } from '../../zstd-library.js'
import { log, samples } from './zstd-samples.js'

const walk = (stream: Buffer, limit = 1 << 20): Walk => zstd.walk(stream, limit)!

t.test('frames of the library', async t => {
  for (const { name, text, stream } of samples) {
    const { text: found, breaks } = walk(stream)
    t.equal(breaks, null, name)
    t.ok(found.all().equals(text), name)
    t.equal(walk(stream, text.length).breaks, null, 'a limit of just that')
    const behind = Buffer.concat([stream, Buffer.from('behind')])
    t.equal(walk(behind).breaks, null, 'what follows is ignored')
    t.equal(zstdLibrary?.decompress(behind, 1 << 20)?.equals(text) ?? true, true)
  }
})

t.test('a frame that is cut short gives the text of whole blocks', async t => {
  for (const { name, text, stream } of samples)
    for (let length = 4; length < stream.length; length++) {
      const { text: found, breaks } = walk(stream.subarray(0, length))
      if (breaks !== length) t.equal(breaks, length, `${name}: cut at ${length}`)
      if (!text.subarray(0, found.length).equals(found.all())) t.fail(`${name}: cut at ${length}`)
    }
})

t.test('no more than the limit', async t => {
  for (const { name, text, stream } of samples)
    for (const limit of [0, 1, 13, 100, text.length - 1]) {
      if (limit < 0 || limit >= text.length) continue
      const { text: found, breaks } = walk(stream, limit)
      t.ok(breaks !== null && breaks < stream.length, `${name}: breaks at ${breaks}`)
      t.ok(found.all().equals(text.subarray(0, limit)), `${name}: ${found.length} of ${limit}`)
    }
})

t.test('a byte that is wrong, anywhere', async t => {
  for (const { name, stream } of samples)
    for (let at = 4; at < stream.length; at++)
      for (const flip of [1 << (at % 8), 128, 255]) {
        const wrong = Buffer.from(stream)
        wrong[at] ^= flip
        compare(t, `${name}: ${flip} at ${at}`, wrong, 200_000)
      }
})

/** What is sound to us is so to the library. (It lets bits be read from before a stream's start, which is damage.) */
const compare = (t: Test, name: string, stream: Buffer, limit: number): void => {
  const { text, breaks } = walk(stream, limit)
  if (breaks !== null && (breaks < 0 || breaks > stream.length)) t.fail(`${name}: ${breaks}`)
  if (text.length > limit) t.fail(`${name}: ${text.length} bytes`)
  if (breaks !== null || !zstdLibrary) return
  if (!zstdLibrary.decompress(stream, limit)?.equals(text.all())) t.fail(name)
}

/** Text that compresses in parts. */
const pieceOf = (random: Random): Buffer => {
  const piece = Buffer.alloc(random.pick([0, 1, 5, 40, 300, 3000, random.below(30_000)]))
  const spread = random.pick([1, 2, 5, 30, 256])
  const far = random.pick([0, 20, 1000])
  for (let i = 0; i < piece.length; i++)
    piece[i] =
      i > far && far && random.below(10) ? piece[i - random.between(1, far)] : random.below(spread)
  return piece
}

t.test('frames of the library, of any text', { skip: !zstdLibrary && 'no libzstd' }, async t => {
  const random = randomFor(t)
  for (let round = 0; round < 20; round++) {
    const pieces = Array.from({ length: random.between(1, 5) }, () => pieceOf(random))
    if (random.below(10) === 0) pieces.push(Buffer.alloc(400_000, log(round, 30)))
    const options = {
      level: random.pick([-5, 1, 3, 9]),
      checksum: random.below(2) === 0,
      sized: random.below(2) === 0,
      ...(random.below(2) ? { windowLog: random.between(10, 20) } : {}),
    }
    const text = Buffer.concat(pieces)
    const stream = zstdLibrary!.compress(pieces, options)
    const { text: found, breaks } = walk(stream, text.length)
    t.equal(breaks, null, `round ${round}`)
    t.ok(found.all().equals(text), `round ${round}: ${found.length} of ${text.length}`)
    for (let i = 0; i < 5; i++) {
      const wrong = Buffer.from(stream)
      wrong[random.between(4, wrong.length - 1)] ^= 1 << random.below(8)
      compare(t, `round ${round}`, wrong, text.length + 1000)
    }
  }
})

const magic = Buffer.of(0x28, 0xb5, 0x2f, 0xfd)
const [raw, repeated, compressed, reserved] = [0, 1, 2, 3]

/** A frame with a window of 1 KiB, and no checksum. */
const frame = (...blocks: Buffer[]): Buffer => Buffer.concat([magic, Buffer.of(0, 0), ...blocks])

const block = (type: number, size: number, bytes: number[], isLast = true): Buffer => {
  const word = (size << 3) | (type << 1) | Number(isLast)
  return Buffer.of(word & 255, (word >> 8) & 255, word >> 16, ...bytes)
}

/** A compressed block of these bytes. */
const sections = (...bytes: number[]): Buffer => block(compressed, bytes.length, bytes)

const abc = [97, 98, 99]
/** Three literals, as they are. */
const literals = [3 << 3, ...abc]

t.test('frames by hand', async t => {
  for (const [name, stream, text] of [
    ['a raw block', frame(block(raw, 3, abc)), 'abc'],
    ['two blocks', frame(block(raw, 3, abc, false), block(repeated, 4, [120])), 'abcxxxx'],
    ['literals alone', frame(sections(...literals, 0)), 'abc'],
    ['one literal again and again', frame(sections((5 << 3) | 1, 97, 0)), 'aaaaa'],
    ['12 bits of length', frame(sections((3 << 4) | 4, 0, ...abc, 0)), 'abc'],
    ['20 bits of length', frame(sections((3 << 4) | 12, 0, 0, ...abc, 0)), 'abc'],
    // One code of each kind: 3 literals, an offset of 2^2 + 2 - 3, and a match of 3.
    [
      'tables of one code, and of 0 bits',
      frame(sections(...literals, 1, 0b01010100, 3, 2, 0, 0b110)),
      'abcabc',
    ],
    ['nothing', Buffer.concat([magic, Buffer.of(0x20, 0), block(raw, 0, [])]), ''],
    [
      '8 bytes of length',
      Buffer.concat([magic, Buffer.of(0xe0, 3, 0, 0, 0, 0, 0, 0, 0), block(raw, 3, abc)]),
      'abc',
    ],
    [
      'a dictionary that is none',
      Buffer.concat([magic, Buffer.of(3, 0, 0, 0, 0, 0), block(raw, 3, abc)]),
      'abc',
    ],
  ] as const) {
    const { text: found, breaks } = walk(stream)
    t.same([found.all().toString(), breaks], [text, null], name)
    t.equal(String(zstdLibrary?.decompress(stream, 1000) ?? text), text, `${name}: the library`)
  }
})

t.test('what is none', async t => {
  /** A block's sections that break it; the frame's first block is at byte 6. */
  const broken: [string, number[]][] = [
    ['no sections', []],
    ['a length of literals that ends', [(3 << 4) | 12, 0]],
    ['more literals than bytes', [9 << 3, 97]],
    ['nothing to repeat', [(5 << 3) | 1]],
    ['no sequences’ count', literals],
    ['half a count', [...literals, 200]],
    ['half a long count', [...literals, 255, 1]],
    ['bytes behind no sequences', [...literals, 0, 0]],
    ['no modes', [...literals, 1]],
    ['a reserved mode', [...literals, 1, 1, 0x80]],
    ['no code for a table of one', [...literals, 1, 0b01010100]],
    ['a code that is none', [...literals, 1, 0b01010100, 36, 2, 0, 0b100]],
    ['a table of the block before the first', [...literals, 1, 0b11010100, 2, 0, 0b100]],
    ['offsets of the block before the first', [...literals, 1, 0b01110100, 3, 0, 0b100]],
    ['lengths of the block before the first', [...literals, 1, 0b01011100, 3, 2, 0b100]],
    ['no table where one is described', [...literals, 1, 0b10010100, 0xff]],
    ['no bits', [...literals, 1, 0b01010100, 3, 2, 0]],
    ['no bit that ends them', [...literals, 1, 0b01010100, 3, 2, 0, 0]],
    ['bits that are left', [...literals, 1, 0b01010100, 3, 2, 0, 0b1000]],
    ['more literals than there are', [...literals, 1, 0b01010100, 4, 2, 0, 0b100]],
    ['an offset beyond the text', [...literals, 1, 0b01010100, 3, 3, 0, 0b1000]],
    ['an offset of 0', [...literals, 1, 0b01010100, 0, 1, 0, 0b11]],
    ['a match of more than a block', [...literals, 1, 0b01010100, 3, 2, 52, 0xff, 0xff, 0b111]],
    ['a tree of the block before the first', [3, 0, 0, 0]],
    ['half a header', [2, 0]],
    ['more coded literals than bytes', [0x32, 0, 0xff, 0]],
    ['no tree', [0x32, 0, 0, 0]],
    ['a tree that is cut short', [0x32, 0x80, 0, 200, 0, 0]],
    ['weights of nothing', [0x32, 0x80, 0, 128, 0, 0]],
    ['a weight that is too great', [0x32, 0x80, 0, 128, 0xf0, 0]],
    ['weights of no tree', [0x32, 0xc0, 0, 130, 0x33, 0x10, 0]],
    ['weights by no table', [0x32, 0x80, 0, 1, 0xff, 0]],
    ['weights without end', [0x32, 0xc0, 0, 2, 0xf0, 0x03, 1]],
    ['weights without bits', [0x32, 0xc0, 0, 2, 0xf0, 0x03, 0]],
    ['four streams of five literals', [0x56, 0x00, 2, 128, 0x10, 0, 0, 0, 0, 0, 0, 0]],
    ['four streams without their lengths', [0x86, 0xc0, 0, 128, 0x10, 0]],
    ['four streams that are too long', [0x86, 0x40, 2, 128, 0x10, 255, 255, 0, 0, 0, 0, 0]],
  ]
  for (const [name, bytes] of broken) {
    const stream = frame(sections(...bytes), Buffer.alloc(8))
    t.equal(walk(stream).breaks, 6, name)
    t.equal(zstdLibrary?.decompress(stream, 1000) ?? null, null, `${name}: the library`)
  }
  for (const [name, stream, at] of [
    ['a bit that is kept for later', Buffer.concat([magic, Buffer.of(8, 0)]), 4],
    ['a dictionary', Buffer.concat([magic, Buffer.of(1, 0, 7), block(raw, 3, abc)]), 6],
    ['a block of no kind', frame(block(reserved, 0, [])), 6],
    ['a block that is too long', frame(block(repeated, (1 << 17) + 1, [97])), 6],
    ['another length', Buffer.concat([magic, Buffer.of(0x20, 4), block(raw, 3, abc)]), 5],
  ] as const) {
    const { breaks, mismatch } = walk(stream)
    t.same([breaks, mismatch], [at, false], name)
    t.equal(zstdLibrary?.decompress(stream, 1000) ?? null, null, `${name}: the library`)
  }
  const { stream } = samples.find(({ name }) => name === 'checksum')!
  const last = stream.length - 1
  stream[last] ^= 1
  t.match(walk(stream), { breaks: last, mismatch: true })
})

t.test('of a block whose literals are broken, the text before them', async t => {
  const { stream, text } = samples.find(({ name }) => name === 'many literals')!
  // Each of the four streams of literals ends with a byte that is not 0.
  let most = 0
  for (let at = 200; at < stream.length - 4; at++) {
    const wrong = Buffer.from(stream)
    wrong[at] = 0
    const { text: found, breaks } = walk(wrong)
    if (breaks === null || found.length === 0) continue
    most = Math.max(most, found.length)
    if (found.length % 350 === 0) t.ok(text.subarray(0, found.length).equals(found.all()))
  }
  t.ok(most >= 700, `${most} bytes`)
})

t.test('a window larger than any that pstore wrote', async t => {
  const blocks = Array.from({ length: 72 }, () => block(repeated, 1 << 17, [97], false))
  const before = Buffer.concat([magic, Buffer.of(0, 14 << 3), block(raw, 3, abc, false), ...blocks])
  /** Three bytes from so far back, of which the highest bit that is set is the 24th. */
  const far = (distance: number): Buffer => {
    const bits = distance + 3
    return sections(0, 1, 0b01010100, 0, 23, 0, bits & 255, (bits >> 8) & 255, bits >> 16)
  }
  const limit = 10 << 20
  const near = walk(Buffer.concat([before, far(8 << 20)]), limit)
  t.equal(near.breaks, null)
  t.equal(near.text.length, 3 + (9 << 20) + 3)
  t.equal(near.text.slice(0, 4).toString(), 'abca')
  t.equal(near.text.slice(near.text.length - 3, 9).toString(), 'aaa')
  t.equal(walk(Buffer.concat([before, far((8 << 20) + 1)]), limit).breaks, before.length)
  const huge = Buffer.concat([magic, Buffer.of(0, 0xb0), block(raw, 3, abc)])
  t.equal(walk(huge).breaks, 5, 'more than 2^32 bytes')
})

t.test('more sequences than two bytes can count', async t => {
  const count = 0x7f00 + 0x0103
  // Three tables of one state each, that take no bits: no literals, the offset before the last, and three bytes.
  const matches = sections(0, 255, 3, 1, 0x54, 0, 0, 0, 1)
  const title = log(6, 0)
  const stream = frame(block(raw, title.length, [...title], false), matches)
  const text = Buffer.concat([title, Buffer.alloc(3 * count)])
  for (let i = 0; i < 3 * count; i++) {
    const at = title.length + i
    text[at] = text[at - (Math.floor(i / 3) % 2 === 0 ? 4 : 1)]
  }
  const found = walk(stream)
  t.equal(found.breaks, null)
  t.ok(found.text.all().equals(text))
})
