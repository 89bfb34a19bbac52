/**
 * The mount on an older kernel, where FUSE is a module: Debian's, in a guest, with an initramfs that holds Node
 * and the program. What a later kernel's pstore showed of a region is what the mount shows there.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { attach } from '#src/index.js'
import { fixtureFolder, layoutOptions, loadFixture } from '../fixtures.js'
import { folder, run } from '../program.js'
import { bootGuest, skipWithoutGuest } from './guest.js'

const skip = skipWithoutGuest()
const maker = path.resolve(import.meta.dirname, '../../scripts/initramfs.mjs')

/**
 * As little as works, in MiB, where the initramfs may take more than half of it, and nothing is set apart for
 * DMA from beyond 4 GiB (native-notes/initramfs.md).
 */
const ram = 256
const cmdline = 'rootfstype=ramfs swiotlb=noforce'

const fixture = loadFixture('all-noecc')
const erased = 'dmesg-ramoops-0'

const sumOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** What the guest does; its pstore has no backend, and what is printed is looked at. */
const script = String.raw`
export PATH=$PATH:/usr/bin
mkdir /mnt
modprobe fuse
pstorefs mount /region.img /mnt ${layoutOptions(fixture).join(' ')} --kallsyms /kallsyms.gz
grep ' /mnt ' /proc/mounts
cd /mnt
list() { echo "$1: $(find . -maxdepth 1 -name '*-ramoops-*' | tr -d '\n')"; }
list listed
ls -la
for file in *-*; do
  echo "stat: $file $(stat -c '%f %u %g %s %h' $file) $(cat $file | sha256sum)"
done
[ $(stat -c %i pmsg-ramoops-0) = $(stat -c %i ramoops/pmsg-ramoops-0) ] && echo 'one inode'
# What is open stays readable.
exec 3<${erased}
rm ${erased}
echo "erased: $(cat <&3 | sha256sum)"
exec 3<&-
cat ${erased} || echo 'gone'
list left
cd /
umount /mnt
! grep ' /mnt ' /proc/mounts
while pidof node; do sleep 0.1; done
echo "region: $(sha256sum </region.img)"
`

t.test('a region is mounted, read, erased from and unmounted', { skip }, async t => {
  const initramfs = folder(t)
  const region = `${initramfs}/region.img`
  fs.copyFileSync(path.join(fixtureFolder, 'kallsyms.gz'), `${initramfs}/kallsyms.gz`)
  fs.writeFileSync(region, fixture.region())
  const made = run(process.execPath, [maker, initramfs])
  t.equal(made.status, 0, made.stderr)

  const { log, release } = await bootGuest({ initramfs, ram, cmdline, script })
  t.match(release, /^6\.1\./, 'the kernel of Debian 12')
  const told = (what: string): string[] =>
    Array.from(log.matchAll(new RegExp(`^${what}: (.*)$`, 'gm')), ([, rest]) => rest!)

  const names = fixture.readdir_order!
  const left = names.filter(name => name !== erased)
  t.match(log, /^\S+ \/mnt fuse\.pstorefs rw,/m)
  t.same(told('listed'), [names.map(name => `./${name}`).join('')])
  t.same(
    told('stat').toSorted(),
    fixture.files
      .map(({ name, mode, uid, gid, size }) =>
        // Two names: the other is in the backend's folder.
        [name, mode.toString(16), uid, gid, size, 2, sumOf(fixture.file(name)), ' -'].join(' '),
      )
      .toSorted(),
  )
  t.match(log, /^one inode$/m)
  t.same(told('erased'), [`${sumOf(fixture.file(erased))}  -`])
  t.match(log, `cat: can't open '${erased}': No such file or directory\ngone\n`)
  t.same(told('left'), [left.map(name => `./${name}`).join('')])

  const backend = attach(region, fixture.layout)
  backend.find(erased)!.erase()
  backend.close()
  t.same(told('region'), [`${sumOf(fs.readFileSync(region))}  -`], 'and nothing else has changed')
})
