/** The mounted tree as a file system: what it allows and refuses, how it lives and ends. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { inside, makeApart, type Apart } from '../apart.js'
import { fixtureFolder, layoutOptions, loadFixture } from '../fixtures.js'
import {
  archiveBySystemd,
  daemonOf,
  file,
  folder,
  isMounted,
  killWithWatcher,
  mount,
  processesOf,
  program,
  pstorefsRefused,
  run,
  succeed,
  until,
} from '../program.js'

const fixture = loadFixture('all-noecc')
const options = layoutOptions(fixture)
const asRoot = process.getuid!() !== 0 && 'only root can mount(8), chown, and become another user'

/** A small region of our own, with something in each ring and one dump. */
const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 4096,
  ftrace_size: 0,
}
const layoutArgs = [
  '--record-size',
  '4096',
  '--console-size',
  '4096',
  '--pmsg-size',
  '4096',
  '--ftrace-size',
  '0',
]
const make = (t: Test): string => {
  const region = `${folder(t)}/region.img`
  format(region, { ...layout, mem_size: 16384 })
  const backend = attach(region, layout)
  backend.write({ type: 'console', bytes: Buffer.from('console\n') })
  backend.write({ type: 'pmsg', bytes: Buffer.from('pmsg\n') })
  backend.write({ type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\ntext\n') })
  backend.close()
  return region
}
const append = (region: string, text: string): void => {
  const backend = attach(region, layout)
  backend.write({ type: 'console', bytes: Buffer.from(text) })
  backend.close()
}

t.test("every file operation gives what Linux's pstorefs gives", { skip: asRoot }, async t => {
  const home = folder(t)
  const compiled = run('gcc', ['-o', `${home}/fsops`, path.join(fixtureFolder, 'fsops.c')])
  t.equal(compiled.status, 0, compiled.stderr)
  const mountpoint = mount(t, file(t, fixture.region()), options)
  // Programs may not be run from everywhere: a TMPDIR can be noexec.
  const script = 'mount --bind "$0" "$0"; mount -o remount,bind,exec "$0"; exec "$0/fsops" "$@"'
  const args = [home, mountpoint, 'dmesg-ramoops-0', 'ftrace-ramoops-0']
  const found = run('unshare', ['--mount', 'sh', '-ec', script, ...args]).stdout.toString()
  const linux = fs.readFileSync(path.join(fixtureFolder, 'fsops.txt'), 'utf8')
  /** One line an operation, without the sizes, which are another region's; Linux has no extended attributes. */
  const lines = (text: string): string[] =>
    text
      .split('\n')
      .map(line => line.replace(/ = 28\d\d\d$/, ' = SIZE').replace(/^(listxattr +=) \d+$/, '$1 N'))
  const expected = lines(linux)
  const got = lines(found)

  for (const [i, line] of got.slice(0, -1).entries()) t.equal(line, expected[i])
  t.match(got.at(-2), /nlink of it 0/, 'to the end')
})

t.test('ls, find, tar, cp, rsync and df work on it', async t => {
  const mountpoint = mount(t, file(t, fixture.region()), options)
  const home = folder(t)
  const same = (copy: string, ftraceToo: boolean): void => {
    for (const { name } of fixture.files) {
      if (!ftraceToo && name.startsWith('ftrace')) continue
      t.same(fs.readFileSync(`${copy}/${name}`), fixture.file(name).subarray(0), `${copy}: ${name}`)
    }
  }
  const do_ = (command: string, args: string[]): string => {
    const { status, stdout, stderr } = run(command, args)
    t.equal(status, 0, `${command}: ${stderr}`)
    return stdout.toString()
  }
  t.match(do_('ls', ['-la', mountpoint]), /-r--r--r-- +2 \S+ +\S+ +16372 .* console-ramoops-0\n/)
  const found = do_('find', [mountpoint, '-samefile', `${mountpoint}/console-ramoops-0`])
  t.same(found.trim().split('\n').sort(), [
    `${mountpoint}/console-ramoops-0`,
    `${mountpoint}/ramoops/console-ramoops-0`,
  ])
  t.equal(
    do_('find', [mountpoint, '-type', 'f']).trim().split('\n').length,
    2 * fixture.files.length,
  )
  do_('cp', ['-a', mountpoint, `${home}/cp`])
  same(`${home}/cp`, false)
  t.equal(fs.statSync(`${home}/cp/console-ramoops-0`).nlink, 2)
  do_('rsync', ['-aH', `${mountpoint}/`, `${home}/rsync`])
  same(`${home}/rsync`, false)
  t.equal(fs.statSync(`${home}/rsync/console-ramoops-0`).nlink, 2)
  do_('tar', ['cf', `${home}/all.tar`, '-C', mountpoint, '.'])
  fs.mkdirSync(`${home}/tar`)
  do_('tar', ['xf', `${home}/all.tar`, '-C', `${home}/tar`])
  same(`${home}/tar`, false)
  t.match(do_('df', [mountpoint]), new RegExp(` ${mountpoint}\n`))
  t.match(do_('stat', ['-f', '-c', '%s %l', mountpoint]), /^4096 255\n/)
  t.match(do_('grep', ['pstore', '/proc/mounts']), ` ${mountpoint} fuse.pstorefs `)
  t.match(do_('findmnt', ['-n', '-o', 'SOURCE,FSTYPE', mountpoint]), /region\.img +fuse\.pstorefs/)
})

/** A file's extended attributes, as Python has them from the kernel. */
const attributesOf = (name: string): { [name: string]: string } => {
  const script =
    'import json, os, sys; f = sys.argv[1]; ' +
    'print(json.dumps({a: os.getxattr(f, a).decode() for a in os.listxattr(f)}))'
  const { status, stdout, stderr } = run('python3', ['-c', script, name])
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout.toString()) as { [name: string]: string }
}

t.test('extended attributes say what a record is, and copies keep them', async t => {
  const oopses = loadFixture('dmesg-many')
  const source = file(t, oopses.region())
  const mountpoint = mount(t, source, layoutOptions(oopses))
  const listed = JSON.parse(
    succeed(t, ['list', source, '--json', ...layoutOptions(oopses)]).toString(),
  ) as { title: string; records: string[]; reason: string }[]
  t.equal(listed.length, 4)
  for (const { title, records, reason } of listed) {
    const found = attributesOf(`${mountpoint}/${records[0]}`)
    t.match(found, { 'user.pstore.title': title, 'user.pstore.backend': 'ramoops' }, records[0])
    t.equal(found['user.pstore.reason']!.toLowerCase(), reason)
    t.equal(found['user.pstore.zone'], records[0]!.at(-1))
    const { mtimeMs } = fs.statSync(`${mountpoint}/${records[0]}`)
    t.equal(Date.parse(found['user.pstore.time']!), Math.floor(mtimeMs))
  }
  const one = `${mountpoint}/dmesg-ramoops-3`
  const had = attributesOf(one)
  t.equal(Object.keys(had).length, 5)
  const home = folder(t)
  const refused = `${home}/plain`
  fs.writeFileSync(refused, '')
  const can = run('python3', ['-c', `import os; os.setxattr('${refused}', 'user.x', b'')`])
  const keeps = can.status === 0
  if (!keeps) t.comment(`no user attributes in ${home}: copies are not looked at`)
  t.equal(run('cp', ['-a', one, `${home}/copy`]).status, 0)
  if (keeps) t.same(attributesOf(`${home}/copy`), had, 'cp -a')
  const packed = ['-c', '--xattrs', '-f', `${home}/all.tar`, '-C', mountpoint, 'dmesg-ramoops-3']
  t.equal(run('tar', packed).status, 0)
  const unpacked = run('tar', ['-x', '--xattrs', '-f', `${home}/all.tar`, '-C', home])
  t.equal(unpacked.status, 0)
  if (keeps) t.same(attributesOf(`${home}/dmesg-ramoops-3`), had, 'tar --xattrs')
  const set = `import os; os.setxattr('${one}', 'user.pstore.title', b'x')`
  t.match(run('python3', ['-c', set]).stderr, /Operation not supported/)
  t.same(attributesOf(mountpoint), {})
})

t.test('a dump in parts: each tells what all of them together do', async t => {
  const efi = loadFixture('efi-panic')
  const source = `efi:${file(t, efi.region())}`
  const mountpoint = mount(t, source, ['-o', 'ro'])
  const [crash] = JSON.parse(succeed(t, ['list', source, '--json']).toString()) as {
    title: string
    records: string[]
  }[]
  t.ok(crash!.records.length > 5)
  for (const name of crash!.records)
    t.equal(attributesOf(`${mountpoint}/${name}`)['user.pstore.title'], crash!.title, name)
})

t.test('the pool tells the same of several backends', async t => {
  const oopses = loadFixture('dmesg-many')
  const home = folder(t)
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  fs.writeFileSync(`${home}/a.img`, oopses.region())
  const table = (name: string): string =>
    `[backends.${name}]\nsource = "${home}/a.img"\n` +
    Object.entries(oopses.layout)
      .map(([key, value]) => `${key} = ${value}\n`)
      .join('')
  fs.writeFileSync(`${home}/c.toml`, `${table('one')}${table('two')}`)
  const all = ['mount', '--config', `${home}/c.toml`, '-o', 'ro,backend=all', mountpoint]
  succeed(t, all)
  for (const name of ['one', 'two'])
    t.match(attributesOf(`${mountpoint}/${name}/dmesg-${name}-3`), {
      'user.pstore.backend': name,
      'user.pstore.reason': 'Panic',
      'user.pstore.title': 'kernel panic: sysrq triggered crash',
    })
})

t.test('the tree shows what the region holds at that moment', async t => {
  const region = make(t)
  const mountpoint = mount(t, region, layoutArgs)
  const live = `${mountpoint}/console-ramoops-0`
  const before = fs.statSync(live)
  const opened = fs.openSync(live, 'r')
  await new Promise(resolve => setTimeout(resolve, 20))
  append(region, 'more\n')
  const after = fs.statSync(live)
  t.equal(after.size, before.size + 5, 'a new size')
  t.ok(after.mtimeMs > before.mtimeMs, 'a new time')
  t.equal(after.ino, before.ino, 'the same file')
  t.equal(fs.readFileSync(live, 'latin1'), 'console\nmore\n')
  const bytes = Buffer.alloc(100)
  t.equal(
    bytes.toString('latin1', 0, fs.readSync(opened, bytes, 0, 100, 0)),
    'console\n',
    'an open file keeps its bytes',
  )
  fs.closeSync(opened)

  const dump = fs.statSync(`${mountpoint}/dmesg-ramoops-0`)
  t.notOk(fs.existsSync(`${mountpoint}/tty-ramoops-0`))
  const backend = attach(region, layout)
  backend.write({ type: 'dmesg', bytes: Buffer.from('Oops#1 Part1\nsecond\n') })
  t.match(
    fs.readFileSync(`${mountpoint}/dmesg-ramoops-1`, 'latin1'),
    /second/,
    'a crash a second later appears',
  )
  backend.write({ type: 'dmesg', bytes: Buffer.from('Oops#2 Part1\nthird\n') })
  t.match(
    fs.readFileSync(`${mountpoint}/dmesg-ramoops-0`, 'latin1'),
    /third/,
    'the oldest is replaced',
  )
  t.not(fs.statSync(`${mountpoint}/dmesg-ramoops-0`).ino, dump.ino, 'and is another file')
  backend.find('pmsg-ramoops-0')!.erase()
  backend.close()
  t.notOk(fs.readdirSync(mountpoint).includes('pmsg-ramoops-0'), 'what others erase is gone')
  t.notOk(fs.existsSync(`${mountpoint}/ramoops/pmsg-ramoops-0`))
})

t.test('unlinking either name erases, and both go', async t => {
  const region = make(t)
  const mountpoint = mount(t, region, layoutArgs)
  const open = fs.openSync(`${mountpoint}/console-ramoops-0`, 'r')
  fs.unlinkSync(`${mountpoint}/console-ramoops-0`)
  fs.unlinkSync(`${mountpoint}/ramoops/pmsg-ramoops-0`)
  t.same(fs.readdirSync(mountpoint), ['dmesg-ramoops-0', 'ramoops'])
  t.same(fs.readdirSync(`${mountpoint}/ramoops`), ['dmesg-ramoops-0'])
  t.throws(() => fs.unlinkSync(`${mountpoint}/console-ramoops-0`), { code: 'ENOENT' })
  t.equal(fs.readFileSync(open, 'latin1'), 'console\n', 'an open file is still read')
  t.equal(fs.fstatSync(open).nlink, 0)
  t.same(fs.readdirSync(mountpoint), ['dmesg-ramoops-0', 'ramoops'], 'and has no name')
  fs.closeSync(open)
  t.same(
    succeed(t, ['ls', region, ...layoutArgs])
      .toString()
      .split(' ')[0],
    'dmesg-ramoops-0',
  )
  fs.unlinkSync(`${mountpoint}/dmesg-ramoops-0`)
  t.same(fs.readdirSync(mountpoint), ['ramoops'], 'quiet is not the same as not attached')
  t.same(fs.readdirSync(`${mountpoint}/ramoops`), [])
})

t.test('chmod, chown and utimes are kept', { skip: asRoot }, async t => {
  const region = make(t)
  const before = fs.readFileSync(region)
  const mountpoint = mount(t, region, layoutArgs)
  const name = `${mountpoint}/console-ramoops-0`
  fs.chmodSync(name, 0o440)
  fs.chownSync(name, 1000, 1001)
  fs.utimesSync(name, 1e9, 1e9)
  fs.chmodSync(mountpoint, 0o550)
  const stat = fs.statSync(`${mountpoint}/ramoops/console-ramoops-0`)
  t.same([stat.mode, stat.uid, stat.gid, stat.mtimeMs], [0o100440, 1000, 1001, 1e12])
  t.equal(fs.statSync(mountpoint).mode, 0o040550)
  t.same(fs.readFileSync(region), before, 'and nothing of it is in the region')
})

t.test('ro: nothing is changed', async t => {
  for (const args of [['-o', 'ro'], ['--read-only']]) {
    const region = make(t)
    const before = fs.readFileSync(region)
    const mountpoint = mount(t, region, [...layoutArgs, ...args])
    t.throws(() => fs.unlinkSync(`${mountpoint}/console-ramoops-0`), { code: 'EROFS' })
    t.throws(() => fs.chmodSync(`${mountpoint}/console-ramoops-0`, 0), { code: 'EROFS' })
    t.equal(fs.readFileSync(`${mountpoint}/console-ramoops-0`, 'latin1'), 'console\n')
    t.same(fs.readFileSync(region), before)
  }
})

t.test('subdirs', async t => {
  const region = make(t)
  const flat = ['console-ramoops-0', 'dmesg-ramoops-0', 'pmsg-ramoops-0']
  const hidden = mount(t, region, [...layoutArgs, '--subdirs', 'hidden'])
  t.same(fs.readdirSync(hidden), flat)
  t.same(fs.readdirSync(`${hidden}/ramoops`), flat)
  t.equal(fs.statSync(`${hidden}/console-ramoops-0`).nlink, 2)
  const off = mount(t, region, [...layoutArgs, '-o', 'subdirs=off'])
  t.same(fs.readdirSync(off), flat)
  t.throws(() => fs.readdirSync(`${off}/ramoops`), { code: 'ENOENT' })
  t.equal(fs.statSync(`${off}/console-ramoops-0`).nlink, 1)
  t.equal(fs.statSync(off).nlink, 2)
})

t.test('sources with odd and long names', async t => {
  const home = folder(t)
  const deep = `${home}/${'x'.repeat(250)}/${'y'.repeat(250)}/${'z'.repeat(250)}`
  fs.mkdirSync(deep, { recursive: true })
  for (const source of [`${home}/a,b c\\d=e.img`, `${home}/ramoops:ö.img`, `${deep}/region.img`]) {
    fs.copyFileSync(make(t), source)
    const mountpoint = mount(t, source, layoutArgs)
    t.equal(fs.readFileSync(`${mountpoint}/console-ramoops-0`, 'latin1'), 'console\n', source)
    const shown = run('findmnt', ['-n', '-o', 'SOURCE', mountpoint]).stdout.toString().trim()
    t.ok(source.endsWith(shown) && shown.endsWith('.img'), shown)
  }
})

/** A machine of the test's own with a region, and a folder to mount it on. */
const makeMachine = (t: Test): Apart & { region: string; mountpoint: string } => {
  const apart = makeApart(t)
  fs.copyFileSync(make(t), `${apart.home}/region.img`)
  fs.mkdirSync(`${apart.home}/mnt`)
  return { ...apart, region: `${inside}/region.img`, mountpoint: `${inside}/mnt` }
}

t.test('mount(8) mounts it', { skip: asRoot }, async t => {
  const list = `record_size=4096,console_size=4096,pmsg_size=4096,ftrace_size=0,ro,nodev,x-systemd.automount`
  for (const form of ['-t fuse.pstorefs SOURCE', '-t fuse pstorefs#SOURCE']) {
    const { sh, region, mountpoint } = makeMachine(t)
    const { status, said, stderr } = sh(`
      mount ${form.replace('SOURCE', region)} ${mountpoint} -o ${list}
      cat ${mountpoint}/console-ramoops-0
      rm -f ${mountpoint}/console-ramoops-0 2>&1 || echo refused
      umount ${mountpoint}`)
    t.equal(status, 0, stderr)
    t.match(said, /^console\n.*Read-only file system\nrefused\n$/)
  }
})

t.test('it ends cleanly however it is ended', async t => {
  const endings: [how: string, end: (mountpoint: string) => unknown][] = [
    ['SIGTERM', mountpoint => process.kill(daemonOf(mountpoint), 'SIGTERM')],
    ['SIGINT', mountpoint => process.kill(daemonOf(mountpoint), 'SIGINT')],
    ['kill -9', mountpoint => process.kill(daemonOf(mountpoint), 'SIGKILL')],
    [
      'kill -9 while a child of it hangs',
      async mountpoint => {
        const daemon = daemonOf(mountpoint)
        // A logger, which starts with the first message: that the mount answers may be told sooner.
        const children = (): { pid: number }[] => processesOf(`--id=${daemon}`)
        t.ok(await until(() => children().length > 0), 'it has one')
        for (const { pid } of children()) {
          process.kill(pid, 'SIGSTOP')
          t.teardown(() => process.kill(pid, 'SIGKILL'))
        }
        process.kill(daemon, 'SIGKILL')
      },
    ],
    [
      'kill -9 after what watches over it was told to end, as a service is',
      mountpoint => {
        const watching = processesOf(mountpoint).filter(({ args }) => args[0] === 'sh')
        t.equal(watching.length, 1, 'one shell')
        process.kill(watching[0].pid, 'SIGTERM')
        process.kill(daemonOf(mountpoint), 'SIGKILL')
      },
    ],
    ['fusermount3 -u', mountpoint => run('fusermount3', ['-u', mountpoint])],
  ]
  if (!asRoot) endings.push(['umount', mountpoint => run('umount', [mountpoint])])
  for (const [how, end] of endings) {
    const mountpoint = mount(t, make(t), layoutArgs)
    t.ok(daemonOf(mountpoint), 'a daemon serves it')
    await end(mountpoint)
    t.ok(await until(() => !isMounted(mountpoint)), `${how}: unmounted`)
    t.ok(await until(() => !daemonOf(mountpoint)), `${how}: and no daemon is left`)
    t.same(fs.readdirSync(mountpoint), [], `${how}: the folder is a plain one again`)
  }
})

t.test('it ends while a file is open', async t => {
  const file = 'console-ramoops-0'
  // A lazy unmount leaves the open file to its reader; a daemon that is told to end goes at once.
  const lazy = mount(t, make(t), layoutArgs)
  const kept = fs.openSync(`${lazy}/${file}`, 'r')
  t.equal(run('fusermount3', ['-u', '-z', lazy]).status, 0)
  t.equal(fs.readFileSync(kept, 'latin1'), 'console\n')
  t.ok(daemonOf(lazy), 'served to the end')
  fs.closeSync(kept)
  t.ok(await until(() => !daemonOf(lazy)))

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const mountpoint = mount(t, make(t), layoutArgs)
    const open = fs.openSync(`${mountpoint}/${file}`, 'r')
    process.kill(daemonOf(mountpoint), signal)
    t.ok(await until(() => !isMounted(mountpoint) && !daemonOf(mountpoint)), signal)
    t.throws(() => fs.readFileSync(open), /ENOTCONN|ECONNABORTED/, signal)
    fs.closeSync(open)
  }
})

t.test("what is dead stands in nobody's way", async t => {
  const region = make(t)
  const mountpoint = mount(t, region, layoutArgs)
  killWithWatcher(mountpoint)
  t.ok(
    await until(() => errnoOf(() => fs.readdirSync(mountpoint)) === 'ENOTCONN'),
    'nobody unmounts it',
  )
  t.ok(isMounted(mountpoint))
  succeed(t, ['mount', region, mountpoint, ...layoutArgs])
  t.equal(fs.readFileSync(`${mountpoint}/console-ramoops-0`, 'latin1'), 'console\n')
  t.equal(mountsIn(mountpoint), 1, 'and nothing lies below it')

  // Both unmount it: the next one, and what watches over it.
  for (let i = 0; i < 5; i++) {
    const daemon = daemonOf(mountpoint)
    process.kill(daemon, 'SIGKILL')
    await until(() => daemonOf(mountpoint) !== daemon)
    succeed(t, ['mount', region, mountpoint, ...layoutArgs])
    t.equal(fs.readFileSync(`${mountpoint}/console-ramoops-0`, 'latin1'), 'console\n')
    t.equal(mountsIn(mountpoint), 1)
  }
})

/** How many mounts lie there, one on the other. */
const mountsIn = (mountpoint: string): number =>
  fs.readFileSync('/proc/mounts', 'utf8').split(` ${mountpoint} `).length - 1

const errnoOf = (work: () => unknown): string => {
  try {
    work()
    return ''
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  }
}

t.test('in the foreground it stays, and Ctrl-C unmounts', async t => {
  const mountpoint = folder(t)
  const child = spawn(process.execPath, [program, make(t), mountpoint, '-f', ...layoutArgs], {
    stdio: 'inherit',
  })
  const ended = new Promise<number | null>(resolve => child.on('exit', resolve))
  t.ok(await until(() => isMounted(mountpoint)))
  t.ok(fs.existsSync(`${mountpoint}/console-ramoops-0`))
  child.kill('SIGINT')
  t.equal(await ended, 0)
  t.notOk(isMounted(mountpoint))
})

t.test('a source that shrinks gives EIO, and the daemon lives', async t => {
  const region = make(t)
  const mountpoint = mount(t, region, layoutArgs)
  const open = fs.openSync(`${mountpoint}/console-ramoops-0`, 'r')
  fs.truncateSync(region, 6000)
  for (const name of ['console-ramoops-0', 'pmsg-ramoops-0']) {
    t.throws(() => fs.readFileSync(`${mountpoint}/${name}`), { code: 'EIO' })
    t.throws(() => fs.unlinkSync(`${mountpoint}/${name}`), { code: 'EIO' })
  }
  const bytes = Buffer.alloc(20)
  const n = fs.readSync(open, bytes)
  t.equal(bytes.toString('latin1', 0, n), 'console\n', 'what was open is still read')
  t.match(
    fs.readFileSync(`${mountpoint}/dmesg-ramoops-0`, 'latin1'),
    /^Panic#1/,
    'what is still there too',
  )
  t.equal(fs.statSync(region).size, 6000, 'it does not grow again')
  fs.truncateSync(region, 16384)
  t.notOk(fs.existsSync(`${mountpoint}/console-ramoops-0`), 'zeros are no zone')
  fs.closeSync(open)
})

t.test('the daemon does not grow with the region', async t => {
  /** Resident kilobytes of a daemon that has listed a region of so many bytes, with a console of a quarter. */
  const resident = (size: number): number => {
    const region = `${folder(t)}/region.img`
    const options = ['--record-size', `${size / 256}`, '--console-size', `${size / 4}`]
    succeed(t, ['format', region, '--mem-size', `${size}`, ...options])
    // Holes are not looked at: without them all of it is.
    const bytes = fs.readFileSync(region)
    fs.writeFileSync(region, bytes)
    const mountpoint = mount(t, region, options)
    fs.readdirSync(mountpoint)
    const status = fs.readFileSync(`/proc/${daemonOf(mountpoint)}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+)/.exec(status)![1])
  }
  const [small, large] = [resident(2 ** 20), resident(2 ** 28)]
  t.ok(large < 160 * 1024, `${large} kB`)
  t.ok(large - small < 32 * 1024, `${large - small} kB more for 256 MiB than for 1 MiB`)
})

/** An ordinary user: whom most machines call nobody. */
const user = 65534

t.test('an ordinary user mounts their own, and nobody else sees in', { skip: asRoot }, async t => {
  const { sh, region, mountpoint } = makeMachine(t)
  const { status, said, stderr } = sh(`
    chown ${user}:${user} ${region} ${mountpoint}
    as ${user} pstorefs mount ${region} ${mountpoint} ${layoutArgs.join(' ')}
    as ${user} ls -ln ${mountpoint}
    as ${user} cat ${mountpoint}/console-ramoops-0
    ls ${mountpoint} 2>&1 || true
    as ${user} rm ${mountpoint}/pmsg-ramoops-0
    as ${user} ls ${mountpoint}
    as ${user} fusermount3 -u ${mountpoint}
    chmod 400 ${region}; chown 0:0 ${region}
    as ${user} pstorefs mount ${region} ${mountpoint} ${layoutArgs.join(' ')} 2>&1 || echo "exit $?"
  `)
  t.equal(status, 0, stderr)
  t.match(said, /-r--r--r-- 2 65534 65534 +8 .* console-ramoops-0\n/, 'the files are theirs')
  t.match(said, /\nconsole\n/)
  t.match(said, /ls: cannot (access|open directory) .*: Permission denied/, 'not even root sees in')
  t.match(said, /\nconsole-ramoops-0\ndmesg-ramoops-0\nramoops\n/, 'they erase')
  t.match(said, /region\.img: permission denied\nexit 1\n/, "root's regions stay root's")
})

t.test('systemd-pstore archives it, byte for byte', { skip: asRoot }, async t => {
  const archive = folder(t)
  const mountpoint = mount(t, file(t, fixture.region()), [...options, '--subdirs', 'hidden'])
  const { status, stderr } = archiveBySystemd(mountpoint, archive)
  t.equal(status, 0, stderr)
  t.same(fs.readdirSync(mountpoint), [], 'and the region is empty')
  for (const { name } of fixture.files)
    if (!name.startsWith('ftrace'))
      t.same(fs.readFileSync(`${archive}/${name}`), fixture.file(name), name)
})

t.test('100,000 times open, read and close', async t => {
  const mountpoint = mount(t, make(t), layoutArgs)
  const pid = daemonOf(mountpoint)
  const memory = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
  const descriptors = (): number => fs.readdirSync(`/proc/${pid}/fd`).length
  const samples: number[] = []
  let open = 0
  for (let i = 0; i < 100_000; i++) {
    if (fs.readFileSync(`${mountpoint}/console-ramoops-0`, 'latin1') !== 'console\n')
      t.fail(`at ${i}`)
    if (i === 20_000) open = descriptors()
    if (i >= 20_000 && i % 5000 === 0) samples.push(memory())
  }
  // What is garbage comes and goes.
  const [early, late] = [samples.slice(0, 8), samples.slice(8)].map(half => Math.min(...half))
  // A hundred bytes for each would be four megabytes in half of them; the heap grows by steps of some.
  t.ok(late < early + 12 * 1024, `${early} kB, then ${late} kB`)
  t.equal(descriptors(), open)
})

t.test('a folder that cannot be printed: said in a line', { skip: asRoot }, async t => {
  const { sh, region } = makeMachine(t)
  const { said } = sh(`
    mount -t tmpfs none /run
    pstorefs mount ${region} ${layoutArgs.join(' ')} 2>&1 >/dev/full || echo "exit $?"
    umount /run/pstore/region.img`)
  t.equal(said, 'pstorefs: standard output: no space left on device\nexit 1\n')
})

t.test('no FUSE, no mount: said in a line', { skip: asRoot }, async t => {
  const { sh, region, mountpoint } = makeMachine(t)
  const mounting = `pstorefs mount ${region} ${mountpoint} ${layoutArgs.join(' ')}`
  const ordinary = `as ${user}`
  /** @param how what the program is run by */
  const without = (prepare: string, how = ''): string => {
    const { said } = sh(`
      chown ${user}:${user} ${region} ${mountpoint}
      ${prepare}
      ${how} ${mounting} 2>&1 || echo "exit $?"
      ! grep ' ${mountpoint} ' /proc/mounts`)
    return said
  }
  const newDev = 'mount -t tmpfs -o mode=755 none /dev; mknod -m 666 /dev/null c 1 3'
  /** In the place of fusermount, wherever it lies. */
  const noFusermount = `PATH=/usr/bin:/bin:/usr/local/sbin
    for f in /bin/ /usr/bin/; do for n in fusermount fusermount3; do
      [ ! -e $f$n ] || mount --bind /dev/null $f$n; done; done`
  for (const who of ['', ordinary]) {
    t.equal(
      without(newDev, who),
      "pstorefs: /dev/fuse: missing; load the kernel's FUSE (modprobe fuse)\nexit 1\n",
    )
  }
  t.equal(
    without(noFusermount, ordinary),
    'pstorefs: fusermount3: not found; install the package fuse3\nexit 1\n',
  )
  t.equal(
    without(`${newDev}; mknod -m 600 /dev/fuse c 10 229`, ordinary),
    'pstorefs: /dev/fuse: permission denied: only root may mount (or chmod 666 /dev/fuse)\nexit 1\n',
  )
  // There, but nobody answers: a driver that is not loaded, a device that is refused or busy.
  t.match(
    without(`${newDev}; mknod -m 666 /dev/fuse c 10 250`),
    /^pstorefs: [^\n]*: fuse device not found, try 'modprobe fuse' first\nexit 1\n$/,
  )
  const own = make(t)
  for (const [error, words] of [
    ['EBUSY', 'Device or resource busy'],
    ['EPERM', 'Operation not permitted'],
  ]) {
    const { status, stderr } = pstorefsRefused(
      '/dev/fuse',
      [`openat:error=${error}`],
      ['mount', own, folder(t), ...layoutArgs],
    )
    t.equal(status, 1)
    t.match(stderr, new RegExp(`^pstorefs: [^\\n]*: failed to open /dev/fuse: ${words}\\n$`))
  }
  const plainFusermount = `PATH=/usr/bin:/bin:/usr/local/sbin
    plain=${inside}/fusermount; cp -L $(command -v fusermount3) $plain; chmod 755 $plain
    for f in /bin /usr/bin; do [ ! -e $f/fusermount3 ] || mount --bind $plain $f/fusermount3; done`
  t.match(
    without(plainFusermount, ordinary),
    /^pstorefs: [^\n]*: mount failed: Operation not permitted: is fusermount set-uid root\?\nexit 1\n$/,
  )
})
