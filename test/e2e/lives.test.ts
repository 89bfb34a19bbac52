/** A real guest panics, and boots again: what it died of is found before and after. */
import t from 'tap'
import { format, type AttachOptions } from '#src/index.js'
import { folder, succeed } from '../program.js'
import { bootGuest, skipWithoutGuest } from './guest.js'

const ramoops = { record_size: 65536, console_size: 0, ftrace_size: 0, pmsg_size: 0 }
// Debian 12's kernel is of before 6.2, and has dumps alone: the consoles of others are in crash/lives.test.ts.
const layout: AttachOptions = { ...ramoops, preset: 'linux-pre-6.2' }
const flags = Object.entries(layout).flatMap(([name, value]) => [`--${name}`, String(value)])

t.test('a panic, and the boot after it', { skip: skipWithoutGuest() }, async t => {
  const region = `${folder(t)}/region.img`
  format(region, { ...layout, mem_size: 1 << 20 })
  const script = "echo '<3>first life' >/dev/kmsg"
  const { release } = await bootGuest({ region, ramoops, crash: true, script })
  const list = (...args: string[]): unknown[] =>
    JSON.parse(succeed(t, ['list', '--json', ...args]).toString()) as unknown[]
  const crash = { title: 'kernel panic: sysrq triggered crash', kernel: release, reason: 'panic' }
  t.match(list(region, ...flags), [crash])
  await bootGuest({ region, ramoops })
  t.match(list(region, ...flags), [crash])
  const archive = `${folder(t)}/crashes`
  succeed(t, ['archive', region, archive, ...flags])
  t.match(list(archive), [crash])
  const said = succeed(t, ['show', archive, '--full']).toString()
  t.match(said, /^kernel panic: sysrq triggered crash\n[^]*first life[^]*sysrq: Trigger a crash/)
  t.match(said, /^ran +sh, PID \d+, CPU 0$/m)
})
