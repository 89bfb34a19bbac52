/** A machine's own region on a mount: `attach=boot`, from one boot to the next. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { format, attach, type AttachOptions } from '#src/index.js'
import {
  daemonOf,
  file,
  folder,
  isMounted,
  program,
  pstorefs,
  run,
  succeed,
  until,
} from '../program.js'

const asRoot =
  process.getuid!() !== 0 && 'only root can mount over what a boot leaves in /sys/fs/pstore'

const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 4096,
  ftrace_size: 0,
}
const options = Object.entries(layout).map(([name, size]) => `${name}=${size}`)

const make = (t: Test): { home: string; region: string } => {
  const home = folder(t)
  const region = `${home}/region.img`
  format(region, { ...layout, mem_size: 16384 })
  const backend = attach(region, layout)
  backend.write({ type: 'console', bytes: Buffer.from('console 1\n') })
  backend.write({ type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\n') })
  backend.close()
  return { home, region }
}

const layoutArgs = options.map(option => `--${option.replaceAll('_', '-')}`)

t.test('three boots', { skip: asRoot }, t => {
  const { home, region } = make(t)
  // The kernel says which boot it is; in here somebody else does.
  const { status, stdout, stderr } = run('unshare', [
    '--mount',
    'sh',
    '-ec',
    `cd ${home}; mkdir m
    pstorefs() { ${process.execPath} ${program} "$@"; }
    boot() {
      echo $1 >boot; mount --bind boot /proc/sys/kernel/random/boot_id
      pstorefs ${region} m -o attach=boot,state=${home}/state,${options.join()}
    }
    show() { echo "$1: $(ls m | tr '\\n' ' ')"; cat m/console* 2>/dev/null || true; }
    boot 1; show one
    echo console 2 | pstorefs write console ${region} ${layoutArgs.join(' ')}
    show 'still one'
    umount m; boot 1; show 'one again'
    unlink m/console-ramoops-0; unlink m/dmesg-ramoops-0; show 'one, archived'
    umount m; boot 2; show two
    umount m; boot 3; show three
    umount m`,
  ])
  t.equal(status, 0, stderr)
  t.equal(
    stdout.toString(),
    'one: console-ramoops-0 dmesg-ramoops-0 ramoops \nconsole 1\n' +
      'still one: console-ramoops-0 dmesg-ramoops-0 ramoops \nconsole 1\n' +
      'one again: console-ramoops-0 dmesg-ramoops-0 ramoops \nconsole 1\n' +
      'one, archived: ramoops \n' +
      'two: console-ramoops-0 ramoops \nconsole 2\n' +
      'three: ramoops \n',
  )
  t.end()
})

/** Mount; gives the outcome and where. */
const mountWith = (t: Test, args: string[]) => {
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  return { mountpoint, ...pstorefs(['mount', ...args, mountpoint]) }
}

t.test('a daemon that is killed goes on where it was', async t => {
  const { home, region } = make(t)
  const state = ['-o', `state=${home}/state`]
  const { mountpoint, status, stderr } = mountWith(
    t,
    ['--attach', 'boot'].concat(state, layoutArgs, region),
  )
  t.equal(status, 0, stderr)
  const before = fs.statSync(`${mountpoint}/console-ramoops-0`)
  t.equal(before.size, 10)
  t.same(
    succeed(t, ['ls', region, ...layoutArgs])
      .toString()
      .split('\n').length,
    2,
    'dmesg alone',
  )
  process.kill(daemonOf(mountpoint), 'SIGKILL')
  t.ok(await until(() => !isMounted(mountpoint)))
  const again = mountWith(t, ['-o', `attach=boot,state=${home}/state,${options.join()}`, region])
  t.equal(fs.readFileSync(`${again.mountpoint}/console-ramoops-0`, 'latin1'), 'console 1\n')
  const readOnly = mountWith(t, [
    '-o',
    `ro,attach=boot,state=${home}/state,${options.join()}`,
    region,
  ])
  t.equal(fs.readFileSync(`${readOnly.mountpoint}/console-ramoops-0`, 'latin1'), 'console 1\n')
  t.throws(() => fs.unlinkSync(`${readOnly.mountpoint}/console-ramoops-0`), { code: 'EROFS' })
})

t.test('in a config file, and where it cannot be', async t => {
  const { home, region } = make(t)
  const before = fs.readFileSync(region)
  const config = `${home}/own.toml`
  fs.writeFileSync(
    config,
    `attach = "boot"\nstate = "kept"\n[backends.own]\nsource = "region.img"\n${options.join('\n')}\n`,
  )
  const cases: [args: string[], why: RegExp][] = [
    [['-o', `attach=boots,${options.join()}`, region], /attach boots: must be view or boot/],
    [['-o', `attach,${options.join()}`, region], /option attach: needs a value/],
    [
      ['-o', `attach=boot,state=${region},${options.join()}`, region],
      /region\.img: cannot be used/,
    ],
  ]
  for (const [args, why] of cases) {
    const { status, stderr, mountpoint } = mountWith(t, args)
    t.equal(status, 1)
    t.match(stderr, why)
    t.match(stderr, /^pstorefs: [^\n]+\n$/, 'one line')
    t.notOk(isMounted(mountpoint))
  }
  // Nor is anything changed for a mount that cannot be.
  const busy = file(t, Buffer.from('x'), 'in-the-way')
  const { status } = pstorefs(['mount', '--config', config, busy])
  t.equal(status, 1)
  t.same(fs.readFileSync(region), before)
  t.notOk(fs.existsSync(`${home}/kept`))

  const { mountpoint, stderr } = mountWith(t, ['--config', config])
  t.equal(fs.readFileSync(`${mountpoint}/own/console-own-0`, 'latin1'), 'console 1\n', stderr)
  t.equal(fs.readdirSync(`${home}/kept`).length, 1, "relative to the config file's folder")
  t.equal(fs.statSync(`${home}/kept`).mode & 0o777, 0o700)
})

t.test('the lines of the guide and the manual', { skip: asRoot }, t => {
  const lines = ['doc/guides/this-machine.md', 'man/pstorefs-mount.8.md'].flatMap(file =>
    fs
      .readFileSync(path.resolve(import.meta.dirname, '../..', file), 'utf8')
      .split('\n')
      .filter(line => /^(?:pstorefs )?mount .*\/dev\/pmem0 .*attach[= ]boot/.test(line)),
  )
  t.equal(lines.length, 2)
  const home = folder(t)
  fs.writeFileSync(`${home}/pmem0`, Buffer.alloc(1 << 20))
  const layoutIn = (line: string): string =>
    Array.from(
      line.matchAll(/\b(\w+[-_]size|ecc)[= ](\w+)/g),
      ([, name, n]) => `--${name} ${n}`,
    ).join(' ')
  const { status, stdout, stderr } = run('unshare', [
    '--mount',
    'sh',
    '-ec',
    `cd ${home}; mkdir bin dev; ln -s ${program} bin/pstorefs
    # TMPDIR may be on a file system on which devices cannot be opened.
    mount -t tmpfs -o mode=755 none dev
    mknod dev/fuse c 10 229; mknod dev/null c 1 3; mv pmem0 dev
    mount --bind bin /usr/local/sbin; PATH=/usr/local/sbin:$PATH
    mount --bind dev /dev; mount -t tmpfs none /var/lib
    [ -d /sys/fs/pstore ] || { mount -t tmpfs none /sys/fs; mkdir /sys/fs/pstore; }
    umount -a -l -t fuse.pstorefs
    umount /sys/fs/pstore 2>/dev/null || true
    trap 'cd /; fusermount3 -uz /sys/fs/pstore 2>/dev/null || true' EXIT
    ${lines
      .map(
        // Another store, another life.
        line => `rm -rf /var/lib/pstorefs; pstorefs format --force /dev/pmem0 ${layoutIn(line)} >/dev/null
        echo said | pstorefs write console /dev/pmem0 ${layoutIn(line)}
        ${line}; cat /sys/fs/pstore/console-ramoops-0; umount /sys/fs/pstore`,
      )
      .join('\n')}
    ls /var/lib/pstorefs`,
  ])
  t.equal(status, 0, stderr)
  t.match(
    stdout.toString(),
    /^said\n\nECC: No errors detected\nsaid\nramoops-[0-9a-f]{12}\.kept\n$/,
  )
  t.end()
})
