/** How many bytes a kernel's questions take from the medium: one pass each, and none twice. */
import t, { type Test } from 'tap'
import { ErstDriver } from '#src/backends/erst/driver.js'
import { RamoopsDriver } from '#src/backends/ramoops/driver.js'
import { makeLayout } from '#src/backends/ramoops/layout.js'
import { ZoneDriver } from '#src/backends/zone/driver.js'
import { makeZoneLayout } from '#src/backends/zone/layout.js'
import { format, writeDump, type AttachOptions } from '#src/index.js'
import type { Store } from '#src/pstore/store.js'
import { Region } from '#src/region/region.js'
import { storeOf } from '../backends/store.js'
import { folder } from '../program.js'
import { randomFor } from '../random.js'
import { ByPath } from './by-path.js'

/** A region that counts the bytes that are read of it. */
class CountingRegion extends Region {
  bytes = 0
  calls = 0
  override loadInto(bytes: Buffer, offset: number, length: number): void {
    this.bytes += length
    this.calls++
    super.loadInto(bytes, offset, length)
  }
}

const zone = 65536
const size = 6 * zone
/** A zone's header, and a dump's own, are looked at again: nobody wrote meanwhile. */
const headers = 64

const rings = { console_size: zone, pmsg_size: 0, ftrace_size: 0 }
/** With the bytes that one pass over a dump takes: of ERST's map, too. */
const media: [name: string, source: string, options: AttachOptions, pass: number][] = [
  ...[0, 16].map((ecc): [string, string, AttachOptions, number] => [
    `ramoops, ecc ${ecc}`,
    'ramoops',
    { record_size: zone, ...rings, ecc },
    zone,
  ]),
  ['pstore_blk', 'zone', { kmsg_size: zone, ...rings }, zone],
  ['ERST', 'erst', { record_size: zone }, zone + 512],
]

const make = (t: Test, source: string, options: AttachOptions): [Store, CountingRegion] => {
  const path = `${folder(t)}/store.img`
  format(`${source}:${path}`, { ...options, mem_size: size })
  const region = new CountingRegion(path)
  const driver =
    source === 'ramoops'
      ? new RamoopsDriver(region, makeLayout(options, size))
      : source === 'zone'
        ? new ZoneDriver(region, makeZoneLayout(options, size))
        : new ErstDriver(region)
  const store = storeOf(driver, 'x')
  t.teardown(() => store.close())
  return [store, region]
}

for (const [name, source, options, pass] of media)
  t.test(name, async t => {
    const random = randomFor(t)
    const [store, region] = make(t, source, options)
    // Text that does not shrink fills a zone; a store of parts takes several of its records.
    const text = random.bytes(2 * zone)
    while (store.records().next().done) writeDump(store, text, { compress: false })
    const tree = new ByPath([store])
    const [dump] = Array.from(store.records(), ({ name }) => `/${name}`)
    const zones = Array.from(store.driver.extents()).length

    const read = (work: () => unknown): number => {
      region.bytes = 0
      work()
      return region.bytes
    }
    const look = (): unknown => tree.getattr(dump!)
    t.ok(read(look) <= pass + headers, 'stat')
    t.ok(read(look) <= pass + headers, 'stat again')
    const { ino } = tree.getattr(dump!)
    const open = (): unknown => tree.tree.open(ino)
    t.ok(read(open) <= pass + headers, 'open')
    t.ok(read(look) <= pass + headers, 'stat of what was opened')
    t.ok(read(() => tree.readdir('/')) <= zones * (pass + headers), 'readdir')
    t.ok(read(() => tree.readdir('/x')) <= zones * (pass + headers), 'its folder')

    const fresh = new ByPath([storeOf(store.driver, 'x')])
    t.ok(read(() => fresh.readdir('/')) <= zones * (pass + headers), 'the first time')
    const unknown = new ByPath([storeOf(store.driver, 'x')])
    t.ok(read(() => unknown.open(dump!)) <= 2 * (pass + headers), 'a first look, and open')
  })

t.test('a ring without parity tells its size by its header', async t => {
  const [store, region] = make(t, 'ramoops', { record_size: zone, ...rings })
  store.write({ type: 'console', bytes: Buffer.alloc(zone, 'x') })
  const tree = new ByPath([store])
  region.bytes = 0
  tree.getattr('/console-x-0')
  tree.getattr('/console-x-0')
  t.equal(region.bytes, 24)
})

t.test('one call reads all of a small dump that is looked at again', async t => {
  for (const ecc of [0, 16]) {
    const [store, region] = make(t, 'ramoops', { record_size: 4096, ...rings, ecc })
    store.write({ type: 'dmesg', bytes: Buffer.alloc(1000, 'x') })
    const [dump] = store.records()
    region.calls = 0
    t.equal(store.find(dump!.name), dump)
    t.equal(region.calls, 1, `ecc ${ecc}`)
  }
})
