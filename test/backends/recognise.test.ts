/** Whose a source is, by its content: of every driver's, and of what is none's. */
import fs from 'node:fs'
import t from 'tap'
import { attach, driverCalled, findDriver, format, parseSource, probeSource } from '#src/attach.js'
import { likenessOf, recognise } from '#src/backends/index.js'
import {
  encodeStoreHeader,
  encodeVariable,
  encodeVolumeHeader,
} from '#src/backends/efi/variable-store-format.js'
import { isVariableStore } from '#src/backends/efi/variable-store.js'
import { holdsVariables } from '#src/backends/efi/variable-folder.js'
import { vendorGuid } from '#src/backends/efi/names.js'
import { isStore } from '#src/backends/erst/slot-map.js'
import { fixtures, loadFixture } from '../fixtures.js'
import { file, folder } from '../program.js'

/** A variable store with one dump. */
const variables = (length = 65536): Buffer => {
  const bytes = Buffer.alloc(length, 0xff)
  encodeVolumeHeader(length).copy(bytes)
  encodeStoreHeader({ authenticated: true, size: length - 72 }).copy(bytes, 72)
  const name = 'dump-type0-1-1-1700000000-D'
  encodeVariable({ name, data: Buffer.from('Panic#1 Part1\n'), vendor: vendorGuid }, true).copy(
    bytes,
    100,
  )
  return bytes
}

t.test('names of drivers, as Linux has them too', async t => {
  for (const [name, driver] of Object.entries({
    ramoops: 'ramoops',
    zone: 'zone',
    pstore_blk: 'zone',
    blk: 'zone',
    efi: 'efi',
    efi_pstore: 'efi',
    erst: 'erst',
    records: 'records',
  })) {
    t.equal(driverCalled(name), driver)
    t.same(parseSource(`${name}:a:b`), { driver, path: 'a:b' })
  }
  t.equal(driverCalled('constructor'), null)
  for (const path of ['a:b', ':a', 'efi', '/x:efi:y'])
    t.same(parseSource(path), { driver: null, path })
})

t.test('every fixture is its driver', async t => {
  for (const fixture of fixtures()) {
    if (!fixture.complete) continue
    const source = file(t, fixture.region())
    const found = recognise(source)
    const { backend, name } = fixture
    // Of a disk that nobody wrote to nothing can be said.
    if (backend === 'blk') t.equal(found, fixture.files.length > 0 ? 'zone' : null, name)
    else t.equal(found, backend === 'ramoops' ? null : backend, name)
  }
})

t.test('files and folders', async t => {
  const home = folder(t)
  fs.mkdirSync(`${home}/efivars`)
  fs.writeFileSync(`${home}/efivars/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c`, 'x')
  fs.mkdirSync(`${home}/pstore/ramoops`, { recursive: true })
  fs.writeFileSync(`${home}/pstore/ramoops/dmesg-ramoops-0`, 'x')
  fs.mkdirSync(`${home}/other`)
  fs.writeFileSync(`${home}/other/file`, 'x')
  fs.mkdirSync(`${home}/linked`)
  fs.symlinkSync('/etc/passwd', `${home}/linked/dmesg-ramoops-0`)
  fs.writeFileSync(`${home}/dmesg.txt`, 'Oops#3 Part1\nBUG')
  fs.writeFileSync(`${home}/console-ramoops-0`, 'x')
  fs.writeFileSync(`${home}/empty`, '')
  fs.writeFileSync(`${home}/vars.fd`, variables())
  fs.writeFileSync(`${home}/moved.fd`, Buffer.concat([Buffer.alloc(4096), variables()]))
  for (const [name, driver] of Object.entries({
    efivars: 'efi',
    pstore: 'records',
    other: null,
    linked: null,
    'dmesg.txt': 'records',
    'console-ramoops-0': 'records',
    empty: null,
    nowhere: null,
    'vars.fd': 'efi',
    'moved.fd': null,
  }))
    t.equal(recognise(`${home}/${name}`), driver, name)
  t.equal(recognise(`${home}/moved.fd`, { mem_address: 4096 }), 'efi', 'where it is said to be')
  t.equal(recognise('/dev/zero'), null, 'a device is not read')
  t.equal(findDriver(`${home}/other`), 'ramoops')
  t.equal(likenessOf(home), null)
  t.equal(likenessOf(`${home}/nowhere`), null)
  t.throws(() => holdsVariables(`${home}/nowhere`), /nowhere: cannot be read: no such file/)
  t.equal(isStore(Buffer.from('ERSTSTOR')), false, 'no whole header')
  const { opendirSync } = fs
  const failing = (): never => {
    throw Object.assign(new Error('EIO'), { code: 'EIO' })
  }
  t.teardown(() => (fs.opendirSync = opendirSync))
  const unreadable = Object.assign(opendirSync(home), { readSync: failing })
  for (const opening of [failing, () => unreadable]) {
    fs.opendirSync = opening
    t.equal(recognise(`${home}/efivars`), null, "what cannot be read is nobody's for sure")
  }
  fs.opendirSync = opendirSync
  const cut = variables()
  for (const length of [50, 80]) t.equal(isVariableStore(cut.subarray(0, length)), false)
  t.equal(isVariableStore(Buffer.alloc(100)), false)
})

t.test('what is given is obeyed, and what it is rather is said', async t => {
  const erst = file(t, loadFixture('erst-panics').region())
  const lines: string[] = []
  const report = (line: string): unknown => lines.push(line)
  attach(`ramoops:${erst}`, { readOnly: true, record_size: 4096, report }).close()
  t.same(lines, [`${erst}: it is an ERST store: erst:${erst}`])
  t.throws(() => attach(`zone:${erst}`, { readOnly: true }), {
    message: `${erst}: no layout given, and no zone's signature tells it; give at least one of kmsg_size, pmsg_size, console_size, ftrace_size, tty_size, cpus; it is an ERST store: erst:${erst}`,
  })
  t.throws(() => attach(erst, { kmsg_size: 4096 }), /kmsg_size: not an option of the driver erst/)
  const writable = attach(erst, {})
  t.equal(writable.identity.driver, 'erst')
  t.equal(writable.readOnly, false, 'ERSTSTOR is sure')
  writable.close()
  t.throws(() => format(`records:${erst}`, {}), /copies of records are not made so/)
})

t.test('what probe says of stores', async t => {
  const erst = file(t, loadFixture('erst-panics').region())
  t.match(probeSource(erst), {
    regions: [],
    stores: [
      {
        driver: 'erst',
        source: `erst:${erst}`,
        store: 'an ERST store',
        facts: { record_size: 8192 },
      },
    ],
  })
  t.match(probeSource(`erst:${erst}`, { mem_address: 0, mem_size: 16384 }).stores, [
    { facts: { slots: 1 } },
  ])
  const damaged = file(t, loadFixture('erst-panics').region().fill(7, 16, 18))
  t.match(probeSource(damaged).stores[0]?.evidence, ['it begins with ERSTSTOR', /^version 0x/])
  const unused = file(t, Buffer.alloc(65536))
  t.same(probeSource(`erst:${unused}`).stores, [])
  t.throws(() => probeSource(`erst:${file(t, Buffer.alloc(65536, 1))}`), /is not an ERST store/)

  const store = file(t, variables())
  const [found] = probeSource(store).stores
  t.match(found, { driver: 'efi', facts: { dumps: 1, bytes: 14, size: 65436 } })
  const { size = 0, free = 0 } = (found?.facts ?? {}) as { size?: number; free?: number }
  t.ok(free > 0 && free < size)
  const moved = file(t, Buffer.concat([Buffer.alloc(4096), variables()]))
  t.match(probeSource(moved, { mem_address: 4096 }).stores, [{ facts: { dumps: 1 } }])
  const copied = folder(t)
  const name = `dump-type0-1-1-1700000000-D-${vendorGuid}`
  fs.writeFileSync(`${copied}/${name}`, Buffer.from('\x07\0\0\0text'))
  t.same(probeSource(copied).stores, [
    {
      driver: 'efi',
      source: `efi:${copied}`,
      store: 'a store of EFI variables',
      facts: { dumps: 1, bytes: 4 },
      evidence: ['a folder of files NAME-GUID'],
    },
  ])
  const copies = folder(t)
  for (const name of ['dmesg-ramoops-0', 'dmesg-ramoops-1', 'pmsg-ramoops-0'])
    fs.writeFileSync(`${copies}/${name}`, 'x')
  t.match(probeSource(copies).stores, [
    { driver: 'records', facts: { records: 3 }, evidence: ['dmesg-ramoops: 2', 'pmsg-ramoops: 1'] },
  ])
})

t.test('a layout that cannot be, and a store that is not there', async t => {
  const zeros = file(t, Buffer.alloc(4096))
  t.throws(() => attach(zeros, { record_size: 4096, console_size: 8192 }), { name: 'StoreError' })
  t.throws(() => format(`zone:${zeros}`, {}, true), /no layout given; give at least one of/)
  t.throws(
    () => format(`${zeros}.none`, { record_size: 4096 }),
    /no such file; give mem_size to make it/,
  )
})
