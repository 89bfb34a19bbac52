/** `pstorefs list` and `show`: crashes of archives, stores, and copies of records, by any program. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { layoutOptions, loadFixture } from '../fixtures.js'
import { file, folder, pstorefs, succeed } from '../program.js'

process.env.TZ = 'UTC'

const options: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 4096,
  ftrace_size: 0,
}
const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])

interface Listed {
  number: number
  where: string
  name: string
  backend: string
  host: string | null
  time: string | null
  reason: string | null
  title: string | null
  cause: string | null
  fingerprint: string | null
  kernel: string | null
  missing: string | null
  seen: number
  records: string[]
  source: string
  archived: string | null
  pending: boolean
}

const list = (t: Test, ...args: string[]): Listed[] =>
  JSON.parse(succeed(t, ['list', '--json', ...args]).toString()) as Listed[]

/** A report of one life of a machine; each number is another life. */
const oops = (n: number): string => {
  const at = (seconds: number): string => `[${(seconds + 100 * (n - 1)).toFixed(6).padStart(12)}]`
  return [
    `<6>${at(11)} all is well`,
    `<1>${at(12.000001)} BUG: kernel NULL pointer dereference, address: 0000000000000010`,
    `<4>${at(12.1)} CPU: ${n} PID: ${n} Comm: sh Not tainted 6.1.0-9-amd64 #1`,
    `<4>${at(12.2)} RIP: 0010:guilty_one+0x1/0x20`,
    `<4>${at(12.3)} Call Trace:`,
    `<4>${at(12.4)}  caller_two+0x3/0x40`,
    `<4>${at(12.5)} ---[ end trace 0000000000000000 ]---`,
    '',
  ].join('\n')
}
const oopsText = Buffer.from(oops(3))
const title = 'BUG: unable to handle kernel NULL pointer dereference in guilty_one'

/** A region with dumps of these texts, an hour apart, the oldest first. */
const regionOf = (t: Test, texts: readonly string[], console = ''): string => {
  const region = `${folder(t)}/region.img`
  format(region, { ...options, mem_size: 65536 })
  const backend = attach(region, options)
  for (const [n, text] of texts.entries())
    backend.write({
      type: 'dmesg',
      bytes: Buffer.from(`Oops#${n + 1} Part1\n${text}`),
      time: { sec: 1_700_000_000n + BigInt(n * 3600), nsec: 0 },
    })
  if (console) backend.write({ type: 'console', bytes: Buffer.from(console) })
  backend.close()
  return region
}

const panic = '<0>[   20.000000] Kernel panic - not syncing: why not\n'

t.test('crashes of a region, the newest first, and how often each was seen', async t => {
  const region = regionOf(t, [oops(1), panic, oops(2)])
  const crashes = list(t, region, ...flags)
  t.match(crashes, [
    { number: 1, title, reason: 'oops', seen: 2, kernel: '6.1.0-9-amd64', where: region },
    { number: 2, title: 'kernel panic: why not', seen: 1, fingerprint: null, missing: null },
    { number: 3, title, seen: 2, time: '1700000000.000000000', backend: 'ramoops' },
  ])
  t.equal(crashes[0]!.fingerprint, crashes[2]!.fingerprint)
  t.match(crashes[0]!.fingerprint, /^[\da-f]{40}$/)
  const said = succeed(t, ['list', region, ...flags]).toString()
  t.equal(
    said,
    `1  2023-11-15 00:13:20  ramoops  2x  ${title}\n` +
      '2  2023-11-14 23:13:20  ramoops  1x  kernel panic: why not\n' +
      `3  2023-11-14 22:13:20  ramoops  2x  ${title}\n`,
  )
  t.equal(
    succeed(t, ['list', '--group', region, ...flags]).toString(),
    `1  2023-11-15 00:13:20  ramoops  2x  ${title}\n` +
      '2  2023-11-14 23:13:20  ramoops  1x  kernel panic: why not\n',
  )
  const [group] = JSON.parse(
    succeed(t, ['list', '--group', '--json', region, ...flags]).toString(),
  ) as object[]
  t.match(group, {
    title,
    count: 2,
    first: '1700000000.000000000',
    last: '1700007200.000000000',
    backends: ['ramoops'],
    newest: crashes[0]!.name,
  })
})

t.test('some of them', async t => {
  const region = regionOf(t, [oops(1), panic, oops(2)])
  const numbers = (...args: string[]): number[] =>
    list(t, region, ...flags, ...args).map(({ number }) => number)
  t.same(numbers('-1'), [1])
  t.same(numbers('-n', '2'), [1, 2])
  t.same(numbers('-n1'), [1])
  t.same(numbers('--grep', 'panic'), [2])
  t.same(numbers('--grep', '^Kernel panic'), [2], "the cause's words too")
  t.same(numbers('--since', '@1700000001'), [1, 2])
  t.same(numbers('--until', '2023-11-14T22:13:20Z'), [3])
  t.same(numbers('--since', '2023-11-14 22:13:21+00:00', '--until', '2023-11-14T23:59Z'), [2])
  t.same(numbers('--backend', 'ramoops'), [1, 2, 3])
  for (const [args, why] of [
    [['--backend', 'other'], 'none of 3 crashes is like that'],
    [['--since', '1h'], 'none of 3 crashes is like that'],
  ] as const) {
    const { status, stdout, stderr } = pstorefs(['list', region, ...flags, ...args])
    t.same([status, stdout.toString(), stderr], [1, '', `pstorefs: ${why}\n`])
  }
  for (const [args, why] of [
    [['--since', 'soon'], /soon: is no time: write 2026-11-23/],
    [['--since', '2023-13-45'], /is no time/],
    [['--grep', '('], /--grep: \(: is no regular expression/],
    [['-n', '0'], /^pstorefs: -n: give a number from 1/],
    [['-n', 'x'], /give a number from 1/],
  ] as const) {
    const { status, stdout, stderr } = pstorefs(['list', region, ...flags, ...args])
    t.equal(status, 2, 'wrong usage, and not that there is none')
    t.equal(stdout.toString(), '')
    t.match(stderr, why)
    t.equal(stderr.trimEnd().split('\n').length, 1, 'one line')
  }
})

t.test('an expression that takes for ever', async t => {
  const region = regionOf(t, [`[    1.000000] BUG: ${'a'.repeat(200)}!\n`])
  const { status, stderr } = pstorefs(['list', region, ...flags, '--grep', '(a+)+$'])
  t.equal(status, 1)
  t.equal(stderr, 'pstorefs: --grep: (a+)+$: takes too long: write a simpler one\n')
})

t.test('of an option that is given twice the last counts', async t => {
  const region = regionOf(t, [oops(1), panic, oops(2)], 'hello\n')
  const config = file(t, Buffer.from('[backends.mine]\nsource = "x"\n'))
  for (const [args, last] of [
    [
      ['--since', 'soon', '--since', '@1700000001'],
      [1, 2],
    ],
    [['--until', '@1', '--until', '2023-11-14T22:13:20Z'], [3]],
    [
      ['--grep', 'panic', '--grep', 'guilty'],
      [1, 3],
    ],
    [['-n', '2', '-n', '1'], [1]],
    [
      ['--config', '/no/such', '--config', config],
      [1, 2, 3],
    ],
    [
      ['--record-size', '64', ...flags],
      [1, 2, 3],
    ],
  ] as const) {
    const found = list(t, region, ...flags, ...args).map(({ number }) => number)
    t.same(found, last, args.join(' '))
  }
  const all = list(t, region, ...flags, '--backend', 'other', '--backend', 'ramoops')
  t.equal(all.length, 3, 'but of names each is meant')
  const words = ['--timeout', '9', '--timeout', '0', '--grep', 'no', '--grep', 'hello']
  t.equal(String(succeed(t, ['follow', region, 'console', ...flags, ...words])), 'hello\n')
  succeed(
    t,
    ['write', 'dmesg', region, ...flags, '--reason', 'panic', '--reason', 'oops'],
    oopsText,
  )
  t.equal(list(t, region, ...flags, '-1')[0]?.reason, 'oops')
  const twice = ['--max-age', '1d', '--max-age', '2d', '--keep-last', 'x', '--keep-last', '2']
  succeed(t, ['archive', region, `${folder(t)}/crashes`, ...flags, ...twice])
})

t.test('where there is no crash that is said', async t => {
  const region = regionOf(t, [], 'console\n')
  for (const args of [
    ['list', region, ...flags],
    ['show', region, ...flags],
  ]) {
    const { status, stdout, stderr } = pstorefs(args)
    t.same([status, stdout.toString(), stderr], [1, '', `pstorefs: no crash in ${region}\n`])
  }
  const { status, stderr } = pstorefs(['list', '/no/such/place'])
  t.equal(status, 1)
  t.match(stderr, /^pstorefs: \/no\/such\/place: no such file/)
  t.match(pstorefs(['show', 'gone.img']), {
    status: 1,
    stderr: /^pstorefs: gone\.img: no such file, and no (such )?crash in [^\n]*\n$/,
  })
  // What is sent of an archive, or not finished, is noted in it: that is no record.
  const bare = folder(t)
  fs.writeFileSync(`${bare}/.sends-otlp`, '')
  for (const args of [
    ['list', bare],
    ['list', bare, '--json'],
  ])
    t.match(pstorefs(args), {
      status: 1,
      stdout: Buffer.from(args[2] ? '[]\n' : ''),
      stderr: `pstorefs: no crash in ${bare}\n`,
    })
  // What died without a dump has told its console.
  const dead = regionOf(t, [], panic)
  t.match(list(t, dead, ...flags), [{ reason: null, title: 'kernel panic: why not' }])
})

t.test("another machine's archive", async t => {
  const region = regionOf(t, [panic, oops(2)])
  const archive = `${folder(t)}/crashes`
  succeed(t, ['archive', region, archive, ...flags])
  t.same(
    list(t, archive).map(({ host }) => host),
    [null, null],
    'this machine is not named',
  )
  const [name = ''] = fs.readdirSync(archive).toSorted()
  const manifest = `${archive}/${name}/records.json`
  const told = JSON.parse(fs.readFileSync(manifest, 'utf8')) as { host: { name: string } }
  t.equal(told.host.name, os.hostname())
  told.host.name = 'elsewhere\x1b[31m'
  fs.writeFileSync(manifest, JSON.stringify(told))
  t.same(
    list(t, archive).map(({ host }) => host),
    [null, 'elsewhere\x1b[31m'],
  )
  t.match(succeed(t, ['list', archive]).toString(), /^2 .* elsewhere\^\[\[31m:ramoops +1x /m)
  t.match(succeed(t, ['show', archive, '2']).toString(), '\nhost         elsewhere^[[31m\n')
  t.match(JSON.parse(succeed(t, ['list', archive, '--group', '--json']).toString()), [
    { backends: ['ramoops'], hosts: [] },
    { backends: ['ramoops'], hosts: ['elsewhere\x1b[31m'] },
  ])
})

t.test('an archive lists as what it was made of', async t => {
  const region = regionOf(t, [oops(1), panic, oops(2)])
  const archive = `${folder(t)}/crashes`
  const facts = (of: Listed[]): unknown[] => of.map(one => ({ ...one, where: '', archived: '' }))
  const before = list(t, region, ...flags)
  succeed(t, ['archive', region, archive, ...flags])
  const [newest] = list(t, archive)
  t.same(facts(list(t, archive)), facts(before))
  t.match(newest, { records: ['dmesg-ramoops-2'], source: region, pending: false })
  t.match(newest!.archived, /^\d+\.\d{9}$/)
  const crash = `${archive}/${before[1]!.name}`
  t.match(list(t, crash), [{ name: before[1]!.name, title: 'kernel panic: why not' }])
  t.equal(
    succeed(t, ['show', archive, '2']).toString().replaceAll(archive, ''),
    succeed(t, ['show', archive, before[1]!.name]).toString().replaceAll(archive, ''),
  )
  t.match(succeed(t, ['show', crash]).toString(), /^kernel panic: why not\n/)
  // As an earlier version wrote it.
  const manifest = `${crash}/records.json`
  const old = JSON.parse(fs.readFileSync(manifest, 'utf8')) as { [name: string]: unknown }
  for (const added of ['title', 'fingerprint', 'kernel', 'missing']) delete old[added]
  fs.writeFileSync(manifest, JSON.stringify(old))
  t.match(list(t, archive)[1], { title: null, cause: 'Kernel panic - not syncing: why not' })
  const several = list(t, archive, regionOf(t, [panic]), ...flags)
  t.equal(several.length, 4, 'several places')
})

t.test('what an archive has unfinished is said, and what finishes it', async t => {
  const region = regionOf(t, [oops(1), panic])
  const archive = `${folder(t)}/crashes`
  t.match(pstorefs(['list', path.dirname(archive)]), { status: 1, stderr: /: no crash in / })
  succeed(t, ['archive', '--keep', region, archive, ...flags])
  const [newest] = list(t, archive)
  fs.renameSync(`${archive}/${newest!.name}`, `${archive}/.pending-${newest!.name}`)
  t.match(list(t, archive), [
    { name: newest!.name, pending: true, kept: true, source: region },
    { pending: false, kept: true },
  ])
  t.match(
    succeed(t, ['list', archive]).toString(),
    `kernel panic: why not (unfinished: run archive ${region} again)\n2 `,
  )
  t.match(
    succeed(t, ['show', archive, newest!.name]).toString(),
    `\nunfinished   run archive ${region} again\n`,
  )
  succeed(t, ['archive', region, archive, ...flags])
  t.match(list(t, archive), [{ pending: false, kept: false }, { kept: false }])
})

t.test('a folder without a crash that can be used', t => {
  const home = folder(t)
  fs.mkdirSync(`${home}/crash`)
  const none = 'is a folder, not a file; neither EFI variables nor copied records are in it'
  for (const command of ['list', 'show', 'ls'])
    t.match(pstorefs([command, home]), { status: 1, stderr: `pstorefs: ${home}: ${none}\n` })
  fs.writeFileSync(`${home}/crash/records.json`, '{')
  t.match(pstorefs(['list', home]), {
    status: 1,
    stderr: `pstorefs: ${home}/crash: not used as a crash: records.json is no JSON\npstorefs: ${home}: ${none}\n`,
  })
  const fixture = loadFixture('ecc1-all')
  succeed(t, ['archive', file(t, fixture.region()), home, ...layoutOptions(fixture)])
  const { status, stdout, stderr } = pstorefs(['list', home])
  t.same([status, stdout.toString().split('\n').length], [1, 4], 'the others are listed')
  t.match(stderr, /^pstorefs: \S+: not used as a crash: [^\n]*\n$/)
  t.end()
})

t.test('of several crashes in one life each is told by its own report', async t => {
  const fixture = loadFixture('ecc1-all')
  const source = file(t, fixture.region())
  const layout = layoutOptions(fixture)
  const panicked = { number: 1, title: 'kernel panic: sysrq triggered crash', reason: 'panic' }
  const nullTitle = 'BUG: unable to handle kernel NULL pointer dereference in lkdtm_EXCEPTION'
  const wanted = [panicked, { title: nullTitle, seen: 2 }, { title: nullTitle, seen: 2 }]
  const story =
    /^kernel panic: sysrq[^]*\nearlier +the log before has the report of another crash: BUG: unable[^]*\nreport\n.*Kernel panic - not syncing: sysrq/
  const archive = `${folder(t)}/crashes`
  t.match(list(t, source, ...layout), wanted)
  t.match(succeed(t, ['show', source, ...layout]).toString(), story)
  succeed(t, ['archive', source, archive, ...layout])
  t.match(list(t, archive), wanted)
  t.match(
    succeed(t, ['show', archive, '1']).toString(),
    story,
    'a folder of which the others are apart',
  )
  const told = JSON.parse(succeed(t, ['show', archive, '--json']).toString()) as object
  t.match(told, { report: { kind: 'panic' }, earlier: { title: nullTitle } })
  t.notMatch(succeed(t, ['show', archive, '3']).toString(), /earlier/)
})

t.test('what systemd-pstore has made of EFI and ERST, in each of its forms', async t => {
  for (const [driver, fixtureName, folders, count] of [
    ['efi', 'efi-oopses', (name: string) => `${name.slice(17, 26)}`, 2],
    ['efi', 'efi-oopses', (name: string) => `${name.slice(17, 27)}/${name.slice(-3)}`, 2],
    ['erst', 'erst-panics', (name: string) => name.slice(11, 24), 2],
    ['erst', 'erst-panics', () => '', 2],
  ] as const) {
    const source = `${driver}:${file(t, loadFixture(fixtureName).region())}`
    const wanted = list(t, source)
    t.equal(wanted.length, count)
    const home = folder(t)
    const backend = attach(source, {})
    for (const record of backend.records()) {
      const place = path.join(home, folders(record.name))
      fs.mkdirSync(place, { recursive: true })
      fs.writeFileSync(path.join(place, record.name), record.read())
      fs.writeFileSync(path.join(place, 'dmesg.txt'), 'all of it, as systemd-pstore joins it')
      const seconds = Number(record.time!.sec)
      fs.utimesSync(path.join(place, record.name), seconds, seconds)
    }
    backend.close()
    const facts = (of: Listed[]): unknown[] =>
      of.map(one => ({ ...one, where: '', source: '', records: [] }))
    t.same(
      facts(list(t, home)),
      facts(wanted),
      `${fixtureName} in ${folders('dmesg-efi_pstore-179540473701001')}`,
    )
  }
})

t.test('the story of a crash', async t => {
  const region = regionOf(
    t,
    [oops(1)],
    '[   12.500000] ---[ end trace 0000000000000000 ]---\n[   13.000000] what follows\n',
  )
  const backend = attach(region, options)
  backend.write({ type: 'pmsg', bytes: Buffer.from('\x1b]0;title\x07user space\n') })
  backend.close()
  const said = succeed(t, ['show', region, ...flags]).toString()
  t.equal(
    said,
    `${title}
crash        2023-11-14T22:13:20Z-oops-1 in ${region}
backend      ramoops
when         2023-11-14 22:13:20 UTC, 12.000001 s after boot
cause        BUG: kernel NULL pointer dereference, address: 0000000000000010
kernel       6.1.0-9-amd64
ran          sh, PID 1, CPU 1
fingerprint  ${list(t, region, ...flags)[0]!.fingerprint}

before
  [   11.000000] all is well

report
  [   12.000001] BUG: kernel NULL pointer dereference, address: 0000000000000010
  [   12.100000] CPU: 1 PID: 1 Comm: sh Not tainted 6.1.0-9-amd64 #1
> [   12.200000] RIP: 0010:guilty_one+0x1/0x20
  [   12.300000] Call Trace:
  [   12.400000]  caller_two+0x3/0x40
  [   12.500000] ---[ end trace 0000000000000000 ]---

console, after the dump
  [   13.000000] what follows

pmsg-ramoops-0
  ^[]0;title^Guser space
`,
  )
  t.match(
    succeed(t, ['show', region, '-T', ...flags]).toString(),
    /^  \[2023-11-14 22:13:18\] all is well\n[^]*^  \[2023-11-14 22:13:20\] ---\[ end/m,
    'the dump was stored when its last line was printed',
  )
  const worst = succeed(t, ['show', region, '--level', 'alert', ...flags]).toString()
  t.match(worst, /BUG: kernel NULL pointer dereference, address[^]*BUG: kernel/)
  t.notMatch(worst, /Call Trace|all is well/)
  const few = succeed(t, ['show', region, '--level', 'alert', '--json', '--timeline', ...flags])
  t.match(few.toString(), 'BUG: kernel NULL pointer dereference, address')
  t.notMatch(few.toString(), 'all is well', 'nor in JSON')
  const told = JSON.parse(succeed(t, ['show', region, '--json', ...flags]).toString()) as object
  t.match(told, {
    title,
    report: { kind: 'oops', guilty: 'guilty_one', pid: 1, command: 'sh' },
    records: ['dmesg-ramoops-0', 'console-ramoops-0', 'pmsg-ramoops-0'],
    console: ['[   13.000000] what follows'],
    rings: { 'pmsg-ramoops-0': ['\x1b]0;title\x07user space'] },
  })
  for (const [args, why] of [
    [[region, '2'], `2: no such crash in ${region}, which has 1\n`],
    [[region, 'nothing'], 'nothing: no such crash in'],
    [[region, '--level', 'loud'], '--level: loud: is none of emerg'],
  ] as const) {
    const { status, stdout, stderr } = pstorefs(['show', ...args, ...flags])
    t.ok(status === 1 || status === 2)
    t.equal(stdout.toString(), '')
    t.match(stderr, why)
  }
})

t.test('a ring that cannot be read is named, and hides nothing else', async t => {
  const home = folder(t)
  fs.writeFileSync(`${home}/dmesg-ramoops-0`, `Oops#1 Part1\n${oops(1)}`)
  fs.writeFileSync(`${home}/pmsg-ramoops-0`, 'user space\n')
  fs.writeFileSync(`${home}/console-ramoops-0`, '')
  fs.truncateSync(`${home}/console-ramoops-0`, 2 ** 27 + 1)
  const { status, stdout, stderr } = pstorefs(['show', home])
  t.equal(status, 1)
  t.match(stderr, /^pstorefs: .*console-ramoops-0: [^\n]*too large[^\n]*left out\n$/)
  t.match(stdout.toString(), /guilty_one[^]*user space/)
})

/** A record of Android's log, written at a time in seconds since 1970. */
const android = (sec: number, text: string): Buffer => {
  const header = Buffer.alloc(18)
  header.write('l')
  header.writeUInt32LE(sec, 10)
  header.writeUInt32LE(42_000_000, 14)
  const payload = Buffer.from(`\x04Tag\0${text}\0`)
  header.writeUInt16LE(header.length + payload.length, 1)
  return Buffer.concat([header, payload])
}

/** Append to a region's pmsg. */
const say = (region: string, bytes: Buffer): void => {
  const backend = attach(region, options)
  backend.write({ type: 'pmsg', bytes })
  backend.close()
}

t.test("Android's log is shown as logcat prints it", async t => {
  const region = regionOf(t, [oops(1)])
  say(region, android(1_700_000_000, 'hello'))
  const said = succeed(t, ['show', region, ...flags]).toString()
  t.match(said, /\npmsg-ramoops-0\n[^]*  11-14 22:13:20\.042 +0 +0 I Tag +: hello\n$/)
})

t.test('the story by time', async t => {
  const region = regionOf(t, [oops(1)], '[   12.500000] ---[ end trace 0000000000000000 ]---\n')
  const backend = attach(region, options)
  backend.write({
    type: 'console',
    bytes: Buffer.from('[   13.000000] what \x1bfollows\nlogin: \n'),
  })
  backend.close()
  say(region, android(1_699_999_999, 'user space'))
  say(region, android(7, 'of 1970'))
  const timeline = (...args: string[]): string => {
    const said = succeed(t, ['show', '--timeline', region, ...flags, ...args]).toString()
    return said.slice(said.indexOf('\ntimeline') + 1)
  }
  const tag = '     0     0 I Tag     : '
  t.same(timeline().split('\n'), [
    'timeline, in seconds since boot',
    '  [   11.000000] dmesg           all is well',
    '                 pmsg-ramoops-0  --------- beginning of main',
    `  [   11.542000] pmsg-ramoops-0  11-14 22:13:19.042${tag}user space`,
    '  [   12.000001] dmesg           BUG: kernel NULL pointer dereference, address: 0000000000000010',
    '  [   12.100000] dmesg           CPU: 1 PID: 1 Comm: sh Not tainted 6.1.0-9-amd64 #1',
    '> [   12.200000] dmesg           RIP: 0010:guilty_one+0x1/0x20',
    '  [   12.300000] dmesg           Call Trace:',
    '  [   12.400000] dmesg            caller_two+0x3/0x40',
    '  [   12.500000] dmesg           ---[ end trace 0000000000000000 ]---',
    '  [   13.000000] console         what ^[follows',
    '                 console         login: ',
    '',
    'pmsg-ramoops-0: nothing tells when on that clock',
    `  01-01 00:00:07.042${tag}of 1970`,
    '',
  ])
  t.match(
    timeline('-T', '--level', 'alert'),
    /^timeline, by the clock on the wall\n[^]*\[2023-11-14 22:13:19\] pmsg-ramoops-0 {2}11-14[^]*\[2023-11-14 22:13:19\] dmesg +BUG/,
  )
  t.notMatch(timeline('--level', 'alert'), /Call Trace/)
  const told = JSON.parse(
    succeed(t, ['show', '--timeline', '--json', region, ...flags]).toString(),
  ) as { timeline: { lines: object[]; unplaced: object[] } }
  t.match(told.timeline, { boot: 1_699_999_987.5, unplaced: [{ origin: 'pmsg-ramoops-0' }] })
  t.match(told.timeline.lines[0], { time: 11, origin: 'dmesg', line: '[   11.000000] all is well' })
  t.equal(told.timeline.lines.length, 11)
})

t.test('addresses without names are named by --kallsyms', async t => {
  const raw = oops(1)
    .replace('guilty_one+0x1/0x20', '0xffffffff9b001201')
    .replace(' caller_two+0x3/0x40', ' 0xffffffff9b001303')
  const said = 'Kernel Offset: 0x1a000000 from 0xffffffff81000000 (relocation range: …)'
  const region = regionOf(t, [`${raw}<0>[   12.600000] ${said}\n`])
  const map = file(
    t,
    Buffer.from(
      [
        'ffffffff81000000 T _text',
        'ffffffff81001200 T guilty_one',
        'ffffffff81001220 t none',
        'ffffffff81001300 t caller_two',
        'ffffffff81001340 T _etext',
        '',
      ].join('\n'),
    ),
    'System.map',
  )
  const archive = `${folder(t)}/crashes`
  succeed(t, ['archive', '--keep', region, archive, ...flags])
  const other = regionOf(t, [oops(1)])
  const named = list(t, other, ...flags)[0]!
  for (const where of [[region, ...flags], [archive]]) {
    t.match(
      succeed(t, ['show', ...where]).toString(),
      /^BUG: [^\n]* dereference\n[^]*RIP: 0010:0xff/,
    )
    t.match(
      succeed(t, ['show', ...where, '--kallsyms', map]).toString(),
      /^BUG: [^\n]* in guilty_one\n[^]*\n> \[ .*RIP: 0010:guilty_one\+0x1\/0x20 \(0xffffffff9b001201\)\n/,
    )
    t.match(JSON.parse(succeed(t, ['show', ...where, '--json', '--kallsyms', map]).toString()), {
      title: named.title,
      fingerprint: named.fingerprint,
      report: { guilty: 'guilty_one' },
    })
  }
  const silent = regionOf(t, [raw])
  const { status, stderr, stdout } = pstorefs(['show', silent, ...flags, '--kallsyms', map])
  t.match([status, stderr], [0, /^pstorefs: --kallsyms: the symbols are of another kernel, or /])
  t.match(stdout.toString(), /RIP: 0010:0xffffffff9b001201\n/)
  t.match(pstorefs(['show', archive, '--kallsyms', '/no/such']), {
    status: 1,
    stderr: /^pstorefs: \/no\/such: no such file[^\n]*\n$/,
  })
})

t.test("no line of the next boot's is in a crash's story", async t => {
  const boot = '[    0.000000] Linux version 6.1.0\n[    9.030000] guest: heartbeat 5\n'
  const region = regionOf(t, [oops(1)], boot)
  const said = succeed(t, ['show', region, '--full', ...flags]).toString()
  t.match(said, /guilty_one[^]*\nleft out: console-ramoops-0: of another life of the machine\n$/)
  t.notMatch(said, /heartbeat/)
  const archive = `${folder(t)}/crashes`
  succeed(t, ['archive', region, archive, ...flags])
  const [newest] = list(t, archive, '--grep', 'guilty_one')
  t.notMatch(succeed(t, ['show', archive, newest!.name, '--full']).toString(), /heartbeat/)
})

t.test('a dump in parts of which one is missing', async t => {
  const fixture = loadFixture('erst-panics')
  const source = file(t, fixture.region())
  const backend = attach(`erst:${source}`, {})
  const first = [...backend.records()]
    .filter(record => record.read().toString('latin1', 0, 13) === 'Panic#1 Part1')
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
  t.equal(first.length, 2)
  t.ok(first[1]!.erase())
  backend.close()
  const [newest] = list(t, `erst:${source}`)
  t.equal(newest!.missing, 'part 1 of the dump is missing')
  t.match(
    succeed(t, ['show', `erst:${source}`]).toString(),
    /^missing +part 1 of the dump is missing$/m,
  )
  t.match(succeed(t, ['list', `erst:${source}`]).toString(), / \(part 1 of the dump is missing\)$/m)
})

t.test('every fixture with a dump lists it, and shows it', async t => {
  for (const name of ['all-noecc', 'ecc1-all', 'dmesg-two-panics', 'dmesg-panic']) {
    const fixture = loadFixture(name)
    const source = file(t, fixture.region())
    const layout = layoutOptions(fixture)
    const dumps = fixture.files.filter(of => of.name.startsWith('dmesg-'))
    const crashes = list(t, source, ...layout)
    t.equal(crashes.length, dumps.length, name)
    for (const { number, title } of crashes) {
      const said = succeed(t, ['show', source, `${number}`, ...layout]).toString()
      t.ok(said.startsWith(`${title}\n`), `${name} ${number}`)
    }
  }
})
