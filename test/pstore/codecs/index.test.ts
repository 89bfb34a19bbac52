/** Which codec a stream is in: proven, likely or none; and what is said of a broken one. */
import zlib from 'node:zlib'
import t from 'tap'
import { codecNames, decompress, salvage } from '#src/pstore/codecs/index.js'
import { salvage as salvageDeflate } from '#src/pstore/codecs/deflate.js'
import { describeBroken, lookIntoStream } from '#src/pstore/condition.js'
import { store842 } from '../../model/e842.js'
import { storeLz4 } from '../../model/lz4.js'
import { storeLzo } from '../../model/lzo.js'
import { Random } from '../../random.js'
import { log, samples } from './zstd-samples.js'

const text = log(1, 12)
const untitled = text.subarray(3)
const limit = 3000

/** As kernels before 4.18 made them. */
const zlibStream = (bytes: Buffer): Buffer =>
  zlib.deflateSync(bytes, { level: 6, windowBits: 12, memLevel: 4 })
const zstdStream = samples.find(({ name }) => name === 'log')!.stream

/** A raw deflate stream that inflates to no dump. */
const plain = zlib.deflateRawSync(untitled)

t.test('sound streams', async t => {
  t.same(codecNames, ['deflate', 'zlib', 'zstd', 'lz4', 'lzo', '842'])
  for (const [codec, stream, expected] of [
    ['deflate', zlib.deflateRawSync(text), text],
    ['deflate', plain, untitled],
    ['zlib', zlibStream(text), text],
    ['zlib', zlibStream(untitled), untitled],
    ['zstd', zstdStream, text],
    ['lz4', storeLz4(text), text],
    ['lzo', storeLzo(text), text],
    ['842', store842(text), text],
    ['842', store842(untitled), untitled],
  ] as const) {
    const found = salvage(stream, limit)
    t.same([found.codec, found.breaks, found.mismatch], [codec, null, false])
    t.ok(found.text.all().equals(expected), codec)
    t.ok(decompress(stream, limit)!.all().equals(expected), codec)
    t.equal(decompress(stream, expected.length - 1), null, 'too long')
    t.same(lookIntoStream(stream, limit), { codec, text: expected.length, broken: null })
  }
})

/** Bytes with one of them changed. */
const withByte = (bytes: Buffer, at: number, byte: number): Buffer =>
  Buffer.concat([bytes.subarray(0, at), Buffer.of(byte), bytes.subarray(at + 1)])

t.test('a proven codec beats what deflate makes of its bytes', async t => {
  const hello = Buffer.from('Panic#1 Part1\nhello')
  const oops = Buffer.from(`Oops#3 Part1\n${'x'.repeat(29)}`)
  // zlib's header and this length make a stored block of 257 bytes, and what follows that is a last one of nothing.
  const long = Buffer.alloc(0xfefe, 'text ')
  Buffer.of(3, 0).copy(long, 255)
  for (const [codec, stream, expected] of [
    // Nothing reads the lower half of the last token: to deflate, a last block with fixed codes.
    ['lz4', withByte(storeLz4(hello), 0, 0xf3), hello],
    ['lzo', Buffer.concat([Buffer.of(17 + oops.length), oops, Buffer.of(0x11, 0, 0)]), oops],
    ['zlib', zlib.deflateSync(long, { level: 0 }), long],
  ] as const) {
    const most = 0xffff
    const asDeflate = salvageDeflate(stream, most)
    t.equal(asDeflate.breaks, null, `${codec}: it is a deflate stream, too`)
    t.notOk(asDeflate.text.all().equals(expected))
    const found = salvage(stream, most)
    t.equal(found.codec, codec)
    t.ok(found.text.all().equals(expected))
  }
})

t.test('what is proven by nothing is what deflate makes of it', async t => {
  const untold = Buffer.from('Panic 1 Part1\nhello')
  t.equal(salvage(storeLz4(untold), limit).codec, null)
  const found = salvage(withByte(storeLz4(untold), 0, 0xf3), limit)
  t.same([found.codec, found.breaks], ['deflate', null])
})

t.test('842 streams of random bytes', async t => {
  const random = new Random(1)
  for (let round = 0; round < 300; round++) {
    const dump = Buffer.concat([Buffer.from('Panic#1 Part1\n'), random.bytes(random.below(300))])
    const stream = store842(dump)
    const { codec, text: found } = salvage(stream, limit)
    if (codec !== '842' || !found.all().equals(dump)) t.fail(`round ${round}: ${codec}`)
  }
})

t.test('broken streams', async t => {
  const wrongSum = zlibStream(text)
  wrongSum[wrongSum.length - 1] ^= 1
  const deflated = zlib.deflateRawSync(text)
  for (const [stream, codec, words] of [
    [
      zlibStream(text).subarray(0, 200),
      'zlib',
      /^the zlib stream is cut short: \d+ bytes of text /,
    ],
    [zlibStream(untitled).subarray(0, 200), 'zlib', /^the zlib stream is cut short: /],
    [zstdStream.subarray(0, 200), 'zstd', /^the zstd stream is cut short$/],
    [storeLz4(text).subarray(0, 200), 'lz4', /^the lz4 stream is cut short: 196 bytes of text /],
    [storeLzo(text).subarray(0, 200), 'lzo', /^the lzo stream is cut short: 196 bytes of text /],
    [store842(text).subarray(0, 200), '842', /^the 842 stream is cut short: 1\d\d bytes of text /],
    [deflated.subarray(0, 200), 'deflate', /^the deflate stream is cut short: \d+ bytes of text /],
    [wrongSum, 'zlib', /^the zlib stream's checksum .* 552 bytes of text/],
    [
      plain.subarray(0, 200),
      null,
      /^it is no deflate, zlib, zstd, lz4, lzo or 842 stream: .* it is cut short: \d+ bytes/,
    ],
    [Buffer.from('Panic#1 Part1\n'), null, /^it is no deflate, .* it breaks at byte \d of 14/],
    [Buffer.alloc(0), null, /^it is no deflate, .* it is cut short$/],
  ] as const) {
    const found = lookIntoStream(stream, limit)
    t.equal(found.codec, codec)
    t.equal(found.text, null)
    t.match(describeBroken(found.codec, found.broken!), words)
    t.equal(decompress(stream, limit), null)
    t.equal(salvage(stream, limit).text.length, found.broken!.salvaged)
  }
})

t.test('zlib is known by its header', async t => {
  const stream = zlibStream(text)
  for (const [cmf, flags] of [
    [0x48, 0x88],
    [0x49, 0x89],
    [0x88, 0x1c],
    [0x48, 0x20 | 0x8b],
    [0x78, 0xbb],
  ]) {
    const other = Buffer.concat([Buffer.of(cmf, flags), stream.subarray(2)])
    t.equal(salvage(other, limit).codec, null, `${cmf} ${flags}`)
  }
  t.equal(salvage(Buffer.of(0x48), limit).codec, null)
})
