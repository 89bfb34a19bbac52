/** A guest under a real kernel writes to its ring while the host follows it. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import t from 'tap'
import { folder, program, succeed, until } from '../program.js'
import { bootGuest, REGION_ADDRESS, skipWithoutGuest } from './guest.js'

const ramoops = { record_size: 0, console_size: 16384, ftrace_size: 0, pmsg_size: 4096 }
const memSize = 20480
const options = Object.entries(ramoops).flatMap(([name, value]) => [
  `--${name.replace('_', '-')}`,
  String(value),
])

/**
 * Debian's kernel has no console frontend, so the guest's busybox stands in for it, a word at a time: the
 * bytes, then size and start. (Linux moves those first; but here a program is started between two stores,
 * which can take longer than anybody waits for bytes.) The region is ramoops's own: iomem=relaxed lets
 * others at it. It goes on until the host answers, in pmsg's first word.
 */
const script = `
A=$((${REGION_ADDRESS}))
put() { devmem $((A + $1)) 32 $2; }
i=100
at=0
while [ "$(devmem $((A + 16384 + 12)) 32)" = 0x00000000 ]; do
  [ $i -lt 600 ] || exit 1
  put $((12 + at)) 0x656e696c
  put $((16 + at)) $((0x20 | (i / 100 + 48) << 8 | (i / 10 % 10 + 48) << 16 | (i % 10 + 48) << 24))
  put $((20 + at)) 0x0a6b6f20
  put 8 $((at + 12))
  put 4 $((at + 12))
  at=$((at + 12))
  i=$((i + 1))
done
`

t.test('lines appear while the guest runs', { skip: skipWithoutGuest() }, async t => {
  const region = `${folder(t)}/region.img`
  fs.writeFileSync(region, Buffer.alloc(memSize))
  const child = spawn(process.execPath, [
    program,
    'follow',
    region,
    'console-ramoops-0',
    ...options,
  ])
  t.teardown(() => child.kill('SIGKILL'))
  let out = ''
  let err = ''
  child.stdout.setEncoding('latin1').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('latin1').on('data', (text: string) => (err += text))

  let running = true
  const guest = bootGuest({
    region,
    ramoops,
    script,
    cmdline: 'iomem=relaxed',
  }).finally(() => (running = false))
  // Its end is awaited below.
  guest.catch(() => {})
  const lines = (): string[] => out.split('\n').slice(0, -1)
  await until(() => lines().length >= 5 || !running, 600)
  t.ok(running, `the guest still runs, and its lines are here: ${lines().length}`)
  // The guest ends when it sees this, and fails if it never does.
  succeed(t, ['write', 'pmsg', region, ...options], Buffer.from('enough'))
  await guest

  const size = fs.readFileSync(region).readUInt32LE(8)
  t.ok(await until(() => out.length === size), `all ${size} bytes`)
  for (const [i, line] of lines().entries())
    if (line !== `line ${100 + i} ok`) t.fail(`line ${i} is ${JSON.stringify(line)}`)
  t.match(err, /^pstorefs: [^\n]*: no zone has a header yet[^\n]*\n$/, 'nothing was lost')
})
