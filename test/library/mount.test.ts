/** A mount that a thread serves: how it ends, and what is said where there is none. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { attach, format, mount, StoreError, type Mount, type MountOptions } from '#src/index.js'
import { folder, isMounted, run, until } from '../program.js'

const layout = { mem_size: 65536, record_size: 4096, console_size: 4096 }

const makeRegion = (home: string): string => {
  const source = `${home}/region.img`
  format(source, layout)
  const backend = attach(source, layout)
  backend.write({ type: 'console', bytes: Buffer.from('said\n') })
  backend.close()
  fs.mkdirSync(`${home}/mnt`)
  return source
}

t.test('it ends with an unmount by anybody', async t => {
  const home = folder(t)
  const at = `${home}/mnt`
  const source = makeRegion(home)
  const mounted = await mount({ source, ...layout }, at)
  t.same(fs.readdirSync(at), ['console-ramoops-0', 'ramoops'], 'who waits for it is answered')
  t.equal(run('fusermount3', ['-u', at]).status, 0)
  await mounted.ended
  t.notOk(isMounted(at))
  await mounted.unmount()
})

t.test('read-only, nothing goes', async t => {
  const home = folder(t)
  const mounted = await mount(makeRegion(home), `${home}/mnt`, { readOnly: true, subdirs: 'off' })
  t.same(fs.readdirSync(`${home}/mnt`), ['console-ramoops-0'])
  t.throws(() => fs.unlinkSync(`${home}/mnt/console-ramoops-0`), { code: 'EROFS' })
  await mounted.unmount()
})

t.test('what is erased while another process writes waits for that', async t => {
  const home = folder(t)
  const source = makeRegion(home)
  const mounted = await mount({ source, ...layout }, `${home}/mnt`)
  t.teardown(() => mounted.unmount())
  const holder = spawn('flock', ['-x', source, 'sh', '-c', 'echo held; sleep 1'])
  await once(holder.stdout, 'data')
  fs.unlinkSync(`${home}/mnt/console-ramoops-0`)
  t.same(fs.readdirSync(`${home}/mnt`), ['ramoops'])
})

t.test('why there is none', async t => {
  const home = folder(t)
  const source = makeRegion(home)
  const at = `${home}/mnt`
  for (const [sources, mountpoint, code, message] of [
    [`${home}/none.img`, at, 'ENOENT', /none\.img: no such file$/],
    [{ source, record_size: 4097.5 }, at, 'EINVAL', /record_size '4097\.5': not a size/],
    [[{ source }, { source }], at, 'EINVAL', /^backend 'ramoops': two have this name$/],
    [[], at, 'EINVAL', /^no backend is configured$/],
    [source, `${home}/none`, 'ENOENT', /none: cannot be mounted: no such folder$/],
    [source, 5 as unknown as string, 'EINVAL', /^mountpoint 5: must be a path$/],
  ] as const)
    await t.rejects(
      mount(sources, mountpoint),
      Object.assign(new StoreError('', code), { message }),
      String(message),
    )
  t.notOk(isMounted(at))
})

t.test('an option that is none, or of another kind, is refused', async t => {
  const home = folder(t)
  const source = makeRegion(home)
  const at = `${home}/mnt`
  const mountWith = (options: object): Promise<Mount> =>
    mount({ source, ...layout }, at, options as MountOptions)
  for (const [options, message] of [
    [{ readonly: true }, /^readonly: not an option of mount, which takes readOnly, options, /],
    [{ readOnly: 'yes' }, /^readOnly: must be a boolean$/],
    [{ options: 'noexec' }, /^options: must be a list of texts$/],
    [{ subdirs: 'none' }, /^subdirs: must be visible or hidden or off$/],
    [{ uid: -1 }, /^uid: must be a number from 0$/],
    [{ gid: 'adm' }, /^gid: must be a number from 0$/],
    [{ umask: 0o1000 }, /^umask: must be bits, as 0o077$/],
    [{ report: true }, /^report: must be a function$/],
  ] as const)
    await t.rejects(
      mountWith(options).then(mounted => mounted.unmount()),
      Object.assign(new StoreError('', 'EINVAL'), { message }),
      String(message),
    )
  const mounted = await mountWith({ uid: undefined, umask: 0o077 })
  const { mode, uid } = fs.statSync(`${at}/console-ramoops-0`)
  await mounted.unmount()
  t.same({ mode, uid }, { mode: 0o100400, uid: process.getuid!() })
})

t.test('it ends with its process, however that ends', async t => {
  const index = path.resolve(import.meta.dirname, '../../dist/index.js')
  for (const end of ['process.exit(3)', "process.kill(process.pid, 'SIGKILL')", "throw 'away'"]) {
    const home = folder(t)
    const source = makeRegion(home)
    const program = `
      import { mount } from ${JSON.stringify(index)}
      await mount({ source: ${JSON.stringify(source)}, record_size: 4096 }, ${JSON.stringify(`${home}/mnt`)})
      console.log('mounted')
      ${end}`
    fs.writeFileSync(`${home}/program.mjs`, program)
    t.equal(run(process.execPath, [`${home}/program.mjs`]).stdout.toString(), 'mounted\n', end)
    t.ok(await until(() => !isMounted(`${home}/mnt`)), end)
  }
})
