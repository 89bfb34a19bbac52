/** Real systemd-pstore archives real kernels' crashes: `list` and `show` read all of it. */
import fs from 'node:fs'
import t from 'tap'
import { layoutOptions, loadFixture } from '../fixtures.js'
import { archiveBySystemd, file, folder, mount, program, run, succeed } from '../program.js'

interface Listed {
  title: string | null
  time: string | null
  fingerprint: string | null
  name: string
}

const list = (...args: string[]): Listed[] =>
  JSON.parse(
    run(process.execPath, [program, 'list', '--json', ...args]).stdout.toString(),
  ) as Listed[]

t.test(
  'crashes of EFI, ERST and ramoops in one archive',
  { skip: process.getuid!() !== 0 && 'only root can run systemd-pstore' },
  async t => {
    const archive = folder(t)
    const all: Listed[] = []
    for (const [driver, name] of [
      ['efi', 'efi-oopses'],
      ['erst', 'erst-panics'],
      ['ramoops', 'ecc1-all'],
    ]) {
      const fixture = loadFixture(name)
      const source = `${driver}:${file(t, fixture.region())}`
      const options = driver === 'ramoops' ? layoutOptions(fixture) : []
      all.push(...list(source, ...options))
      const mountpoint = mount(t, source, [...options, '-o', 'subdirs=hidden'])
      t.equal(list(mountpoint).length, list(source, ...options).length, 'a mount is a place, too')
      const { status, stderr } = archiveBySystemd(mountpoint, archive)
      t.equal(status, 0, stderr)
      // A firmware's file is only read.
      if (driver !== 'efi') t.same(fs.readdirSync(mountpoint), [])
    }
    const facts = ({ title, time, fingerprint, name }: Listed): unknown[] => [
      title,
      time,
      fingerprint,
      name,
    ]
    const sorted = (of: Listed[]): string[] => of.map(one => JSON.stringify(facts(one))).sort()
    const found = list(archive)
    t.ok(found.length > 6)
    t.same(sorted(found), sorted(all))
    for (const [n, { title }] of found.entries()) {
      const said = succeed(t, ['show', archive, String(n + 1)]).toString()
      t.ok(said.startsWith(`${title}\n`), `${n + 1}: ${title}`)
    }
    // Where nothing is named, all that a machine keeps is looked at: systemd's archive, and the unit's.
    const script = `
mount -t tmpfs none /var/lib
mkdir -p /var/lib/systemd/pstore /var/lib/pstorefs-archive/guests
mount --bind "$1" /var/lib/systemd/pstore
mount --bind "$4" /var/lib/pstorefs-archive/guests
exec "$2" "$3" list --json`
    const guests = folder(t)
    succeed(t, ['archive', file(t, loadFixture('dmesg-panic').region()), guests])
    const usual = run('unshare', [
      '--mount',
      'sh',
      '-ec',
      script,
      'sh',
      archive,
      process.execPath,
      program,
      guests,
    ])
    t.same(
      sorted(JSON.parse(usual.stdout.toString()) as Listed[]),
      sorted([...all, ...list(guests)]),
      usual.stderr,
    )
  },
)
