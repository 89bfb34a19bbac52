/** A ring that is written all round between any two looks at it: nothing of it is believed. */
import fs from 'node:fs'
import t from 'tap'
import { RamoopsDriver } from '#src/backends/ramoops/driver.js'
import { makeLayout } from '#src/backends/ramoops/layout.js'
import { ZoneDriver } from '#src/backends/zone/driver.js'
import { makeZoneLayout } from '#src/backends/zone/layout.js'
import { attach, format } from '#src/index.js'
import { Region } from '#src/region/region.js'
import { folder, run } from '../program.js'
import { randomFor } from '../random.js'
import { storeOf } from './store.js'

/** A region that somebody writes to after each look. */
class BusyRegion extends Region {
  afterwards = (): void => {}
  override loadInto(bytes: Buffer, offset: number, length: number): void {
    super.loadInto(bytes, offset, length)
    this.afterwards()
  }
}

for (const ecc of [0, 16])
  t.test(`ecc ${ecc}`, async t => {
    const random = randomFor(t)
    const options = { record_size: 4096, console_size: 8192, pmsg_size: 0, ftrace_size: 0, ecc }
    const size = 16384
    const path = `${folder(t)}/region.img`
    format(path, { ...options, mem_size: size })
    const guest = attach(path, options)
    t.teardown(() => guest.close())
    const region = new BusyRegion(path)
    const store = storeOf(new RamoopsDriver(region, makeLayout(options, size)), 'x')
    t.teardown(() => store.close())
    // Fewer bytes than the ring has: as many leave its header as it was (persistent_ram_write).
    const write = (): void => {
      guest.write({ type: 'console', bytes: random.bytes(5000 + random.below(2000)) })
    }
    write()
    t.ok(store.open('console-x-0'), 'it rests')
    region.afterwards = write
    t.throws(() => store.open('console-x-0'), {
      name: 'StoreError',
      code: 'EIO',
      message: /console is written faster than it can be read: try again later$/,
    })
    region.afterwards = () => {}
    t.ok(store.open('console-x-0'), 'and rests again')
  })

t.test('writers of this program wait for who looks at bytes as they lie there', async t => {
  const options = { record_size: 4096, console_size: 4096, pmsg_size: 0, ftrace_size: 0 }
  const path = `${folder(t)}/region.img`
  format(path, { ...options, mem_size: 16384 })
  const region = new BusyRegion(path)
  const store = storeOf(new RamoopsDriver(region, makeLayout(options, 16384)), 'x')
  t.teardown(() => store.close())
  store.write({ type: 'console', bytes: Buffer.from('text\n') })
  region.lock.release()
  const locked = new Set<boolean>()
  region.afterwards = () => locked.add(run('flock', ['-n', '-x', path, 'true']).status !== 0)
  t.equal(store.survey.raw('console-x-0')?.toString(), 'text\n')
  t.equal(store.survey.salvage('console-x-0'), null)
  t.same([...locked], [true])
})

/** What a guest that never rests passes over is cut, and said to who wants to know. */
for (const driver of ['ramoops', 'pstore_blk'])
  t.test(`some of a ring of ${driver}`, async t => {
    const path = `${folder(t)}/region.img`
    const isZone = driver === 'pstore_blk'
    const sizes = { console_size: 65536, pmsg_size: 0, ftrace_size: 0 }
    const options = isZone ? { kmsg_size: 4096, ...sizes } : { record_size: 4096, ...sizes }
    const size = 131072
    const source = `${isZone ? 'zone' : 'ramoops'}:${path}`
    format(source, { ...options, mem_size: size })
    const guest = attach(source, options)
    t.teardown(() => guest.close())
    const region = new BusyRegion(path)
    const store = storeOf(
      isZone
        ? new ZoneDriver(region, makeZoneLayout(options, size))
        : new RamoopsDriver(region, makeLayout(options, size)),
      'x',
    )
    t.teardown(() => store.close())
    let n = 0
    const write = (): void => {
      guest.write({ type: 'console', bytes: Buffer.alloc(600, `${n++ % 10}`) })
    }
    for (let i = 0; i < 200; i++) write()
    region.afterwards = write
    const opened = store.open('console-x-0')!
    t.ok(opened.record.cut > 0, `${opened.record.cut} bytes`)
    t.equal(opened.content.all().length, opened.record.size)
    const told: number[] = []
    store.survey.raw('console-x-0', cut => told.push(cut))
    t.ok(told[0] > 0)
    t.ok(store.survey.raw('console-x-0'), 'and to nobody else')
  })

t.test('a dump of pstore_blk that changes all the time', async t => {
  const path = `${folder(t)}/region.img`
  const options = { kmsg_size: 4096, console_size: 4096, pmsg_size: 0, ftrace_size: 0 }
  const size = 32768
  format(`zone:${path}`, { ...options, mem_size: size })
  const region = new BusyRegion(path)
  const store = storeOf(new ZoneDriver(region, makeZoneLayout(options, size)), 'x')
  t.teardown(() => store.close())
  const text = 'Panic#1 Part1\n'.padEnd(2000, 'x')
  store.write({ type: 'dmesg', bytes: Buffer.from(text) })
  const [{ name }] = store.records()
  const at = fs.readFileSync(path).indexOf('xxxx')
  let byte = 0
  region.afterwards = () => {
    fs.writeSync(region.fd, Buffer.of(++byte & 0xff), 0, 1, at)
  }
  // Its bytes are not copied twice unless somebody may be writing: the header rests.
  t.ok(store.open(name))
  t.throws(() => store.driver.slot('dmesg', 0n)!.load(false), {
    name: 'StoreError',
    message: /changes while it is read/,
  })
})
