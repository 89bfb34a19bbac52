/** What a mount logs of hostile regions: a guest decides what is said, but not how often. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
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
