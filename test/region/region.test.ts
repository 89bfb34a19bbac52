/** Regions and their lock: windows into sources, what shrinks, who waits for whom. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import t from 'tap'
import { Region } from '#src/region/region.js'
import { SourceLock } from '#src/region/lock.js'
import { makeStore } from '#src/region/make.js'
import { file, folder, program, run, succeed, type Outcome } from '../program.js'

for (const map of [false, true])
  t.test(`a window into a file, ${map ? 'mapped' : 'by pread and pwrite'}`, async t => {
    const path = file(t, Buffer.from('0123456789'.repeat(1000)))
    const before = fs.readFileSync(path)
    const region = new Region(path, { offset: 5003, length: 100, map })
    t.equal(region.length, 100)
    t.equal(region.load(0, 10).toString(), '3456789012')
    region.store(2, Buffer.from('..abcd..'), 2, 6)
    region.store(50, Buffer.from('whole'))
    t.equal(region.load(0, 10).toString(), '34abcd9012')
    before.write('abcd', 5005)
    before.write('whole', 5053)
    t.same(fs.readFileSync(path), before, 'and nothing else')
    fs.truncateSync(path, 5050)
    t.throws(() => region.checkSize(), { code: 'EIO', message: /was truncated/ })
    if (!map) t.throws(() => region.load(0, 100), { message: /was truncated/, code: 'EIO' })
    t.equal(fs.statSync(path).size, 5050)
    region.close()
  })

t.test('past 2 GiB, where mmap-io cannot map, libc does', async t => {
  const path = `${folder(t)}/sparse`
  const at = 5 * 2 ** 30
  fs.writeFileSync(path, '')
  fs.truncateSync(path, at + 8192)
  const region = new Region(path, { offset: at, map: true })
  region.store(10, Buffer.from('far away'))
  t.equal(region.load(10, 8).toString(), 'far away')
  region.close()
  const fd = fs.openSync(path, 'r')
  const bytes = Buffer.alloc(8)
  fs.readSync(fd, bytes, 0, 8, at + 10)
  fs.closeSync(fd)
  t.equal(bytes.toString(), 'far away')
})

t.test('what one call cannot read takes several', async t => {
  const path = `${folder(t)}/sparse`
  fs.writeFileSync(path, '')
  fs.truncateSync(path, 2 ** 32)
  const region = new Region(path)
  const { readSync } = fs
  t.teardown(() => (fs.readSync = readSync))
  const read: number[] = []
  fs.readSync = (...args: unknown[]) => {
    const length = Number(args[3])
    read.push(length)
    return length
  }
  // No byte of it is touched.
  region.loadInto(Buffer.allocUnsafe(2 ** 31 + 5), 0, 2 ** 31 + 5)
  fs.readSync = readSync
  t.same(read, [2 ** 30, 2 ** 30, 5], 'Node takes numbers of 31 bits')
  region.close()
})

t.test('a store is made in memory behind a device', async t => {
  // It has nothing to be synced: fsync(2) answers EINVAL.
  makeStore('/dev/zero', { length: 8192, force: false }, region => {
    t.equal(region.isMemory, true)
    region.store(0, Buffer.from('x'))
  })
})

t.test('what cannot be written is opened for reading', async t => {
  const path = file(t, Buffer.from('bytes'))
  t.equal(new Region(path, { readOnly: true }).readOnly, true)
  t.equal(new Region(path).readOnly, false)
})

t.test('the lock', async t => {
  const path = file(t, Buffer.alloc(4096))
  const region = new Region(path)
  const lock = SourceLock.of(path, region.fd, true)
  const another = SourceLock.of(path, region.fd, true)
  t.equal(another, lock, 'one for each source in a process')
  const free = (): boolean => run('flock', ['-n', '-x', path, 'true']).status === 0

  const epoch = lock.hold()
  t.equal(lock.hold(), epoch, 'a turn of appends takes it once')
  t.notOk(free(), 'others wait')
  t.equal(
    lock.shared(alone => alone),
    true,
    'the holder itself reads',
  )
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
  t.ok(free(), 'until the turn is over')
  t.not(lock.hold(), epoch, 'then things may have changed')
  lock.release()

  const holder = spawn('flock', ['-x', path, 'sh', '-c', 'echo held; exec sleep 600'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise(resolve => holder.stdout.once('data', resolve))
  t.equal(
    lock.shared(alone => alone),
    false,
    'a reader does not wait for ever, and is told',
  )
  t.throws(() => lock.hold(), { code: 'EBUSY', message: /another process holds it exclusively/ })
  const gone = new Promise(resolve => holder.on('exit', resolve))
  process.kill(-holder.pid!, 'SIGKILL')
  await gone
  t.ok(lock.hold(), 'a holder that died has let go')
  lock.release()
  t.equal(
    lock.shared(alone => alone),
    true,
  )
  lock.close()
  another.close()
  region.close()
})

t.test('a file system without locks: a file under /run stands for the source', async t => {
  if (process.getuid!() !== 0) return t.comment('only root has a /run of its own')
  const region = `${folder(t)}/region.img`
  const layout = [
    '--record-size',
    '4096',
    '--console-size',
    '4096',
    '--pmsg-size',
    '0',
    '--ftrace-size',
    '0',
  ]
  succeed(t, ['format', region, '--mem-size', '8192', ...layout])
  const { ino, dev } = fs.statSync(region)
  const traced = ['strace', '-f', '-o', '/dev/null', '-e', 'trace=flock']
  traced.push('-e', 'inject=flock:error=ENOLCK:when=1')
  const write = [process.execPath, program, 'write', 'console', region, ...layout]
  // Nothing stays in the machine's own /run, and nothing in there matters.
  const inOwnRun = (prepare: string, after: string): Outcome => {
    const script = `mount -t tmpfs -o mode=755 none /run; ${prepare}; "$@"; ${after}`
    const args = ['--mount', 'sh', '-ec', script, 'sh', ...traced, ...write]
    return run('unshare', args, Buffer.from('text'))
  }
  for (const prepare of [
    'mkdir -m 777 /run/pstorefs',
    'mkdir -m 700 /run/pstorefs; chown 65534 /run/pstorefs',
    'mkdir -m 700 /run/other; ln -s other /run/pstorefs',
    'mkfifo /run/pstorefs',
  ]) {
    const { status, stderr } = inOwnRun(prepare, ':')
    t.equal(status, 1, prepare)
    t.match(stderr, /^pstorefs: [^\n]*\/run\/pstorefs: cannot hold locks: [^\n]+\n$/)
  }
  const { status, stdout, stderr } = inOwnRun(':', 'ls /run/pstorefs')
  t.equal(status, 0, stderr)
  t.equal(stdout.toString(), `file-${dev}-${ino}.lock\n`)
  t.equal(succeed(t, ['cat', region, 'console-ramoops-0', ...layout]).toString(), 'text')
})
