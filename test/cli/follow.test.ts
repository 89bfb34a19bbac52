/** `pstorefs follow`: real rings, real writers, real signals. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { folder, program, pstorefs, succeed, until } from '../program.js'
import { parseLine } from '../lines.js'

const layout = '--record-size 4K --console-size 4K --pmsg-size 4K --ftrace-size 0'.split(' ')

const make = (t: Test, options: string[] = []): string => {
  const region = `${folder(t)}/region.img`
  succeed(t, ['format', region, '--mem-size', '16K', ...layout, ...options])
  return region
}

interface Following {
  child: ChildProcess
  out: () => string
  err: () => string
  ended: Promise<{ code: number | null; signal: string | null }>
}

const follow = (t: Test, args: string[]): Following => {
  const child = spawn(process.execPath, [program, 'follow', ...args])
  t.teardown(() => child.kill('SIGKILL'))
  let out = ''
  let err = ''
  child.stdout.setEncoding('latin1').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('latin1').on('data', (text: string) => (err += text))
  const ended = new Promise<{ code: number | null; signal: string | null }>(resolve =>
    child.on('close', (code, signal) => resolve({ code, signal })),
  )
  return { child, out: () => out, err: () => err, ended }
}

for (const ecc of ['0', '16'])
  t.test(`what is there, what is appended, an erasure, ecc ${ecc}`, async t => {
    const options = [...layout, '--ecc', ecc]
    const region = make(t, ['--ecc', ecc])
    const write = (text: string): void => {
      succeed(t, ['write', 'console', region, ...options], Buffer.from(text, 'latin1'))
    }
    write('before\n')
    const { child, out, err, ended } = follow(t, [region, 'console-ramoops-0', ...options])
    t.ok(await until(() => out() === 'before\n'), 'what is there')
    let all = out()
    // Round the ring, in pieces that do not lap anybody.
    for (let i = 0; i < 5; i++) {
      const text = `${i} ${'x'.repeat(1500)}\n`
      write(text)
      all += text
      t.ok(await until(() => out() === all), `append ${i}`)
    }
    t.equal(err(), '', 'nothing to tell')
    succeed(t, ['erase', region, 'console-ramoops-0', ...options])
    t.ok(await until(() => err().includes('was erased')))
    write('anew\n')
    t.ok(await until(() => out() === `${all}anew\n`), 'and anew')
    t.equal(err(), 'pstorefs: console-ramoops-0: was erased, and starts anew\n')
    child.kill('SIGINT')
    t.same(await ended, { code: null, signal: 'SIGINT' })
  })

t.test('several, one of them empty', async t => {
  const region = make(t)
  succeed(t, ['write', 'console', region, ...layout], Buffer.from('c1\n'))
  const names = ['console-ramoops-0', 'pmsg-ramoops-0']
  const { out } = follow(t, [region, ...names, ...layout])
  const head = (name: string): string => `==> ${name}-ramoops-0 <==\n`
  let all = `${head('console')}c1\n\n${head('pmsg')}`
  t.ok(await until(() => out() === all || out() === all.replace('c1\n', '')), out())
  if (out() !== all) all = `${head('console')}\n${head('pmsg')}\n${head('console')}c1\n`
  t.ok(await until(() => out() === all), 'headers, as tail has them')
  for (const [type, text] of [
    ['pmsg', 'p1\n'],
    ['pmsg', 'p2\n'],
    ['console', 'c2\n'],
  ]) {
    const last = all.slice(all.lastIndexOf('==> '))
    all += last.startsWith(head(type)) ? text : `\n${head(type)}${text}`
    succeed(t, ['write', type, region, ...layout], Buffer.from(text))
    t.ok(await until(() => out() === all), `${type}: ${text.trim()}`)
  }
})

t.test('--no-history', async t => {
  const region = make(t)
  const write = (text: string): void => {
    succeed(t, ['write', 'console', region, ...layout], Buffer.from(text))
  }
  write('old\n')
  const { out } = follow(t, ['--no-history', region, 'console-ramoops-0', ...layout])
  // Nothing shows when it has begun: what is new is written until some of it comes.
  let n = 0
  t.ok(
    await until(() => {
      if (!out()) write(`new ${++n}\n`)
      return out() !== ''
    }),
  )
  t.notMatch(out(), 'old')
  t.match(out(), /^new \d+\n/)
})

t.test('--android', async t => {
  const region = make(t)
  const entry = (n: number): Buffer => {
    const payload = Buffer.from(`\x04Tag\0message ${n}\0`)
    const header = Buffer.alloc(18)
    header.write('l')
    header.writeUInt16LE(18 + payload.length, 1)
    return Buffer.concat([header, payload])
  }
  const write = (bytes: Buffer): void => {
    succeed(t, ['write', 'pmsg', region, ...layout], bytes)
  }
  write(entry(1))
  const { out, err } = follow(t, ['--android', region, 'pmsg-ramoops-0', ...layout])
  t.ok(await until(() => /^--------- beginning of main\n.* I Tag {5}: message 1\n$/.test(out())))
  const half = entry(2)
  write(half.subarray(0, 9))
  write(half.subarray(9))
  write(entry(3))
  t.ok(await until(() => /message 2\n.* I Tag {5}: message 3\n$/.test(out())), out())
  t.equal(err(), '')
})

t.test('a writer that is faster', async t => {
  const region = make(t)
  const done = fs.openSync(`${path.dirname(region)}/done`, 'w+')
  const writer = spawn(
    process.execPath,
    [
      path.join(import.meta.dirname, '../e2e/appender.js'),
      region,
      JSON.stringify({ record_size: 4096, console_size: 4096, pmsg_size: 4096, ftrace_size: 0 }),
      'F',
    ],
    { stdio: ['ignore', done, 'inherit'] },
  )
  fs.closeSync(done)
  t.teardown(() => writer.kill('SIGKILL'))
  const { child, out, err, ended } = follow(t, [region, 'console-ramoops-0', ...layout])
  const gaps = (): number => err().split('\n').length - 1
  t.ok(await until(() => gaps() >= 5), 'gaps are told')
  child.kill('SIGINT')
  writer.kill('SIGKILL')
  await ended
  t.match(
    err(),
    /^(pstorefs: console-ramoops-0: written faster than it was read: (at least \d+ bytes are|bytes may be) lost\n)+$/,
  )
  let last = 0
  let broken = 0
  for (const text of out().split('\n').slice(1, -1)) {
    const line = parseLine(text)
    if (!line) broken++
    else if (line.n <= last) t.fail(`${line.n} after ${last}`)
    else last = line.n
  }
  t.ok(last > 0 && broken <= gaps(), `${broken} lines cut by ${gaps()} gaps, the last is ${last}`)
})

t.test('a reader that goes away', async t => {
  const region = make(t)
  succeed(t, ['write', 'console', region, ...layout], Buffer.from('one\n'))
  const command = `"$@" | head -n 1; echo "\${PIPESTATUS[0]}"`
  const args = [process.execPath, program, 'follow', region, 'console-ramoops-0', ...layout]
  const shell = spawn('bash', ['-c', command, 'bash', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => shell.kill('SIGKILL'))
  let out = ''
  let err = ''
  shell.stdout.setEncoding('latin1').on('data', (text: string) => (out += text))
  shell.stderr.setEncoding('latin1').on('data', (text: string) => (err += text))
  // It ends by itself once head has gone, which may be before the next look.
  t.ok(await until(() => out.startsWith('one\n')))
  succeed(t, ['write', 'console', region, ...layout], Buffer.from('two\n'))
  t.ok(await until(() => out === 'one\n141\n'), out)
  t.equal(err, '')
})

t.test('a reader that goes away while nothing comes', async t => {
  const region = make(t)
  succeed(t, ['write', 'console', region, ...layout], Buffer.from('one\ntwo\nthree\n'))
  const args = [process.execPath, program, 'follow', region, 'console', ...layout]
  for (const [reader, shown] of [
    ['head -n 2', 'one\ntwo\n'],
    ['grep -m1 two', 'two\n'],
    ['true', ''],
  ]) {
    const command = `"$@" | ${reader}; echo "\${PIPESTATUS[0]}"`
    const { status, stdout, stderr } = spawnSync('bash', ['-c', command, 'bash', ...args], {
      timeout: 120_000,
      encoding: 'utf8',
    })
    t.equal(status, 0, reader)
    t.equal(stdout, `${shown}141\n`)
    t.equal(stderr, '')
  }
})

t.test('lines that are looked for', async t => {
  const region = make(t)
  const write = (text: string): void => {
    succeed(t, ['write', 'console', region, ...layout], Buffer.from(text))
  }
  const long = 'y'.repeat(5000)
  write('boot\r\nerror 1\nfine\nerror 2\nlogin: ')
  for (const [args, status, shown] of [
    [['--until', 'error'], 0, 'boot\r\nerror 1\n'],
    [['--until', '^boot$'], 0, 'boot\r\n'],
    [['--until', 'login: $'], 0, 'boot\r\nerror 1\nfine\nerror 2\nlogin: '],
    [['--until', 'fine', '--grep', 'boot'], 0, 'boot\r\nfine\n'],
    [['--until', 'panic', '--timeout', '0'], 124, 'boot\r\nerror 1\nfine\nerror 2\nlogin: '],
    [['--grep', 'error', '--timeout', '0'], 0, 'error 1\nerror 2\n'],
    [['--grep', 'login', '--timeout', '0'], 0, 'login: '],
    [['--timeout', '0'], 0, 'boot\r\nerror 1\nfine\nerror 2\nlogin: '],
    [['--until', 'error', '--no-history', '--timeout', '0'], 124, ''],
  ] as const) {
    const outcome = pstorefs(['follow', region, 'console', ...args, ...layout])
    t.equal(outcome.status, status, args.join(' '))
    t.equal(outcome.stdout.toString(), shown, args.join(' '))
    t.equal(outcome.stderr, '')
  }
  for (const [args, why] of [
    [['--until', '(a'], /--until: \(a: is no regular expression/],
    [['--grep', '['], /--grep: \[: is no regular expression/],
    [['--timeout', 'soon'], /--timeout: give seconds from 0/],
    [['--timeout', '-1'], /--timeout: give seconds from 0/],
  ] as const) {
    const { status, stderr } = pstorefs(['follow', region, 'console', ...args, ...layout])
    t.equal(status, 2, args.join(' '))
    t.match(stderr, why)
  }

  const { out, ended } = follow(t, [region, 'console', '--until', 'panic', ...layout])
  t.ok(await until(() => out().endsWith('error 2\n')), 'whole lines')
  write('root\nkernel pan')
  t.ok(await until(() => out().endsWith('login: root\n')))
  write('ic\nafter\n')
  t.same(await ended, { code: 0, signal: null })
  t.match(out(), /login: root\nkernel panic\n$/, 'and nothing after it')

  // A line that never ends is looked at in pieces.
  write(long.slice(0, 3000))
  write(long.slice(0, 1000))
  const piece = pstorefs(['follow', region, 'console', '--until', '^y+$', ...layout])
  t.match(piece, { status: 0 })
  t.match(piece.stdout.toString(), /^y+$/m)
})

t.test('an expression that takes for ever', async t => {
  const region = make(t)
  succeed(t, ['write', 'console', region, ...layout], Buffer.from(`${'a'.repeat(200)}!\n`))
  for (const option of ['--until', '--grep']) {
    const { status, stderr } = pstorefs(['follow', region, 'console', option, '^(a+)+$', ...layout])
    t.equal(status, 1)
    t.equal(stderr, `pstorefs: ${option}: ^(a+)+$: takes too long: write a simpler one\n`)
  }
})

t.test('a source that becomes shorter', async t => {
  const region = make(t)
  succeed(t, ['write', 'console', region, ...layout], Buffer.from('one\n'))
  const { out, err, ended } = follow(t, [region, 'console-ramoops-0', ...layout])
  t.ok(await until(() => out() === 'one\n'))
  fs.truncateSync(region, 100)
  t.same(await ended, { code: 1, signal: null })
  t.match(err(), /^pstorefs: .*: was truncated; it is now smaller than its region\n$/)
})

t.test('what cannot be followed', t => {
  const region = make(t)
  succeed(t, ['write', 'dmesg', region, ...layout], Buffer.from('died\n'))
  for (const [name, why] of [
    ['consol', 'has no ring consol: there is console-ramoops-0, pmsg-ramoops-0'],
    ['dmesg-ramoops-0', 'only rings can be followed; use `pstorefs cat`'],
    ['dmesg', 'has no ring dmesg: only rings can be followed'],
  ] as const) {
    const { status, stderr } = pstorefs(['follow', region, name, ...layout])
    t.equal(status, 1)
    t.match(stderr, why)
    t.equal(stderr.split('\n').length, 2)
  }
  t.end()
})

t.test('nothing drives the terminal', async t => {
  const region = make(t)
  succeed(t, ['write', 'console', region, ...layout], Buffer.from('a\x1b[2Jb\nend\n'))
  const command = [process.execPath, program, 'follow', region, 'console-ramoops-0', ...layout]
  const script = spawn('script', ['-qec', `exec ${command.join(' ')}`, '/dev/null'], {
    // When it is killed it says so.
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  t.teardown(() => script.kill())
  let out = ''
  script.stdout.setEncoding('latin1').on('data', (text: string) => (out += text))
  await until(() => out.endsWith('end\r\n'))
  t.equal(out, 'a^[[2Jb\r\nend\r\n')
})
