/** scripts/initramfs.mjs: its command line, and in a guest the command that mounts the squashfs. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { folder, run, where, type Outcome } from '../program.js'
import { bootGuest, skipWithoutGuest } from './guest.js'

const maker = path.resolve(import.meta.dirname, '../../scripts/initramfs.mjs')
const image = 'usr/lib/pstorefs.squashfs'
const { version } = JSON.parse(
  fs.readFileSync(path.resolve(import.meta.dirname, '../../package.json'), 'utf8'),
) as { version: string }

const skipSquash = where('mksquashfs') ? false : 'no mksquashfs: install squashfs-tools'
const skip = skipSquash || skipWithoutGuest()

/** Run it with no tools but these: of this machine, or a text that a shell runs. */
const make = (t: Test, args: string[], tools: Record<string, string>): Outcome => {
  const bin = folder(t)
  fs.symlinkSync(where('ldd'), `${bin}/ldd`)
  for (const [name, text] of Object.entries(tools))
    fs.writeFileSync(`${bin}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  return run('env', [`PATH=${bin}`, process.execPath, maker, ...args])
}
const strip = `exec ${where('strip')} "$@"`
/** As it is, but that nothing is compressed, which would take a minute. */
const mksquashfs = `exec ${where('mksquashfs')} "$@" -noI -noD -noF`

/** The names below a folder, of files. */
const filesBelow = (root: string): string[] =>
  fs
    .readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter(name => !fs.statSync(path.join(root, name)).isDirectory())

t.test('--help goes to stdout', async t => {
  const { status, stdout, stderr } = make(t, ['--help'], {})
  t.equal(status, 0)
  t.equal(stderr, '')
  t.match(stdout.toString(), /^initramfs\.mjs FOLDER \[--squash\]\n/)
})

t.test('wrong usage is one line, and status 2', async t => {
  const into = folder(t)
  for (const args of [
    [],
    [into, into],
    [`${into}/none`],
    [maker],
    [into, '--squashed'],
    [into, '--squash=xz'],
  ]) {
    const { status, stdout, stderr } = make(t, args, { strip, mksquashfs })
    t.equal(status, 2, args.join(' '))
    t.equal(stdout.toString(), '')
    t.match(stderr, /^pstorefs: .+\n$/)
  }
  t.same(fs.readdirSync(into), [])
})

t.test('without mksquashfs there is nothing to squash with', async t => {
  const into = folder(t)
  const { status, stderr } = make(t, [into, '--squash'], { strip })
  t.equal(status, 1)
  t.equal(
    stderr,
    'pstorefs: --squash takes mksquashfs, which is not here: install squashfs-tools\n',
  )
  t.same(fs.readdirSync(into), [])
})

t.test('without strip Node is copied as it is, and that is said', async t => {
  const [stripped, whole] = [folder(t), folder(t)]
  t.equal(make(t, [stripped], { strip }).stderr, '')
  const { status, stderr } = make(t, [whole], {})
  t.equal(status, 0)
  t.match(stderr, /^pstorefs: no strip here: .+\n$/)
  const sizeIn = (root: string): number => fs.statSync(path.join(root, process.execPath)).size
  t.equal(sizeIn(whole), fs.statSync(process.execPath).size)
  t.ok(sizeIn(stripped) <= sizeIn(whole))
  t.same(filesBelow(stripped), filesBelow(whole))
})

t.test('the same files make the same squashfs', { skip: skipSquash }, async t => {
  const images = [1, 2].map(() => {
    const into = folder(t)
    const { status, stderr } = make(t, [into, '--squash'], { strip, mksquashfs })
    t.equal(status, 0, stderr)
    t.equal(stderr, '')
    t.equal(filesBelow(into).length, 3, 'the linker, the command and one file')
    return fs.readFileSync(`${into}/${image}`)
  })
  t.ok(images[0]!.equals(images[1]!))
})

/**
 * What the guest does. Its busybox has mount, modprobe and so on, and as a shell takes no others: dash is beside it, and
 * util-linux.
 */
const script = String.raw`
export PATH=$PATH:/usr/bin
mv /lib/modules /lib/hidden
pstorefs --version || echo "without modules: $?"
find /run -mindepth 1
mv /lib/hidden /lib/modules

# Both find nothing mounted; then both mount.
PATH=/meeting:$PATH /more/dash /usr/bin/pstorefs --version &
PATH=/meeting:$PATH /more/dash /usr/bin/pstorefs --version
wait
echo "met: $(ls -d /meeting/[0-9]* | wc -l)"
echo "mounts: $(grep -c ' squashfs ro,' /proc/mounts)"
echo "devices: $(ls -d /sys/block/loop*/loop | wc -l)"
echo "in /run: $(ls /run | wc -l)"
pstorefs --version
echo "mounts: $(grep -c ' squashfs ro,' /proc/mounts)"

umount /run/pstorefs.squashfs.*
rm -r /run/*
/more/mount --version
PATH=/more:$PATH /more/dash /usr/bin/pstorefs --version
echo "mounts: $(grep -c ' squashfs ro,' /proc/mounts)"
`
/** A mount(8) that waits for another one. */
const meeting = String.raw`#!/bin/sh
mkdir /meeting/$$
until [ "$(ls /meeting | wc -l)" = 3 ]; do sleep 0.1; done
exec /bin/mount "$@"
`

t.test('the squashfs is mounted once, by busybox and by util-linux', { skip }, async t => {
  const initramfs = folder(t)
  const { status, stderr } = make(t, [initramfs, '--squash'], { strip, mksquashfs })
  t.equal(status, 0, stderr)
  fs.mkdirSync(`${initramfs}/meeting`)
  fs.writeFileSync(`${initramfs}/meeting/mount`, meeting, { mode: 0o755 })
  fs.mkdirSync(`${initramfs}/more`)
  for (const tool of ['mount', 'umount', 'dash']) {
    fs.copyFileSync(where(tool), `${initramfs}/more/${tool}`)
    for (const [, library] of run('ldd', [where(tool)])
      .stdout.toString()
      .matchAll(/ => (\S+) \(/g)) {
      fs.mkdirSync(path.join(initramfs, path.dirname(library!)), { recursive: true })
      fs.copyFileSync(library!, path.join(initramfs, library!))
    }
  }

  const { log } = await bootGuest({ initramfs, ram: 512, cmdline: 'rootfstype=ramfs', script })
  // Kernel messages come in between.
  const shown = log.replaceAll(/\[ *\d+\.\d{6}\] .*\n/g, '')
  t.match(
    shown,
    /pstorefs: cannot mount \/usr\/lib\/pstorefs\.squashfs \(the initramfs needs the modules loop and squashfs\): .+\nwithout modules: 1\n(?!\/run)/,
  )
  t.ok(
    shown.includes(
      `${version}\n${version}\nmet: 2\nmounts: 1\ndevices: 1\nin /run: 2\n${version}\nmounts: 1\n`,
    ),
    shown,
  )
  t.match(shown, new RegExp(`^\\S*mount from util-linux .+\n${version}\nmounts: 1\n`, 'm'))
})
