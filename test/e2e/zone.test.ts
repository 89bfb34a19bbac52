/** pstore_blk: a real kernel shows what was written here, and here it is seen what that kernel erases. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ZoneDriver } from '#src/backends/zone/driver.js'
import { makeZones } from '#src/backends/zone/mkfs.js'
import { makeZoneLayout } from '#src/backends/zone/layout.js'
import { writeDump } from '#src/frontends/dmesg.js'
import type { StoredRecord } from '#src/pstore/backend.js'
import { Region } from '#src/region/region.js'
import { randomFor } from '../random.js'
import { bootGuest, skipWithoutGuest, type GuestFile } from './guest.js'
import { storeOf } from '../backends/store.js'
import type { Backend } from '#src/pstore/backend.js'

const skip = skipWithoutGuest()

/** The kernel's parameters, in KiB. With three CPUs the dumps begin at an odd offset. */
const blk = { kmsg_size: 32, pmsg_size: 8, console_size: 16, ftrace_size: 16 }
const cpus = 3
const size = 320 << 10

const layout = makeZoneLayout(
  {
    ...Object.fromEntries(Object.entries(blk).map(([name, kib]) => [name, kib << 10])),
    cpus,
  },
  size,
)

const attach = (t: Test, disk: string): Backend => {
  const backend = storeOf(new ZoneDriver(new Region(disk), layout), 'pstore_blk')
  t.teardown(() => backend.close())
  return backend
}

/** A record as it is shown here. */
interface Shown {
  record: StoredRecord
  bytes: Buffer
}

const show = (backend: Backend): Shown[] =>
  Array.from(backend.records(), record => ({ record, bytes: record.read() }))

/** What is shown here is what the guest showed. */
const same = (t: Test, own: Shown[], files: GuestFile[]): void => {
  // readdir lists the newest inode first.
  t.same(
    own.map(({ record }) => record.name),
    files.map(({ name }) => name).reverse(),
  )
  for (const { record, bytes } of own) {
    const { name, size, time } = record
    const shown = files.find(file => file.name === name)!
    t.same([shown.size, shown.mode, shown.uid, shown.gid], [size, 0o100444, 0, 0], name)
    if (time) t.equal(shown.mtime, `${time.sec}.${String(time.nsec).padStart(9, '0')}`, name)
    t.ok(shown.bytes.equals(bytes), `${name}: its bytes`)
  }
}

t.test('what is written here, the guest shows; what it erases is gone', { skip }, async t => {
  const random = randomFor(t)
  const disk = join(t.testdir(), 'disk.img')
  makeZones(disk, layout)
  const backend = attach(t, disk)
  const log = (name: string, lines: number): Buffer =>
    Buffer.from(
      Array.from(
        { length: lines },
        (_, i) => `<6>[    ${i}.${random.between(100000, 999999)}] ${name}: line ${i}\n`,
      ).join(''),
    )
  t.same((await bootGuest({ disk, blk, cpus })).files, [], 'nothing on a new disk')

  // A console that has wrapped, and a ring filled to its last byte.
  for (let i = 0; i < 3; i++) backend.write({ type: 'console', bytes: log('console', 250) })
  backend.write({ type: 'pmsg', bytes: random.bytes((backend.capacity('pmsg')?.room ?? 0) - 1000) })
  backend.write({ type: 'pmsg', bytes: random.bytes(1000) })
  // Plain, compressed, one that fills its zone, and what only claims to be compressed.
  writeDump(backend, log('plain', 100), { reason: 'oops', compress: false })
  writeDump(backend, log('deflate', 900), { reason: 'oops' })
  writeDump(backend, log('erased', 10), { reason: 'shutdown', compress: false })
  writeDump(backend, random.bytes(100_000), { reason: 'panic', compress: false })
  backend.write({ type: 'dmesg', bytes: Buffer.from('no stream'), compressed: true })
  writeDump(backend, log('panic', 2000), { reason: 'panic' })
  writeDump(backend, log('again', 10), { reason: 'panic', compress: false })
  backend.find('dmesg-pstore_blk-2')!.erase()

  const written = show(backend)
  t.equal(written.length, 8)
  const erased = ['dmesg-pstore_blk-1', 'console-pstore_blk-0']
  const first = await bootGuest({ disk, blk, cpus, unlink: erased })
  same(t, written, first.files)
  t.same(
    show(backend),
    written.filter(({ record }) => !erased.includes(record.name)),
    'what the guest erased is gone, and nothing else is touched',
  )
  const text = (name: string): string =>
    first.files.find(file => file.name === name)!.bytes.toString('latin1')
  t.match(text('dmesg-pstore_blk-0'), /^Oops: Total 1 times\nOops#\d+ Part1\n<6>/)
  t.match(text('dmesg-pstore_blk-1'), /^Oops#\d+ Part1\n<6>/)
  t.match(text('dmesg-pstore_blk-3'), /^Panic: Total 1 times\nPanic#\d+ Part1\n/)
  t.equal(text('dmesg-pstore_blk-4.enc.z'), 'no stream')
  t.match(text('dmesg-pstore_blk-6'), /^Panic: Total 3 times\nPanic#\d+ Part1\n/)

  // The guest's part done, ours: the ring starts anew, and so do the places for dumps.
  backend.write({ type: 'console', bytes: Buffer.from('after the guest\n') })
  writeDump(backend, log('eighth', 10), { reason: 'oops', compress: false })
  writeDump(backend, log('ninth', 10), { reason: 'oops', compress: false })
  backend.find('pmsg-pstore_blk-0')!.erase()
  const second = await bootGuest({ disk, blk, cpus })
  same(t, show(backend), second.files)
  t.ok(
    second.files.some(({ name, bytes }) => name === erased[1] && String(bytes).startsWith('after')),
  )
  t.notOk(second.files.some(({ name }) => name === 'pmsg-pstore_blk-0'))
})
