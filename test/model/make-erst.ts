/** Random ERST stores for tests, as QEMU and its guest may have left them. */
import zlib from 'node:zlib'
import type { Random } from '../random.js'
import type { Field } from './damage.js'
import { kinds } from './erst.js'
import { lines } from './make.js'
import { pieceTypes } from './pieces.js'

const header = [8, 12, 16, 20]
const inRecord: Field[] = [
  { at: 20, width: 4 },
  { at: 16, width: 4 },
  { at: 24, width: 8 },
  { at: 64, width: 8 },
  { at: 96, width: 8 },
  { at: 144, width: 8 },
  { at: 200, width: 8 },
]

/** Where numbers of the format lie: the header (as often as a slot), the map, a record in each slot. */
export const fieldsOf = (store: Buffer): Field[] => {
  const recordSize = store.readUInt32LE(8)
  const slots = Array.from({ length: store.length / recordSize }, (_, i) => i)
  return [
    ...slots.flatMap(() => header.map((at): Field => ({ at, width: 4 }))),
    ...slots.map((i): Field => ({ at: 24 + 8 * i, width: 8 })),
    ...slots.flatMap(i => inRecord.map(({ at, width }) => ({ at: i * recordSize + at, width }))),
  ]
}

/** A record, at most so long, filled up as QEMU fills it up. */
const record = (random: Random, id: bigint, size: number): Buffer => {
  const { type, compressed, creator, section } = random.pick(kinds)
  const room = size - 200
  const length = random.pick([0, 1, room, random.below(room), random.below(300)])
  const text = lines(random, compressed ? random.pick([1, 2, 4]) * length : length)
  const position = Buffer.alloc(8)
  position.writeBigUInt64LE(BigInt(random.pick([0, random.below(400), random.below(4000)])))
  const isPiece = pieceTypes.some(ring => ring === type)
  const data = Buffer.concat([
    isPiece ? position : Buffer.alloc(0),
    compressed ? zlib.deflateRawSync(text) : text,
  ]).subarray(0, room)
  const bytes = Buffer.alloc(size, 0xff).fill(0, 0, 200)
  bytes.write('CPER')
  bytes.writeUInt32LE(random.pick([0, 2, 2, 2, 7, 0xffffffff]), 16)
  bytes.writeUInt32LE(200 + data.length, 20)
  bytes.writeBigInt64LE(BigInt(random.pick([0, -5, 1_700_000_000, random.below(2 ** 31)])), 24)
  creator.copy(bytes, 64)
  bytes.writeBigUInt64LE(id, 96)
  section.copy(bytes, 144)
  data.copy(bytes, 200)
  return bytes
}

/** A store with records in some slots, erased ones in others. */
export const randomErst = (random: Random): Buffer => {
  const size = random.pick([4096, 4096, 8192])
  // More than a slot has room for the map of, now and then.
  const slots = random.below(80) ? random.between(2, 14) : 520
  const first = random.pick([1, Math.ceil((24 + 8 * slots) / size)])
  const store = Buffer.alloc(slots * size)
  store.write('ERSTSTOR')
  store.writeUInt32LE(size, 8)
  store.writeUInt32LE(first * size, 12)
  store.writeUInt16LE(0x0100, 16)
  let count = 0
  for (let slot = first; slot < slots; slot++) {
    const id = (BigInt(1_700_000_000 + random.below(3)) << 32n) + BigInt(slot)
    if (random.below(10) === 0) continue
    record(random, id, size).copy(store, slot * size)
    if (random.below(10) === 0) continue
    store.writeBigUInt64LE(random.below(20) ? id : 2n ** 64n - 1n, 24 + 8 * slot)
    count++
  }
  store.writeUInt32LE(count, 20)
  return store
}
