/** The writer: what is stored is read back, and a kill after any store leaves something sound. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { encodeZoneHeader, signatureOf, zoneHeaderSize } from '#src/backends/zone/header.js'
import { Zone } from '#src/backends/zone/zone.js'
import { Region } from '#src/region/region.js'
import { randomFor } from '../../random.js'
import { NotingRegion } from '../../region/noting.js'
import { make, small } from './stores.js'
import type { Endian, ZoneExtent } from '#src/pstore/types.js'

interface Bench {
  path: string
  region: NotingRegion
  place: ZoneExtent
  endian: Endian
  zone: Zone
}

const bench = (t: Test, kind = 'console', endian: Endian = 'little'): Bench => {
  const { path, layout } = make(t, { ...small, endian })
  const region = new NotingRegion(path)
  t.teardown(() => region.close())
  const place = layout.zones.find(place => place.kind === kind)!
  return { path, region, place, endian, zone: new Zone(region, place, endian) }
}

/** The bytes of all other zones. */
const outside = ({ path, place }: Bench): Buffer => {
  const bytes = fs.readFileSync(path)
  return Buffer.concat([bytes.subarray(0, place.offset), bytes.subarray(place.offset + place.size)])
}

/** What the zone holds after each of the stores since `before` was taken. */
const replay = ({ path, region, place, endian }: Bench, before: Buffer): Buffer[] => {
  const image = Buffer.from(before)
  const copy = `${path}.copy`
  const contents = region.stores.map(({ offset, bytes }) => {
    bytes.copy(image, offset)
    fs.writeFileSync(copy, image)
    const view = new Region(copy)
    const content = new Zone(view, place, endian).read().content
    view.close()
    return content
  })
  if (!image.equals(fs.readFileSync(path))) throw new Error('there were other stores')
  return contents
}

let epoch = 0

for (const endian of ['little', 'big'] as const)
  t.test(`${endian}: what is appended is read back`, async t => {
    const random = randomFor(t)
    const at = bench(t, random.pick(['console', 'pmsg', 'tty', 'ftrace']), endian)
    const { zone } = at
    const before = outside(at)
    const length = zone.dataLength
    t.equal(length, at.place.size - 12)
    let model = Buffer.alloc(0)
    const sizes = [0, 1, length - 1, length, length + 1, 10 * length, 1]
    for (let i = 0; i < 300; i++) sizes.push(random.below(random.pick([4, 130, 300, 2 * length])))
    // To the ring's last byte, and on.
    sizes.push(length - (sizes.reduce((sum, size) => sum + Math.min(size, length), 0) % length), 3)
    for (const size of sizes) {
      const bytes = random.bytes(size)
      // Sometimes as another process would: knowing nothing from before.
      if (random.below(2)) epoch++
      zone.append(bytes, epoch)
      model = Buffer.concat([model, bytes]).subarray(-length)
      const content = zone.read().content
      if (!content.equals(model))
        t.fail(`after ${size} bytes: ${content.length} of ${model.length}`)
    }
    t.same(outside(at), before, 'no other zone has changed')
    zone.erase(++epoch)
    t.equal(zone.status().state, 'empty')
    zone.append(Buffer.from('after'), epoch)
    t.equal(zone.read().content.toString(), 'after')
  })

t.test("every prefix of an append's stores is sound", async t => {
  const random = randomFor(t)
  const at = bench(t)
  const { path, region, place, zone } = at
  const length = zone.dataLength
  let wrong = 0
  for (let round = 0; round < 100; round++) {
    const size = random.pick([1, 5, 64, 400, 2000, length - 1, length, length + 50])
    if (random.below(8) === 0) zone.erase(++epoch)
    const before = fs.readFileSync(path)
    const old = zone.read().content
    const { start } = zone.status()
    region.stores = []
    zone.append(random.bytes(size), ++epoch)
    const after = zone.read().content
    const ringOf = (image: Buffer): Buffer =>
      image.subarray(place.offset + zoneHeaderSize, place.offset + zoneHeaderSize + length)
    const [oldRing, newRing] = [ringOf(before), ringOf(fs.readFileSync(path))]
    for (const content of replay(at, before)) {
      // The old content, the new, or the old with some of its oldest bytes replaced already: at any
      // place there stands what was written there before, or what is written now.
      const sound =
        content.equals(after) ||
        (content.length === old.length &&
          content.every((byte, i) => {
            const place = old.length < length ? i : (start + i) % length
            return byte === oldRing[place] || byte === newRing[place]
          }))
      if (!sound) wrong++
      // A ring with room loses nothing at any moment.
      if (old.length + size <= length && !content.equals(old) && !content.equals(after)) wrong++
    }
  }
  t.equal(wrong, 0)
})

t.test('a disk has the bytes before the header, and all at the end', async t => {
  const { region, place, zone } = bench(t)
  zone.append(Buffer.alloc(zone.dataLength - 5), ++epoch)
  region.stores = []
  region.settled = []
  zone.append(Buffer.from('round the end'), ++epoch)
  const header = region.stores.findIndex(({ offset }) => offset === place.offset + 4)
  t.same([header, region.stores.length], [2, 3])
  t.same(region.settled, [header, region.stores.length])
})

t.test("every prefix of a dump's stores shows the old one, none, or the new one", async t => {
  const random = randomFor(t)
  const at = bench(t, 'dmesg')
  const { path, region, place, zone } = at
  for (let round = 0; round < 50; round++) {
    const before = fs.readFileSync(path)
    const old = zone.read().content
    region.stores = []
    const dump = random.bytes(random.pick([1, 40, 41, 1000, zone.dataLength]))
    zone.replace(dump, ++epoch)
    for (const content of replay(at, before))
      if (content.length > 0 && !content.equals(dump) && !content.equals(old)) t.fail('a part')
    t.ok(zone.read().content.equals(dump))
    const rest = fs.readFileSync(path).subarray(0, place.offset + place.size)
    const used = place.offset + zoneHeaderSize + dump.length
    t.ok(
      rest.subarray(used).every(byte => byte === 0),
      'zeros behind it, as Linux leaves them',
    )
  }
})

t.test(
  'a zone that Linux would take for new is signed, and shows no garbage meanwhile',
  async t => {
    for (const garbage of [0x00, 0xff, 0x5a, 0x01]) {
      const at = bench(t)
      const { path, region, place, zone } = at
      const size = fs.statSync(path).size
      region.store(place.offset, Buffer.alloc(place.size, garbage))
      t.equal(zone.status().state, 'unsigned')
      const before = fs.readFileSync(path)
      region.stores = []
      zone.erase(++epoch)
      t.same(region.stores, [], 'erasing what is no zone leaves it as it is')
      zone.append(Buffer.from('hello'), ++epoch)
      for (const content of replay(at, before))
        if (content.length > 0 && content.toString() !== 'hello') t.fail('garbage')
      t.equal(zone.read().content.toString(), 'hello')
      t.equal(fs.statSync(path).size, size)
    }
  },
)

t.test('impossible numbers', async t => {
  const { region, place, zone } = bench(t)
  const length = zone.dataLength
  const sig = signatureOf('console')
  const numbers: [datalen: number, start: number, state: string][] = [
    [0, 0, 'empty'],
    [0, 5, 'empty'],
    [0, 0xffffffff, 'empty'],
    [length, 0, 'valid'],
    [length, length, 'valid'],
    [1, 1, 'valid'],
    [length, length + 1, 'invalid'],
    [5, 6, 'invalid'],
    [length + 1, 0, 'invalid'],
    [0xffffffff, 0, 'invalid'],
    [0xffffffff, 0xffffffff, 'invalid'],
    [0x80000000, 0x80000000, 'invalid'],
  ]
  for (const [datalen, start, state] of numbers) {
    region.store(place.offset + zoneHeaderSize, Buffer.alloc(length, '?'))
    region.store(place.offset, encodeZoneHeader({ sig, datalen, start }, 'little'))
    t.equal(zone.status().state, state, `${datalen}, ${start}`)
    t.equal(zone.read().content.length, state === 'valid' ? datalen : 0)
    zone.append(Buffer.from('x'), ++epoch)
    t.match(zone.read().content.toString(), state === 'valid' ? /^\?*x$/ : /^x$/)
  }
})

t.test('a ring with odd numbers takes in no bytes that nobody wrote', async t => {
  const { region, place, zone } = bench(t)
  region.store(place.offset + zoneHeaderSize, Buffer.alloc(zone.dataLength, '?'))
  region.store(
    place.offset,
    encodeZoneHeader({ sig: signatureOf('console'), datalen: 6, start: 3 }, 'little'),
  )
  region.store(place.offset + zoneHeaderSize, Buffer.from('defabc'))
  t.equal(zone.read().content.toString(), 'abcdef')
  zone.append(Buffer.from('XY'), ++epoch)
  t.equal(zone.read().content.toString(), 'cdefXY')
  zone.append(Buffer.from('Z'), epoch)
  zone.append(Buffer.from('123'), epoch)
  t.equal(zone.read().content.toString(), 'defXYZ123')
})
