/** A mount that others keep busy: whoever looks into something else does not wait for them. */
import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format } from '#src/index.js'
import { daemonOf, folder, isMounted, mount, run, succeed, until } from '../program.js'

const layout = { record_size: 4096, console_size: 4096, pmsg_size: 0, ftrace_size: 0 }

/** Make a guest's region with a text in its console. */
const makeGuest = (path: string, text: string, options = layout, mem_size = 16384): void => {
  format(path, { ...options, mem_size })
  const backend = attach(path, options)
  backend.write({ type: 'console', bytes: Buffer.from(text) })
  backend.write({ type: 'dmesg', bytes: Buffer.from(`Panic#1 Part1\n${text.slice(-9)}`) })
  backend.close()
}

const keys = (options: typeof layout): string =>
  Object.entries(options)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('')

/** Mount guests' regions, in this order. */
const mountGuests = (t: Test, home: string, guests: { [name: string]: typeof layout }): string => {
  const sections = Object.entries(guests).map(
    ([name, options]) => `[backends.${name}]\nsource = "${home}/${name}.img"\n${keys(options)}`,
  )
  const config = `${home}/guests.toml`
  fs.writeFileSync(config, `backend = "all"\n${sections.join('')}`)
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  succeed(t, ['mount', '--config', config, mountpoint])
  return mountpoint
}

const kill = (t: Test, child: ChildProcess): void => t.teardown(() => child.kill('SIGKILL'))

/** Have another process hold a file's lock; resolves once it does. */
const holdLock = async (t: Test, file: string): Promise<void> => {
  const holder = spawn('flock', ['-x', '-F', file, 'sh', '-c', 'echo held; exec sleep 1000'])
  kill(t, holder)
  await new Promise(resolve => holder.stdout.once('data', resolve))
}

for (const several of [false, true])
  t.test(`a lock that is never let go, ${several ? 'of several' : 'alone'}`, async t => {
    const home = folder(t)
    for (const name of ['a', 'b']) makeGuest(`${home}/${name}.img`, `of ${name}`)
    const options = Object.entries(layout).map(([key, value]) => `--${key}=${value}`)
    const mountpoint = several
      ? mountGuests(t, home, { a: layout, b: layout })
      : mount(t, `${home}/a.img`, options)
    await holdLock(t, `${home}/a.img`)
    const name = several ? 'a' : 'ramoops'
    const console = `${mountpoint}/${name}/console-${name}-0`
    const removed: { code?: string }[] = []
    // Not synchronously: others are served while this one waits for the lock, which it does not get.
    const removal = fs.promises
      .unlink(console)
      .catch((error: { code: string }) => removed.push(error))
    let served = 0
    while (removed.length === 0 && served < 20) {
      t.equal(fs.readFileSync(console, 'utf8'), 'of a')
      if (several) t.equal(fs.readFileSync(`${mountpoint}/b/console-b-0`, 'utf8'), 'of b')
      t.same(fs.readdirSync(mountpoint).length, several ? 4 : 3)
      served++
      await new Promise(resolve => setImmediate(resolve))
    }
    t.ok(served > 1, `served ${served} times meanwhile`)
    await removal
    t.match(removed, [{ code: 'EBUSY' }])
    t.equal(fs.readFileSync(console, 'utf8'), 'of a', 'it is still there')
  })

/** A ring whose every look takes long: parity of 28 MiB, and another byte each time. */
const slow = { record_size: 4096, console_size: 32 << 20, pmsg_size: 0, ftrace_size: 0, ecc: 16 }
/** So many reads of it are compared with. */
const enough = 8
const toggler = `
  const fd = require('node:fs').openSync(process.argv[1], 'r+')
  let byte = 0
  const toggle = () => {
    require('node:fs').writeSync(fd, Buffer.of(++byte & 0xff), 0, 1, 100000)
    setTimeout(toggle, 1)
  }
  toggle()`

for (const order of [
  ['slow', 'quick'],
  ['quick', 'slow'],
])
  t.test(`a guest whose looks take long, ${order[0]} first`, async t => {
    const home = folder(t)
    makeGuest(`${home}/slow.img`, 'x'.repeat(30 << 20), slow, 33 << 20)
    makeGuest(`${home}/quick.img`, 'quick')
    const guests = Object.fromEntries(order.map(name => [name, name === 'slow' ? slow : layout]))
    const mountpoint = mountGuests(t, home, guests)
    kill(t, spawn(process.execPath, ['-e', toggler, `${home}/slow.img`]))
    const readers = Array.from({ length: 4 }, () => {
      const script = 'while cat "$1" >/dev/null; do echo; done'
      const reader = spawn('sh', ['-c', script, 'sh', `${mountpoint}/slow/console-slow-0`])
      kill(t, reader)
      return reader
    })
    let slowReads = 0
    for (const { stdout } of readers) stdout.on('data', () => slowReads++)
    // All are at it once one of them has got through.
    t.ok(await until(() => slowReads > 0))
    const before = slowReads
    let reads = 0
    let lists = 0
    while (slowReads < before + enough) {
      if (fs.readFileSync(`${mountpoint}/quick/dmesg-quick-0`, 'utf8').endsWith('quick')) reads++
      if (fs.readdirSync(mountpoint).includes('quick')) lists++
      await new Promise(resolve => setImmediate(resolve))
    }
    // In one thread each of these would wait behind all four: there would be a fourth as many.
    t.ok(reads > enough, `${reads} reads of the quick one beside ${enough} of the slow one`)
    t.ok(lists > enough, `${lists} listings of the root`)
  })

t.test('a FIFO in the place of a source, and SIGHUP', async t => {
  const home = folder(t)
  for (const name of ['a', 'b']) makeGuest(`${home}/${name}.img`, `of ${name}`)
  const mountpoint = mountGuests(t, home, { a: layout, b: layout })
  const daemon = daemonOf(mountpoint)
  fs.renameSync(`${home}/a.img`, `${home}/old.img`)
  t.equal(run('mkfifo', [`${home}/a.img`]).status, 0)
  process.kill(daemon, 'SIGHUP')
  t.ok(await until(() => !fs.readdirSync(mountpoint).includes('a')), 'it is not a region any more')
  t.equal(fs.readFileSync(`${mountpoint}/console-b-0`, 'utf8'), 'of b')
  fs.rmSync(`${home}/a.img`)
  fs.renameSync(`${home}/old.img`, `${home}/a.img`)
  process.kill(daemon, 'SIGHUP')
  t.ok(await until(() => fs.readdirSync(mountpoint).includes('a')), 'and is one again')
  t.equal(fs.readFileSync(`${mountpoint}/console-a-0`, 'utf8'), 'of a')
})

t.test('a medium that hangs, and SIGHUP', async t => {
  const home = folder(t)
  for (const name of ['a', 'b', 'c']) makeGuest(`${home}/${name}.img`, `of ${name}`)
  // A mount that does not answer is what a network's file system is whose server is gone.
  const medium = mountGuests(t, home, { c: layout })
  const config = `${home}/both.toml`
  const write = (...more: string[]): void =>
    fs.writeFileSync(
      config,
      [
        'backend = "all"',
        ...['b', ...more].map(
          name => `[backends.${name}]\nsource = "${home}/${name}.img"\n${keys(layout)}`,
        ),
        `[backends.slow]\ndriver = "records"\nsource = "${medium}/c"\n`,
      ].join('\n'),
    )
  write()
  const mountpoint = folder(t)
  const hung = daemonOf(medium)
  t.teardown(() => {
    process.kill(hung, 'SIGCONT')
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  succeed(t, ['mount', '--config', config, mountpoint])
  // What the kernel knows of the medium, it need not ask for.
  await new Promise(resolve => setTimeout(resolve, 1500))
  process.kill(hung, 'SIGSTOP')
  write('a')
  process.kill(daemonOf(mountpoint), 'SIGHUP')
  // Not synchronously: it would wait for ever where the mount does.
  const names = (): Promise<string[] | null> =>
    Promise.race([
      fs.promises.readdir(mountpoint),
      new Promise<null>(resolve => setTimeout(resolve, 20_000, null)),
    ])
  let found: string[] | null = []
  for (let n = 0; n < 100 && found && !found.includes('a'); n++) {
    await new Promise(resolve => setTimeout(resolve, 100))
    found = await names()
  }
  t.match(found?.toSorted(), /a,.*b.*,slow$/, 'the others are answered, and what is new is there')
})
