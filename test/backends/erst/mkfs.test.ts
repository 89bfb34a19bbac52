/** Making a store. */
import fs from 'node:fs'
import t from 'tap'
import { ErstDriver } from '#src/backends/erst/driver.js'
import { makeErst } from '#src/backends/erst/mkfs.js'
import { Region } from '#src/region/region.js'
import { loadFixture } from '../../fixtures.js'
import { file, folder } from '../../program.js'
import { qemuReads } from './qemu.js'
import { storeOf } from '../store.js'

t.test('a new file is as QEMU makes it of zeros', async t => {
  const path = `${folder(t)}/erst.img`
  makeErst(path, 65536)
  const image = fs.readFileSync(path)
  const expected = Buffer.alloc(65536)
  loadFixture('erst-panics').region().copy(expected, 0, 0, 20)
  t.ok(image.equals(expected))
  t.equal(fs.statSync(path).mode & 0o777, 0o600)
  t.equal(qemuReads(image)!.size, 0)
})

t.test('what holds something is only wiped by force', async t => {
  const image = loadFixture('erst-panics').region()
  const path = file(t, image)
  t.throws(() => makeErst(path, 65536, 4096), { message: /is not empty: --force wipes/ })
  t.throws(() => makeErst(path, undefined, 4096), { message: /is not empty/ })
  t.throws(() => makeErst(path, 32768, 4096, true), { message: /has 65536 bytes, not 32768$/ })
  t.ok(fs.readFileSync(path).equals(image))
  makeErst(path, undefined, 4096, true)
  const made = fs.readFileSync(path)
  t.equal(made.readUInt32LE(8), 4096)
  t.same(made.subarray(24), Buffer.alloc(65536 - 24))

  const zeros = file(t, Buffer.alloc(65536))
  makeErst(zeros, 65536, 4096)
  t.ok(fs.readFileSync(zeros).equals(made))
})

t.test('what cannot be made leaves nothing behind', async t => {
  const home = folder(t)
  for (const [size, recordSize] of [
    [65536, 5000],
    [65537, 4096],
    [4096, 4096],
    [0, 4096],
  ] as const)
    t.throws(() => makeErst(`${home}/new`, size, recordSize), {
      name: 'StoreError',
      message: /^[^\n]*$/,
    })
  t.throws(() => makeErst(`${home}/new`, undefined), {
    name: 'StoreError',
    code: 'ENOENT',
    message: /new: no such file; give mem_size to make it$/,
  })
  t.throws(() => makeErst(`${home}/none/new`, 65536), { message: /cannot be made: no such file$/ })
  t.same(fs.readdirSync(home), [])
})

t.test('a kill at any moment of a wipe leaves no map of records that are gone', async t => {
  const size = 2 ** 22
  const path = `${folder(t)}/erst.img`
  makeErst(path, size, 4096)
  const backend = storeOf(new ErstDriver(new Region(path)), 'erst')
  backend.write({ type: 'dmesg', bytes: Buffer.from('x') })
  backend.close()
  const fd = fs.openSync(path, 'r')
  const offsets: number[] = []
  const { store } = Region.prototype
  t.teardown(() => (Region.prototype.store = store))
  Region.prototype.store = function (this: Region, offset, ...rest): void {
    const header = Buffer.alloc(24)
    fs.readSync(fd, header, 0, 24, 0)
    // Once the header is gone so is all that follows.
    if (header.readBigUInt64LE(0) === 0n && offset !== 0) t.fail(`${offset} after the header`)
    offsets.push(offset)
    return store.call(this, offset, ...rest)
  }
  makeErst(path, size, 4096, true)
  fs.closeSync(fd)
  t.same(offsets.slice(-2), [0, 0])
  t.same(
    offsets.slice(0, -1),
    Array.from({ length: 4 }, (_, i) => (3 - i) * 2 ** 20),
  )
})
