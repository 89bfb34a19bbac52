/** `user=`: root opens the sources, and somebody else serves them. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import {
  daemonOf,
  folder,
  isMounted,
  mount,
  processesOf,
  program,
  pstorefs,
  run,
  succeed,
  until,
} from '../program.js'

const options: AttachOptions = { record_size: 4096, console_size: 4096, ftrace_size: 0 }
const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
const asRoot = process.getuid?.() !== 0 && 'only root can become somebody else'

/** A region that root alone can open. */
const makeRegion = (t: Test): string => {
  const region = `${folder(t)}/region.img`
  format(region, { ...options, mem_size: 16384 })
  const backend = attach(region, options)
  backend.write({ type: 'console', bytes: Buffer.from('console\n') })
  backend.write({ type: 'pmsg', bytes: Buffer.from('pmsg\n') })
  backend.close()
  fs.chmodSync(region, 0o600)
  return region
}

/** What a process or thread is and may do, as the kernel says it. */
const privilegesOf = (of: string): { [field: string]: string } => {
  const fields = /^(Uid|Gid|Groups|Cap(?:Inh|Prm|Eff|Amb)|NoNewPrivs):(.*)$/gm
  const status = fs.readFileSync(`/proc/${of}/status`, 'utf8')
  return Object.fromEntries(
    [...status.matchAll(fields)].map(([, name, value]) => [
      name,
      value.trim().replace(/\s+/g, ' '),
    ]),
  )
}

/** Mount two such regions, which a pool of threads looks into. */
const mountTwo = (t: Test): string => {
  const keys = Object.entries(options).map(([name, value]) => `${name} = ${String(value)}\n`)
  const config = `${folder(t)}/two.toml`
  // Its records have the names that those of a single one have.
  const sections = ['ramoops', 'other'].map(
    name => `[backends.${name}]\nsource = "${makeRegion(t)}"\n${keys.join('')}`,
  )
  fs.writeFileSync(config, `backend = "ramoops,other"\n${sections.join('')}`)
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  succeed(t, ['mount', '--config', config, mountpoint, '-o', 'user=nobody'])
  return mountpoint
}

for (const several of [false, true])
  t.test(
    `the daemon has no capability and no root, ${several ? 'two backends' : 'one'}`,
    { skip: asRoot },
    async t => {
      const [uid, gid] = ['-u', '-g'].map(what =>
        run('id', [what, 'nobody']).stdout.toString().trim(),
      )
      const none = '0'.repeat(16)
      for (const ending of ['SIGTERM', 'SIGKILL', 'umount']) {
        const mountpoint = several
          ? mountTwo(t)
          : mount(t, makeRegion(t), [...flags, '-o', 'user=nobody'])
        const pid = daemonOf(mountpoint)
        const threads = fs.readdirSync(`/proc/${pid}/task`)
        t.ok(threads.length > 2, "Node's own threads")
        for (const of of [`${pid}`, ...threads.map(thread => `${pid}/task/${thread}`)])
          t.same(privilegesOf(of), {
            Uid: `${uid} ${uid} ${uid} ${uid}`,
            Gid: `${gid} ${gid} ${gid} ${gid}`,
            Groups: gid,
            CapInh: none,
            CapPrm: none,
            CapEff: none,
            CapAmb: none,
            NoNewPrivs: '1',
          })
        const roots = processesOf(mountpoint).filter(
          ({ pid }) => privilegesOf(`${pid}`).Uid === '0 0 0 0',
        )
        t.same(
          roots.map(({ args }) => args[0]),
          ['sh'],
          "one process stays root's",
        )
        // And it does its work all the same.
        t.equal(fs.readFileSync(`${mountpoint}/console-ramoops-0`, 'latin1'), 'console\n')
        t.equal(fs.statSync(`${mountpoint}/console-ramoops-0`).uid, 0)
        if (ending === 'umount') {
          fs.unlinkSync(`${mountpoint}/pmsg-ramoops-0`)
          t.equal(fs.existsSync(`${mountpoint}/pmsg-ramoops-0`), false)
          run('umount', [mountpoint])
        } else process.kill(pid, ending)
        t.ok(await until(() => !isMounted(mountpoint) && !daemonOf(mountpoint)), ending)
      }
    },
  )

t.test('what is refused', { skip: asRoot }, async t => {
  const region = makeRegion(t)
  const refusal = (...more: string[]): string =>
    pstorefs(['mount', region, folder(t), ...flags, ...more]).stderr
  t.equal(refusal('-o', 'user=no-such-user'), 'pstorefs: user no-such-user: no such user\n')
  t.match(
    refusal('-o', 'user=nobody,attach=boot'),
    /^pstorefs: user nobody: not with attach=boot, .*\n$/,
  )
  // Without privileges for good, or not at all.
  const mountpoint = folder(t)
  const { stderr } = run(
    'strace',
    [
      ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=seccomp', '-e', 'inject=seccomp:error=EINVAL'],
      [process.execPath, program, 'mount', region, mountpoint, ...flags, '-o', 'user=nobody'],
    ].flat(),
  )
  t.equal(
    stderr,
    'pstorefs: user nobody: privileges cannot be given up for good (seccomp: EINVAL)\n',
  )
  t.ok(await until(() => !isMounted(mountpoint)))
})
