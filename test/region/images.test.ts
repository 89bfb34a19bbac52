/** Regions in compressed files, as they are read. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { openRegion } from '#src/backends/module.js'
import { attach, probeSource } from '#src/index.js'
import { mostBytes, Temporary } from '#src/native/temporary.js'
import { Region } from '#src/region/region.js'
import { openContent } from '#src/region/images/index.js'
import { makeBlob } from '../backends/ramoops/blob.js'
import { loadFixture } from '../fixtures.js'
import { file, folder } from '../program.js'
import { foreignSamples } from './foreign-samples.js'

const K = 1024
const text = Buffer.from('hello, region\n'.repeat(5000))
const { gzipSync } = zlib

const open = (t: Test, bytes: Uint8Array, options = {}): Region => {
  const region = new Region(file(t, bytes, 'x.gz'), options)
  t.teardown(() => region.close())
  return region
}

/** Bytes that compress, but not to nothing: a program's. */
const someCode = (length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  const fd = fs.openSync(process.execPath, 'r')
  fs.readSync(fd, bytes, 0, length, 2 ** 24)
  fs.closeSync(fd)
  return bytes
}

const all = (region: Region): Buffer => region.load(0, region.length)

t.test('gzip, in one member or several', async t => {
  for (const [what, bytes] of [
    ['one', gzipSync(text)],
    [
      'three',
      Buffer.concat([gzipSync(text.subarray(0, 10)), gzipSync(''), gzipSync(text.subarray(10))]),
    ],
    ['zeros behind', Buffer.concat([gzipSync(text), Buffer.alloc(300 * K)])],
    ['zeros between', Buffer.concat([gzipSync(''), Buffer.alloc(512), gzipSync(text)])],
  ] as const) {
    const region = open(t, bytes)
    t.ok(all(region).equals(text), what)
    t.same(region.doubts, [], what)
    t.ok(region.readOnly)
    t.equal(region.kind, 'gzip')
    t.throws(() => region.store(0, Buffer.of(1)), { code: 'EROFS', message: /unpack it to write/ })
    region.checkSize()
  }
  const part = open(t, gzipSync(text), { offset: 100, length: 50 })
  t.same(all(part), text.subarray(100, 150))
  t.throws(() => open(t, gzipSync(text), { offset: text.length }), /is past its end/)
  t.throws(() => open(t, gzipSync('')), /is empty/)
})

t.test('what is cut short or damaged is read up to there', async t => {
  const whole = gzipSync(text)
  const noise = gzipSync(someCode(300_000))
  const wrongSum = Buffer.from(whole)
  wrongSum[whole.length - 8] ^= 1
  const broken = Buffer.from(noise)
  broken.fill(0xff, noise.length / 2, noise.length / 2 + 99)
  for (const [bytes, says] of [
    [
      whole.subarray(0, -4),
      /^gzip: its stream ends early: only what came before, 70000 bytes, is shown$/,
    ],
    [wrongSum, /^gzip: its stream breaks at byte \d+ \(incorrect data check\): only/],
    [broken, /^gzip: its stream breaks at byte \d+ \(.*\): only what came before, \d+ bytes/],
    [Buffer.concat([whole, Buffer.from('garbage')]), /^gzip: ends at byte \d+: other bytes follow/],
  ] as const) {
    const region = open(t, bytes)
    t.match(region.doubts, [says])
    t.equal(region.doubts.length, 1)
    t.ok(region.length > 60_000)
  }
  for (const bytes of [
    whole.subarray(0, 12),
    Buffer.concat([whole.subarray(0, 10), Buffer.alloc(99, 0xff)]),
  ])
    t.throws(() => open(t, bytes), /x\.gz: is a gzip file of which nothing can be unpacked: gzip: /)
})

t.test('zeros stay holes, and a file is unpacked once for all who open it in a turn', async t => {
  const M = 2 ** 20
  const bytes = Buffer.alloc(8 * M)
  text.copy(bytes, 3 * M)
  const source = file(t, gzipSync(bytes), 'x.gz')
  let told = 0
  const progress = (): void => void told++
  const first = new Region(source, { progress })
  t.ok(told > 0)
  t.same(first.nextData(0), { from: 3 * M, to: 3 * M + 128 * K })
  t.equal(first.nextData(4 * M), null)
  first.close()
  told = 0
  const second = new Region(source, { progress })
  t.equal(told, 0, 'once')
  await new Promise(resolve => setImmediate(resolve))
  t.ok(all(second).equals(bytes), 'it stays as long as somebody has it')
  second.close()
  await new Promise(resolve => setImmediate(resolve))
  const third = openRegion(source, { progress, readOnly: true })
  t.ok(told > 0, 'and then goes')
  const other = open(t, gzipSync(text))
  t.ok(all(other).equals(text))
  third.close()
})

t.test('files within each other', async t => {
  let bytes: Buffer = text
  for (let i = 0; i < 4; i++) bytes = gzipSync(bytes)
  const region = open(t, bytes)
  t.ok(all(region).equals(text))
  t.equal(region.kind, 'gzip of gzip of gzip of gzip')
  t.throws(() => open(t, gzipSync(bytes)), /x\.gz: more than 4 files within each other/)
})

t.test('what programs unpack', async t => {
  const home = folder(t)
  const noise = someCode(600_000)
  for (const [program, kind, cut, ...more] of [
    ['xz', 'xz', /^xz: Unexpected end of input: only what came before/],
    ['zstd', 'zstd', /^zstd: .*: only what came before/],
    ['bzip2', 'bzip2', /^bzip2: .*: only what came before/],
    ['lz4', 'lz4', /^lz4: .*: only what came before/, '-B4'],
    ['lzop', 'lzop', /^lzop: .*: only what came before/],
  ] as const) {
    const { stdout, error } = spawnSync(program, ['-c', '-1', ...more], {
      input: noise,
      maxBuffer: 2 ** 24,
    })
    // CI has them all: scripts/test installs them.
    const skip = !process.env.CI && error && `no ${program} here`
    await t.test(program, { skip: skip || false }, async t => {
      const source = `${home}/x.${program}`
      fs.writeFileSync(source, stdout)
      const region = new Region(source)
      t.ok(all(region).equals(noise))
      t.equal(region.kind, kind)
      t.same(region.doubts, [])
      region.close()
      fs.writeFileSync(source, stdout.subarray(0, stdout.length - 100))
      const short = new Region(source)
      t.match(short.doubts, [cut])
      t.ok(short.length > 0 && all(short).equals(noise.subarray(0, short.length)))
      short.close()
      fs.writeFileSync(source, stdout.subarray(0, 12))
      t.throws(() => new Region(source), /can be unpacked|is empty/)
    })
  }
})

t.test('a program that is not there', async t => {
  const { PATH } = process.env
  t.teardown(() => (process.env.PATH = PATH))
  process.env.PATH = folder(t)
  for (const [magic, says] of [
    ['\xfd7zXZ\0', /: is a xz file: install xz \(Debian: xz-utils\), or unpack it elsewhere$/],
    ['\x28\xb5\x2f\xfd', /: is a zstd file: install zstd/],
    ['BZh9', /: is a bzip2 file: install bzip2/],
    ['\x04"M\x18', /: is a lz4 file: install lz4/],
    ['\x89LZO\0\r\n\x1a\n', /: is a lzop file: install lzop/],
  ] as const)
    t.throws(() => open(t, Buffer.from(magic, 'latin1')), says)
})

t.test('what is too long, or has no place', async t => {
  const long = new Temporary('x.gz')
  t.teardown(() => long.close())
  long.length = mostBytes - 1
  long.append(Buffer.alloc(1))
  t.throws(() => long.append(Buffer.alloc(1)), {
    code: 'ENOSPC',
    message: /^x\.gz: more than 256 GiB/,
  })
  const { TMPDIR } = process.env
  t.teardown(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = TMPDIR
  })
  const source = file(t, gzipSync(text), 'x.gz')
  process.env.TMPDIR = `${folder(t)}/missing`
  t.throws(
    () => new Region(source),
    /x\.gz: cannot be unpacked to .*missing: no such file: set TMPDIR/,
  )
})

t.test('attaching and searching', async t => {
  const bytes = loadFixture('ecc1-all').region()
  const source = file(t, gzipSync(bytes), 'x.gz')
  const names = (path: string): string[] => {
    const backend = attach(path, { readOnly: true })
    const found = Array.from(backend.records(), ({ name }) => name)
    backend.close()
    return found
  }
  t.same(names(source), names(file(t, bytes)))
  t.equal(names(source).length, 6)
  t.throws(() => attach(source, { record_size: 16 * K, readOnly: false }), {
    code: 'EROFS',
    message: /gzip file/,
  })
  const { regions, notes } = probeSource(source)
  t.match(regions, [{ mem_address: 0, mem_size: bytes.length, certain: true }])
  t.same(notes, [
    `is a gzip file: addresses and sizes are those of the ${bytes.length} bytes in it`,
  ])
  const lines: string[] = []
  const cut = file(t, gzipSync(bytes).subarray(0, -3), 'x.gz')
  const doubtful = attach(cut, { readOnly: true, report: line => lines.push(line) })
  t.match(doubtful.doubts(), [/^gzip: its stream ends early/])
  doubtful.close()
  const sound = attach(source, { readOnly: true })
  t.same(sound.doubts(), [])
  sound.close()
  t.same(lines, [], 'who only looks is told by doubts')
  const tree = file(t, gzipSync(makeBlob({ a: {} })), 'x.dtb.gz')
  t.throws(
    () => attach(tree, { readOnly: true }),
    /is a device tree: it describes no ramoops region/,
  )
  const { fd, stat } = openContent(folder(t))
  t.ok(stat.isDirectory())
  fs.closeSync(fd)
})

t.test('what is told by name', async t => {
  for (const { head, says } of foreignSamples) {
    const source = file(t, Buffer.from(head, 'latin1'), 'x')
    const why = new RegExp(
      `/x: ${says.source.replace(/^\^|^/, says.source.startsWith('^') ? '' : '.*')}`,
    )
    t.throws(() => probeSource(source), why)
    t.throws(() => attach(source, { readOnly: true, record_size: 4096 }), why)
  }
  const dump = Buffer.concat([Buffer.from('KDUMP   '), Buffer.alloc(32 * K)])
  attach(file(t, dump), { mem_address: 4096, record_size: 4096 }).close()
})
