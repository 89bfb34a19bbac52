/** What a mount logs of hostile regions: a guest decides what is said, but not how often. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { folder, isMounted, program, run, until } from '../program.js'

const layout: AttachOptions = {
  record_size: 0,
  console_size: 65536,
  pmsg_size: 0,
  ftrace_size: 0,
  ecc: 16,
}

t.test('damage that changes is one message', async t => {
  const region = `${folder(t)}/region.img`
  format(region, { ...layout, mem_size: 65536 })
  const backend = attach(region, layout)
  backend.write({ type: 'console', bytes: Buffer.alloc(50_000, 'text\n') })
  backend.close()
  const mountpoint = folder(t)
  const flags = Object.entries(layout).map(([name, value]) => `--${name}=${String(value)}`)
  const served = spawn(
    process.execPath,
    [program, 'mount', '--foreground', region, mountpoint, ...flags],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  served.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  t.ok(await until(() => said.includes('attached')))
  const lines = (): string[] => said.split('\n').filter(line => line.includes('damaged'))
  const shown: string[] = []
  for (let blocks = 1; blocks <= 20; blocks++) {
    const fd = fs.openSync(region, 'r+')
    // More wrong bytes in a block than its parity can correct.
    for (let at = 128 * blocks; at < 128 * blocks + 20; at++) fs.writeSync(fd, '!', at)
    fs.closeSync(fd)
    const text = run('cat', [`${mountpoint}/console-ramoops-0`]).stdout.toString('latin1')
    shown.push(/(\d+) unrecoverable/i.exec(text)?.[1] ?? '')
  }
  t.ok(new Set(shown).size > 10, 'each look found other damage')
  // The look at all zones that follows attaching may come upon the first damage, and says it in its own words.
  const isOfThatLook = (line: string): boolean => line.includes('cannot be corrected')
  const ofReaders = (): string[] => lines().filter(line => !isOfThatLook(line))
  await until(() => ofReaders().length > 1, 1)
  t.equal(ofReaders().length, 1, said)
  t.ok(lines().filter(isOfThatLook).length <= 1, said)
})

t.test('a minute has a thousand messages', async t => {
  const log = path.resolve(import.meta.dirname, '../../dist/service/log.js')
  const script = `const { logOnce } = await import(${JSON.stringify(log)})
    for (const round of [1, 2])
      for (let i = 0; i < 1500; i++) logOnce('warning', 'name ' + i, 'name ' + i + ': ' + round)`
  const node = ['--input-type=module', '--eval', script]
  // Into a file: who reads a pipe too late misses lines, as nobody waits for them.
  const said = `${folder(t)}/said`
  run('sh', ['-c', 'exec "$0" "$@" 2>"$SAID"'.replace('$SAID', said), process.execPath, ...node])
  const lines = fs.readFileSync(said, 'utf8').split('\n').slice(0, -1)
  t.equal(lines.length, 1001)
  t.same(lines.slice(0, 2), ['pstorefs: name 0: 1', 'pstorefs: name 1: 1'])
  t.match(lines.at(-1), /left out$/)
})

/**
 * Run a script that logs from the background, `cat` in logger's place.
 *
 * @returns what was logged
 */
const logged = (t: Test, script: string): string => {
  const log = path.resolve(import.meta.dirname, '../../dist/service/log.js')
  const file = `${folder(t)}/logged`
  const start = `import child_process from 'node:child_process'
    import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    import { setTimeout as sleep } from 'node:timers/promises'
    const { spawn } = child_process
    const file = fs.openSync(${JSON.stringify(file)}, 'w')
    let logger
    child_process.spawn = (_, __, { env }) =>
      (logger = spawn('cat', [], { env, stdio: ['pipe', file, 'ignore'] }))
    syncBuiltinESMExports()
    const { log, logFromBackground } = await import(${JSON.stringify(log)})
    logFromBackground()
    const until = async condition => {
      for (let n = 0; n < 6000 && !condition(); n++) await sleep(10)
    }
    const isLogged = word => fs.readFileSync(${JSON.stringify(file)}, 'utf8').includes(word)
    `
  const limited = 'ulimit -n 256; exec "$0" "$@"'
  const node = ['--expose-gc', '--input-type=module', '--eval', start + script]
  const { status, stderr } = run('sh', ['-c', limited, process.execPath, ...node])
  t.equal(status, 0, stderr)
  return fs.readFileSync(file, 'utf8')
}

t.test('a log that hangs makes no process grow', async t => {
  const text = logged(
    t,
    `log('notice', 'first')
    await until(() => isLogged('first'))
    logger.kill('SIGSTOP')
    const line = 'x'.repeat(100)
    const used = () => (gc(), process.memoryUsage().heapUsed)
    const before = used()
    for (let n = 0; n < 100_000; n++) log('notice', line)
    await sleep(0)
    const grown = used() - before
    if (grown > 2 ** 21) throw new Error('grown by ' + grown)
    logger.kill('SIGCONT')
    await until(() => logger.stdin.writableLength === 0)
    log('notice', 'last')
    await until(() => isLogged('last'))
    process.exit()`,
  )
  const lines = text.split('\n')
  const lost = /^<4>messages that could not be logged: (\d+)$/.exec(lines.at(-3) ?? '')?.[1]
  t.equal(lines.at(-2), '<5>last')
  t.equal(lines.filter(line => line.startsWith('<5>xx')).length + Number(lost), 100_000)
})

t.test('where no descriptor is left a message is lost, and nothing else', async t => {
  const text = logged(
    t,
    `const held = []
    try {
      for (;;) held.push(fs.openSync('/dev/null'))
    } catch {}
    log('notice', 'first')
    for (const fd of held) fs.closeSync(fd)
    log('notice', 'last')
    await until(() => isLogged('last'))
    process.exit()`,
  )
  t.equal(text, '<4>messages that could not be logged: 1\n<5>last\n')
})
