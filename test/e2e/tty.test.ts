/** `tty` on a real terminal, and killed: nobody sees that it is there, and what was seen is kept. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { folder, killAll, mount, program, run, succeed, until } from '../program.js'
import { terminal } from '../tmux.js'

// Without tap's hooks in it the program starts three times as fast.
process.env.NODE_OPTIONS = ''

const layout = ['--record-size', '0', '--console-size', '0', '--pmsg-size', '0']
layout.push('--ftrace-size', '0', '--tty-size', '64K')

const make = (t: Test, options: string[] = []): string => {
  const region = `${folder(t)}/region.img`
  succeed(t, ['format', region, '--mem-size', '64K', ...layout, ...options])
  return region
}

/** In a command, as the shell of {@link keeping} takes it: the process that keeps what it prints. */
const self = '\\$(cut -d\\  -f4 /proc/\\$PPID/stat)'

/** A terminal in which `$tty COMMAND` runs a command that is kept. */
const keeping = async (t: Test) => {
  const region = make(t)
  const command = `${process.execPath} ${program} tty ${region} ${layout.join(' ')} --`
  const made = await terminal(t, [`tty='${command}'`])
  const zone = (): string => succeed(t, ['cat', region, 'tty-ramoops-0', ...layout]).toString()
  const name = made.tmux('display', '-p', '#{pane_tty}').trim()
  /** Wait until a command has the terminal: what is typed before that is echoed by others, and kept by nobody. */
  const taken = (): Promise<boolean> =>
    until(() => / -icanon/.test(run('stty', ['-F', name, '-a']).stdout.toString()))
  return { ...made, command, zone, taken }
}

t.test('size, name, exit status, modes', async t => {
  const { type, shows, screen, resize, zone } = await keeping(t)
  type('clear; stty size; $tty stty size', 'Enter')
  t.ok(await shows(/^24 80\n24 80$/m), screen())
  type('clear; $tty sh -c "exit 3"; echo status $?', 'Enter')
  t.ok(await shows(/^status 3$/m), screen())
  type('clear; $tty tty', 'Enter')
  t.ok(await shows(/^\/dev\/pts\/\d+$/m), screen())

  type('clear; $tty sh -c "trap \'stty size\' WINCH; echo ready; while :; do sleep 0.1; done"')
  type('', 'Enter')
  await shows(/^ready$/m)
  resize(91, 33)
  t.ok(await shows(/^33 91$/m), 'a resize arrives')
  type('', 'C-c')
  t.ok(await shows(/^\^C\$/m), screen())
  type('echo status $?', 'Enter')
  t.ok(await shows(/^status 130$/m), 'Ctrl-C ends it')
  t.match(zone(), /33 91\r\n/)
})

t.test('the modes are copied, and given back on every way out', async t => {
  const { type, shows, screen } = await keeping(t)
  const home = folder(t)
  const stty = (name: string): string => `stty -a | sed 1d >${home}/${name}`
  const read = (name: string): string =>
    fs.readFileSync(`${home}/${name}`, 'utf8').replaceAll('\r', '')
  // Settings of one's own: the command sees them.
  type(`clear; stty erase ^h intr ^g -ixon; ${stty('before')}; $tty ${stty('inside')}; echo 1`)
  type('', 'Enter')
  t.ok(await shows(/^1$/m), screen())
  t.equal(read('inside'), read('before'), 'the command has the modes of the terminal')
  let n = 2
  for (const [how, command] of [
    ['exit', '$tty true'],
    ['a failure', '$tty sh -c "kill -9 \\$\\$"'],
    ['no command', '$tty no-such-command'],
    ['SIGTERM', `$tty sh -c "kill -TERM ${self}; sleep 60"`],
    ['SIGHUP', `$tty sh -c "kill -HUP ${self}; sleep 60"`],
  ]) {
    type(`clear; ${command}; ${stty('after')}; echo ${n}`, 'Enter')
    t.ok(await shows(new RegExp(`^${n}$`, 'm')), how)
    t.equal(read('after'), read('before'), how)
    n++
  }
})

t.test('typing, passwords, Ctrl-C and Ctrl-Z', async t => {
  const { type, shows, screen, zone } = await keeping(t)
  type('$tty bash --norc', 'Enter')
  await shows(/norc\n\$/)
  type("PS1='in> '; clear", 'Enter')
  t.ok(await shows(/^in>/), screen())
  // Each is typed to when it is there to read it: before that the shell edits a line, in other modes.
  type('tty; read -s secret; echo "got ${#secret}"', 'Enter')
  t.ok(await shows(/^\/dev\/pts\/\d+$/m), screen())
  const [name] = /^\/dev\/pts\/\d+$/m.exec(screen())!
  const modes = (): string => run('stty', ['-F', name, '-a']).stdout.toString()
  await until(() => / icanon.* -echo /s.test(modes()))
  type('hunter2', 'Enter')
  t.ok(await shows(/^got 7$/m), screen())
  t.notMatch(screen(), /hunter2/)
  type(`sh -c "trap 'echo goes on' CONT; echo ready; while :; do sleep 0.1; done"`, 'Enter')
  await shows(/^ready$/m)
  type('', 'C-z')
  t.ok(await shows(/Stopped +sh -c/), 'Ctrl-Z suspends under the inner shell')
  type('fg', 'Enter')
  t.ok(await shows(/^goes on$/m), screen())
  type('', 'C-c')
  t.ok(await shows(/\^C\nin>/), 'Ctrl-C interrupts it')
  // Not a word that the screen has from before: what is typed too early, the shell edits.
  type('clear; echo listening; cat', 'Enter')
  await shows(/^listening$/m)
  type('typed', 'Enter')
  t.ok(await shows(/^typed\ntyped$/m), screen())
  type('', 'C-d')
  await shows(/typed\nin>/)
  type('exit 9', 'Enter')
  t.ok(await shows(/^exit\n\$/m), screen())
  type('echo status $?', 'Enter')
  t.ok(await shows(/^status 9$/m))
  t.notMatch(zone(), /hunter2/, 'what is not shown is not kept')
  t.match(zone(), /got 7\r\n/)
})

t.test('it is suspended and goes on with its terminal', async t => {
  const { type, shows, screen } = await keeping(t)
  type(`clear; $tty sh -c "kill -TSTP ${self}; read line; echo read \\$line"`, 'Enter')
  t.ok(await shows(/Stopped/), screen())
  type('fg', 'Enter')
  await shows(/fg\n/)
  type('something', 'Enter')
  t.ok(await shows(/^read something$/m), screen())
})

t.test('Ctrl-Z suspends the command, and the shell has the terminal', async t => {
  const { type, shows, screen, zone, taken } = await keeping(t)
  const text = `${folder(t)}/text`
  fs.writeFileSync(text, 'one\ntwo\n')
  type('clear; $tty cat', 'Enter')
  t.ok(await taken(), screen())
  type('before', 'Enter')
  t.ok(await shows(/^before\nbefore$/m), screen())
  type('', 'C-z')
  t.ok(await shows(/\^Z[^]*Stopped/), screen())
  type('clear; echo the shell $((6 * 7)); fg', 'Enter')
  t.ok(await shows(/^the shell 42$/m), screen())
  t.ok(await taken(), screen())
  type('after', 'Enter')
  t.ok(await shows(/^after\nafter$/m), screen())
  type('', 'C-d')
  t.ok(await shows(/^after\n\$/m), screen())
  type('echo status $?', 'Enter')
  t.ok(await shows(/^status 0$/m), screen())
  t.equal(zone(), 'before\r\nbefore\r\n^Zafter\r\nafter\r\n')

  type(`clear; $tty vim.tiny -n -u NONE -N ${text}`, 'Enter')
  t.ok(await shows(/^~\n/m))
  type('', 'C-z')
  t.ok(await shows(/Stopped/), screen())
  type('clear; fg', 'Enter')
  t.ok(await shows(/^one\ntwo\n~\n/m), 'it draws itself anew')
  type(':q', 'Enter')
  t.ok(await shows(/^\$ $|^\$$/m), screen())
})

t.test('Ctrl-Z where nobody could continue it: as without', async t => {
  const { command, tmux, type, shows, screen } = await keeping(t)
  // In the shell's place, at the head of the terminal's session.
  tmux('respawn-pane', '-k', `exec env NODE_OPTIONS= ${command} vim.tiny -n -u NONE -N`)
  t.ok(await shows(/^~\n/m))
  type('itext', 'Escape', 'C-z')
  type('', 'G', 'o')
  type('more')
  t.ok(await shows(/^text\nmore$/m), screen())
})

t.test('full-screen programs look as they do without', async t => {
  const plain = await terminal(t)
  const kept = await keeping(t)
  const text = `${folder(t)}/text`
  const lines = Array.from({ length: 200 }, (_, i) => `${i}\tline\t${'é✓'.repeat(i % 30)}`)
  fs.writeFileSync(text, `${lines.join('\n')}\n`)
  /** Wait until each shows what is there in the end only; then all of it is the same. */
  const same = async (what: string, end: RegExp): Promise<void> => {
    await plain.shows(end)
    await kept.shows(end)
    // The last of it may still be on its way.
    if (await until(() => plain.screen(true) === kept.screen(true))) t.pass(what)
    else t.equal(kept.screen(true), plain.screen(true), what)
  }
  /** Type the same on both. */
  const both = (what: string, end: RegExp, text: string, ...keys: string[]): Promise<void> => {
    plain.type(text, ...keys)
    kept.type(text, ...keys)
    return same(what, end)
  }
  const start = (command: string, end: RegExp): Promise<void> => {
    plain.type(`clear; ${command}`, 'Enter')
    kept.type(`clear; $tty ${command}`, 'Enter')
    return same(command, end)
  }
  await start(`less ${text}`, /^0 +line/m)
  await both('less: a page', /^40 +line/m, ' ')
  await both('less: a search', /^77 +line/m, '/^77', 'Enter')
  await both('less: its end', /^199 +line/m, 'G')
  await both('less: quit', /^\$/m, 'q')
  await start(`vim.tiny -n -u NONE -N ${text}`, /^0 +line/m)
  await both('vim: insertion', /^inserted here0(?![^]*INSERT)/m, 'iinserted here', 'Escape')
  await both('vim: moving about', /^198 +line(?![^]*^199)/m, 'Gddk')
  await both('vim: a command line', /substitutions on \d+ lines/, ':%s/line/word/g', 'Enter')
  for (const { resize } of [plain, kept]) resize(60, 15)
  await both('vim: resized', /^inserted here0/m, 'gg')
  await both('vim: quit', /^\$/m, ':q!', 'Enter')
})

/** Wait until something changes no more: for so long that no pause of a busy machine is taken for it. */
const comesToRest = (look: () => string, seconds = 2): Promise<boolean> => {
  let last = look()
  let since = performance.now()
  return until(() => {
    const now = look()
    if (now !== last) since = performance.now()
    last = now
    return performance.now() - since > seconds * 1000
  })
}

t.test('who does not read slows the command, and fills no memory', async t => {
  const region = make(t)
  const child = spawn(
    process.execPath,
    [program, 'tty', region, ...layout, '--', 'sh', '-c', 'yes | head -c 20000000; echo; echo end'],
    { stdio: ['pipe', 'pipe', 'inherit'], detached: true },
  )
  const closed = new Promise(resolve => child.on('close', resolve))
  t.teardown(() => child.exitCode ?? killAll(child.pid!))
  child.stdout.pause()
  await until(() => fs.readFileSync(region).includes('y\r\n'))
  const kept = (): string => fs.readFileSync(region).subarray(0, 65536).toString('latin1')
  // It comes to a halt, long before its end, and goes on from there.
  t.ok(await comesToRest(kept), 'it stands still')
  t.notMatch(kept(), 'end')
  let length = 0
  let tail = ''
  child.stdout.on('data', (bytes: Buffer) => {
    length += bytes.length
    tail = (tail + bytes.toString('latin1', Math.max(0, bytes.length - 10))).slice(-10)
  })
  child.stdout.resume()
  await closed
  t.equal(length, 30_000_000 + '\r\nend\r\n'.length, 'nothing is missing')
  t.match(tail, /\r\nend\r\n$/)
  t.match(kept(), /end\r\n/)
})

/** A script under `tty`, read through pipes, in a process group that ends with the test. */
const start = (t: Test, region: string, script: string) => {
  const child = spawn(
    process.execPath,
    [program, 'tty', region, ...layout, '--', 'sh', '-c', script],
    { stdio: ['pipe', 'pipe', 'inherit'], detached: true },
  )
  t.teardown(() => child.exitCode ?? child.signalCode ?? killAll(child.pid!))
  return { child, closed: new Promise(resolve => child.on('close', resolve)) }
}

t.test('a slow reader gets every byte in its place, also where signals come meanwhile', async t => {
  const region = make(t)
  const script = 'trap : USR1; stty raw; echo ready; seq 1 400000; echo end'
  const { child, closed } = start(t, region, script)
  const kept = (): string => fs.readFileSync(region).subarray(0, 65536).toString('latin1')
  const parts: Buffer[] = []
  let resting = Promise.resolve()
  child.stdout.on('data', (bytes: Buffer) => {
    parts.push(bytes)
    // It reads in bursts, and the session is told to pass all on while nobody reads.
    if (parts.length % 8 !== 0) return
    child.stdout.pause()
    resting = comesToRest(kept, 0.1).then(() => {
      child.kill('SIGUSR1')
      setTimeout(() => child.stdout.resume(), 50)
    })
  })
  await closed
  await resting
  const lines = Array.from({ length: 400_000 }, (_, i) => `${i + 1}\n`)
  const printed = `ready\n${lines.join('')}end\n`
  const seen = Buffer.concat(parts).toString()
  t.ok(seen === printed, `${seen.length} of ${printed.length} bytes`)
  t.ok(kept().includes('400000\nend\n'))
})

t.test('a signal that comes after the command has ended loses nothing', async t => {
  const region = make(t)
  // A pipe holds less than what is printed, and what it does not hold is still to be written at the end.
  const pipe = `${folder(t)}/pipe`
  run('mkfifo', [pipe])
  const { O_RDONLY, O_NONBLOCK } = fs.constants
  const input = fs.openSync(pipe, O_RDONLY | O_NONBLOCK)
  const output = fs.openSync(pipe, 'w')
  const script = 'stty raw; seq 1 13500; echo end'
  const child = spawn(
    process.execPath,
    [program, 'tty', region, ...layout, '--', 'sh', '-c', script],
    { stdio: ['ignore', output, 'inherit'], detached: true },
  )
  fs.closeSync(output)
  t.teardown(() => void (child.exitCode ?? child.signalCode ?? killAll(child.pid!)))
  const exited = new Promise(resolve => child.on('exit', (...how) => resolve(how)))
  const { pid } = child
  const isAlone = (): boolean => run('pgrep', ['-P', String(pid)]).status === 1
  t.ok(await until(() => fs.readFileSync(region).includes('13500\nend\n') && isAlone()))
  t.equal(child.exitCode, null, 'it waits for its reader')
  for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGALRM'] as const) child.kill(signal)
  const parts: Buffer[] = []
  // Not before: it reads at once.
  const screen = new Socket({ fd: input }).on('data', bytes => parts.push(bytes))
  await new Promise(resolve => screen.on('end', resolve))
  t.same(await exited, [0, null])
  const lines = Array.from({ length: 13_500 }, (_, i) => `${i + 1}\n`)
  t.equal(Buffer.concat(parts).toString().length, `${lines.join('')}end\n`.length)
})

t.test('keys arrive while a command prints without end', async t => {
  const region = make(t)
  const script = 'yes & flood=$!; read key; kill $flood; wait; echo; echo got $key'
  const { child, closed } = start(t, region, script)
  let length = 0
  let tail = ''
  child.stdout.on('data', (bytes: Buffer) => {
    if (length < 2 ** 20 && length + bytes.length >= 2 ** 20) child.stdin.write('a key\n')
    length += bytes.length
    tail = (tail + bytes.toString('latin1', Math.max(0, bytes.length - 20))).slice(-20)
  })
  await closed
  t.match(tail, /\r\ngot a key\r\n$/)
})

t.test('the last line that a slow reader saw is kept, too', async t => {
  for (const size of ['64K', '1K']) {
    const region = `${folder(t)}/region.img`
    const own = [...layout.slice(0, -1), size]
    succeed(t, ['format', region, '--mem-size', '64K', ...own])
    const child = spawn(
      process.execPath,
      [program, 'tty', region, ...own, '--', 'seq', '1', '10000000'],
      { stdio: ['pipe', 'pipe', 'inherit'], detached: true },
    )
    const closed = new Promise(resolve => child.on('close', resolve))
    child.stdout.pause()
    const zone = (): Buffer => fs.readFileSync(region)
    await until(() => zone().includes('99\r\n'))
    await comesToRest(() => zone().toString('latin1'))
    killAll(child.pid!)
    let seen = ''
    child.stdout.on('data', (bytes: Buffer) => (seen += bytes.toString())).resume()
    await closed
    const last = seen.split('\r\n').at(-2)!
    const mountpoint = mount(t, region, own)
    const kept = fs.readFileSync(`${mountpoint}/tty-ramoops-0`, 'latin1')
    t.ok(kept.includes(`${last}\r\n`), `${size}: ${last} of ${seen.length} bytes`)
  }
})

t.test('a last line that was seen is kept when everything is killed', async t => {
  for (const ecc of ['0', '16'])
    for (let round = 0; round < 2; round++) {
      const options = ['--ecc', ecc]
      const region = make(t, options)
      const script = `i=0; while :; do i=$((i + 1)); echo "line $i of the last words"; done`
      // setsid of its own: the whole tree can be found, and is killed at once.
      const child = spawn(
        process.execPath,
        [program, 'tty', region, ...layout, ...options, '--', 'sh', '-c', script],
        { stdio: ['pipe', 'pipe', 'inherit'], detached: true },
      )
      let seen = ''
      child.stdout.on('data', (bytes: Buffer) => (seen += bytes.toString()))
      const closed = new Promise(resolve => child.on('close', resolve))
      await until(() => seen.split('\n').length > 300 * round + 50)
      killAll(child.pid!)
      await closed

      const last = seen.split('\r\n').at(-2)!
      t.match(last, /^line \d+ of the last words$/)
      const mountpoint = mount(t, region, [...layout, ...options])
      const kept = fs.readFileSync(`${mountpoint}/tty-ramoops-0`, 'latin1')
      t.ok(kept.includes(`${last}\r\n`), `ecc ${ecc}: ${last}`)
    }
})
