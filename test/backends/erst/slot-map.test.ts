/** An ERST store's header and map. */
import t from 'tap'
import {
  encodeHeader,
  headerSize,
  decodeHeader,
  SlotMap,
  type Slots,
} from '#src/backends/erst/slot-map.js'
import { Region } from '#src/region/region.js'
import { fixtures } from '../../fixtures.js'
import { file } from '../../program.js'

const slotsOf = (header: Buffer, length: number): Slots | null => {
  const parsed = decodeHeader(header, length)
  return parsed.state === 'ready' ? parsed.slots : null
}

t.test("QEMU's headers, made again", async t => {
  for (const fixture of fixtures('erst-')) {
    const { mem_size, record_size } = fixture.layout
    const region = fixture.region()
    const made = encodeHeader(record_size!, mem_size)
    // All but the count.
    t.same(made.subarray(0, 20), region.subarray(0, 20), fixture.name)
    t.same(slotsOf(region, mem_size), { recordSize: 8192, first: 1, end: 8 })
  }
})

t.test('the map takes whole slots, and has an entry for each of the store', async t => {
  for (const [length, recordSize, first] of [
    [8192, 4096, 1],
    [509 * 4096, 4096, 1],
    [510 * 4096, 4096, 2],
    [64 << 20, 4096, 33],
    [64 << 20, 8192, 9],
    [2 ** 32 - 4096, 4096, 2049],
    [2 ** 28, 2 ** 26, 1],
  ] as const)
    t.same(
      slotsOf(encodeHeader(recordSize, length), length),
      { recordSize, first, end: length / recordSize },
      `${length} by ${recordSize}`,
    )
})

t.test('stores that QEMU does not take', async t => {
  for (const [length, recordSize, why] of [
    [65536, 0, /no power of two/],
    [65536, 2048, /no power of two/],
    [65536, 5000, /no power of two/],
    [2 ** 31, 2 ** 27, /no power of two/],
    [65537, 4096, /no multiple/],
    [2 ** 32, 4096, /no multiple/],
    [4096, 4096, /no slot/],
    [0, 4096, /no slot/],
  ] as const)
    t.throws(() => encodeHeader(recordSize, length), { name: 'StoreError', message: why })
})

t.test('headers', async t => {
  const length = 65536
  t.same(decodeHeader(Buffer.alloc(headerSize), length), { state: 'unused' })
  const edited = (edit: (header: Buffer) => void): ReturnType<typeof decodeHeader> => {
    const header = encodeHeader(4096, length)
    edit(header)
    return decodeHeader(header, length)
  }
  t.match(
    edited(() => {}),
    { state: 'ready', damage: null },
  )
  t.match(
    edited(h => void (h[3]! ^= 1)),
    { state: 'foreign', why: /does not begin with/ },
  )
  t.match(
    edited(h => void h.writeUInt32LE(4097, 8)),
    { state: 'foreign', why: /record_size 4097/ },
  )
  t.match(
    edited(h => void h.writeUInt16LE(0x101, 16)),
    { state: 'ready', damage: /version 0x101/ },
  )
  t.match(
    edited(h => void h.writeUInt16LE(1, 18)),
    { state: 'ready', damage: /version 0x10100/ },
  )
  // Each slot then has to prove itself.
  for (const offset of [0, 1, 4095, 65536, 2 ** 32 - 4096])
    t.match(
      edited(h => void h.writeUInt32LE(offset, 12)),
      {
        state: 'ready',
        slots: { recordSize: 4096, first: 1, end: 16 },
        damage: `storage_offset ${offset} is no place for slots of 4096 bytes`,
      },
    )
})

t.test('no header makes the map reach past the store, or past 4 GiB', async t => {
  for (const length of [24, 31, 32, 100, 4095, 4096, 70000, 2 ** 33, 2 ** 52])
    for (const recordSize of [4096, 8192, 2 ** 26])
      for (const offset of [0, 7, recordSize, 2 * recordSize, 2 ** 31, 2 ** 32 - recordSize]) {
        const header = encodeHeader(4096, 8192)
        header.writeUInt32LE(recordSize, 8)
        header.writeUInt32LE(offset, 12)
        const { first, end } = slotsOf(header, length)!
        const fits = first <= end && (first === end || headerSize + 8 * end <= length)
        if (!fits || (end - 1) * recordSize >= 2 ** 32 || first < 1)
          t.fail(`${length}, ${recordSize}, ${offset}: ${first} to ${end}`)
      }
})

t.test('ids in the map', async t => {
  const image = Buffer.alloc(8 * 4096)
  encodeHeader(4096, image.length).copy(image)
  const ids = [5n, 0n, 2n ** 64n - 1n, 2n ** 32n, 5n, 0n, 5n << 32n]
  for (const [i, id] of ids.entries()) image.writeBigUInt64LE(id, headerSize + 8 * (i + 1))
  const region = new Region(file(t, image))
  t.teardown(() => region.close())
  const map = new SlotMap(region, slotsOf(image, image.length)!)
  for (const [i, id] of ids.entries()) {
    t.equal(map.id(i + 1), id)
    t.equal(map.isFree(i + 1), id === 0n)
  }
  t.same([...map.slotsOf(5n)], [1, 5])
  t.same([...map.slotsOf(2n ** 64n - 1n)], [3])
  t.same([...map.slotsOf(2n ** 32n)], [4])
  t.same([...map.slotsOf(7n)], [])
  t.equal(map.used(), 5)
  t.same(map.ids(), new Set([5n, 2n ** 64n - 1n, 2n ** 32n, 5n << 32n]))
})
