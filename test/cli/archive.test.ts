/** `pstorefs archive`: records go into folders, one a crash; none is lost, none is there twice. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, writeDump, type AttachOptions } from '#src/index.js'
import { layoutOptions, loadFixture } from '../fixtures.js'
import { file, folder, program, pstorefs, pstorefsRefused, run, succeed } from '../program.js'
import { randomFor } from '../random.js'

const options: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 4096,
  ftrace_size: 0,
}
const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])

/** A region with room for 13 dumps. */
const makeRegion = (t: Test): string => {
  const region = `${folder(t)}/region.img`
  format(region, { ...options, mem_size: 65536 })
  return region
}

const namesIn = (region: string): string[] => {
  const backend = attach(region, options)
  const names = [...backend.records()].map(({ name }) => name)
  backend.close()
  return names
}

/** Store dumps, and append to the console. */
const fill = (region: string, dumps: string[], console = ''): void => {
  const backend = attach(region, options)
  for (const text of dumps) writeDump(backend, Buffer.from(`${text}\n`))
  if (console) backend.write({ type: 'console', bytes: Buffer.from(console) })
  backend.close()
}

interface Listed {
  name: string
  pending: boolean
  kept: boolean
  source: string
  offset: number
  archived: string
  records: string[]
}

const list = (t: Test, archive: string): Listed[] =>
  JSON.parse(succeed(t, ['list', archive, '--json']).toString()) as Listed[]

t.test("a real kernel's region", async t => {
  const fixture = loadFixture('ecc1-all')
  const region = file(t, fixture.region())
  const layout = layoutOptions(fixture)
  const archive = `${folder(t)}/crashes`
  const said = succeed(t, ['archive', region, archive, ...layout]).toString()
  const folders = [
    '2026-11-23T03:27:55Z-oops-1',
    '2026-11-23T03:27:56Z-oops-2',
    '2026-11-23T03:27:57Z-panic-3',
  ]
  t.equal(
    said,
    `${archive}/${folders[0]}: 1 record\n${archive}/${folders[1]}: 1 record\n${archive}/${folders[2]}: 4 records\n`,
  )
  t.same(fs.readdirSync(archive).sort(), folders)
  // How an ftrace record's text looks depends on the kernel's symbols.
  for (const { name } of fixture.files.filter(({ name }) => !name.startsWith('ftrace'))) {
    const [found, ...more] = folders.filter(of => fs.existsSync(`${archive}/${of}/${name}`))
    t.same(more, [])
    t.ok(fs.readFileSync(`${archive}/${found}/${name}`).equals(fixture.file(name)), name)
  }
  t.equal(succeed(t, ['ls', region, ...layout]).toString(), '', 'nothing is left in the region')
  const listed = succeed(t, ['list', archive]).toString()
  t.match(listed, /^1 .* ramoops +1x +kernel panic: sysrq triggered crash$/m)
  const summary = fs.readFileSync(`${archive}/${folders[2]}/summary.txt`, 'utf8')
  t.match(
    summary,
    /^crash +panic 3\ntime +2026-11-23T03:27:57Z\ncause +Kernel panic - not syncing: /,
  )
  t.match(summary, /^title +kernel panic: sysrq triggered crash$/m)
  t.match(summary, /^kernel +6\.12/m)
  t.match(summary, /^uptime +4\.497645 s$/m)
  t.match(summary, /\nlast lines of the console\n(  .+\n){20}$/)
  t.notMatch(summary, /ECC: No errors/)

  // Another machine's crash at the same second overwrites nothing.
  const again = file(t, fixture.region())
  succeed(t, ['archive', again, archive, ...layout])
  t.same(
    fs.readdirSync(archive).sort(),
    folders.flatMap(of => [of, `${of}.2`]),
  )
  const nothing = {
    status: 0,
    stdout: { length: 0 },
    stderr: `pstorefs: ${archive}: nothing new to archive\n`,
  }
  t.match(pstorefs(['archive', again, archive, ...layout]), nothing)
})

t.test('a store that tells its layout no more, as all was moved', t => {
  const source = file(t, loadFixture('all-noecc').region())
  const archive = folder(t)
  t.match(pstorefs(['archive', source, archive]), { status: 0, stderr: '' })
  const empty = fs.readFileSync(source)
  t.match(pstorefs(['archive', source, archive]), {
    status: 0,
    stderr: /^[^\n]*: layout guessed \([^\n]*\npstorefs: \S+: nothing new to archive\n$/,
  })
  const config = file(t, Buffer.from(`[backends.guest]\nsource = "${source}"\n`), 'guests.toml')
  const textfile = `${folder(t)}/guests.prom`
  const all = ['--config', config, '--all-backends', archive, '--textfile', textfile]
  t.match(pstorefs(['archive', ...all]), { status: 0, stderr: /: nothing new to archive\n$/ })
  t.match(fs.readFileSync(textfile, 'utf8'), /\{backend="guest"\} 0\n/)
  // What is in it now cannot be erased.
  empty.writeUInt32LE(5, empty.lastIndexOf('DBGC') + 8)
  empty.writeUInt32LE(5, empty.lastIndexOf('DBGC') + 4)
  fs.writeFileSync(source, empty)
  t.match(pstorefs(['archive', source, archive]), {
    status: 1,
    stderr: /refusing to write with a guessed/,
  })
  t.end()
})

t.test('what cannot be inflated, and what a console says', async t => {
  const fixture = loadFixture('dmesg-enc-z')
  const archive = folder(t)
  succeed(t, ['archive', file(t, fixture.region()), archive, ...layoutOptions(fixture)])
  const broken = `${archive}/2026-11-23T03:21:38Z-dump-1`
  t.same(fs.readdirSync(broken).sort(), [
    'dmesg-ramoops-0.enc.z',
    'dmesg-ramoops-0.enc.z.salvaged.txt',
    'records.json',
    'summary.txt',
  ])
  t.match(fs.readFileSync(`${broken}/summary.txt`, 'utf8'), /cannot be inflated/)

  const region = makeRegion(t)
  const hostile = '\x1b]0;title\x07\x1b[31mred\n'
  fill(region, [], hostile)
  succeed(t, ['archive', region, `${archive}/rings`, ...flags])
  const [name] = fs.readdirSync(`${archive}/rings`)
  t.match(name, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ-no-dump-1$/)
  t.equal(fs.readFileSync(`${archive}/rings/${name}/console-ramoops-0`, 'latin1'), hostile)
  const summary = fs.readFileSync(`${archive}/rings/${name}/summary.txt`, 'utf8')
  t.match(summary, '\\^[]0;title^G^[[31mred'.slice(1))
  t.notMatch(summary, '\x1b')
})

t.test("the next boot's console is no crash's, and goes apart", async t => {
  const region = makeRegion(t)
  const archive = `${folder(t)}/crashes`
  const dump = '<0>[   12.000000] Kernel panic - not syncing: why'
  const boot = '[    0.000000] Linux version 6.1.0\n[    9.030000] guest: heartbeat 5\n'
  fill(region, [dump], boot)
  const said = succeed(t, ['archive', region, archive, ...flags]).toString()
  t.match(said, /-panic-1: 1 record\n.*-no-dump-1: 1 record; of another life than the dumps'\n$/)
  const [crash, other] = ['panic-1', 'no-dump-1'].map(end =>
    fs.readdirSync(archive).find(name => name.endsWith(end))!,
  )
  t.same(fs.readdirSync(`${archive}/${crash}`).sort(), [
    'dmesg-ramoops-0',
    'records.json',
    'summary.txt',
  ])
  t.notMatch(fs.readFileSync(`${archive}/${crash}/summary.txt`, 'utf8'), /heartbeat/)
  t.equal(fs.readFileSync(`${archive}/${other}/console-ramoops-0`, 'utf8'), boot)
  t.same(namesIn(region), [])
})

t.test('a part of a dump that is missing is named', async t => {
  const store = `${folder(t)}/store.erst`
  const archive = folder(t)
  format(`erst:${store}`, { record_size: 4096, mem_size: 65536 })
  const backend = attach(`erst:${store}`, {})
  const bytes = Buffer.from(Array.from({ length: 1200 }, () => `${Math.random()}\n`).join(''))
  writeDump(backend, bytes, { compress: false })
  const names = [...backend.records()].map(({ name }) => name)
  t.ok(names.length > 2)
  t.ok(backend.find(names[1]!)!.erase())
  backend.close()
  const said = succeed(t, ['archive', `erst:${store}`, archive]).toString()
  t.match(said, new RegExp(`: ${names.length - 1} records; part 2 of the dump is missing\n$`))
  const [crash] = fs.readdirSync(archive)
  const summary = fs.readFileSync(`${archive}/${crash}/summary.txt`, 'utf8')
  t.match(summary, new RegExp(`^parts +${names.length - 1}: part 2 of the dump is missing$`, 'm'))
})

t.test('--keep copies what is new, and a later run without it moves it', async t => {
  const region = makeRegion(t)
  fill(region, ['first'], 'hello\n')
  const archive = folder(t)
  const before = fs.readFileSync(region)
  const keep = (): string => succeed(t, ['archive', '--keep', region, archive, ...flags]).toString()
  t.match(keep(), /: 2 records\n$/)
  t.ok(fs.readFileSync(region).equals(before), 'nothing is changed')
  t.equal(keep(), '')
  fill(region, [], 'world\n')
  t.match(keep(), /no-dump-1: 1 record\n$|panic-1\.2: 1 record\n$/, 'the console has grown')
  fill(region, ['second'])
  t.match(keep(), /panic-2: 1 record\n$/)
  t.equal(list(t, archive).filter(({ kept }) => kept).length, 3)

  fill(region, [], 'more\n')
  const said = succeed(t, ['archive', region, archive, ...flags]).toString()
  t.equal(said.match(/: finished$/gm)?.length, 3)
  t.match(said, /: 1 record\n$/)
  t.same(namesIn(region), [])
  const entries = list(t, archive)
  t.equal(entries.filter(({ kept, pending }) => kept || pending).length, 0)
  t.same(entries.flatMap(({ records }) => records).sort(), [
    'console-ramoops-0',
    'console-ramoops-0',
    'console-ramoops-0',
    'dmesg-ramoops-0',
    'dmesg-ramoops-1',
  ])
})

t.test('all backends', async t => {
  const home = folder(t)
  const [one, two] = [makeRegion(t), makeRegion(t)]
  fill(one, ['of one'])
  fill(two, ['of two'])
  const config = `${home}/guests.toml`
  const section = (name: string, source: string): string =>
    `[backends.${name}]\nsource = "${source}"\nrecord_size = 4096\nconsole_size = 4096\n` +
    'pmsg_size = 4096\nftrace_size = 0\n'
  fs.writeFileSync(config, section('one', one) + section('two', two) + section('gone', '/nowhere'))
  const archive = `${home}/crashes`
  const { status, stdout, stderr } = pstorefs([
    'archive',
    '--config',
    config,
    '--all-backends',
    archive,
  ])
  t.equal(status, 1, 'not all were archived')
  t.equal(stderr, 'pstorefs: backend gone: not attached: /nowhere: no such file\n')
  t.equal(stdout.toString().split('\n').length, 3)
  t.match(fs.readdirSync(archive).sort(), [/Z-one-panic-1$/, /Z-two-panic-1$/])
  const names = list(t, archive).flatMap(({ records }) => records)
  t.same(names.sort(), ['dmesg-one-0', 'dmesg-two-0'])
  fill(two, ['once more'])
  succeed(t, ['archive', '--config', config, '--backend', 'two', archive])
  t.equal(list(t, archive).length, 3)
  const [first] = fs.readdirSync(archive)
  t.match(succeed(t, ['show', `${archive}/${first}`]).toString(), /of one/)
})

t.test('each backend that is not attached is named', async t => {
  const region = makeRegion(t)
  const names = Array.from({ length: 12 }, (_, n) => `gone${n}`)
  const gone = names.map(name => `[backends.${name}]\nsource = "/nowhere"\n`)
  const config = `${folder(t)}/guests.toml`
  fs.writeFileSync(
    config,
    `${gone.join('')}[backends.here]\nsource = "${region}"\nrecord_size = 4096\n`,
  )
  const args = ['archive', '--config', config, '--all-backends', `${folder(t)}/crashes`]
  const { status, stderr } = pstorefs(args)
  t.equal(status, 1)
  for (const name of names) t.match(stderr, `backend ${name}: not attached: `)
})

t.test('what is refused changes nothing', async t => {
  const region = makeRegion(t)
  fill(region, ['a dump'], 'text\n')
  const before = fs.readFileSync(region)
  const home = folder(t)
  const table: [args: string[], status: number, message: RegExp][] = [
    [[region], 2, /Give SOURCE and DIR/],
    [[], 2, /Give SOURCE and DIR/],
    [['--list', home], 2, /^pstorefs: this is a command of its own: pstorefs list DIR$/],
    [['--list', home, '--json'], 2, /^pstorefs: [^\n]*: pstorefs list DIR$/],
    [[region, home, `--list=${home}`], 2, /^pstorefs: [^\n]*: pstorefs list DIR$/],
    [[`--show`, `${home}/crash`], 2, /^pstorefs: [^\n]*: pstorefs show DIR CRASH$/],
    [['--show'], 2, /^pstorefs: [^\n]*: pstorefs show DIR CRASH$/],
    [['--json', region, home], 2, /--json: no such option/],
    [['--all-backends'], 2, /Give DIR alone/],
    [['--all-backends', region, home], 2, /Give DIR alone/],
    [[region, `${home}/no/such`, ...flags], 1, /no such file/],
    [[region, '/proc/nothing', ...flags], 1, /no such file/],
    [[region, region, ...flags], 1, /not a directory$/],
    [[region, '/sys', ...flags], 1, /pstorefs: \/sys: /],
    [[`efi:${file(t, loadFixture('efi-panic').region())}`, `${home}/made`], 1, /use --keep/],
  ]
  for (const [args, status, message] of table) {
    const outcome = pstorefs(['archive', ...args])
    t.equal(outcome.status, status, args.join(' '))
    t.match(outcome.stderr.trimEnd(), message)
    t.equal(outcome.stderr.split('\n').length, 2, 'one line')
  }
  t.ok(fs.readFileSync(region).equals(before))
  t.same(fs.readdirSync(home), [])
})

t.test('a full disk: nothing is erased, and nothing half written stays', async t => {
  const disk = folder(t)
  if (run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', disk]).status !== 0) {
    t.comment('only root can mount a small disk')
    return
  }
  t.teardown(() => run('umount', [disk]))
  const region = makeRegion(t)
  const text = (n: number): string =>
    Array.from({ length: 3000 }, (_, i) => String.fromCharCode(33 + ((i * i * n) % 90))).join('')
  const texts = Array.from({ length: 13 }, (_, n) => text(n + 2))
  fill(region, texts)
  const before = fs.readFileSync(region)
  const archive = `${disk}/crashes`
  const noSpace = (): void => {
    const { status, stderr } = pstorefs(['archive', region, archive, ...flags])
    t.equal(status, 1)
    t.equal(stderr, `pstorefs: ${archive}: no space left on device\n`)
    t.same(
      fs.readdirSync(archive).filter(name => name.startsWith('.')),
      [],
    )
  }
  // No room for any of them.
  fs.writeFileSync(`${disk}/full`, Buffer.alloc(62 * 1024))
  noSpace()
  t.same(fs.readdirSync(archive), [])
  t.ok(fs.readFileSync(region).equals(before), 'the region is as it was')
  // Room for some.
  fs.unlinkSync(`${disk}/full`)
  noSpace()
  const moved = list(t, archive)
  t.equal(moved.length + namesIn(region).length, 13)
  t.ok(moved.length > 0 && namesIn(region).length > 0)
  const copies = moved.flatMap(({ name: of, records }) =>
    records.map(name => fs.readFileSync(path.join(archive, of, name), 'latin1')),
  )
  const left = namesIn(region).map(name =>
    succeed(t, ['cat', region, name, ...flags]).toString('latin1'),
  )
  for (const text of texts)
    t.equal([...copies, ...left].filter(one => one.includes(text)).length, 1, 'each is whole, once')
  // With room again it goes on.
  run('mount', ['-o', 'remount,size=4m', disk])
  succeed(t, ['archive', region, `${disk}/crashes`, ...flags])
  t.equal(list(t, `${disk}/crashes`).length, 13)
  t.same(namesIn(region), [])
})

/** A region with a dump, and its archive as a kill leaves it just after the crash's folder has its pending name. */
const killedLate = (t: Test): { region: string; archive: string; pending: string } => {
  const region = makeRegion(t)
  fill(region, ['first'])
  const archive = folder(t)
  succeed(t, ['archive', '--keep', region, archive, ...flags])
  const [name] = fs.readdirSync(archive)
  const pending = `${archive}/.pending-${name}`
  fs.renameSync(`${archive}/${name}`, pending)
  return { region, archive, pending }
}

t.test('what a killed run named is on the disk before what it holds is erased', async t => {
  const { region, archive } = killedLate(t)
  const trace = `${folder(t)}/trace`
  const command = [process.execPath, program, 'archive', region, archive, ...flags]
  const { status, stderr } = run(
    'strace',
    ['-f', '-y', '-o', trace, '-e', 'trace=fsync,pwrite64', ...command].flat(),
  )
  t.equal(status, 0, stderr)
  const calls = fs.readFileSync(trace, 'latin1').split('\n')
  const synced = calls.findIndex(call => call.includes(`fsync(`) && call.includes(`<${archive}>`))
  const erased = calls.findIndex(call => call.includes('pwrite64(') && call.includes(region))
  t.ok(0 <= synced && synced < erased, calls.join('\n'))
  t.same(namesIn(region), [])
})

t.test('a copy on a bad sector counts as none, and holds up nothing', async t => {
  const { region, archive, pending } = killedLate(t)
  fill(region, ['second'])
  const { status, stderr } = pstorefsRefused(
    `${pending}/dmesg-ramoops-0`,
    ['read:error=EIO'],
    ['archive', region, archive, ...flags],
  )
  t.equal(status, 0)
  t.match(stderr, /^pstorefs: .*: has no copy of dmesg-ramoops-0 with its sum; not erased\n$/)
  t.same(namesIn(region), [])
  const archived = list(t, archive).flatMap(({ records }) => records)
  t.same(archived.toSorted(), ['dmesg-ramoops-0', 'dmesg-ramoops-1'])
})

const kills = 200

t.test(`${kills} kills: every record is in exactly one place`, async t => {
  const random = randomFor(t)
  const region = makeRegion(t)
  const archive = `${folder(t)}/crashes`
  fs.mkdirSync(archive)
  let written = 0
  let cut = 0
  /** How long a run takes, in ms, as the last one that was not cut short did: kills come anywhere in that. */
  let whole = 0
  /** How often each dump that was ever written lies in the archive's folders. */
  const copies = (states: (name: string) => boolean): Map<number, number> => {
    const found = new Map<number, number>()
    for (const name of fs.readdirSync(archive).filter(states))
      for (const record of fs.readdirSync(path.join(archive, name))) {
        if (!record.startsWith('dmesg')) continue
        const text = fs.readFileSync(path.join(archive, name, record), 'latin1')
        const n = Number(/^number (\d+)$/m.exec(text)?.[1])
        found.set(n, (found.get(n) ?? 0) + 1)
      }
    return found
  }
  const inRegion = (): Set<number> => {
    const backend = attach(region, options)
    const numbers = [...backend.records()].map(record =>
      Number(/^number (\d+)$/m.exec(record.read().toString('latin1'))?.[1]),
    )
    backend.close()
    return new Set(numbers)
  }
  for (let round = 0; cut < kills && round < 3 * kills; round++) {
    const free = 13 - namesIn(region).length
    fill(
      region,
      Array.from({ length: Math.min(free, 6) }, () => `number ${written++}`),
    )
    const child = spawn(process.execPath, [program, 'archive', region, archive, ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let isGone = false
    const gone = new Promise(resolve => child.on('exit', resolve)).then(() => (isGone = true))
    // From the moment that the first crash's folder is begun.
    const begun = (): boolean => fs.readdirSync(archive).some(name => name.startsWith('.'))
    while (!begun() && !isGone) await new Promise(resolve => setImmediate(resolve))
    const start = performance.now()
    const end = start + (random.below(1000) / 1000) * whole
    while (!isGone && (whole === 0 || performance.now() < end))
      await new Promise(resolve => setImmediate(resolve))
    child.kill('SIGKILL')
    await gone
    if (child.signalCode) cut++
    else whole = performance.now() - start
    const held = copies(name => !name.startsWith('.partial-'))
    const left = inRegion()
    for (let n = 0; n < written; n++)
      if (!held.has(n) && !left.has(n)) t.fail(`round ${round}: number ${n} is lost`)
    for (const [n, times] of held)
      if (times > 1) t.fail(`round ${round}: number ${n} is there ${times} times`)
    const finished = copies(name => !name.startsWith('.'))
    for (const n of left)
      if (finished.has(n)) t.fail(`round ${round}: number ${n} is in the archive and in the region`)
  }
  succeed(t, ['archive', region, archive, ...flags])
  t.same(namesIn(region), [])
  const held = copies(() => true)
  t.same(
    fs.readdirSync(archive).filter(name => name.startsWith('.')),
    [],
  )
  t.equal(held.size, written, 'none is lost')
  t.same(
    [...held.values()].filter(times => times !== 1),
    [],
    'none is there twice',
  )
  t.ok(cut > kills / 2, `${cut} were cut short, ${written} dumps`)
})

t.test('two stores on one disk are two sources', async t => {
  const home = folder(t)
  const [disk, archive] = [`${home}/disk.img`, `${home}/crashes`]
  fs.writeFileSync(disk, Buffer.alloc(2 << 20))
  const half = 1 << 20
  const sizes = { kmsg_size: 4096, console_size: 0, pmsg_size: 0, ftrace_size: 0, mem_size: half }
  const words = (mem_address: number): string[] =>
    Object.entries({ ...sizes, mem_address }).flatMap(([name, value]) => [`--${name}`, `${value}`])
  for (const at of [0, half]) {
    format(`zone:${disk}`, { ...sizes, mem_address: at })
    const backend = attach(`zone:${disk}`, { ...sizes, mem_address: at })
    writeDump(backend, Buffer.from(`words of the store at ${at}\n`))
    backend.close()
  }
  const source = `zone:${disk}`
  succeed(t, ['archive', '--keep', source, archive, ...words(0)])
  const [first] = list(t, archive)
  const second = succeed(t, ['archive', source, archive, ...words(half)]).toString()
  t.equal(second.split('\n').length, 2, 'one folder is made, and no other finished')
  t.match(
    list(t, archive).find(({ name }) => name === first!.name),
    { kept: true },
    'the first store has its record still',
  )
  const again = succeed(t, ['archive', source, archive, ...words(0)]).toString()
  t.match(again, new RegExp(`${first!.name}: finished`))
  const found = list(t, archive)
  t.equal(found.length, 2, 'no record is there twice')
  t.same(
    found.map(({ offset }) => offset).sort((a, b) => a - b),
    [0, half],
  )
  for (const { name, offset } of found)
    if (offset) t.match(fs.readFileSync(`${archive}/${name}/summary.txt`, 'utf8'), / at 0x100000/)
})
