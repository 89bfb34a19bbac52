/**
 * The programs that read pstore, on a mount (doc/formats.md 6): the real ones where Debian has them, else
 * what they are documented to do, step by step.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { fixtureFolder, layoutOptions, loadFixture, type Fixture } from '../fixtures.js'
import {
  archiveBySystemd,
  file,
  folder,
  mount,
  program,
  run,
  succeed,
  systemdPstore,
} from '../program.js'

const asRoot =
  process.getuid!() !== 0 && 'only root can mount over /sys/fs/pstore, where consumers look'

const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 4096,
  ftrace_size: 0,
}
const layoutArgs = Object.entries(layout).map(
  ([name, size]) => `--${name.replace('_', '-')}=${size}`,
)

/** A region that holds a console, a message, and so many dumps. */
const makeRegion = (t: Test, dumps: number): string => {
  const region = `${folder(t)}/region.img`
  format(region, { ...layout, mem_size: 8192 + 4 * 4096 })
  const backend = attach(region, layout)
  backend.write({ type: 'console', bytes: Buffer.from('console\n') })
  backend.write({ type: 'pmsg', bytes: Buffer.from('pmsg\n') })
  for (let i = 0; i < dumps; i++)
    backend.write({
      type: 'dmesg',
      bytes: Buffer.from(`Panic#${i + 1} Part1\ndump ${i}\n`),
      time: { sec: 1_700_000_000n + BigInt(i), nsec: 0 },
    })
  backend.close()
  return region
}

/** A fixture's store as a source, and the options of it. */
const sourceOf = (t: Test, fixture: Fixture): [source: string, options: string[]] => {
  if (fixture.backend === 'efi') {
    const vars = folder(t)
    for (const name of fixture.efivars!) fs.writeFileSync(`${vars}/${name}`, fixture.efivar(name))
    return [`efi:${vars}`, []]
  }
  const region = file(t, fixture.region())
  if (fixture.backend === 'erst') return [`erst:${region}`, []]
  return [region, [...layoutOptions(fixture), '--kallsyms', `${fixtureFolder}/kallsyms.gz`]]
}

/** Where systemd-pstore puts a record: dumps of one id's first digits together, the rest flat. */
const placeOf = (name: string): string => {
  const [, id] = /^dmesg-(?:efi|efi_pstore|erst)-(\d+)\d{6}$/.exec(name) ?? []
  return id === undefined ? name : `${id}/${name}`
}

/** All files below a folder. */
const filesIn = (top: string): string[] =>
  fs
    .readdirSync(top, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => path.relative(top, path.join(entry.parentPath, entry.name)))
    .sort()

t.test('systemd-pstore archives what kernels wrote', { skip: asRoot }, async t => {
  for (const name of ['all-noecc', 'ecc1-corrected', 'efi-panic', 'erst-panics']) {
    const fixture = loadFixture(name)
    const [source, options] = sourceOf(t, fixture)
    const mountpoint = mount(t, source, [...options, '--subdirs', 'hidden'])
    const archive = folder(t)
    // With parity Linux prints ftrace's records shifted: fixtures/README.md.
    const expected = new Map(
      fixture.files.map(({ name }) => [
        name,
        fixture.layout.ecc && name.startsWith('ftrace')
          ? // Its text is longer than its size, to which Node reads.
            run('cat', [`${mountpoint}/${name}`]).stdout
          : fixture.file(name),
      ]),
    )
    const { status, stderr } = archiveBySystemd(mountpoint, archive)
    t.equal(status, 0, stderr)
    t.equal(stderr, '')
    const places = fixture.files.map(({ name }) => placeOf(name))
    const groups = new Set(places.filter(place => place.includes('/')).map(path.dirname))
    // Those of no group are merged, too.
    const merged = groups.size ? [...groups].map(group => `${group}/dmesg.txt`) : ['dmesg.txt']
    t.same(filesIn(archive), [...places, ...merged].sort(), name)
    for (const [name, bytes] of expected)
      if (!fs.readFileSync(`${archive}/${placeOf(name)}`).equals(bytes))
        t.fail(`${fixture.name}: ${name}`)
    // Its parts in one file again, the last part's text first.
    for (const group of groups) {
      const parts = fixture.files
        .filter(({ name }) => path.dirname(placeOf(name)) === group)
        .map(({ name }) => name)
        .sort()
        .toReversed()
        .flatMap(name => [Buffer.from(`${name}:\n`), fixture.file(name)])
      t.same(fs.readFileSync(`${archive}/${group}/dmesg.txt`), Buffer.concat(parts))
    }
    t.same(fs.readdirSync(mountpoint), [])
    t.equal(
      succeed(t, ['ls', source, ...options, '--json'])
        .toString()
        .trim(),
      '[]',
      'all is empty',
    )
  }
})

/**
 * Run a script with a region mounted on /sys/fs/pstore, over the kernel's own pstore where there is one,
 * and nothing of it seen outside.
 */
const onSysFs = (t: Test, region: string, options: string[], script: string): string => {
  const home = folder(t)
  fs.writeFileSync(`${home}/boot_id`, 'here\n')
  const pstorefs = `${process.execPath} ${program}`
  const { status, stdout, stderr } = run('unshare', [
    '--mount',
    'sh',
    '-ec',
    `unset NODE_OPTIONS
    cd ${home}
    # Of what other tests have mounted, nothing is seen in here.
    umount -a -l -t fuse.pstorefs
    [ -d /sys/fs/pstore ] || { mount -t tmpfs none /sys/fs; mkdir /sys/fs/pstore; }
    umount /sys/fs/pstore 2>/dev/null || true
    if grep -qw pstore /proc/filesystems; then mount -t pstore none /sys/fs/pstore; fi
    before=$(grep -c ' /sys/fs/pstore ' /proc/mounts || true)
    trap 'cd /; fusermount3 -uz /sys/fs/pstore 2>/dev/null || true' EXIT
    ${pstorefs} mount ${region} /sys/fs/pstore ${[...layoutArgs, ...options].join(' ')}
    ${script}
    umount /sys/fs/pstore
    [ "$(grep -c ' /sys/fs/pstore ' /proc/mounts || true)" = "$before" ]`,
  ])
  t.equal(status, 0, stderr)
  t.equal(stderr, '')
  return stdout.toString()
}

t.test('systemd-pstore as its unit starts it, over /sys/fs/pstore', { skip: asRoot }, t => {
  const said = onSysFs(
    t,
    makeRegion(t, 2),
    ['--subdirs=hidden', '--attach=boot', '-o', `state=${folder(t)}`],
    `mkdir -p lib/systemd; mount --bind lib /var/lib
    [ ! -e /etc/systemd ] || mount -t tmpfs none /etc/systemd
    condition() { [ -n "$(ls -A /sys/fs/pstore)" ] && echo "would start" || echo "would not start"; }
    condition
    ${systemdPstore}
    condition
    cd lib/systemd/pstore; grep -r --exclude dmesg.txt . . | sort`,
  )
  t.equal(
    said,
    'would start\nwould not start\n' +
      './console-ramoops-0:console\n' +
      './dmesg-ramoops-0:Panic#1 Part1\n./dmesg-ramoops-0:dump 0\n' +
      './dmesg-ramoops-1:Panic#2 Part1\n./dmesg-ramoops-1:dump 1\n' +
      './pmsg-ramoops-0:pmsg\n',
  )
  t.end()
})

t.test('kdumpst counts the files called ramoops', { skip: asRoot }, t => {
  // kdumpst-load.sh: count, then so many times take the first that find names.
  const loop = `
    count=$(find /sys/fs/pstore/* 2>/dev/null | grep -c ramoops || true); echo $count
    while [ "$count" -gt 0 ]; do
      found="$(find /sys/fs/pstore/* | grep ramoops | sort | head -n1)"
      cat "$found" >log-$count
      rm -f "$found"
      count=$((count - 1))
    done
    ls log-* | wc -l; cat log-*`
  const said = onSysFs(t, makeRegion(t, 2), ['--subdirs=hidden'], loop)
  t.equal(said, '4\n4\npmsg\nPanic#2 Part1\ndump 1\nPanic#1 Part1\ndump 0\nconsole\n')
  t.equal(onSysFs(t, makeRegion(t, 0), ['--subdirs=off'], loop).split('\n')[0], '2')
  t.end()
})

t.test("the kernel's selftest finds the mount", { skip: asRoot }, t => {
  // pstore_post_reboot_tests: the second word of what grep finds, then files by type and backend.
  const said = onSysFs(
    t,
    makeRegion(t, 1),
    [],
    `mount_info=$(grep pstore /proc/mounts)
    mount_point=$(echo $mount_info | cut -d' ' -f2 | head -n1)
    cd $mount_point
    for type in dmesg console pmsg; do ls $type-ramoops-*; done
    rm *ramoops-*; ls -A | wc -l; cd /`,
  )
  t.equal(said, 'dmesg-ramoops-0\nconsole-ramoops-0\npmsg-ramoops-0\n0\n')
  t.end()
})

t.test("Android's init changes owners and modes", { skip: asRoot }, t => {
  // init.rc; system is 1000, log 1007. The names without a number are those of old kernels.
  const said = onSysFs(
    t,
    makeRegion(t, 1),
    ['-o', 'nodev,noexec,nosuid,allow_other,default_permissions'],
    `cd /sys/fs/pstore
    chown 1000:1007 . ; chmod 0550 .
    for name in console-ramoops console-ramoops-0 pmsg-ramoops-0; do
      [ -e $name ] || { echo $name is not there; continue; }
      chown 1000:1007 $name; chmod 0440 $name
    done
    stat -c '%a %u:%g %n' . *-0
    setpriv --reuid 2000 --regid 1007 --clear-groups cat console-ramoops-0 pmsg-ramoops-0
    setpriv --reuid 2000 --regid 2000 --clear-groups cat console-ramoops-0 2>&1 || true
    cd /`,
  )
  t.equal(
    said,
    'console-ramoops is not there\n' +
      '550 1000:1007 .\n440 1000:1007 console-ramoops-0\n' +
      '444 0:0 dmesg-ramoops-0\n440 1000:1007 pmsg-ramoops-0\n' +
      'console\npmsg\n' +
      'cat: console-ramoops-0: Permission denied\n',
  )
  t.end()
})

t.test('ChromiumOS walks the dumps from 0', async t => {
  const region = makeRegion(t, 3)
  const mountpoint = mount(t, region, layoutArgs)
  /** kernel_collector.cc: until the first gap; what was taken is unlinked. */
  const walk = (): string[] => {
    const dumps: string[] = []
    for (let i = 0; fs.existsSync(`${mountpoint}/dmesg-ramoops-${i}`); i++)
      dumps.push(fs.readFileSync(`${mountpoint}/dmesg-ramoops-${i}`, 'latin1').split('\n')[1])
    for (let i = 0; i < dumps.length; i++) fs.unlinkSync(`${mountpoint}/dmesg-ramoops-${i}`)
    return dumps
  }
  t.same(walk(), ['dump 0', 'dump 1', 'dump 2'])
  t.same(walk(), [])
  // Another life's dump is at the start again.
  succeed(t, ['write', 'dmesg', region, ...layoutArgs], Buffer.from('dump of the next\n'))
  t.same(walk(), ['dump of the next'])
})

t.test('ABRT puts the parts of a panic in order', async t => {
  const fixture = loadFixture('efi-panic')
  const [source, options] = sourceOf(t, fixture)
  const mountpoint = mount(t, source, options)
  // abrt-merge-pstoreoops: the numbers of the first line, the rest of each file in the order of the
  // panics, of one panic the last part first.
  const parts = fs
    .readdirSync(mountpoint, { withFileTypes: true })
    .filter(entry => entry.isFile())
    .flatMap(({ name }) => {
      const text = fs.readFileSync(`${mountpoint}/${name}`, 'latin1')
      const [line, panic, part] = /^Panic#(\d+) Part(\d+)\n/.exec(text) ?? []
      return line ? [{ panic: +panic, part: +part, text: text.slice(line.length) }] : []
    })
    .toSorted((a, b) => a.panic - b.panic || b.part - a.part)
  t.ok(parts.length >= 5, `${parts.length} parts`)
  const stamps = Array.from(
    parts
      .map(({ text }) => text)
      .join('')
      .matchAll(/^<\d+>\[ *(\d+\.\d+)\]/gm),
    ([, stamp]) => Number(stamp),
  )
  t.ok(stamps.length > 100, `${stamps.length} lines`)
  t.same(
    stamps,
    stamps.toSorted((a, b) => a - b),
    'one log again',
  )
})

t.test('rasdaemon opens erst/, listed or not', async t => {
  const erst = `erst:${folder(t)}/erst.img`
  format(erst, { mem_size: 65536 })
  const backend = attach(erst, {})
  // The kernel's struct mce, as it was when rasdaemon learned to read it.
  const machineCheck = Buffer.alloc(144, 7)
  backend.write({ type: 'mce', bytes: machineCheck, time: { sec: 1_700_000_000n, nsec: 0 } })
  backend.write({ type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\n') })
  backend.close()
  const mountpoint = mount(t, erst, ['--subdirs', 'hidden'])
  t.notOk(fs.readdirSync(mountpoint).includes('erst'))
  // ras-erst.c: each regular file that begins so; then it may be deleted.
  const read = (): string[] => {
    const taken: string[] = []
    for (const name of fs.readdirSync(`${mountpoint}/erst`)) {
      const where = `${mountpoint}/erst/${name}`
      if (!name.startsWith('mce-erst') || !fs.statSync(where).isFile()) continue
      t.same(fs.readFileSync(where), machineCheck)
      fs.unlinkSync(where)
      taken.push(name)
    }
    return taken
  }
  const [name, ...others] = read()
  t.match(name, /^mce-erst-\d+$/)
  t.same(others, [])
  t.same(read(), [])
  t.equal(fs.readdirSync(mountpoint).length, 1, 'the dump is left')
})

t.test('what consumers see of a machine that is alive', { skip: asRoot }, t => {
  // In a mount that keeps its own region, files do not grow while they are archived.
  const region = makeRegion(t, 0)
  const write = `${process.execPath} ${program} write console ${region} ${layoutArgs.join(' ')}`
  const said = onSysFs(
    t,
    region,
    ['--attach=boot', '-o', `state=${folder(t)}`],
    `echo more | ${write}
    cp /sys/fs/pstore/console-ramoops-0 copy
    echo and more | ${write}
    cmp copy /sys/fs/pstore/console-ramoops-0 && rm /sys/fs/pstore/console-ramoops-0
    ls /sys/fs/pstore`,
  )
  t.equal(said, 'pmsg-ramoops-0\n')
  t.equal(
    succeed(t, ['cat', region, 'console-ramoops-0', ...layoutArgs]).toString(),
    'more\nand more\n',
  )
  t.end()
})

t.test('what is mounted elsewhere stays seen', { skip: asRoot }, t => {
  const region = makeRegion(t, 0)
  const home = folder(t)
  const out = execFileSync('unshare', [
    '--mount',
    'sh',
    '-ec',
    `unset NODE_OPTIONS; cd ${home}; mkdir m
    pstorefs() { ${process.execPath} ${program} mount ${region} m ${layoutArgs.join(' ')} 2>&1 || echo "exit $?"; }
    mount -t tmpfs none m; pstorefs; umount m
    pstorefs; pstorefs; umount m`,
  ]).toString('latin1')
  t.match(out, /^(pstorefs: .*\/m: busy: something is mounted there already .*\nexit 1\n){2}$/)
  t.end()
})
