/** The units, under a systemd that runs them. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { project, until } from '../program.js'
import { receive } from '../ship/receiver.js'
import { boot, systemd } from '../systemd.js'

const skip =
  process.getuid!() !== 0
    ? 'only root can start a systemd in a namespace of its own'
    : fs.existsSync(systemd) && fs.existsSync('/sys/fs/pstore')
      ? false
      : 'systemd is not installed, or the kernel has no pstore'

const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
}
const layoutLines = Object.entries(layout)
  .map(([name, size]) => `${name} = ${size}\n`)
  .join('')
const list = Object.entries(layout)
  .map(([name, size]) => `${name}=${size}`)
  .join()

const makeRegion = (file: string, text: string): void => {
  format(file, { ...layout, mem_size: 16384 })
  const backend = attach(file, layout)
  backend.write({ type: 'console', bytes: Buffer.from(`console of ${text}\n`) })
  backend.write({ type: 'dmesg', bytes: Buffer.from(`Panic#1 Part1\n${text}\n`) })
  backend.close()
}

const table = (name: string): string =>
  `[backends.${name}]\nsource = "${home}/${name}.img"\n${layoutLines}`

/** Where the regions are, inside: the units may write there. */
const home = '/var/lib/guests'

/** Regions; gives what puts them there. */
const make = (t: Test): string => {
  const made = fs.mkdtempSync('/var/tmp/pstorefs-test-')
  t.teardown(() => fs.rmSync(made, { recursive: true, force: true }))
  for (const name of ['one', 'two']) makeRegion(path.join(made, `${name}.img`), name)
  // A zone with numbers that cannot be.
  const damaged = fs.openSync(`${made}/two.img`, 'r+')
  fs.writeSync(damaged, Buffer.from([0xff, 0xff, 0xff, 0x7f]), 0, 4, 4)
  fs.closeSync(damaged)
  return `mkdir ${home}; cp ${made}/*.img ${home}\n`
}

const heredoc = (file: string, text: string): string => `cat > ${file} <<'END'\n${text}\nEND\n`

/** Does a killed unit run again? Its process is asked for first: just killed it has none, and is active still. */
const cameAgain = (show: (property: string) => string, pid: string): boolean => {
  const now = show('MainPID')
  return now !== '0' && now !== pid && show('ActiveState') === 'active'
}

t.test('pstorefs.service: before systemd-pstore, seen by all, reread, ended', { skip }, async t => {
  const system = await boot(
    t,
    make(t) + heredoc('/etc/pstorefs.toml', table('one')),
    'pstorefs.service',
  )
  if (!system) return t.comment('this machine does not let a systemd run')
  const { sh } = system
  const show = (property: string): string =>
    sh(`systemctl show -P ${property} pstorefs.service`).said.trim()
  t.equal(show('ActiveState'), 'active')
  t.match(show('StatusText'), /^1 backend: one$/)
  t.match(
    sh('systemctl show -P Before pstorefs.service').said,
    /systemd-pstore\.service/,
    'ordered before systemd-pstore',
  )
  const pid = show('MainPID')
  t.match(sh(`cat /proc/${pid}/cmdline | tr '\\0' ' '`).said, /pstorefs mount --foreground/)
  // Seen from the system's own namespace, over the kernel's own.
  t.match(sh('findmnt -n -o FSTYPE,SOURCE /sys/fs/pstore').said, /fuse\.pstorefs/)
  t.equal(sh('ls /sys/fs/pstore').said, 'console-one-0\ndmesg-one-0\n', 'hidden folders')
  t.equal(sh('cat /sys/fs/pstore/one/console-one-0').said, 'console of one\n')
  t.match(
    sh('setpriv --reuid 65534 --regid 65534 --clear-groups ls /sys/fs/pstore').said,
    /Permission denied/,
  )

  // Hardened.
  const inside = (script: string): string => sh(`nsenter -t ${pid} -m sh -c '${script}'`).said
  t.match(inside('touch /usr/x /etc/x'), /\/usr\/x.*Read-only[^]*\/etc\/x.*Read-only/)
  t.equal(inside(`touch ${home}/x`), '', 'but /var')
  t.equal(sh('touch /usr/local/bin/x').status, 0, 'and nothing else changes for the system')
  const status = sh(`cat /proc/${pid}/status`).said
  t.match(status, /Seccomp:\t2\n/)
  t.match(status, /NoNewPrivs:\t1\n/)
  t.match(status, /CapBnd:\t0000000000200202\n/)

  // Reread.
  sh(heredoc('/etc/pstorefs.toml', `backend = "all"\n${table('one')}${table('two')}`))
  t.equal(sh('systemctl reload pstorefs.service').status, 0)
  t.ok(await until(() => show('StatusText') === '2 backends: one, two'))
  t.equal(sh('cat /sys/fs/pstore/two/console-two-0').said, 'console of two\n')
  t.equal(show('MainPID'), pid)

  // What matters is in the journal, with its priority, and nothing else is.
  sh('rm /sys/fs/pstore/dmesg-one-0')
  const journal = (): string[] =>
    sh('journalctl -t pstorefs -o json --output-fields=MESSAGE,PRIORITY --no-pager')
      .said.trim()
      .split('\n')
      .map(line => JSON.parse(line) as { MESSAGE: string; PRIORITY: string })
      .map(({ MESSAGE, PRIORITY }) => `${PRIORITY} ${MESSAGE}`)
  t.ok(await until(() => journal().some(line => /erased/.test(line))))
  t.match(journal(), [
    /^6 one: attached$/,
    /^6 two: attached$/,
    /^4 dmesg-two-0: damaged: /,
    /^5 dmesg-one-0: erased$/,
  ])
  t.equal(journal().length, 4)

  // Killed, it comes again, and leaves no dead mount.
  sh('systemctl kill --kill-whom=main -s KILL pstorefs.service')
  t.ok(await until(() => cameAgain(show, pid)))
  t.equal(sh('ls /sys/fs/pstore').said, 'console-one-0\n')
  t.equal(sh('systemctl stop pstorefs.service').status, 0)
  t.notMatch(sh('findmnt -n /sys/fs/pstore').said, /fuse/)
  t.equal(sh('ls /sys/fs/pstore').status, 0)
  t.equal(show('Result'), 'success')

  // Mistakes in the file are said, and nothing is mounted.
  sh(heredoc('/etc/pstorefs.toml', `bakend = "all"\n${table('one')}`))
  t.not(sh('systemctl start pstorefs.service').status, 0)
  t.match(
    sh('journalctl -t pstorefs -o cat -n 1').said,
    /^\/etc\/pstorefs\.toml: option bakend=all: not known/,
  )
  t.notMatch(sh('findmnt -n /sys/fs/pstore').said, /fuse/)
  sh('systemctl stop pstorefs.service')

  // Where the kernel has a backend of its own, that is shown.
  sh(heredoc('/etc/pstorefs.toml', table('one')))
  const parameter = '/sys/module/pstore/parameters/backend'
  sh(`echo efi_pstore > /run/backend; mount --bind /run/backend ${parameter}`)
  t.equal(sh('systemctl start pstorefs.service').status, 0)
  t.match(show('Result'), 'exec-condition')
  t.notMatch(sh('findmnt -n /sys/fs/pstore').said, /fuse/)
})

t.test('at boot systemd-pstore archives what is there', { skip }, async t => {
  const system = await boot(
    t,
    `${make(t)}${heredoc('/etc/pstorefs.toml', table('one'))}
# It would do nothing in a container, which this machine is.
sed /ConditionVirtualization/d /lib/systemd/system/systemd-pstore.service >/run/systemd/system/systemd-pstore.service`,
    'pstorefs.service systemd-pstore.service',
  )
  if (!system) return t.comment('this machine does not let a systemd run')
  const { sh } = system
  t.equal(sh('systemctl show -P Result systemd-pstore.service').said, 'success\n')
  t.equal(
    sh('cd /var/lib/systemd/pstore && grep -r --exclude dmesg.txt . . | sort').said,
    './console-one-0:console of one\n./dmesg-one-0:Panic#1 Part1\n./dmesg-one-0:one\n',
  )
  t.equal(sh('ls -A /sys/fs/pstore').said, '')
})

t.test('pstorefs@.service, a .mount unit, fstab at boot', { skip }, async t => {
  const system = await boot(
    t,
    `${make(t)}mkdir -p /etc/pstorefs /mnt/fstab /mnt/noauto
${heredoc('/etc/pstorefs/guests.toml', `backend = "all"\n${table('one')}${table('two')}`)}
${heredoc(
  '/etc/fstab',
  `${home}/two.img /mnt/fstab fuse.pstorefs ro,nofail,x-systemd.device-timeout=1,nodev,noexec,nosuid,noatime,${list} 0 0
${home}/two.img /mnt/noauto fuse.pstorefs noauto,user,ro,${list} 0 0`,
)}
sed -e 's|^What=.*|What=${home}/one.img|' -e 's|^Options=.*|Options=ro,${list}|' -i /run/systemd/system/mnt-pstore.mount`,
    'pstorefs@guests.service mnt-pstore.mount local-fs.target',
  )
  if (!system) return t.comment('this machine does not let a systemd run')
  const { sh } = system
  t.equal(sh('cat /run/pstore/guests/two/console-two-0').said, 'console of two\n')
  t.equal(sh('cat /mnt/pstore/console-ramoops-0').said, 'console of one\n')
  t.equal(sh('cat /mnt/fstab/console-ramoops-0').said, 'console of two\n')
  t.match(
    sh('findmnt -n -o OPTIONS /mnt/fstab').said,
    /^ro,nosuid,nodev,noexec,noatime,user_id=0,group_id=0/,
  )
  t.notMatch(sh('findmnt -n /mnt/noauto').said, /fuse/)
  t.equal(sh('mount /mnt/noauto && cat /mnt/noauto/console-ramoops-0').said, 'console of two\n')
  t.same(sh('umount /mnt/noauto'), { status: 0, said: '' })
  t.equal(sh('systemctl stop mnt-pstore.mount mnt-fstab.mount pstorefs@guests.service').status, 0)
  t.notMatch(sh('findmnt -n -t fuse.pstorefs').said, /guests|two\.img|one\.img/)
  t.ok(
    await until(() => sh('pgrep -f "[p]storefs mount|[p]storefs /"').said === ''),
    'nothing is left',
  )
})

t.test('pstorefs-archive@.service archives what crashes', { skip }, async t => {
  const system = await boot(
    t,
    `${make(t)}cp ${home}/one.img ${home}/spare
mkdir -p /etc/pstorefs
${heredoc('/etc/pstorefs/guests.toml', `${table('one')}${table('gone')}`)}`,
    'pstorefs-archive@guests.service',
  )
  if (!system) return t.comment('this machine does not let a systemd run')
  const { sh } = system
  const unit = 'pstorefs-archive@guests.service'
  const show = (property: string): string => sh(`systemctl show -P ${property} ${unit}`).said.trim()
  t.equal(show('ActiveState'), 'active', 'it says that it is ready')
  const archive = '/var/lib/pstorefs-archive/guests'
  const crashes = (): string[] => sh(`ls ${archive}`).said.split('\n').filter(Boolean)
  t.ok(await until(() => crashes().length === 1))
  t.match(crashes()[0], /-one-panic-1$/)
  t.ok(
    await until(
      () => show('StatusText') === '2 backends, 1 not attached; 1 archived since the start',
    ),
  )
  // Another guest comes, and crashes.
  const two = `[backends.late]\nsource = "${home}/late.img"\n${layoutLines}`
  sh(`cp ${home}/spare ${home}/late.img`)
  sh(heredoc('/etc/pstorefs/guests.toml', `${table('one')}${two}`))
  t.equal(sh(`systemctl reload ${unit}`).status, 0)
  t.ok(await until(() => crashes().some(name => name.endsWith('-late-panic-1'))))
  t.ok(await until(() => show('StatusText') === '2 backends; 2 archived since the start'))
  t.equal(sh(`stat -c %a ${archive}`).said, '700\n')
  const pid = show('MainPID')
  t.match(sh(`cat /proc/${pid}/status`).said, /NoNewPrivs:\t1\n[^]*Seccomp:\t2\n/)
  t.match(sh(`nsenter -t ${pid} -m touch /etc/x`).said, /Read-only/)
  // Killed, it comes again; told to end, it ends as one that was told.
  sh(`systemctl kill --kill-whom=main -s KILL ${unit}`)
  t.ok(await until(() => cameAgain(show, pid)))
  t.equal(sh(`systemctl stop ${unit}`).status, 0)
  t.equal(show('Result'), 'success')
  t.match(sh('journalctl -t pstorefs -o cat').said, /backend gone: not attached: /)
})

/** The guide's drop-in: what a unit has to be let do for what it is told to do. */
const dropIn = /^```ini\n([^]*?)^```$/m.exec(
  fs.readFileSync(path.join(project, 'doc/guides/fleet.md'), 'utf8'),
)![1]!

t.test('its drop-in of the guide sends, and writes numbers for others', { skip }, async t => {
  const { url, seen } = await receive(t, [{ status: 200 }])
  const prom = '/var/lib/prometheus/node-exporter'
  const text = dropIn.replace('http://collector:4318', url)
  const unit = 'pstorefs-archive@guests.service'
  const system = await boot(
    t,
    `${make(t)}mkdir -p /etc/pstorefs ${prom} /run/systemd/system/${unit}.d
${heredoc('/etc/pstorefs/guests.toml', table('one'))}
${heredoc(`/run/systemd/system/${unit}.d/more.conf`, text)}`,
    unit,
  )
  if (!system) return t.comment('this machine does not let a systemd run')
  const { sh } = system
  t.ok(
    await until(
      () => sh(`ls -A /var/lib/pstorefs-archive/guests/*`).said.includes('.sent-otlp'),
      30,
    ),
  )
  t.match(seen, [{ path: '/v1/logs' }])
  t.ok(
    await until(() =>
      sh(`cat ${prom}/pstorefs.prom`).said.includes('_unsent_crashes{channel="otlp"} 0'),
    ),
  )
  t.equal(sh(`stat -c %a ${prom}/pstorefs.prom`).said, '644\n')
  t.match(
    sh('journalctl -t pstorefs -o cat MESSAGE_ID=83a7fcd0407f49babaa0261c6db46e7f').said,
    /^one: /,
  )
  t.notMatch(sh('journalctl -t pstorefs -o cat').said, /waits? in/)
  t.equal(sh(`systemctl stop ${unit}`).status, 0)
})
