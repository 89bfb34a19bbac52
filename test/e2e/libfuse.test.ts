/** `transport=libfuse`: fuse-native in the place of the kernel's own protocol, which the other tests mount by. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { inside, makeApart } from '../apart.js'
import { layoutOptions, loadFixture } from '../fixtures.js'
import { daemonOf, file, folder, isMounted, mount, processesOf, until } from '../program.js'

const options: AttachOptions = { record_size: 4096, console_size: 4096, ftrace_size: 0 }
const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
const libfuse = ['-o', 'transport=libfuse']
const asRoot = process.getuid!() !== 0 && 'only root can make mount namespaces'

const make = (t: Test): string => {
  const region = `${folder(t)}/region.img`
  format(region, { ...options, mem_size: 16384 })
  const backend = attach(region, options)
  backend.write({ type: 'console', bytes: Buffer.from('console\n') })
  backend.write({ type: 'pmsg', bytes: Buffer.from('pmsg\n') })
  backend.close()
  return region
}

t.test('libfuse mounts it, not this program', async t => {
  const mountpoint = mount(t, make(t), [...flags, ...libfuse])
  const watching = processesOf(mountpoint).filter(({ args }) => args[0] === 'fusermount')
  t.equal(watching.length, 1, "libfuse's own process")
})

t.test('every file of a fixture, by both of its names', async t => {
  const fixture = loadFixture('all-noecc')
  const region = file(t, fixture.region())
  const mountpoint = mount(t, region, [...layoutOptions(fixture), ...libfuse])
  t.same(
    fs.readdirSync(mountpoint).toSorted(),
    [...fixture.files.map(({ name }) => name), 'ramoops'].toSorted(),
  )
  for (const { name, mode, size } of fixture.files) {
    const [one, other] = [mountpoint, `${mountpoint}/ramoops`].map(in_ => `${in_}/${name}`)
    // The kernel names the functions of its ftrace, which are not known here.
    const bytes = name.startsWith('ftrace') ? fs.readFileSync(one) : fixture.file(name)
    t.ok(fs.readFileSync(one).equals(bytes), name)
    t.ok(fs.readFileSync(other).equals(bytes), `ramoops/${name}`)
    const { ino, mode: shown, size: length, nlink } = fs.statSync(one)
    t.same({ mode: shown, length, nlink }, { mode, length: size, nlink: 2 })
    t.equal(fs.statSync(other).ino, ino)
  }
})

t.test('what is unlinked while it is open, and what is changed', async t => {
  const mountpoint = mount(t, make(t), [...flags, ...libfuse])
  const name = `${mountpoint}/console-ramoops-0`
  fs.chmodSync(name, 0o440)
  fs.utimesSync(`${mountpoint}/ramoops/console-ramoops-0`, 1e9, 1e9)
  const { mode, mtimeMs } = fs.statSync(name)
  t.same({ mode, mtimeMs }, { mode: 0o100440, mtimeMs: 1e12 })
  fs.truncateSync(`${mountpoint}/pmsg-ramoops-0`, 3)
  t.equal(fs.statSync(`${mountpoint}/ramoops/pmsg-ramoops-0`).size, 3)
  const open = fs.openSync(name, 'r')
  fs.unlinkSync(name)
  t.equal(fs.readFileSync(open, 'latin1'), 'console\n')
  t.equal(fs.fstatSync(open).nlink, 0)
  t.same(fs.readdirSync(mountpoint), ['pmsg-ramoops-0', 'ramoops'])
  fs.closeSync(open)
  t.throws(() => fs.unlinkSync(name), { code: 'ENOENT' })
  t.throws(() => fs.mkdirSync(`${mountpoint}/new`), { code: 'EPERM' })
})

t.test('a name like one of libfuse is forgotten with its file', async t => {
  const mountpoint = mount(t, make(t), [...flags, ...libfuse])
  const hidden = `${mountpoint}/.fuse_hidden1`
  const open = fs.openSync(`${mountpoint}/console-ramoops-0`, 'r')
  fs.renameSync(`${mountpoint}/console-ramoops-0`, hidden)
  t.equal(fs.statSync(hidden).nlink, 0, 'there while it is open')
  fs.closeSync(open)
  t.ok(await until(() => !fs.existsSync(hidden)), 'and not longer')
})

t.test('it ends cleanly', async t => {
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    const mountpoint = mount(t, make(t), [...flags, ...libfuse])
    process.kill(daemonOf(mountpoint), signal)
    t.ok(await until(() => !isMounted(mountpoint)), `${signal}: unmounted`)
    t.ok(await until(() => processesOf(mountpoint).length === 0), `${signal}: nobody stays`)
  }
})

t.test('where fuse-native is not installed a line says so', { skip: asRoot }, async t => {
  const { home, sh } = makeApart(t)
  fs.cpSync(make(t), `${home}/region.img`)
  fs.mkdirSync(`${home}/mnt`)
  // Packages that are for tests alone are not there.
  const { said } = sh(
    `pstorefs mount ${inside}/region.img ${inside}/mnt ${flags.join(' ')} ${libfuse.join(' ')} 2>&1 || :`,
  )
  t.equal(
    said,
    'pstorefs: transport libfuse: fuse-native is not installed (npm install fuse-native@npm:@cocalc/fuse-native)\n',
  )
})
