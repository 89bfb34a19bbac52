/** More backends than the process may open files for. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { daemonOf, folder, isMounted, program, run, until, type Outcome } from '../program.js'

const asRoot = process.getuid!() !== 0 && 'only root can refuse a mount'

const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
}

/** A config file with some backends, a record in each, and some whose source is missing. */
const make = (t: Test, there: number, missing: number): string => {
  const home = folder(t)
  format(`${home}/0.img`, { ...layout, mem_size: 8192 })
  const backend = attach(`${home}/0.img`, layout)
  backend.write({ type: 'console', bytes: Buffer.from('console\n') })
  backend.close()
  const lines = ['backend = "all"']
  for (let i = 0; i < there + missing; i++) {
    if (i > 0 && i < there) fs.copyFileSync(`${home}/0.img`, `${home}/${i}.img`)
    lines.push(`[backends.g${i}]`, `source = "${i}.img"`)
    for (const [name, size] of Object.entries(layout)) lines.push(`${name} = ${String(size)}`)
  }
  fs.writeFileSync(`${home}/guests.toml`, lines.join('\n'))
  return `${home}/guests.toml`
}

const limit = 256

/** Mount with a limit of descriptors. */
const mountLimited = (t: Test, config: string, ...more: string[]) => {
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  const script = `ulimit -n ${limit}; exec "$@"`
  const args = [process.execPath, program, 'mount', '--config', config, mountpoint, ...more]
  const outcome: Outcome = run('sh', ['-c', script, 'sh', ...args])
  return { ...outcome, mountpoint, lines: outcome.stderr.split('\n').slice(0, -1) }
}
const advice = `too many open files: raise the limit (ulimit -n, LimitNOFILE=) above ${limit}`

t.test('those for which there are enough are mounted, and work', async t => {
  const config = make(t, 320, 0)
  const { mountpoint, status, stderr, lines } = mountLimited(t, config)
  t.equal(status, 0, stderr)
  const names = fs.readdirSync(mountpoint).filter(name => /^g\d+$/.test(name))
  const folders = names.length
  t.ok(folders > 50 && folders < limit, `${folders} are attached`)
  t.equal(lines.length, 11)
  for (const line of lines.slice(0, 10))
    t.match(line, new RegExp(`^pstorefs: backend g\\d+: not attached: too many .* above ${limit}$`))
  t.equal(lines[10], `pstorefs: … ${320 - folders - 10} more backends are not attached`)
  // Each takes its lock, for which it needs one more.
  for (const name of names) fs.unlinkSync(`${mountpoint}/${name}/console-${name}-0`)
  const daemon = daemonOf(mountpoint)
  process.kill(daemon, 'SIGHUP')
  t.equal(fs.readdirSync(mountpoint).length, folders, 'nothing but their folders')
  process.kill(daemon, 'SIGTERM')
  t.ok(await until(() => !isMounted(mountpoint) && !daemonOf(mountpoint), 20))
})

t.test('those that are named must all be there', async t => {
  const names = Array.from({ length: 200 }, (_, i) => `g${i}`).join()
  const { status, stderr } = mountLimited(t, make(t, 200, 0), '--backend', names)
  t.equal(status, 1)
  t.match(stderr, /^pstorefs: backend g\d+: [^\n]+\n$/)
  t.ok(stderr.endsWith(`: ${advice}\n`), stderr)
})

t.test('a failure has its own line', { skip: asRoot }, async t => {
  const mountpoint = folder(t)
  const { status, stderr } = run(
    'strace',
    [
      ['-f', '-qq', '--seccomp-bpf', '-o', '/dev/null', '-e', 'trace=mount'],
      ['-e', 'inject=mount:error=EPERM'],
      [process.execPath, program, 'mount', '--config', make(t, 1, 300), mountpoint],
    ].flat(),
  )
  t.equal(status, 1)
  const lines = stderr.split('\n').slice(0, -1)
  t.equal(lines.length, 12)
  for (const line of lines) t.match(line, /^pstorefs: .{10,300}$/)
  t.equal(lines[10], 'pstorefs: … 290 more backends are not attached')
  t.match(lines[11], /cannot be mounted: /)
})
