/** Making stores. */
import fs from 'node:fs'
import t from 'tap'
import { attach as attachSource, format } from '#src/index.js'
import { makeZones } from '#src/backends/zone/mkfs.js'
import { encodeZoneHeader, signatureOf } from '#src/backends/zone/header.js'
import { makeZoneLayout } from '#src/backends/zone/layout.js'
import { file, folder } from '../../program.js'
import { attach, make, names, small, throws } from './stores.js'

const size = 7 * 4096

t.test('a new store is zeros and headers', async t => {
  const { path, layout } = make(t)
  const expected = Buffer.alloc(size)
  for (const { kind, offset } of layout.zones)
    encodeZoneHeader({ sig: signatureOf(kind), datalen: 0, start: 0 }, 'little').copy(
      expected,
      offset,
    )
  t.same(fs.readFileSync(path), expected)
  t.equal(fs.statSync(path).mode & 0o777, 0o600)
  t.same(names(attach(t, path, layout)), [])
})

t.test('what is there is only wiped by force', async t => {
  const layout = makeZoneLayout(small, size)
  const full = file(t, Buffer.alloc(size, 0x5a))
  t.throws(() => makeZones(full, layout), {
    name: 'StoreError',
    message: /is not empty: --force/,
  })
  t.ok(fs.readFileSync(full).equals(Buffer.alloc(size, 0x5a)), 'nothing is changed')
  makeZones(full, layout, true)
  const empty = file(t, Buffer.alloc(size))
  makeZones(empty, layout)
  t.ok(fs.readFileSync(full).equals(fs.readFileSync(empty)))
})

t.test('a part of a file', async t => {
  const path = file(t, Buffer.alloc(1024 + size + 100, 0x5a))
  makeZones(path, makeZoneLayout({ ...small, mem_address: 1024 }, size), true)
  const bytes = fs.readFileSync(path)
  t.ok(bytes.subarray(0, 1024).every(byte => byte === 0x5a))
  t.equal(bytes.readUInt32LE(1024), signatureOf('pmsg'))
  t.ok(bytes.subarray(1024 + size).every(byte => byte === 0x5a))
})

t.test('a file that is too short stays, a failure leaves no new one', async t => {
  const layout = makeZoneLayout(small, size)
  const short = file(t, Buffer.alloc(size - 1))
  throws(t, 'EINVAL', () => makeZones(short, layout))
  t.equal(fs.statSync(short).size, size - 1)
  throws(t, 'EINVAL', () => makeZones(`${folder(t)}/missing/disk.img`, layout))
})

t.test('a new file is as long as mem_size, of which Linux uses 128 MiB', async t => {
  const path = `${folder(t)}/disk.img`
  const mem_size = 129 << 20
  const options = { mem_size, kmsg_size: 4 << 20 }
  format(`zone:${path}`, options)
  t.equal(fs.statSync(path).size, mem_size)
  const backend = attachSource(`zone:${path}`, options)
  t.teardown(() => backend.close())
  t.equal(backend.survey.facts['mem_size'], 128 << 20)
})
