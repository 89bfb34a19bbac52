/** `console`: this machine's own kernel log. */
import { randomUUID } from 'node:crypto'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { folder, program, pstorefs, succeed, until } from '../program.js'

const layout = ['--record-size', '0', '--console-size', '1M', '--pmsg-size', '0']
layout.push('--ftrace-size', '0')

const device = '/dev/kmsg'
/** Why the kernel's log cannot be read and written here; false where it can. */
const skip = ((): false | string => {
  try {
    fs.closeSync(fs.openSync(device, fs.constants.O_RDWR | fs.constants.O_NONBLOCK))
    return false
  } catch (error) {
    return `${device}: ${(error as Error).message}`
  }
})()

/**
 * Say something to the kernel's log; of level debug, so that no screen shows it. Without its line feed it
 * would not be there before the next message.
 */
const say = (text: string, level = 7): void => fs.writeFileSync(device, `<${level}>${text}\n`)

/** The number of the oldest message in the log. */
const oldest = (): number => {
  const log = fs.openSync(device, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
  const record = Buffer.alloc(8192)
  try {
    for (;;)
      try {
        return Number(record.toString('latin1', 0, fs.readSync(log, record)).split(',')[1])
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
      }
  } finally {
    fs.closeSync(log)
  }
}

/** Start keeping the console, and give its process, and what the zone holds. */
const start = (t: Test, args: string[] = []) => {
  const region = `${folder(t)}/region.img`
  succeed(t, ['format', region, '--mem-size', '1M', ...layout])
  const child = spawn(process.execPath, [program, 'console', region, ...layout, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let stderr = ''
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()))
  const zone = (): string =>
    succeed(t, ['ls', region, ...layout]).length
      ? succeed(t, ['cat', region, 'console-ramoops-0', ...layout]).toString()
      : ''
  const ended = new Promise<NodeJS.Signals | number | null>(resolve =>
    child.on('close', (code, signal) => resolve(signal ?? code)),
  )
  return { child, zone, ended, stderr: () => stderr }
}

t.test('from the start, as it is said', { skip }, async t => {
  const id = randomUUID()
  say(`${id} before`)
  const { child, zone, ended, stderr } = start(t)
  t.ok(await until(() => zone().includes(`${id} before\n`)), 'what the log holds already')
  say(`${id} a\ttab, gr\u00fcn, a \\ and\nanother line`)
  const wanted = new RegExp(
    `^\\[ *(\\d+\\.\\d{6})\\] ${id} a\\ttab, grün, a \\\\ and\\n\\[ *\\1\\] another line$`,
    'm',
  )
  t.ok(await until(() => wanted.test(zone())), 'and what is new, as the console has it')
  say(`${id} last`)
  child.kill('SIGTERM')
  t.equal(await ended, 'SIGTERM', 'it ends as one that does not handle it')
  t.match(zone(), `${id} last\n`, 'and has stored all')
  t.equal(stderr(), '')
})

t.test('only what is new, and only some levels', { skip }, async t => {
  const id = randomUUID()
  say(`${id} before`)
  const { zone } = start(t, ['--new', '--level', 'warn'])
  // It is there once it has kept something; messages of the level come until then.
  const reading = await until(() => {
    say(`${id} debug`)
    say(`${id} warning`, 4)
    return zone().includes(`${id} warning\n`)
  })
  t.ok(reading)
  t.notMatch(zone(), `${id} before`)
  t.notMatch(zone(), `${id} debug`)
})

t.test('a log that is written faster than it is read', { skip }, async t => {
  const id = randomUUID()
  say(`${id} before`)
  const { child, zone, stderr } = start(t)
  await until(() => zone().includes(`${id} before\n`))
  child.kill('SIGSTOP')
  say(`${id} will be overwritten`)
  const from = oldest()
  let said = 0
  while (oldest() <= from + 1000 && said < 20_000) {
    // As many as one writer may say at once.
    const log = fs.openSync(device, 'w')
    for (let i = 0; i < 10; i++, said++) fs.writeSync(log, `<7>${'x'.repeat(900)}\n`)
    fs.closeSync(log)
  }
  say(`${id} after`)
  child.kill('SIGCONT')
  t.ok(await until(() => zone().includes(`${id} after\n`)))
  t.match(zone(), /^\*\* \d+ printk messages dropped \*\*$/m, `${said} messages`)
  t.equal(stderr(), '')
  t.equal(child.exitCode, null, 'it goes on')
})

t.test('wrong usage', async t => {
  const region = `${folder(t)}/region.img`
  succeed(t, ['format', region, '--mem-size', '1M', ...layout])
  for (const [args, status, why] of [
    [[region, ...layout, '--level', '9'], 1, /--level '9': must be 0 to 8/],
    [[region, ...layout, '--level', 'loud'], 1, /must be 0 to 8, or one of emerg/],
    [[region, '--console-size', '0'], 1, /has no console zone/],
    [[], 2, /Give SOURCE or --backend/],
  ] as const) {
    const outcome = pstorefs(['console', ...args])
    t.equal(outcome.status, status)
    t.match(outcome.stderr, why)
    t.match(outcome.stderr, /^pstorefs: [^\n]+\n$/, 'one line')
  }
})
