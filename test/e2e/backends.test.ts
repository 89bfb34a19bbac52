/** Several backends in one mount: names, links, folders, and what fails. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { loadFixture } from '../fixtures.js'
import {
  archiveBySystemd,
  file,
  folder,
  isMounted,
  program,
  pstorefs,
  run,
  succeed,
} from '../program.js'

const asRoot = process.getuid!() !== 0 && 'only root can mount(8), and run systemd-pstore'

const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 4096,
  ftrace_size: 0,
}
const layoutLines = Object.entries(layout)
  .map(([name, size]) => `${name} = ${size}\n`)
  .join('')

/** A region that says in each record whose it is. */
const makeRegion = (path: string, text: string): void => {
  format(path, { ...layout, mem_size: 16384 })
  const backend = attach(path, layout)
  backend.write({ type: 'console', bytes: Buffer.from(`console of ${text}\n`) })
  backend.write({ type: 'dmesg', bytes: Buffer.from(`Panic#1 Part1\n${text}\n`) })
  backend.close()
}

/** Three regions and a config file that names them, and a fourth that is not there. */
const make = (t: Test): { home: string; config: string } => {
  const home = folder(t)
  const config = `${home}/guests.toml`
  let text = ''
  for (const name of ['guest1', 'guest2', 'guest3', 'gone']) {
    if (name !== 'gone') makeRegion(`${home}/${name}.img`, name)
    text += `[backends.${name}]\nsource = "${name}.img"\n${layoutLines}`
  }
  fs.writeFileSync(config, text)
  return { home, config }
}

/** Mount by any command line that ends in a mountpoint; gives what was said on stderr. */
const mountWith = (t: Test, before: string[], after: string[] = []) => {
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  const { status, stderr } = pstorefs([...before, mountpoint, ...after])
  return { mountpoint, status, stderr }
}

const read = (path: string): string => fs.readFileSync(path, 'latin1')

t.test('each has its folder, and the first its links', async t => {
  const { home, config } = make(t)
  const list = ['guest2', 'guest1', 'guest3']
  const { mountpoint, status, stderr } = mountWith(t, [
    'mount',
    '--config',
    config,
    '--backend',
    list.join(),
  ])
  t.same([status, stderr], [0, ''])
  t.same(fs.readdirSync(mountpoint), [
    'console-guest2-0',
    'dmesg-guest2-0',
    'guest1',
    'guest2',
    'guest3',
  ])
  t.equal(fs.statSync(mountpoint).nlink, 5)
  const inodes = new Set<number>()
  for (const name of list) {
    t.equal(fs.statSync(`${mountpoint}/${name}`).mode, 0o040750)
    t.same(fs.readdirSync(`${mountpoint}/${name}`), [`console-${name}-0`, `dmesg-${name}-0`])
    const stat = fs.statSync(`${mountpoint}/${name}/console-${name}-0`)
    t.equal(stat.nlink, name === 'guest2' ? 2 : 1)
    inodes.add(stat.ino)
    t.equal(read(`${mountpoint}/${name}/console-${name}-0`), `console of ${name}\n`)
    t.equal(read(`${mountpoint}/${name}/dmesg-${name}-0`), `Panic#1 Part1\n${name}\n`)
  }
  t.equal(inodes.size, 3, 'a number of its own for each file')
  t.ok(inodes.has(fs.statSync(`${mountpoint}/console-guest2-0`).ino), 'one for both links')
  t.throws(() => fs.statSync(`${mountpoint}/console-guest1-0`), { code: 'ENOENT' })

  // An unlink goes to the region that the folder stands for, and to no other.
  fs.unlinkSync(`${mountpoint}/guest1/console-guest1-0`)
  fs.unlinkSync(`${mountpoint}/guest2/dmesg-guest2-0`)
  t.same(fs.readdirSync(`${mountpoint}/guest1`), ['dmesg-guest1-0'])
  t.throws(() => fs.statSync(`${mountpoint}/dmesg-guest2-0`), { code: 'ENOENT' })
  for (const [name, left] of [
    ['guest1', ['dmesg-ramoops-0']],
    ['guest2', ['console-ramoops-0']],
    ['guest3', ['dmesg-ramoops-0', 'console-ramoops-0']],
  ] as const) {
    const backend = attach(`${home}/${name}.img`, { ...layout, readOnly: true })
    t.same(
      Array.from(backend.records(), record => record.name),
      left,
    )
    backend.close()
  }

  // A folder whose source is cut off does not take the others with it.
  fs.truncateSync(`${home}/guest3.img`, 0)
  t.same(fs.readdirSync(mountpoint), ['console-guest2-0', 'guest1', 'guest2', 'guest3'])
  t.throws(() => fs.readdirSync(`${mountpoint}/guest3`), { code: 'EIO' })
  t.equal(read(`${mountpoint}/guest1/dmesg-guest1-0`), 'Panic#1 Part1\nguest1\n')
})

/** The folders that a mount shows, in the order in which they are listed. */
const listed = (mountpoint: string): string => {
  const names: string[] = []
  const dir = fs.opendirSync(mountpoint)
  // Node's readdir sorts.
  for (let entry = dir.readSync(); entry; entry = dir.readSync())
    if (entry.isDirectory()) names.push(entry.name)
  dir.closeSync()
  return names.join(' ')
}

t.test('which, and in which order', async t => {
  const { home, config } = make(t)
  const gone = /^pstorefs: backend gone: not attached: .*gone\.img: no such file\n$/
  const cases: [before: string[], after: string[], shown: string, said?: RegExp][] = [
    [['mount', '--config', config], [], 'guest1'],
    [['mount', '--config', config, '--backend', 'all'], [], 'guest1 guest2 guest3', gone],
    [['mount', '--config', config], ['-o', 'backend=guest3\\,guest1'], 'guest3 guest1'],
    [['mount', '--config', config], ['-o', 'backend=guest3,backend=guest1'], 'guest3 guest1'],
    [
      ['mount', '--config', config, '--backend', 'guest3', '--backend', 'guest2'],
      [],
      'guest3 guest2',
    ],
    [['mount'], ['-o', `config=${config},backend=guest2`], 'guest2'],
    [['mount', 'guest2', '--config', config], [], 'guest2'],
    [['guest2'], ['-o', `config=${config}`], 'guest2'],
    [['guest2'], ['-o', `config=${config},backend=guest1\\,guest3`], 'guest1 guest3'],
    [['none'], ['-o', `config=${config}`], 'guest1'],
    [['pstorefs'], ['-o', `config=${config},backend=all`], 'guest1 guest2 guest3', gone],
    [['mount', `${home}/guest3.img`], ['-o', 'backend=ramoops', '--ftrace-size', '0'], 'ramoops'],
  ]
  for (const [before, after, shown, said = /^$/] of cases) {
    const { mountpoint, status, stderr } = mountWith(t, before, after)
    t.equal(status, 0, stderr)
    t.match(stderr, said)
    t.equal(listed(mountpoint), shown, [...before, ...after].join(' '))
  }
  for (const [before, after, why] of [
    [
      ['mount', '--config', config, '--backend', 'guest'],
      [],
      /'guest': not known; there is guest1/,
    ],
    [['mount', '--config', config, '--backend', 'guest1,guest1'], [], /named twice/],
    [['mount', '--config', config, '--backend', 'guest1,gone'], [], /backend gone: .*no such file/],
    [['mount', 'gone', '--config', config], [], /gone\.img: no such file/],
    [['mount', `${home}/guest3.img`], ['-o', 'backend=guest3'], /'guest3': not known.*ramoops/],
  ] as const) {
    const { mountpoint, status, stderr } = mountWith(t, [...before], [...after])
    t.equal(status, 1)
    t.match(stderr, why)
    t.match(stderr, /^pstorefs: [^\n]+\n$/, 'one line')
    t.notOk(isMounted(mountpoint))
  }
})

t.test('the first that attaches, and mount options from the file', async t => {
  const { config } = make(t)
  // What cannot be attached comes first in this one.
  const text = fs.readFileSync(config, 'utf8')
  const at = text.indexOf('[backends.gone]')
  fs.writeFileSync(config, `subdirs = "hidden"\nro = true\n${text.slice(at)}${text.slice(0, at)}`)
  const { mountpoint, status, stderr } = mountWith(t, ['mount', '--config', config])
  t.equal(status, 0)
  t.match(stderr, /^pstorefs: backend gone: not attached: [^\n]+\n$/)
  t.same(fs.readdirSync(mountpoint), ['console-guest1-0', 'dmesg-guest1-0'])
  t.same(fs.readdirSync(`${mountpoint}/guest1`), ['console-guest1-0', 'dmesg-guest1-0'])
  t.throws(() => fs.unlinkSync(`${mountpoint}/console-guest1-0`), { code: 'EROFS' })
  const other = mountWith(t, ['mount', '--config', config], ['-o', 'rw,subdirs=visible'])
  t.equal(listed(other.mountpoint), 'guest1', 'the command line wins')
  fs.unlinkSync(`${other.mountpoint}/console-guest1-0`)
})

t.test('mount(8) mounts several', { skip: asRoot }, async t => {
  const { config } = make(t)
  const bin = folder(t)
  fs.symlinkSync(program, `${bin}/pstorefs`)
  const mountpoint = folder(t)
  // In a namespace, since mount(8) looks for the program in the system's own folders only.
  const { status, stdout, stderr } = run('unshare', [
    '--mount',
    'sh',
    '-ec',
    `unset NODE_OPTIONS
    mount --bind ${bin} /usr/local/sbin
    mount -t fuse.pstorefs pstorefs ${mountpoint} -o 'config=${config},backend=guest3\\,guest1'
    ls ${mountpoint}
    umount ${mountpoint}`,
  ])
  t.equal(status, 0, stderr)
  t.equal(stdout.toString(), 'console-guest3-0\ndmesg-guest3-0\nguest1\nguest3\n')
})

t.test('stores of several kinds, and systemd-pstore on them', { skip: asRoot }, async t => {
  const home = folder(t)
  makeRegion(`${home}/region.img`, 'ramoops')
  const efi = loadFixture('efi-panic')
  fs.mkdirSync(`${home}/efivars`)
  for (const name of efi.efivars!) fs.writeFileSync(`${home}/efivars/${name}`, efi.efivar(name))
  const erst = loadFixture('erst-panics')
  fs.writeFileSync(`${home}/erst.img`, erst.region())
  const blk = { kmsg_size: 16384, ftrace_size: 0, console_size: 8192, pmsg_size: 0 }
  format(`zone:${home}/blk.img`, { ...blk, mem_size: 65536 })
  const zone = attach(`zone:${home}/blk.img`, blk)
  zone.write({ type: 'console', bytes: Buffer.from('console of blk\n') })
  zone.close()
  const config = file(
    t,
    Buffer.from(`backend = "all"
      [backends.ramoops]
      source = "${home}/region.img"
      ${layoutLines}
      [backends.efi_pstore]
      driver = "efi"
      source = "${home}/efivars"
      [backends.blk]
      driver = "zone"
      source = "${home}/blk.img"
      kmsg_size = "16K"
      ftrace_size = 0
      console_size = "8K"
      pmsg_size = 0
      [backends.vars]
      driver = "efi"
      source = "${file(t, efi.region(), 'vars.fd')}"
      [backends.erst]
      driver = "erst"
      source = "${home}/erst.img"`),
    'kinds.toml',
  )
  const { mountpoint, stderr } = mountWith(t, ['mount', '--config', config])
  // The variable store can only be read.
  t.match(stderr, /^pstorefs: efi:.*vars\.fd: cannot be written; mounted read-only\n$/)
  const same = (): void => {
    for (const [folder, fixture] of [
      ['efi_pstore', efi],
      ['erst', erst],
    ] as const) {
      t.same(
        fs.readdirSync(`${mountpoint}/${folder}`).sort(),
        fixture.files.map(({ name }) => name).sort(),
      )
      for (const { name } of fixture.files)
        if (!fs.readFileSync(`${mountpoint}/${folder}/${name}`).equals(fixture.file(name)))
          t.fail(`${folder}/${name}`)
    }
    t.equal(fs.readdirSync(`${mountpoint}/vars`).length, efi.files.length)
    t.equal(read(`${mountpoint}/blk/console-blk-0`), 'console of blk\n')
  }
  same()
  t.equal(listed(mountpoint), 'ramoops efi_pstore blk vars erst')
  const [{ name }] = efi.files
  t.throws(() => fs.unlinkSync(`${mountpoint}/vars/${name.replace('efi_pstore', 'vars')}`), {
    code: 'EROFS',
  })

  const archive = folder(t)
  const archived = archiveBySystemd(mountpoint, archive)
  t.equal(archived.status, 0, archived.stderr)
  t.equal(read(`${archive}/console-ramoops-0`), 'console of ramoops\n')
  t.same(
    fs.readdirSync(mountpoint),
    ['blk', 'efi_pstore', 'erst', 'ramoops', 'vars'],
    "the first's are archived",
  )
  same()

  // By commands, as by the mount.
  const names = succeed(t, ['ls', `erst:${home}/erst.img`, '--json'])
  t.equal((JSON.parse(names.toString()) as unknown[]).length, erst.files.length)
  fs.unlinkSync(`${mountpoint}/erst/${erst.files[0].name}`)
  fs.unlinkSync(`${mountpoint}/efi_pstore/${name}`)
  t.equal(fs.readdirSync(`${mountpoint}/erst`).length, erst.files.length - 1)
  t.equal(fs.readdirSync(`${home}/efivars`).length, efi.efivars!.length - 1)
})
