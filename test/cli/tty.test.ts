/** `tty`: a command on a terminal, and what its zone keeps. Real screens are in e2e/tty.test.ts. */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { folder, program, pstorefs, run, succeed, until, where } from '../program.js'

const layout = ['--record-size', '0', '--console-size', '0', '--pmsg-size', '0']
layout.push('--ftrace-size', '0', '--tty-size', '64K')

const make = (t: Test, options: string[] = []): { region: string; options: string[] } => {
  const region = `${folder(t)}/region.img`
  succeed(t, ['format', region, '--mem-size', '64K', ...layout, ...options])
  return { region, options: [...layout, ...options] }
}

const none = Buffer.alloc(0)

/** Run a command, and give its outcome, and what the zone holds. */
const keep = (t: Test, command: string[], input: Uint8Array = none, options: string[] = []) => {
  const made = make(t)
  const outcome = pstorefs(
    ['tty', made.region, ...made.options, ...options, '--', ...command],
    input,
  )
  const there = succeed(t, ['ls', made.region, ...made.options]).length > 0
  const zone = there
    ? succeed(t, ['cat', made.region, 'tty-ramoops-0', ...made.options])
    : Buffer.alloc(0)
  return { ...outcome, zone }
}

const sh = (script: string): string[] => ['sh', '-c', script]

t.test('the zone holds exactly what the terminal printed', async t => {
  const script = String.raw`printf "a\tb\n\033[31mred\033[0m prompt> "`
  const printed = 'a\tb\r\n\x1b[31mred\x1b[0m prompt> '
  const { status, stdout, stderr, zone } = keep(t, sh(script))
  t.equal(zone.toString(), printed)
  t.equal(stdout.toString(), printed, 'and so does the screen')
  t.equal(stderr, '')
  t.equal(status, 0)

  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  const file = `${folder(t)}/bytes`
  fs.writeFileSync(file, every)
  const bytes = keep(t, sh(`stty -opost; cat ${file}`))
  t.same(bytes.zone, every, 'any bytes')
  t.same(bytes.stdout, every)
})

t.test('much, to its last line', async t => {
  const { stdout, zone } = keep(t, ['seq', '200000'])
  const all = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\r\n`).join('')
  t.ok(stdout.equals(Buffer.from(all)), 'on the screen all of it')
  t.equal(zone.length, 65536 - 12)
  t.ok(zone.equals(Buffer.from(all).subarray(-zone.length)), 'in the zone the end')
})

t.test('how it ends', async t => {
  for (const [script, status] of [
    ['exit 0', 0],
    ['exit 3', 3],
    ['kill -TERM $$', 143],
    ['kill -KILL $$', 137],
    ['kill -INT $$', 130],
    ['echo left behind; (sleep 30; echo late) & exit 4', 4],
  ] as const)
    t.equal(keep(t, sh(script)).status, status, script)
  const missing = keep(t, ['no-such-command'])
  t.equal(missing.status, 127)
  t.equal(missing.stderr, 'pstorefs: no-such-command: command not found\n')
  t.equal(missing.zone.length, 0)
  const plain = keep(t, ['/etc/passwd'])
  t.equal(plain.status, 126)
  t.match(plain.stderr, /^pstorefs: \/etc\/passwd: cannot be executed: permission denied\n$/)
})

t.test('what cannot be executed, and folders of PATH that cannot be looked into', async t => {
  const home = folder(t)
  const loop = `${home}/loop`
  fs.symlinkSync(loop, loop)
  const { PATH = '' } = process.env
  t.teardown(() => (process.env.PATH = PATH))
  process.env.PATH = `${path.dirname(home)}:/etc/passwd:${PATH}`
  for (const [command, status, why] of [
    [`${home}/missing`, 127, 'command not found'],
    [home, 126, 'cannot be executed: is a folder, not a file'],
    ['/dev/null', 126, 'cannot be executed: permission denied'],
    ['/etc/passwd/x', 126, 'cannot be executed: not a directory'],
    [loop, 126, 'cannot be executed: is a link, or behind too many of them'],
    ['x'.repeat(300), 127, 'command not found'],
    [path.basename(home), 127, 'command not found'],
  ] as const) {
    const outcome = keep(t, [command])
    t.equal(outcome.stderr, `pstorefs: ${command}: ${why}\n`)
    t.equal(outcome.status, status, command)
  }
  t.equal(keep(t, ['true']).status, 0, 'a later folder has it')
})

t.test('standard input from a pipe', async t => {
  t.equal(keep(t, ['cat'], Buffer.from('one\ntwo\n')).stdout.toString(), 'one\r\ntwo\r\n')
  t.equal(keep(t, ['cat'], Buffer.from('no line end')).stdout.toString(), 'no line end')
  const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join('')
  t.equal(
    keep(t, ['md5sum'], Buffer.from(lines)).stdout.toString().trim(),
    spawnSync('md5sum', { input: lines }).stdout.toString().trim(),
    'more than a terminal takes at once',
  )
  const twice = keep(t, sh('cat; echo; cat; echo end'), Buffer.from('x'))
  t.equal(twice.stdout.toString(), 'x\r\nend\r\n', 'each reader is told of its end')
  const bash = keep(t, ['bash', '--norc'], Buffer.from('echo $((6 * 7)); exit 5\n'))
  t.equal(bash.status, 5)
  t.match(bash.zone.toString(), /^42\r$/m, 'keys for a shell')
  const silent = keep(t, ['bash', '--norc'])
  t.equal(silent.status, 0, 'the end is one for a shell, too')
  t.match(keep(t, ['tty']).stdout.toString(), /^\/dev\/pts\/\d+\r\n$/)
})

t.test('what the zone gets can be timed and stripped', async t => {
  const script = String.raw`printf "\033[1mone\033[0m\ntwo"`
  const screen = '\x1b[1mone\x1b[0m\r\ntwo'
  const stamped = keep(t, sh(script), none, ['--timestamps'])
  t.match(
    stamped.zone.toString(),
    // oxlint-disable-next-line no-control-regex -- a terminal's sequences are what is looked for
    /^\[ *\d+\.\d{6}\] \x1b\[1mone\x1b\[0m\r\n\[ *\d+\.\d{6}\] two$/,
  )
  t.equal(stamped.stdout.toString(), screen)
  const stripped = keep(t, sh(script), none, ['--strip'])
  t.equal(stripped.zone.toString(), 'one\r\ntwo')
  t.equal(stripped.stdout.toString(), screen)
  const both = keep(t, sh(script), none, ['--strip', '--timestamps'])
  t.match(both.zone.toString(), /^\[ *\d+\.\d{6}\] one\r\n\[ *\d+\.\d{6}\] two$/)
})

t.test('wrong usage', async t => {
  const { region, options } = make(t)
  for (const [args, status, why] of [
    [['tty', region, ...options], 2, /Give a command after --/],
    [['tty', region, ...options, '--'], 2, /Give a command after --/],
    [['tty', '--', 'true'], 2, /Give SOURCE or --backend/],
    [['tty', region, '--tty-size', '0', '--', 'true'], 1, /has no tty zone.*tty_size/],
    [['tty', `${region}x`, ...options, '--', 'true'], 1, /no such file/],
  ] as const) {
    const outcome = pstorefs([...args])
    t.equal(outcome.status, status, args.join(' '))
    t.match(outcome.stderr, why)
    t.match(outcome.stderr, /^pstorefs: [^\n]+\n$/, 'one line')
  }
})

const asRoot = process.getuid?.() !== 0 && 'only root can unmount what is there'

t.test('where it is too early for it', { skip: asRoot }, async t => {
  const { region, options } = make(t)
  for (const [missing, why] of [
    ['/dev/pts', /^pstorefs: no pseudo-terminal: ENODEV: is \/dev\/pts mounted\?\n$/],
    ['/proc', /^pstorefs: ramoops: .*: cannot be locked: is \/proc mounted\?\n$/],
  ] as const) {
    const script = `mount -t tmpfs none ${missing} && exec "$@"`
    const command = [process.execPath, program, 'tty', region, ...options, '--', 'echo', 'text']
    const { stderr } = run('unshare', ['--mount', 'sh', '-c', script, 'sh', ...command])
    t.match(stderr, why)
  }
})

/** Start a command, and give its process, and what it prints. */
const start = (t: Test, args: string[]) => {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const seen = { out: '', err: '' }
  child.stdout.on('data', (bytes: Buffer) => (seen.out += bytes.toString()))
  child.stderr.on('data', (bytes: Buffer) => (seen.err += bytes.toString()))
  const ended = new Promise<number | null>(resolve => child.on('close', resolve))
  return { child, seen, ended }
}

t.test('signals reach the command', async t => {
  for (const [signal, status] of [
    ['SIGHUP', 129],
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGUSR1', 138],
    ['SIGPWR', 158],
  ] as const) {
    const { region, options } = make(t)
    const { child, seen, ended } = start(t, [
      'tty',
      region,
      ...options,
      '--',
      ...sh('echo ready; sleep 60 & wait'),
    ])
    await until(() => seen.out.includes('ready'))
    child.kill(signal)
    t.equal(await ended, status, signal)
    t.equal(
      succeed(t, ['cat', region, 'tty-ramoops-0', ...options]).toString(),
      'ready\r\n',
      'and what was printed is kept',
    )
  }
  const { region, options } = make(t)
  const handled = start(t, [
    'tty',
    region,
    ...options,
    '--',
    ...sh('trap "echo caught; exit 7" TERM; echo ready; sleep 60 & wait'),
  ])
  await until(() => handled.seen.out.includes('ready'))
  handled.child.kill('SIGTERM')
  t.equal(await handled.ended, 7, 'who handles it decides')
  t.match(handled.seen.out, /caught/)
})

t.test('when nobody takes the output, the command is hung up on', async t => {
  const { region, options } = make(t)
  const script = 'set -o pipefail; "$@" | head -n 1'
  const command = [process.execPath, program, 'tty', region, ...options, '--', 'yes']
  const { status } = spawnSync('bash', ['-c', script, 'bash', ...command])
  t.equal(status, 141)
})

const strace = where('strace') === '' && 'no strace'

t.test('what cannot be shown after the command has ended', { skip: strace }, t => {
  const { region, options } = make(t)
  // What the command left behind prints while the news of its end is late.
  const late = ['-o', '/dev/null', '-e', 'trace=wait4', '-e', 'inject=wait4:delay_exit=1000000']
  const left = sh('(trap "" HUP; sleep 0.2; echo late) & exit 3')
  const command = [process.execPath, program, 'tty', region, ...options, '--', ...left]
  const script = 'exec "$@" </dev/null >/dev/full'
  const { status, stderr } = run('sh', ['-c', script, 'sh', 'strace', ...late, ...command])
  t.equal(stderr, 'pstorefs: standard output: no space left on device\n')
  t.equal(status, 129, 'is told by the exit status')
  t.equal(succeed(t, ['cat', region, 'tty-ramoops-0', ...options]).toString(), 'late\r\n')
  t.end()
})

t.test('every backend gets it, and one that fails stops nothing', async t => {
  const home = folder(t)
  const one = make(t)
  const two = make(t)
  const config = `${home}/config.toml`
  const backend = (name: string, region: string): string =>
    `[backends.${name}]\nsource = "${region}"\nrecord_size = 0\nconsole_size = 0\n` +
    'pmsg_size = 0\nftrace_size = 0\ntty_size = "64K"\n'
  fs.writeFileSync(config, backend('one', one.region) + backend('two', two.region))
  const script = `echo first; sleep 1; truncate -s 0 ${one.region}; echo second; sleep 1; echo third`
  const { status, stdout, stderr } = pstorefs(
    ['tty', '--config', config, '--backend', 'all', '--', ...sh(script)],
    none,
  )
  t.equal(status, 0)
  t.equal(stdout.toString(), 'first\r\nsecond\r\nthird\r\n')
  t.match(stderr, /^pstorefs: one: output is no longer kept: .*truncated.*\n$/, 'one line')
  t.equal(
    succeed(t, ['cat', two.region, 'tty-ramoops-0', ...two.options]).toString(),
    'first\r\nsecond\r\nthird\r\n',
  )
})

t.test('what another process holds gets output again, once that lets go', async t => {
  const { region, options } = make(t)
  const home = folder(t)
  const gate = (name: string): string => `until [ -e ${home}/${name} ]; do sleep 0.1; done`
  // The last words come when it is tried again.
  const script = `echo first; ${gate('held')}; echo second; ${gate('free')}; sleep 16; echo third`
  const { seen, ended } = start(t, ['tty', region, ...options, '--', ...sh(script)])
  t.ok(await until(() => seen.out.includes('first')))
  const holder = spawn('flock', ['-x', '-F', region, 'sh', '-c', 'echo held; exec sleep 600'])
  t.teardown(() => holder.kill('SIGKILL'))
  await new Promise(resolve => holder.stdout.once('data', resolve))
  fs.writeFileSync(`${home}/held`, '')
  t.ok(await until(() => seen.out.includes('second')), 'the command goes on')
  holder.kill('SIGKILL')
  await new Promise(resolve => holder.once('close', resolve))
  fs.writeFileSync(`${home}/free`, '')
  t.equal(await ended, 0)
  t.same(seen.err.split('\n'), [
    `pstorefs: ramoops: output is not kept for now: ${region}: another process holds it exclusively`,
    'pstorefs: ramoops: output is kept again, without 8 bytes',
    '',
  ])
  t.equal(succeed(t, ['cat', region, 'tty-ramoops-0', ...options]).toString(), 'first\r\nthird\r\n')
})

t.test('a console that was taken is left where /dev has gone', { skip: asRoot }, t => {
  const pty = path.resolve(import.meta.dirname, '../../dist/frontends/tty/pty.js')
  const script = 'mount --bind "$1" /dev && exec "$2" --input-type=module -e "$3"'
  const program = `import { giveConsoleBack } from '${pty}'; giveConsoleBack()`
  const args = ['-m', 'sh', '-c', script, 'sh', folder(t), process.execPath, program]
  t.match(run('unshare', args), { status: 0, stderr: '' })
  t.end()
})

t.test('a terminal for the journal keeps what it was told, though its link has gone', async t => {
  const [region, link] = [`erst:${folder(t)}/erst.img`, `${folder(t)}/journal-tty`]
  // Where each store wears the medium out, text waits for its end.
  succeed(t, ['format', region, '--mem-size', '512K'])
  const options = ['--tty-size', '4K']
  const { child, ended } = start(t, ['tty', region, ...options, `--journal-tty=${link}`])
  t.ok(await until(() => fs.existsSync(link)))
  fs.appendFileSync(link, 'last words\n')
  fs.rmSync(link)
  child.kill('SIGTERM')
  t.equal(await ended, null)
  t.equal(child.signalCode, 'SIGTERM')
  t.equal(succeed(t, ['cat', region, 'tty-erst-0', ...options]).toString(), 'last words\n')
})

t.test('a terminal for the journal', async t => {
  const { region, options } = make(t)
  const link = `${folder(t)}/made/journal-tty`
  const { child, ended } = start(t, ['tty', region, ...options, `--journal-tty=${link}`, '--strip'])
  t.ok(await until(() => fs.existsSync(link)))
  t.match(fs.readlinkSync(link), /^\/dev\/pts\/\d+$/)
  const zone = (): string =>
    succeed(t, ['ls', region, ...options]).length
      ? succeed(t, ['cat', region, 'tty-ramoops-0', ...options]).toString()
      : ''
  // journald opens it anew for each message.
  for (const text of ['first\n', '\x1b[31msecond\x1b[0m\tline\n']) fs.appendFileSync(link, text)
  t.ok(await until(() => zone() === 'first\nsecond\tline\n'), 'as it was written')
  fs.appendFileSync(link, 'last\n')
  child.kill('SIGTERM')
  t.equal(await ended, null, 'a signal ended it')
  t.equal(child.signalCode, 'SIGTERM')
  t.match(zone(), /line\nlast\n$/, 'what was still there is kept')
  t.notOk(fs.existsSync(link), 'the link goes with it')

  fs.writeFileSync(link, 'precious')
  const outcome = pstorefs(['tty', region, ...options, '--journal-tty', link])
  t.equal(outcome.status, 1)
  t.match(
    outcome.stderr,
    /^pstorefs: .*journal-tty: cannot be made: a file that is no link is there\n$/,
  )
  t.equal(fs.readFileSync(link, 'utf8'), 'precious')
})
