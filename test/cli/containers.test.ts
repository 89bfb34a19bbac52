/** Compressed files, standard input, and forms that are told by name, as a user hands them over. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { loadFixture } from '../fixtures.js'
import { file, folder, mount, program, pstorefs, run, succeed } from '../program.js'

const bytes = (): Buffer => loadFixture('ecc1-all').region()

const refused = (t: Test, args: string[], why: RegExp, input?: Uint8Array): void => {
  const { status, stdout, stderr } = pstorefs(args, input)
  t.equal(status, 1, args.join(' '))
  t.equal(stdout.length, 0)
  t.match(stderr, /^pstorefs: [^\n]+\n$/, 'one line')
  t.match(stderr, why)
}

t.test('a compressed region is read as it is, and never written', async t => {
  const plain = file(t, bytes())
  const source = file(t, zlib.gzipSync(bytes()), 'region.img.gz')
  const packed = fs.readFileSync(source)
  t.same(pstorefs(['ls', '--all', source]), pstorefs(['ls', '--all', plain]))
  const { status, stdout, stderr } = pstorefs(['probe', '--json', source])
  t.equal(status, 0)
  t.same(stdout, succeed(t, ['probe', '--json', plain]))
  t.match(
    stderr,
    /^pstorefs: .*region\.img\.gz: is a gzip file: addresses and sizes are those of the 131072/,
  )
  refused(
    t,
    ['erase', source, 'dmesg-ramoops-0'],
    /gz: is a gzip file: unpack it to write to it\n$/,
  )
  refused(t, ['format', '--force', source, '--record-size', '4K'], /gz: is a gzip file: unpack it/)
  const mounted = mount(t, source, [])
  t.same(fs.readdirSync(mounted), fs.readdirSync(mount(t, plain, [])))
  t.throws(() => fs.unlinkSync(`${mounted}/dmesg-ramoops-0`), { code: 'EROFS' })
  t.same(fs.readFileSync(source), packed)
})

t.test('a stream that is cut short', async t => {
  const source = file(t, zlib.gzipSync(bytes()).subarray(0, -4), 'cut.gz')
  for (const [command, exit] of [
    ['ls', 0],
    ['check', 1],
  ] as const) {
    const { status, stdout, stderr } = pstorefs([command, source])
    t.equal(status, exit, command)
    t.ok(stdout.length > 0)
    t.match(
      stderr,
      /^pstorefs: .*cut\.gz: gzip: its stream ends early: [^\n]*131072 bytes, is shown\n$/,
    )
  }
})

t.test('standard input', async t => {
  const plain = file(t, bytes())
  const listing = succeed(t, ['ls', plain])
  t.same(succeed(t, ['ls', '-'], bytes()), listing, 'a pipe')
  t.same(succeed(t, ['ls', 'ramoops:-'], zlib.gzipSync(bytes())), listing, 'a compressed one')
  const fd = fs.openSync(plain, 'r')
  const { stdout } = spawnSync(process.execPath, [program, 'ls', '-'], { stdio: [fd, 'pipe', 2] })
  fs.closeSync(fd)
  t.same(stdout, listing, 'a file')
  const archive = `${folder(t)}/archive`
  t.match(
    succeed(t, ['archive', '--keep', '-', archive], bytes()).toString(),
    /archive\/.*records?\n/,
  )
  const why = /-: is standard input, which can only be read: name a file\n$/
  refused(t, ['write', 'console', '-'], why, bytes())
  refused(t, ['archive', '-', archive], why, bytes())
  refused(t, ['format', '-', '--record-size', '4K'], why, bytes())
  refused(t, ['mount', '-', folder(t)], /-: standard input cannot be mounted/, bytes())
  refused(t, ['ls', '-'], /: -: is empty\n$/, Buffer.alloc(0))
  refused(t, ['ls', ''], /source '': must be a path/, bytes())
})

t.test('a copy of a record, compressed or from a pipe', async t => {
  const copied = file(
    t,
    Buffer.from('Panic#1 Part1\n<0>[    1.000000] Kernel panic - not syncing: of copies\n'),
    'r',
  )
  const text = fs.readFileSync(copied)
  const zipped = file(t, zlib.gzipSync(text), 'r.gz')
  t.same(succeed(t, ['cat', copied]), text)
  t.same(succeed(t, ['cat', zipped]), text)
  t.match(succeed(t, ['ls', zipped]).toString(), new RegExp(`^dmesg-records-0 +${text.length} `))
  for (const bytes of [text, zlib.gzipSync(text)]) {
    t.same(succeed(t, ['cat', '-'], bytes), text)
    // When a pipe's bytes were made nobody knows.
    t.match(succeed(t, ['ls', '-'], bytes).toString(), /^dmesg-records-0 +\d+ +- +ok\n$/)
    t.match(succeed(t, ['list', '-'], bytes).toString(), /kernel panic: of copies/)
  }
})

t.test('a form that is told by name', async t => {
  const { stdout, error } = spawnSync('xxd', [file(t, bytes())], { maxBuffer: 2 ** 24 })
  const dump = error ? Buffer.from('00000000: 4442 4743  DBGC\n'.repeat(2)) : stdout
  refused(t, ['ls', file(t, dump, 'x.hex')], /x\.hex: is a hex dump: .*xxd/)
})

const isRoot = process.getuid?.() === 0

t.test('a bomb', { skip: isRoot ? false : 'mounting a file system takes root' }, async t => {
  const home = folder(t)
  fs.writeFileSync(`${home}/bomb.gz`, zlib.gzipSync(Buffer.alloc(64 << 20, 1)))
  fs.mkdirSync(`${home}/small`)
  const script = `mount -t tmpfs -o size=32M none ${home}/small
TMPDIR=${home}/small ${process.execPath} ${program} ls ${home}/bomb.gz
echo $?; ls -A ${home}/small`
  const { stdout, stderr } = run('unshare', ['--mount', 'sh', '-c', script])
  t.equal(stdout.toString(), '1\n', 'nothing is left behind')
  t.match(
    stderr,
    /^pstorefs: .*bomb\.gz: has no room to be unpacked: .*small .*: set TMPDIR to a folder with more\n$/,
  )
})
