/** Random pstore/zone stores for tests: layouts that Linux takes, and zones in every state. */
import zlib from 'node:zlib'
import type { Random } from '../random.js'
import type { Field } from './damage.js'
import { callFormNames, calls, type CallForm, lines } from './make.js'
import { typeNames } from './file.js'
import { zonesOf, type ModelZone, type ZoneLayout } from './zone.js'

/** A layout; one in some that Linux refuses. */
export const randomZoneLayout = (random: Random): ZoneLayout => {
  const size = (): number =>
    random.pick([0, 256, 512, 1024, 4096, 4096, 8192, 512 * random.below(20)])
  const layout = {
    kmsg_size: size(),
    pmsg_size: size(),
    console_size: size(),
    ftrace_size: size(),
    tty_size: size(),
    cpus: random.pick([1, 1, 2, 3, 7, 100]),
    endian: random.pick(['little', 'little', 'big'] as const),
    mem_size: 4096 * random.between(1, 16),
  }
  if (zonesOf(layout) || random.below(20) === 0) return layout
  return randomZoneLayout(random)
}

/** Where numbers of the format lie: a zone's header, a dump's in it. */
export const fieldsOf = (zones: readonly ModelZone[]): Field[] =>
  zones.flatMap(({ kind, offset }): Field[] => [
    { at: offset + 4, width: 4 },
    { at: offset + 8, width: 4 },
    { at: offset, width: 4 },
    ...(kind === 'dmesg' ? dumpFields(offset + 12) : []),
  ])

const dumpFields = (at: number): Field[] => [
  { at, width: 4 },
  { at: at + 8, width: 8 },
  { at: at + 16, width: 8 },
  { at: at + 24, width: 4 },
  { at: at + 28, width: 4 },
  { at: at + 32, width: 4 },
]

/** A dump with its header, at most so long: of a machine with 64 bits, with 32, or i386. */
const dump = (random: Random, room: number, { endian }: ZoneLayout): Buffer => {
  const form = random.pick(['64', '64', '32', 'i386'])
  const at =
    form === 'i386'
      ? { sec: 4, nsec: 12, compressed: 16, counter: 20, reason: 24, text: 28 }
      : { sec: 8, nsec: 16, compressed: 24, counter: 28, reason: 32, text: 40 }
  const header = Buffer.alloc(at.text)
  const big = endian === 'big'
  const put = (where: number, n: number): unknown =>
    big ? header.writeUInt32BE(n, where) : header.writeUInt32LE(n, where)
  const putLong = (where: number, n: bigint): unknown =>
    big ? header.writeBigInt64BE(n, where) : header.writeBigInt64LE(n, where)
  const usual = random.below(2) === 1
  const sec = usual ? 1_700_000_000 : random.pick([0, -5, 1_700_000_000, random.below(2 ** 31)])
  const nsec = usual
    ? random.below(1_000_000_000)
    : random.pick([0, 5, 999_999_999, 2 ** 32 - 1, 2 ** 32 + 7])
  put(0, 0x4dfc3ae5)
  putLong(at.sec, BigInt(sec))
  if (form === '64') putLong(at.nsec, BigInt(nsec))
  else put(at.nsec, nsec % 2 ** 32)
  const compressed = random.below(2) === 1
  header[at.compressed] = compressed ? (usual ? 1 : random.pick([1, 1, 255])) : 0
  put(at.counter, random.pick([0, 1, 7, 2 ** 31, 2 ** 32 - 1]))
  put(at.reason, usual ? random.below(5) : random.pick([0, 1, 2, 3, 4, 5, 2 ** 32 - 1]))
  const text = lines(
    random,
    random.pick([0, 1, room, random.below(room + 1), random.below(5 * room)]),
  )
  return Buffer.concat([header, compressed ? zlib.deflateRawSync(text) : text])
}

const contentFor = (
  random: Random,
  { kind }: ModelZone,
  room: number,
  layout: ZoneLayout,
  form: CallForm,
): Buffer => {
  const length = random.pick([0, 1, room, random.below(room + 1), random.below(room + 1)])
  if (random.below(8) === 0) return random.bytes(length)
  if (kind === 'dmesg') return dump(random, room, layout)
  return kind === 'ftrace' ? calls(random, length, layout.endian, form) : lines(random, length)
}

/** A store of that layout as a kernel may have left it. */
export const randomZones = (random: Random, layout: ZoneLayout): Buffer => {
  const store = random.below(2) ? Buffer.alloc(layout.mem_size) : random.bytes(layout.mem_size)
  const form = random.pick(callFormNames)
  for (const zone of zonesOf(layout) ?? []) {
    if (random.below(8) === 0) continue
    const bytes = store.subarray(zone.offset, zone.offset + zone.size)
    const content = contentFor(random, zone, zone.size - 12, layout, form).subarray(
      0,
      zone.size - 12,
    )
    // A ring that has not wrapped usually, and any that is valid sometimes.
    const start =
      zone.kind === 'dmesg' ? 0 : random.pick([content.length, random.below(content.length + 1)])
    content.copy(bytes, 12 + start, 0, content.length - start)
    content.copy(bytes, 12, content.length - start)
    const type = zone.kind === 'tty' && random.below(2) ? 0 : typeNames.indexOf(zone.kind)
    const header = [(0x43474244 ^ type) >>> 0, content.length, start]
    // Just what a zone can hold, and a byte more.
    if (random.below(10) === 0) header[random.between(1, 2)] = zone.size - 12 + random.below(2)
    header.forEach((n, i) =>
      layout.endian === 'big' ? bytes.writeUInt32BE(n, 4 * i) : bytes.writeUInt32LE(n, 4 * i),
    )
  }
  return store
}
