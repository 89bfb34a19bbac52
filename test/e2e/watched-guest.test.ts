/**
 * A real guest that panics and boots again at once, while `archive --watch` looks: its dump and its console are in the
 * archive, together, and are sent to a collector. Debian's kernel has the console's ring emptied as it boots, and writes
 * nothing to it: that is done for it here.
 */
import fs from 'node:fs'
import t from 'tap'
import { attach, format } from '#src/index.js'
import { crashesCome, watch } from '../archive/watching.js'
import { folder, succeed, until } from '../program.js'
import { RealCollector, skipWithoutCollector } from './collector.js'
import { bootGuest, skipWithoutGuest } from './guest.js'

const ramoops = { record_size: 65536, console_size: 65536, pmsg_size: 0, ftrace_size: 0 }
const flags = Object.entries(ramoops).flatMap(([name, value]) => [`--${name}`, String(value)])

t.test('a panic, and the boot after it', { skip: skipWithoutGuest() }, async t => {
  const region = `${folder(t)}/region.img`
  const archive = `${folder(t)}/crashes`
  format(region, { ...ramoops, mem_size: 1 << 20 })
  const backend = attach(region, ramoops)
  t.teardown(() => backend.close())
  const [ring] = backend.rings()
  const write = (text: string): number =>
    backend.write({ type: 'console', bytes: Buffer.from(text) })
  const collector = skipWithoutCollector === false ? await RealCollector.start(t) : null
  if (!collector) t.pass('it is shipped', { skip: skipWithoutCollector })
  const shipping = collector ? ['--otlp', collector.url] : []
  const watcher = watch(t, [region, archive, ...flags, ...shipping])
  for (const life of [1, 2]) {
    write('before this life\n')
    const script = "echo '<3>words for the log' >/dev/kmsg; sleep 2"
    const guest = bootGuest({ region, ramoops, crash: true, script })
    t.ok(await until(() => ring!.position().size === 0), 'it begins a life')
    write(`the console of life ${life}\n`)
    await guest
    // The next life begins at once: what it empties has to be in the archive by then.
    const names = await crashesCome(t, archive, life)
    for (const name of names.slice(-1)) {
      const files = fs.readdirSync(`${archive}/${name}`)
      t.same(
        files.filter(file => file.startsWith('console-')),
        ['console-ramoops-0'],
      )
      const console = fs.readFileSync(`${archive}/${name}/console-ramoops-0`, 'latin1')
      t.equal(console, `the console of life ${life}\n`)
    }
    if (collector) {
      const parts = [`Body: Str(the console of life ${life}\n`, 'EventName: linux.kernel.crash\n']
      const has = (part: string): boolean => collector.printed().split(part).length > life
      const [console, event] = parts as [string, string]
      t.ok(await until(() => collector.printed().includes(console) && has(event)), 'it is shipped')
    }
  }
  t.equal(await watcher.end(), 0)
  const said = succeed(t, ['show', archive, '--full']).toString()
  t.match(
    said,
    /^kernel panic: sysrq triggered crash\n[^]*words for the log[^]*sysrq: Trigger a crash/,
  )
  t.equal(succeed(t, ['ls', region, ...flags]).toString(), '')
})
