/** A mount's life: its config file is read again, its processes are stopped and go on. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { daemonOf, folder, isMounted, program, pstorefs, run, until } from '../program.js'

const layout: AttachOptions = {
  record_size: 4096,
  console_size: 65536,
  pmsg_size: 0,
  ftrace_size: 0,
}
const layoutLines = Object.entries(layout)
  .map(([name, size]) => `${name} = ${size}\n`)
  .join('')

const makeRegion = (path: string, text: string): void => {
  format(path, { ...layout, mem_size: 2 ** 17 })
  write(path, text)
}
const write = (path: string, text: string): void => {
  const backend = attach(path, layout)
  backend.write({ type: 'console', bytes: Buffer.from(text) })
  backend.close()
}
const table = (name: string): string => `[backends.${name}]\nsource = "${name}.img"\n${layoutLines}`
const config = (head: string, ...names: string[]): string => head + names.map(table).join('')

/** Three regions, and a mount of what a config file says. */
const make = (t: Test, text: string, options: string[] = []) => {
  const home = folder(t)
  for (const name of ['a', 'b', 'c']) makeRegion(`${home}/${name}.img`, `of ${name}\n`)
  const file = `${home}/guests.toml`
  fs.writeFileSync(file, text)
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  // Named from another folder than the daemon's.
  const { status, stderr } = run('sh', [
    '-c',
    `cd ${home} && exec "$@"`,
    'sh',
    process.execPath,
    program,
    'mount',
    '--config',
    'guests.toml',
    mountpoint,
    ...options,
  ])
  t.equal(status, 0, stderr)
  const daemon = daemonOf(mountpoint)
  t.ok(daemon)
  const reread = (text: string): void => {
    fs.writeFileSync(file, text)
    process.kill(daemon, 'SIGHUP')
  }
  const shows = (names: string[]): Promise<boolean> =>
    until(() => fs.readdirSync(mountpoint).join() === names.join())
  return { home, mountpoint, daemon, reread, shows }
}

t.test('SIGHUP: backends come and go without an unmount', async t => {
  const all = 'backend = "all"\n'
  const { home, mountpoint, daemon, reread, shows } = make(t, config(all, 'a', 'b'))
  const read = (path: string): string => fs.readFileSync(`${mountpoint}/${path}`, 'latin1')
  t.ok(await shows(['a', 'b', 'console-a-0']))
  const { ino } = fs.statSync(`${mountpoint}/a/console-a-0`)
  fs.chmodSync(`${mountpoint}/a/console-a-0`, 0o400)
  const kept = fs.openSync(`${mountpoint}/a/console-a-0`, 'r')
  const gone = fs.openSync(`${mountpoint}/b/console-b-0`, 'r')

  reread(config(all, 'a', 'c'))
  t.ok(await shows(['a', 'c', 'console-a-0']), 'one has come, and one has gone')
  t.equal(read('c/console-c-0'), 'of c\n')
  t.throws(() => read('b/console-b-0'), { code: 'ENOENT' })
  const bytes = Buffer.alloc(5)
  t.equal(fs.readSync(kept, bytes), 5)
  t.equal(bytes.toString(), 'of a\n', 'what is open is read on')
  t.equal(fs.readSync(gone, bytes), 5)
  t.equal(bytes.toString(), 'of b\n', 'also of one that has gone')
  fs.closeSync(kept)
  fs.closeSync(gone)
  const stat = fs.statSync(`${mountpoint}/a/console-a-0`)
  t.same([stat.ino, stat.mode & 0o777], [ino, 0o400], 'the files of those that stay are the same')
  t.same(
    fs.readdirSync(`/proc/${daemon}/fd`).filter(fd => linkOf(daemon, fd).endsWith('/b.img')),
    [],
    'what has gone is closed',
  )

  reread(config(all, 'c', 'a'))
  t.ok(await shows(['a', 'c', 'console-c-0']), 'another is the first')
  reread(config(`${all}subdirs = "hidden"\n`, 'c', 'a'))
  t.ok(await shows(['console-c-0']), 'subdirs')
  reread(config('backend = "b"\n', 'c', 'a', 'b'))
  t.ok(await shows(['b', 'console-b-0']), 'backend')

  // A file in the place of another is another region.
  makeRegion(`${home}/new.img`, 'of another\n')
  fs.renameSync(`${home}/new.img`, `${home}/b.img`)
  t.equal(read('console-b-0'), 'of b\n')
  reread(config('', 'b'))
  t.ok(await until(() => read('console-b-0') === 'of another\n'))

  // What cannot be mounted changes nothing.
  for (const broken of ['backend = ', '', config('backend = "c,d"\n', 'c'), config('', 'd')]) {
    reread(broken)
    // It is asked after the signal, and answers in turn.
    process.kill(daemon, 'SIGHUP')
    await until(() => false, 0.2)
    t.same(fs.readdirSync(mountpoint), ['b', 'console-b-0'], broken)
  }
  fs.unlinkSync(`${mountpoint}/console-b-0`)
  t.same(fs.readdirSync(mountpoint), ['b'], 'and it still erases')
  t.equal(daemonOf(mountpoint), daemon, 'by the same process')
})

const linkOf = (pid: number, fd: string): string => {
  try {
    return fs.readlinkSync(`/proc/${pid}/fd/${fd}`)
  } catch {
    return ''
  }
}

t.test('SIGHUP: the command line still wins', async t => {
  const { mountpoint, reread, shows } = make(t, config('', 'a'), [
    '--backend',
    'all',
    '-o',
    'subdirs=off,ro',
    '--console-size',
    '65536',
  ])
  t.ok(await shows(['console-a-0']))
  reread(config('backend = "a"\nsubdirs = "visible"\n', 'b', 'a').replaceAll('65536', '4096'))
  t.ok(await shows(['console-b-0']))
  t.equal(fs.readFileSync(`${mountpoint}/console-b-0`, 'latin1'), 'of b\n')
  t.throws(() => fs.unlinkSync(`${mountpoint}/console-b-0`), { code: 'EROFS' })
})

t.test('SIGHUP without a config file: the source is looked at again', async t => {
  const home = folder(t)
  makeRegion(`${home}/a.img`, 'one\n')
  const mountpoint = folder(t)
  const args = Object.entries(layout).flatMap(([name, size]) => [`--${name}`, String(size)])
  t.equal(pstorefs(['mount', `${home}/a.img`, mountpoint, ...args]).status, 0)
  t.teardown(() => void run('fusermount3', ['-u', '-z', mountpoint]))
  makeRegion(`${home}/new.img`, 'two\n')
  fs.renameSync(`${home}/new.img`, `${home}/a.img`)
  process.kill(daemonOf(mountpoint), 'SIGHUP')
  const name = `${mountpoint}/console-ramoops-0`
  t.ok(await until(() => fs.readFileSync(name, 'latin1') === 'two\n'))
})

t.test('SIGHUP with a path from where the command was run', async t => {
  const home = folder(t)
  const mountpoint = folder(t)
  makeRegion(`${home}/a.img`, 'one\n')
  const args = Object.entries(layout).flatMap(([name, size]) => [`--${name}`, String(size)])
  const child = spawn(process.execPath, [program, 'mount', '-f', 'a.img', mountpoint, ...args], {
    cwd: home,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const ended = new Promise<void>(resolve => child.on('close', () => resolve()))
  t.teardown(() => void child.kill('SIGKILL'))
  t.ok(await until(() => said.includes('attached')))
  child.kill('SIGHUP')
  await sleep(300)
  child.kill('SIGTERM')
  await ended
  t.equal(said, 'pstorefs: ramoops: attached\n')
})

t.test('a daemon that is stopped goes on where it was', async t => {
  const { mountpoint, daemon } = make(t, config('', 'a'))
  process.kill(daemon, 'SIGSTOP')
  t.teardown(() => {
    if (daemonOf(mountpoint)) process.kill(daemon, 'SIGCONT')
  })
  // Asked by processes of their own: this one would wait, too.
  const readers = Array.from({ length: 5 }, () => {
    const child = spawn('cat', [`${mountpoint}/console-a-0`], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()))
    child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()))
    const ended = new Promise<void>(resolve => child.on('close', () => resolve()))
    return { child, ended, said: () => said }
  })
  t.ok(await until(() => readers.some(({ child }) => waits(child.pid!))), 'they wait')
  process.kill(daemon, 'SIGCONT')
  for (const { ended, said } of readers) {
    await ended
    t.equal(said(), 'of a\n')
  }
})

t.test('who waits for a stopped daemon is let go by a signal', async t => {
  const { mountpoint, daemon } = make(t, config('', 'a'))
  const name = `${mountpoint}/console-a-0`
  process.kill(daemon, 'SIGSTOP')
  t.teardown(() => {
    if (daemonOf(mountpoint)) process.kill(daemon, 'SIGCONT')
  })
  t.equal(run('timeout', ['--signal=INT', '1', 'cat', name]).status, 124, 'cat ends')
  // One that handles signals waits on: a file gives no EINTR.
  const script = '$SIG{INT} = sub { print "interrupted\\n" }; open F, $ARGV[0] or die $!; print <F>'
  const reader = spawn('perl', ['-e', script, name], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  reader.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const ended = new Promise<number | null>(resolve => reader.on('close', resolve))
  t.ok(await until(() => waits(reader.pid!)), 'it waits')
  reader.kill('SIGINT')
  process.kill(daemon, 'SIGCONT')
  t.equal(await ended, 0)
  t.equal(said, 'interrupted\nof a\n')
  t.equal(fs.readFileSync(name, 'latin1'), 'of a\n')
  t.equal(daemonOf(mountpoint), daemon, 'the daemon lives on')
})

/** Does a process wait in the kernel's FUSE? */
const waits = (pid: number): boolean =>
  /fuse|request_wait/.test(fs.readFileSync(`/proc/${pid}/wchan`, 'latin1'))

t.test('a reader that is stopped keeps its bytes, and holds up nobody', async t => {
  const { home, mountpoint } = make(t, config('', 'a'))
  const name = `${mountpoint}/console-a-0`
  const region = `${home}/a.img`
  write(region, 'x'.repeat(60_000))
  const before = fs.readFileSync(name)
  const script = 'exec 3<"$1"; head -c 1000 <&3; cat <&3'
  const reader = spawn('sh', ['-c', script, 'sh', name], { stdio: ['ignore', 'pipe', 'ignore'] })
  const got: Buffer[] = []
  await new Promise<void>(resolve =>
    reader.stdout.once('data', (bytes: Buffer) => {
      got.push(bytes)
      resolve()
    }),
  )
  process.kill(reader.pid!, 'SIGSTOP')
  write(region, 'y'.repeat(30_000))
  t.match(fs.readFileSync(name, 'latin1'), /y{30000}$/, 'others see what is new')
  fs.unlinkSync(name)
  process.kill(reader.pid!, 'SIGCONT')
  for await (const bytes of reader.stdout) got.push(bytes as Buffer)
  t.ok(Buffer.concat(got).equals(before), 'it reads on what it opened')
})
