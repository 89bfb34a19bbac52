/** Copied records and stores without a driver, on the command line and mounted. */
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { deflate } from '#src/pstore/codecs/deflate.js'
import { loadFixture } from '../fixtures.js'
import { file, folder, mount, pstorefs, succeed } from '../program.js'
import { readShared, skipWithoutShared } from '../shared.js'

const text = 'Panic#1 Part1\n<4>[    1.000000] it is broken\n'

t.test('a copied record', async t => {
  const home = folder(t)
  const dump = `${home}/dmesg-ramoops-0.enc.z`
  fs.writeFileSync(dump, deflate(Buffer.from(text)))
  t.equal(succeed(t, ['cat', dump]).toString(), text, 'needs no name')
  t.match(succeed(t, ['ls', dump]).toString(), /^dmesg-ramoops-0 +45 .* ok\n$/)
  fs.truncateSync(dump, 40)
  t.match(succeed(t, ['cat', '--salvage', dump]).toString(), /^Panic#1 Part1\n/)
  const checked = pstorefs(['check', dump])
  t.equal(checked.status, 1)
  t.equal(succeed(t, ['cat', home]).length, fs.statSync(dump).size, 'nor the folder of one')
})

t.test('a store without a record says so where nothing else is printed', t => {
  const region = path.join(folder(t), 'region.img')
  const layout = ['--record-size', '4096', '--console-size', '4096']
  succeed(t, ['format', region, '--mem-size', '16384', ...layout])
  const told = (...args: string[]): string => {
    const { status, stdout, stderr } = pstorefs(['ls', region, ...args])
    t.equal(status, 0)
    return `${stdout}${stderr.replaceAll(region, 'REGION')}`
  }
  t.equal(told(), 'pstorefs: REGION: no record\n')
  t.equal(told('--all'), 'pstorefs: REGION: no record\n')
  t.equal(told('--json'), '[]\n')
  succeed(t, ['write', 'dmesg', region], Buffer.from('Oops#1 Part1\nlast words'))
  t.match(told(), /^dmesg-ramoops-0 .* no parity\n$/)
  succeed(t, ['erase', region, '--all'])
  t.equal(told(), 'pstorefs: REGION: no record: see ls --all for what was there\n')
  t.match(told('--all'), /^dmesg-ramoops-0 .* erased, but [^\n]*\n$/)
  t.end()
})

t.test('a folder of them, mounted and archived', async t => {
  const fixture = loadFixture('all-noecc')
  const home = folder(t)
  for (const { name } of fixture.files) fs.writeFileSync(`${home}/${name}`, fixture.file(name))
  const mountpoint = mount(t, home, [])
  for (const { name } of fixture.files) {
    t.ok(fs.readFileSync(`${mountpoint}/${name}`).equals(fixture.file(name)), name)
    t.throws(() => fs.unlinkSync(`${mountpoint}/${name}`), { code: 'EROFS' })
  }
  succeed(t, ['archive', '--keep', home, `${folder(t)}/archive`])
  for (const command of [
    ['erase', home, 'dmesg-ramoops-0'],
    ['write', 'console', home],
  ]) {
    const { status, stderr } = pstorefs(command, Buffer.from('x'))
    t.equal(status, 1)
    t.match(stderr, /: these are copies: rm removes them\n$/)
  }
})

t.test('stores of which nobody says whose they are', async t => {
  const disk = file(t, loadFixture('blk-all').region())
  t.match(succeed(t, ['ls', disk]).toString(), /console-pstore_blk-0/)
  const probed = JSON.parse(succeed(t, ['probe', '--json', disk]).toString()) as object
  t.match(probed, { regions: [], stores: [{ driver: 'zone', source: `zone:${disk}` }] })
  t.match(succeed(t, ['probe', disk]).toString(), /^a pstore_blk store: zone:/)
  const config = file(t, Buffer.from(`[backends.disk]\nsource = "${disk}"\n`), 'pstorefs.toml')
  t.match(succeed(t, ['ls', '--config', config, 'disk']).toString(), /console-disk-0/)
  fs.writeFileSync(config, `[backends.disk]\ndriver = "pstore_blk"\nsource = "${disk}"\n`)
  t.match(succeed(t, ['ls', '--config', config, 'disk']).toString(), /console-disk-0/)
  const before = fs.readFileSync(disk)
  const refused = pstorefs(['write', 'console', disk], Buffer.from('x'))
  t.equal(refused.status, 1)
  t.match(refused.stderr, /refusing to write with a layout that its signatures tell/)
  t.ok(fs.readFileSync(disk).equals(before))
})

t.test('what people reported', { skip: skipWithoutShared('cases') }, async t => {
  for (const [name, shown] of [
    ['two-panics.erst', /^dmesg-erst-\d+ [^]*ok\n$/],
    ['mtdpstore-be.img', /^dmesg-pstore_blk-0 +23243 .*2024-12-24/],
    ['blk-i386.img', /^dmesg-pstore_blk-0 +4138 /],
    ['pmsg-ramoops-0', /^pmsg-ramoops-0 +24690 /],
    ['dmesg-ramoops-0.enc.z', /^dmesg-ramoops-0 +23224 /],
  ] as const)
    t.match(
      succeed(t, ['ls', file(t, readShared('cases', `${name}.gz`), name)]).toString(),
      shown,
      name,
    )
  const pmsg = file(t, readShared('cases', 'pmsg-ramoops-0.gz'), 'pmsg-ramoops-0')
  t.match(succeed(t, ['cat', '--android', pmsg]).toString(), /I ActivityManager: event number 0/)
  const disk = file(t, readShared('cases', 'cramfs.img.gz'))
  const { status, stderr } = pstorefs(['probe', disk])
  t.equal(status, 1)
  t.match(stderr, /no ramoops region found: no pstore_blk, EFI or ERST store either/)
})
