/** `archive --watch`: the real program, whatever becomes of the stores that it looks after. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { attach, format, writeDump, type AttachOptions } from '#src/index.js'
import { daemonOf, folder, mount, pstorefs, run, succeed, until } from '../program.js'
import { randomFor } from '../random.js'
import { numbersIn, spawnGuest } from './linux-ring.js'
import { crashesCome, crashesIn, watch, type Watcher } from './watching.js'

const options: AttachOptions = {
  record_size: 4096,
  console_size: 8192,
  pmsg_size: 0,
  ftrace_size: 0,
}
const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
const lines = Object.entries(options)
  .map(([name, value]) => `${name} = ${value}\n`)
  .join('')

const makeRegion = (region: string): string => {
  format(region, { ...options, mem_size: 65536 })
  return region
}

/** Append to a console, as a guest does that lives. */
const speak = (region: string, text: string): void => {
  const backend = attach(region, options)
  backend.write({ type: 'console', bytes: Buffer.from(text) })
  backend.close()
}

/** What a guest leaves that panics: its console, and a dump. */
const crash = (region: string, why: string): void => {
  const backend = attach(region, options)
  backend.write({
    type: 'console',
    bytes: Buffer.from(`[   11.000000] console of ${why}\n[   12.000000] Kernel panic: ${why}\n`),
  })
  writeDump(
    backend,
    Buffer.from(`<6>[   11.000000] console of ${why}\n<0>[   12.000000] Kernel panic: ${why}\n`),
  )
  backend.close()
}

/** A config file with these regions, by their backends' names. */
const configure = (file: string, regions: { readonly [name: string]: string }): string => {
  const tables = Object.entries(regions).map(
    ([name, source]) => `[backends.${name}]\nsource = "${source}"\n${lines}`,
  )
  fs.writeFileSync(file, tables.join(''))
  return file
}

const textIn = (archive: string, name: string, record: string): string =>
  fs.readFileSync(`${archive}/${name}/${record}`, 'latin1')

/** It was told to end, and did. */
const ends = async (t: Test, watcher: Watcher): Promise<void> => {
  t.equal(await watcher.end(), 0, 'SIGTERM ends it')
}

t.test('crashes as they come, with their consoles; a living guest keeps its own', async t => {
  const home = folder(t)
  const archive = `${home}/crashes`
  const [one, two] = ['one', 'two'].map(name => makeRegion(`${home}/${name}.img`))
  crash(one!, 'before')
  speak(two!, 'two lives\n')
  const config = configure(`${home}/guests.toml`, { one: one!, two: two! })
  const watcher = watch(t, ['--config', config, '--all-backends', archive])
  t.match(await crashesCome(t, archive, 1), [/^\d{4}-.*Z-one-panic-1$/])
  crash(two!, 'second')
  const [, name] = (await crashesCome(t, archive, 2)).toSorted(
    (a, b) => Number(a.includes('-two-')) - Number(b.includes('-two-')),
  )
  t.match(name, /Z-two-panic-1$/)
  t.match(textIn(archive, name!, 'dmesg-two-0'), 'Kernel panic: second')
  t.match(textIn(archive, name!, 'console-two-0'), /^two lives\n.*console of second\n/)
  // The next life's console stays where it is.
  speak(one!, '[    0.000000] Linux version 6.1.0\n[    1.000000] the next life\n')
  speak(two!, '[    0.000000] Linux version 6.1.0\n[    1.000000] the next life\n')
  crash(one!, 'third')
  await crashesCome(t, archive, 3)
  await ends(t, watcher)
  t.equal(succeed(t, ['ls', one!, ...flags]).toString(), '')
  t.match(succeed(t, ['cat', two!, 'console-ramoops-0', ...flags]).toString(), 'the next life')
  t.equal(watcher.stderr(), '')
  t.equal(watcher.stdout().match(/: 2 records\n/g)?.length, 3)
  t.match(succeed(t, ['list', archive]).toString(), /panic/)
})

t.test('the numbers, as they change', async t => {
  const home = folder(t)
  const archive = `${home}/crashes`
  const file = `${home}/pstorefs.prom`
  const one = makeRegion(`${home}/one.img`)
  const config = configure(`${home}/guests.toml`, { one, late: `${home}/late.img` })
  const args = ['--config', config, '--all-backends', archive, '--textfile', file]
  const watcher = watch(t, args)
  const says = async (...parts: string[]): Promise<void> => {
    const text = (): string => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '')
    t.ok(await until(() => parts.every(part => text().includes(part))), parts.join())
  }
  await says('_unattached{backend="late"} 1\n', '_waiting{backend="one"} 0\n')
  crash(one, 'why')
  await says('_crashes{backend="one",kind="panic"} 1\n', '_unattached{backend="late"} 1\n')
  makeRegion(`${home}/late.img`)
  await says('_waiting{backend="late"} 0\n', '_crashes{backend="one",kind="panic"} 1\n')
  t.notMatch(fs.readFileSync(file, 'utf8'), '_unattached{')
  await ends(t, watcher)
})

t.test('a dump of one life does not take the console of another', async t => {
  const home = folder(t)
  const archive = `${home}/crashes`
  const region = makeRegion(`${home}/region.img`)
  const backend = attach(region, options)
  writeDump(backend, Buffer.from('<0>[   12.000000] Kernel panic: the life before\n'))
  backend.close()
  speak(region, '[    0.000000] Linux version 6.1.0\n[    9.000000] this life\n')
  const watcher = watch(t, [region, archive, ...flags])
  const [name] = await crashesCome(t, archive, 1)
  t.match(name, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ-panic-1$/, 'of one backend the name says nothing')
  await ends(t, watcher)
  t.same(fs.readdirSync(`${archive}/${name}`).toSorted(), [
    'dmesg-ramoops-0',
    'records.json',
    'summary.txt',
  ])
  t.match(succeed(t, ['cat', region, 'console-ramoops-0', ...flags]).toString(), 'this life')
})

t.test('guests that come late, vanish, are replaced, or are none', async t => {
  const home = folder(t)
  const archive = `${home}/crashes`
  const good = makeRegion(`${home}/good.img`)
  const [late, garbage, short, pipe] = ['late', 'garbage', 'short', 'pipe'].map(
    name => `${home}/${name}.img`,
  )
  const random = randomFor(t)
  fs.writeFileSync(garbage!, Buffer.from(Array.from({ length: 65536 }, () => random.below(256))))
  fs.writeFileSync(short!, Buffer.alloc(100))
  run('mkfifo', [pipe!])
  const all = { late: late!, garbage: garbage!, short: short!, pipe: pipe!, good }
  const watcher = watch(t, [
    '--config',
    configure(`${home}/guests.toml`, all),
    '--backend',
    'late,garbage,short,pipe,good',
    archive,
  ])
  const says = (what: RegExp | string): Promise<boolean> =>
    until(() =>
      typeof what === 'string' ? watcher.stderr().includes(what) : what.test(watcher.stderr()),
    )
  crash(good, 'good')
  await crashesCome(t, archive, 1)
  t.ok(await says(`backend late: not attached: ${late}: no such file`))
  t.ok(await says('backend short: not attached: '))
  t.ok(await says(/backend pipe: not attached: .* is a pipe/))
  // It comes.
  const made = makeRegion(`${home}/made`)
  crash(made, 'late')
  fs.renameSync(made, late!)
  t.match((await crashesCome(t, archive, 2)).join(), '-late-')
  // It is replaced by another, as it crashes.
  const other = makeRegion(`${home}/other`)
  crash(other, 'the other')
  crash(good, 'the first')
  fs.renameSync(other, good)
  const names = await crashesCome(t, archive, 4)
  const texts = names
    .filter(name => name.includes('-good-'))
    .map(name => textIn(archive, name, 'dmesg-good-0'))
    .join()
  for (const why of ['the first', 'the other']) t.match(texts, why)
  // It vanishes, is cut short, and comes again.
  fs.unlinkSync(good)
  t.ok(await says(`${good}: is gone`))
  crash(makeRegion(`${home}/again`), 'again')
  fs.renameSync(`${home}/again`, good)
  await crashesCome(t, archive, 5)
  fs.truncateSync(good, 100)
  t.ok(await says(/backend good: not (archived|attached): .*good\.img: /))
  crash(late!, 'in spite of it')
  await crashesCome(t, archive, 6)
  fs.unlinkSync(good)
  crash(makeRegion(`${home}/again`), 'once more')
  fs.renameSync(`${home}/again`, good)
  await crashesCome(t, archive, 7)
  await ends(t, watcher)
  for (const [line, count] of Object.entries(countLines(watcher.stderr())))
    t.equal(count, line.includes('was replaced') ? 2 : 1, `said once: ${line}`)
})

const countLines = (text: string): { [line: string]: number } => {
  const counts: { [line: string]: number } = {}
  for (const line of text.split('\n').filter(Boolean)) counts[line] = (counts[line] ?? 0) + 1
  return counts
}

t.test('a store that another process holds delays no other', async t => {
  const home = folder(t)
  const archive = `${home}/crashes`
  const [held, free] = ['held', 'free'].map(name => makeRegion(`${home}/${name}.img`))
  const config = configure(`${home}/guests.toml`, { held: held!, free: free! })
  const watcher = watch(t, ['--config', config, '--all-backends', archive])
  crash(held!, 'held')
  await crashesCome(t, archive, 1)
  crash(held!, 'held again')
  const holder = spawn('flock', ['-x', '-F', held!, 'sh', '-c', 'echo held; exec sleep 1000'])
  t.teardown(() => holder.kill('SIGKILL'))
  await new Promise(resolve => holder.stdout.once('data', resolve))
  crash(free!, 'free')
  t.ok(await until(() => crashesIn(archive).some(name => name.includes('-free-'))))
  const gone = new Promise(resolve => holder.once('close', resolve))
  holder.kill('SIGKILL')
  await gone
  await crashesCome(t, archive, 3)
  await ends(t, watcher)
  t.equal(succeed(t, ['ls', held!, ...flags]).toString(), '')
})

/** A mount of a region, whose daemon the test stops, as a medium beside another one. */
const slowAndFree = (t: Test) => {
  const home = folder(t)
  const archive = `${home}/crashes`
  const [slow, free] = ['slow', 'free'].map(name => makeRegion(`${home}/${name}.img`))
  const mountpoint = mount(t, slow!, flags)
  const daemon = daemonOf(mountpoint)
  t.teardown(() => process.kill(daemon, 'SIGCONT'))
  const config = configure(`${home}/guests.toml`, { free: free! })
  fs.appendFileSync(config, `[backends.slow]\nsource = "records:${mountpoint}"\n`)
  const watcher = watch(t, ['--keep', '--config', config, '--all-backends', archive])
  crash(slow!, 'slow')
  crash(free!, 'free')
  return { archive, free: free!, mountpoint, daemon, watcher }
}

t.test('a medium that does not answer keeps no other waiting', async t => {
  const { archive, free, daemon, watcher } = slowAndFree(t)
  // It stops at the moment when the crashes are there: what is looked at after that keeps nobody from the archive.
  while (crashesIn(archive).length < 2) await setImmediate()
  process.kill(daemon, 'SIGSTOP')
  for (const count of [3, 4]) {
    crash(free, `free ${count}`)
    await crashesCome(t, archive, count)
  }
  process.kill(daemon, 'SIGCONT')
  await ends(t, watcher)
  t.equal(watcher.stderr(), '')
})

/** How many requests a mount's daemon has not answered: a file of the kernel's (Documentation/filesystems/fuse.rst). */
const waitingAt = (t: Test, mountpoint: string): (() => number) => {
  const { dev } = fs.statSync(mountpoint)
  const connection = (dev & 0xff) | ((dev >> 12) & 0xfff00)
  const control = folder(t)
  t.equal(run('mount', ['-t', 'fusectl', 'none', control]).status, 0)
  t.teardown(() => run('umount', ['-l', control]))
  return () => Number(fs.readFileSync(`${control}/${connection}/waiting`, 'latin1'))
}

const asRoot = process.getuid!() !== 0 && 'only root can see how many requests wait'
t.test('a medium that does not answer does not delay the end', { skip: asRoot }, async t => {
  const { archive, mountpoint, daemon, watcher } = slowAndFree(t)
  await crashesCome(t, archive, 2)
  const waiting = waitingAt(t, mountpoint)
  // The kernel lets no process go whose request the daemon has taken and not answered: it stops without any.
  for (;;) {
    process.kill(daemon, 'SIGSTOP')
    if (waiting() === 0) break
    process.kill(daemon, 'SIGCONT')
    await setImmediate()
  }
  t.ok(await until(() => waiting() > 0), 'the watcher waits for its medium')
  await ends(t, watcher)
  t.equal(watcher.stderr(), '')
})

t.test('the archive is free while nothing happens, and is waited for', async t => {
  const home = folder(t)
  const archive = `${home}/crashes`
  const [one, two] = ['one', 'two'].map(name => makeRegion(`${home}/${name}.img`))
  crash(one!, 'first')
  const watcher = watch(t, [one!, archive, ...flags])
  await crashesCome(t, archive, 1)
  crash(two!, 'by hand')
  succeed(t, ['archive', two!, archive, ...flags])
  await crashesCome(t, archive, 2)
  // Somebody keeps it for a while.
  const holder = spawn('flock', ['-x', '-F', archive, 'sh', '-c', 'echo held; exec sleep 1000'])
  t.teardown(() => holder.kill('SIGKILL'))
  await new Promise(resolve => holder.stdout.once('data', resolve))
  crash(one!, 'second')
  t.ok(await until(() => watcher.stderr().includes('another process holds it exclusively')))
  t.equal(crashesIn(archive).length, 2)
  holder.kill('SIGKILL')
  await crashesCome(t, archive, 3)
  await ends(t, watcher)
})

t.test('--keep copies each crash once', async t => {
  const home = folder(t)
  const archive = `${home}/crashes`
  const region = makeRegion(`${home}/region.img`)
  crash(region, 'kept')
  const before = fs.readFileSync(region)
  const watcher = watch(t, ['--keep', region, archive, ...flags])
  await crashesCome(t, archive, 1)
  t.ok(fs.readFileSync(region).equals(before))
  crash(region, 'kept, too')
  await crashesCome(t, archive, 2)
  await ends(t, watcher)
  t.equal(
    succeed(t, ['ls', region, ...flags])
      .toString()
      .split('\n').length,
    4,
  )
})

t.test('the config is read again on SIGHUP', async t => {
  const home = folder(t)
  const archive = `${home}/crashes`
  const [one, two] = ['one', 'two'].map(name => makeRegion(`${home}/${name}.img`))
  const config = configure(`${home}/guests.toml`, { one: one! })
  const watcher = watch(t, ['--config', config, '--all-backends', archive])
  crash(one!, 'one')
  await crashesCome(t, archive, 1)
  fs.writeFileSync(config, 'backends = 7\n')
  watcher.child.kill('SIGHUP')
  t.ok(await until(() => watcher.stderr().includes('config not reloaded: ')))
  configure(config, { two: two! })
  watcher.child.kill('SIGHUP')
  crash(two!, 'two')
  t.match((await crashesCome(t, archive, 2)).join(), '-two-')
  crash(one!, 'nobody looks')
  crash(two!, 'two again')
  await crashesCome(t, archive, 3)
  await ends(t, watcher)
  t.not(succeed(t, ['ls', one!, ...flags]).toString(), '')
})

t.test('what is refused', async t => {
  const home = folder(t)
  const region = makeRegion(`${home}/region.img`)
  const before = fs.readFileSync(region)
  const open = folder(t)
  fs.chmodSync(open, 0o777)
  const table: [args: string[], status: number, message: RegExp][] = [
    [['-', `${home}/a`], 1, /is standard input/],
    [[region, open], 1, /not used: others may write to it/],
    [[region, `${home}/no/such`], 1, /no such file/],
    [['--config', '/nowhere', '--all-backends', `${home}/a`], 1, /\/nowhere: no such file/],
    [['--keep', '--keep-last', '1', region, `${home}/a`], 2, /--keep leaves the records/],
    [['--keep-last', '0', region, `${home}/a`], 2, /--keep-last: 0: is no number from 1 on/],
    [['--max-age', 'old', region, `${home}/a`], 2, /old: is no age/],
    [['--max-size', 'x', region, `${home}/a`], 2, /--max-size/],
  ]
  for (const [args, status, message] of table) {
    const outcome = pstorefs(['archive', '--watch', ...args])
    t.match(outcome.stderr.trimEnd(), message)
    t.equal(outcome.status, status, args.join(' '))
    t.equal(outcome.stderr.split('\n').length, 2, 'one line')
  }
  t.ok(fs.readFileSync(region).equals(before))
})

const kills = 20

t.test(
  `${kills} kills, and a guest that goes on: nothing is lost, nothing is there twice`,
  async t => {
    const random = randomFor(t)
    const home = folder(t)
    const archive = `${home}/crashes`
    const layout = { record_size: 4096, console_size: 1 << 16, pmsg_size: 0, ftrace_size: 0 }
    const words = Object.entries(layout).flatMap(([name, value]) => [`--${name}`, `${value}`])
    const region = `${home}/region.img`
    format(region, { ...layout, mem_size: 1 << 18 })
    const backend = attach(region, layout)
    t.teardown(() => backend.close())
    const console = [...backend.survey.conditions()].find(({ type }) => type === 'console')!
    const guest = spawnGuest(region, console.offset!, console.room, 10, 1e9)
    t.teardown(() => guest.kill('SIGKILL'))
    const isEmpty = (): boolean => [...backend.names()].every(name => !name.startsWith('dmesg'))
    let dumps = 0
    let told = ''
    for (let n = 0; n < kills; n++) {
      const look = (): string => (fs.existsSync(archive) ? fs.readdirSync(archive).join() : '')
      const before = look()
      const watcher = watch(t, [region, archive, ...words])
      // A guest that oopses, and goes on.
      backend.write({ type: 'dmesg', bytes: Buffer.from(`Oops#${n} Part1\ndump ${dumps++}.\n`) })
      if (!(await until(() => look() !== before))) t.fail(`${n}: it does nothing`)
      // Now and then one gets done: the newest crash, which has the console, comes last.
      if (n % 4 === 3 && !(await until(isEmpty))) t.fail(`${n}: it does not get done`)
      await new Promise(resolve => setTimeout(resolve, random.below(150)))
      await watcher.end('SIGKILL')
      told += watcher.stderr()
    }
    guest.kill('SIGKILL')
    await new Promise(resolve => guest.once('close', resolve))
    told += pstorefs(['archive', region, archive, ...words]).stderr
    t.ok(fs.readdirSync(archive).every(name => !name.startsWith('.')))
    const texts = (type: string): string[] =>
      crashesIn(archive).flatMap(name =>
        fs
          .readdirSync(`${archive}/${name}`)
          .filter(file => file.startsWith(type))
          .map(file => textIn(archive, name, file)),
      )
    const found = texts('dmesg-').map(text => Number(/^dump (\d+)\.$/m.exec(text)?.[1]))
    t.same(
      found.toSorted((a, b) => a - b),
      Array.from({ length: dumps }, (_, n) => n),
      'each dump is there once',
    )
    const numbers = texts('console-')
      .flatMap(numbersIn)
      .toSorted((a, b) => a - b)
    t.same(
      numbers.filter((n, at) => n === numbers[at - 1]),
      [],
      'no line is there twice',
    )
    const all = new Set(numbers)
    const lost = Array.from({ length: numbers.at(-1)! }, (_, n) => n).filter(n => !all.has(n))
    t.comment(`${numbers.length} lines, ${lost.length} lost; ${told}`)
    if (lost.length > 0)
      t.match(told, /was written to while it was emptied/, `${lost.slice(0, 20).join()}: told`)
    t.ok(lost.length <= numbers.length / 100, `${lost.length} of ${numbers.length} are lost`)
  },
)
