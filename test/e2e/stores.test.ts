/**
 * The stores beside ramoops that real kernels wrote, through the mount and through the commands:
 * pstore_blk's disks, EFI variables (efivarfs and the firmware's own store), ERST's file.
 */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { fixtureFolder, fixtures, type Fixture } from '../fixtures.js'
import { folder, mount, run, succeed } from '../program.js'

/** What pstore_blk's parameters are here: bytes, where the kernel's are KiB. */
const blkOptions = ({ layout }: Fixture): string[] => [
  ...Object.entries(layout)
    .filter(([name]) => name.endsWith('_size') && name !== 'mem_size')
    .flatMap(([name, kib]) => [`--${name.replace('_', '-')}`, `${String(kib)}K`]),
  '--cpus',
  String(layout.cpus),
  '--kallsyms',
  path.join(fixtureFolder, 'kallsyms.gz'),
]

/** A fixture as the sources that it can be given as. */
const sourcesOf = (t: Test, fixture: Fixture): [source: string, options: string[]][] => {
  const home = folder(t)
  const image = `${home}/store.img`
  fs.writeFileSync(image, fixture.region())
  if (fixture.backend === 'blk') return [[`zone:${image}`, blkOptions(fixture)]]
  if (fixture.backend === 'erst') return [[`erst:${image}`, []]]
  fs.mkdirSync(`${home}/efivars`)
  for (const name of fixture.efivars!)
    fs.writeFileSync(`${home}/efivars/${name}`, fixture.efivar(name))
  return [
    [`efi:${home}/efivars`, []],
    [`efi:${image}`, []],
  ]
}

const linuxName = { blk: 'pstore_blk', efi: 'efi_pstore', erst: 'erst', ramoops: 'ramoops' }

for (const fixture of fixtures().filter(({ backend }) => backend !== 'ramoops'))
  t.test(`${fixture.name}: ${fixture.description}`, async t => {
    for (const [source, options] of sourcesOf(t, fixture)) {
      const mountpoint = mount(t, source, options)
      const own = linuxName[fixture.backend]
      const names = fixture.files.map(({ name }) => name).sort()
      const listed = fs.readdirSync(mountpoint)
      t.same(listed.filter(name => name !== own).sort(), names, source)
      if (names.length) t.same(fs.readdirSync(`${mountpoint}/${own}`).sort(), names)
      for (const file of fixture.files) {
        const stat = fs.statSync(`${mountpoint}/${file.name}`, { bigint: true })
        t.same([stat.mode, stat.nlink], [BigInt(file.mode), 2n], file.name)
        t.equal(stat.size, BigInt(file.size), `${file.name}: its size`)
        if (!file.mtime_is_mount_time)
          t.equal(stat.mtimeMs, file.mtime.sec * 1000n + BigInt(Math.floor(file.mtime.nsec / 1e6)))
        const bytes = run('cat', [`${mountpoint}/${file.name}`]).stdout
        if (!bytes.equals(fixture.file(file.name))) t.fail(`${file.name}: its bytes`)
      }
      if (names.length === 0) continue
      const list = JSON.parse(succeed(t, ['ls', '--json', source, ...options]).toString()) as {
        backend: string
        name: string
      }[]
      t.same(list.map(({ name }) => name).sort(), names)
      t.ok(list.every(({ backend }) => backend === own))
      const all = Buffer.concat(names.map(name => fixture.file(name)))
      t.ok(succeed(t, ['cat', source, ...names, ...options]).equals(all), 'cat')
    }
  })
