/**
 * The packages, each installed into a clean Debian, used and purged: nothing is left. It takes some minutes and
 * downloads a Debian for each suite, once; so it runs in CI only (CI=1).
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { folder, run } from '../program.js'

const project = path.resolve(import.meta.dirname, '../..')
const sample = path.join(project, 'scripts/sample')

const why = (): string | false => {
  if (process.arch !== 'x64') return 'the clean roots are for x86-64'
  if (!process.env.CI) return 'it takes minutes: CI=1 runs it'
  if (process.getuid!() !== 0) return 'only root can install packages'
  if (!fs.existsSync('/dev/fuse')) return 'no /dev/fuse'
  if (!fs.existsSync('/usr/bin/mmdebstrap')) return 'no mmdebstrap'
  return false
}
const skip = why()

/** Which package is for which Debian, and what else has to be in that. */
const cases = [
  ['bookworm', 'deb-node', 'fuse3 procps systemd libstdc++6 xz-utils'],
  ['bookworm', 'sea', 'fuse3 procps systemd libstdc++6 xz-utils'],
  ['trixie', 'deb', 'fuse3 procps systemd libstdc++6 nodejs'],
  ['testing', 'deb', 'fuse3 procps systemd libstdc++6 nodejs'],
] as const

/** What a package is made from. */
const kept =
  'package.json package-lock.json tsconfig.json src man scripts units native-notes CHANGELOG.md README.md LICENSE'.split(
    ' ',
  )

/** Any: it says when all was changed. */
const epoch = '1700000000'

/** Make a package in a copy of the project, as other tests run the program meanwhile. */
const makePackage = (kind: string): { package: string; bytes: Buffer } => {
  const copy = folder(t)
  for (const name of kept)
    fs.cpSync(path.join(project, name), `${copy}/${name}`, { recursive: true })
  fs.symlinkSync(path.join(project, 'node_modules'), `${copy}/node_modules`)
  const { status, stdout, stderr } = spawnSync(`${copy}/scripts/package`, [kind, `${copy}/made`], {
    // Packed fast: to pack the Node in it as small as can be takes longer than all else.
    env: {
      ...process.env,
      SOURCE_DATE_EPOCH: epoch,
      XZ_OPT: '-0',
      DPKG_DEB_COMPRESSOR_LEVEL: '0',
    },
  })
  if (status !== 0) throw new Error(`scripts/package ${kind}: ${stderr}`)
  const made = stdout.toString().trim()
  return { package: made, bytes: fs.readFileSync(made) }
}

const packages = new Map<string, ReturnType<typeof makePackage>>()
const packageOf = (kind: string): ReturnType<typeof makePackage> => {
  const made = packages.get(kind) ?? makePackage(kind)
  packages.set(kind, made)
  return made
}

/** Makes a Debian of $ROOT that a shell can be in, and runs the script on stdin there. */
const enter = `
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,exec,dev,suid "$ROOT"
mount -t proc none "$ROOT/proc"
mount -t tmpfs -o mode=755 none "$ROOT/dev"
for device in null zero full random urandom tty fuse; do
  cp -a /dev/$device "$ROOT/dev/"
done
chmod 666 "$ROOT/dev/fuse"
mkdir "$ROOT/dev/pts"
mount -t devpts -o newinstance,ptmxmode=666 none "$ROOT/dev/pts"
ln -s pts/ptmx "$ROOT/dev/ptmx"
ln -s /proc/self/fd "$ROOT/dev/fd"
exec chroot "$ROOT" /usr/bin/env -i /bin/sh -eu`

const layout = fs.readFileSync(`${sample}/options`, 'utf8').trim()
const tty = '--record-size 0 --console-size 0 --pmsg-size 0 --ftrace-size 0 --tty-size 16K'

/** How each comes there, and goes. */
const install = (kind: string): string =>
  kind === 'sea'
    ? 'tar -C / -xJf /tmp/package'
    : 'dpkg -i /tmp/package >/dev/null; dpkg --verify pstorefs'
const remove = (kind: string): string =>
  kind === 'sea'
    ? 'tar -tJf /tmp/package | grep -v /$ | while read -r file; do rm "/$file"; done'
    : 'dpkg --purge pstorefs >/dev/null'

/** What is done there. */
const use = (kind: string): string => `
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
everything() {
  find / -xdev \\( -path /proc -o -path /dev -o -path /tmp -o -path /run -o -path /var/log -o -path /var/lib/dpkg \\) -prune -o ${kind === 'sea' ? '! -type d ' : ''}-print | sort
}
everything >/tmp/before
${install(kind)}
# A stranger's way from the package to the first panic: no option, and nothing to read before.
pstorefs show /tmp/region.img | sed -n 1p
echo "version $(pstorefs --version)"
pstorefs mount /tmp/region.img /mnt ${layout}
ls /mnt
grep -c Panic /mnt/dmesg-ramoops-0 || :
rm /mnt/dmesg-ramoops-0
ls /mnt
umount /mnt
mount -t fuse.pstorefs /tmp/region.img /mnt -o ro,record_size=16K,console_size=16K,pmsg_size=8K,ftrace_size=16K,cpus=2
head -c 8 /mnt/console-ramoops-0 | wc -c
umount /mnt
pstorefs format /tmp/tty.img --mem-size 64K ${tty} >/dev/null
pstorefs tty /tmp/tty.img ${tty} -- echo seen </dev/null
pstorefs cat /tmp/tty.img tty-ramoops-0 ${tty}
for page in man8/pstorefs.8 man8/pstorefs-mount.8 man7/pstorefs-layout.7 man5/pstorefs.toml.5; do gzip -t /usr/share/man/$page.gz; done
for unit in /usr/lib/systemd/system/pstorefs*.service; do systemd-analyze --man=no verify $unit; done
${remove(kind)}
everything >/tmp/after
diff /tmp/before /tmp/after
echo nothing is left`

const records = ['console-ramoops-0', 'dmesg-ramoops-1', 'dmesg-ramoops-2', 'ftrace-ramoops-0']
const tree = [...records, 'pmsg-ramoops-0', 'ramoops']
const { version } = JSON.parse(fs.readFileSync(`${project}/package.json`, 'utf8')) as {
  version: string
}

for (const [suite, kind, needs] of cases)
  t.test(`${kind} in Debian ${suite}`, { skip }, async t => {
    const made = run(path.join(project, 'scripts/debian-root'), [suite, ...needs.split(' ')])
    if (made.status === 3) {
      t.plan(0, made.stderr.trim())
      return
    }
    t.equal(made.status, 0, made.stderr)
    const root = folder(t)
    run('tar', ['-C', root, '-xf', made.stdout.toString().trim()])
    fs.writeFileSync(`${root}/tmp/package`, packageOf(kind).bytes)
    const region = gunzipSync(fs.readFileSync(`${sample}/region.img.gz`))
    fs.writeFileSync(`${root}/tmp/region.img`, region)
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-ec', enter],
      { input: use(kind), env: { ...process.env, ROOT: root } },
    )
    t.equal(status, 0, stderr.toString())
    const lines = stdout.toString().replaceAll('\r', '').trim().split('\n')
    t.same(lines, [
      'kernel panic: sysrq triggered crash',
      `version ${version}`,
      ...[...tree, 'dmesg-ramoops-0'].toSorted(),
      '0',
      ...tree,
      '8',
      'seen',
      'seen',
      'nothing is left',
    ])
  })

t.test('made again it is the same, and lintian finds no error', { skip }, async t => {
  for (const kind of ['deb', 'deb-node', 'sea']) {
    const again = makePackage(kind)
    t.equal(path.basename(again.package), path.basename(packageOf(kind).package))
    t.ok(again.bytes.equals(packageOf(kind).bytes), kind)
    if (kind === 'sea' || !fs.existsSync('/usr/bin/lintian')) continue
    const { stdout } = run('lintian', [
      '--profile',
      'debian',
      '--tag-display-limit',
      '0',
      again.package,
    ])
    const errors = stdout
      .toString()
      .split('\n')
      .filter(line => line.startsWith('E:'))
    t.same(errors, [], kind)
  }
})

t.test('wrong usage', async t => {
  const { status, stderr } = run(path.join(project, 'scripts/package'), ['rpm', os.tmpdir()])
  t.equal(status, 2)
  t.match(stderr, /scripts\/package deb\|deb-node\|sea/)
})
