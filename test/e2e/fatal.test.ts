/** An error that nothing foresaw ends a daemon: with a line in the log, without its mount, and no region changes. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { inside, makeApart, type Apart } from '../apart.js'

const asRoot = process.getuid!() !== 0 && 'only root can hide logger(1) in a mount namespace'

const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
}
const flags = Object.entries(layout)
  .map(([name, size]) => `--${name}=${size}`)
  .join(' ')

/** Throws on a signal, out of everybody's reach. */
const thrower = `process.on('SIGUSR2', () => { throw new Error('on purpose') })`
/** Keeps what it is given, and ends a little later. */
const logger = `#!/bin/sh\ncat >>${inside}/log\nsleep 0.2\necho kept >>${inside}/log\n`

const make = (t: Test, asLogger: string): Apart & { region: string } => {
  const apart = makeApart(t)
  const region = `${apart.home}/region.img`
  format(region, { ...layout, mem_size: 16384 })
  const backend = attach(region, layout)
  backend.write({ type: 'console', bytes: Buffer.from('console\n') })
  backend.close()
  fs.writeFileSync(`${apart.home}/logger`, asLogger)
  // One that may not be executed is as good as none.
  if (asLogger) fs.chmodSync(`${apart.home}/logger`, 0o755)
  fs.writeFileSync(`${apart.home}/throw.mjs`, thrower)
  fs.mkdirSync(`${apart.home}/m`)
  return { ...apart, region }
}

/** Ends the daemon of this namespace by an error of its own, and waits until it and its mount are gone. */
const provoke = `
daemon=
own=$(readlink /proc/self/ns/mnt)
for each in /proc/[0-9]*; do
  [ "$(readlink $each/ns/mnt)" = "$own" ] || continue
  if tr '\\0' ' ' <$each/cmdline | grep -q 'pstorefs.js mount'; then daemon=\${each#/proc/}; fi
done
kill -USR2 $daemon
tries=0
while [ -e /proc/$daemon/exe ] || grep -q ' ${inside}/m ' /proc/self/mounts; do
  [ $((tries += 1)) -lt 100 ] || { echo "still there"; exit 1; }
  sleep 0.1
done
`
const mountIt = `
mount --bind ${inside}/logger /usr/bin/logger
export NODE_OPTIONS="--import ${inside}/throw.mjs"
pstorefs mount ${inside}/region.img ${inside}/m ${flags}`

const inForeground = `${mountIt} --foreground`
const whenMounted = `& served=$!
until grep -q ' ${inside}/m ' /proc/self/mounts; do kill -0 $served; sleep 0.1; done`
/** What is read takes a lock, for which the region is opened once more. */
const read = `cat ${inside}/m/console-ramoops-0`

for (const [what, script] of [
  ['in the background', mountIt],
  ['in the background, stdio closed', `${mountIt} <&- >&- 2>&-`],
  ['in the foreground, stdio closed', `${inForeground} <&- >&- 2>&- ${whenMounted}`],
  ['in the foreground, stdout closed', `${inForeground} >&- ${whenMounted}`],
  ['in the foreground, stderr closed', `${inForeground} 2>&- ${whenMounted}`],
] as const)
  t.test(`the region, without logger(1): ${what}`, { skip: asRoot }, async t => {
    const { region, sh } = make(t, '')
    const before = fs.readFileSync(region)
    const { status, stderr, said } = sh(`${script}\n${read}\n${provoke}`)
    t.same([status, said], [0, 'console\n'], stderr)
    t.ok(fs.readFileSync(region).equals(before), 'not a byte of it has changed')
  })

t.test('what is logged', { skip: asRoot }, async t => {
  const { home, sh } = make(t, logger)
  const { status, stderr } = sh(`${mountIt}\n${provoke}`)
  t.equal(status, 0, stderr)
  const lines = fs.readFileSync(`${home}/log`, 'utf8').split('\n')
  const line = lines.findIndex(line => line.includes('Error: on purpose: at '))
  t.match(lines[line], /^<3>/)
  t.ok(lines.includes('kept', line), 'the daemon ended after logger had it')
})

t.test('in the foreground', { skip: asRoot }, async t => {
  const { sh } = make(t, '')
  const { status, stderr, said } = sh(
    `${inForeground} ${whenMounted}\n${provoke}\nwait $served || echo $?`,
  )
  t.same([status, said], [0, '1\n'], stderr)
  t.match(stderr, /^(pstorefs: ramoops: attached\n)?pstorefs: Error: on purpose: at .*\n$/)
})
