/** Random regions for tests: layouts that Linux takes, zones in every state, and damage. */
import zlib from 'node:zlib'
import type { Random } from '../random.js'
import {
  addParity,
  dataLength,
  layoutOf,
  presetNames,
  zonesOf,
  type Kind,
  type ModelLayout,
  type ModelOptions,
  type ModelZone,
} from './region.js'

const orders: Kind[][] = [
  ['dmesg', 'console', 'pmsg', 'tty', 'ftrace'],
  ['dmesg', 'console', 'ftrace', 'pmsg', 'tty'],
  ['console', 'dmesg', 'tty', 'ftrace', 'pmsg'],
  ['ftrace', 'tty', 'pmsg', 'console', 'dmesg'],
]

const parities = [0, 0, 0, 2, 3, 4, 7, 8, 16, 16, 32, 64, 127]

/** A layout of no kernel's in particular. */
const anyLayout = (random: Random): ModelLayout => {
  const size = (): number =>
    random.pick([0, 64, 512, 1024, 4096, random.between(100, 9000), random.between(20, 400)])
  return {
    mem_size: random.between(2000, 48000),
    record_size: size(),
    console_size: size(),
    ftrace_size: size(),
    pmsg_size: size(),
    tty_size: size(),
    ecc: random.pick(parities),
    flags: random.below(2),
    cpus: random.pick([1, 1, 2, 3, 4, 7]),
    order: random.pick(orders),
    endian: random.pick(['little', 'little', 'big']),
  }
}

/** A preset, and little else said. */
const presetLayout = (random: Random): ModelOptions => {
  const options: ModelOptions = {
    mem_size: random.between(20000, 60000),
    preset: random.pick(presetNames),
    tty_size: random.pick([0, 512, 4096]),
    ecc: random.pick([0, 0, 1, 4]),
  }
  if (random.below(2)) options.cpus = random.pick([1, 2, 4])
  if (random.below(4) === 0) options.record_size = random.pick([0, 1024, 4096, 9000])
  if (random.below(4) === 0) options.console_size = random.pick([0, 1024, 9000])
  return options
}

/** One that Linux takes, and with not too many zones. */
const taken = <O extends ModelOptions>(random: Random, any: (random: Random) => O): O => {
  for (;;) {
    const options = any(random)
    const zones = zonesOf(layoutOf(options, 0))
    if (zones && zones.length < 200) return options
  }
}

/** A layout that Linux takes. */
export const randomLayout = (random: Random): ModelLayout => taken(random, anyLayout)

/** A layout that Linux takes, as a user says it. */
export const randomOptions = (random: Random): ModelOptions =>
  random.below(4) ? taken(random, anyLayout) : taken(random, presetLayout)

/** Text as a kernel prints it, so long. */
export const lines = (random: Random, length: number): Buffer => {
  const line = `[${random.below(1e5)}.${random.below(1e6)}] something happened at ${random.below(1e9)}\n`
  return Buffer.from(line.repeat(Math.ceil(length / line.length) + 1).slice(0, length))
}

/** An ftrace ring's content: records, and in front what does not divide. */
export const calls = (random: Random, length: number, endian: 'little' | 'big'): Buffer => {
  const calls = Buffer.alloc(length)
  let time = BigInt(random.below(1000))
  for (let at = length % 24; at < length; at += 24) {
    time += BigInt(random.below(3))
    const words = [
      0xffffffff81000000n + BigInt(random.below(100)),
      BigInt(random.below(2 ** 31)),
      BigInt.asUintN(64, (time << 8n) | BigInt(random.below(4))),
    ]
    words.forEach((word, i) =>
      endian === 'big'
        ? calls.writeBigUInt64BE(word, at + 8 * i)
        : calls.writeBigUInt64LE(word, at + 8 * i),
    )
  }
  return calls
}

const dumpStarts = [
  '====1700000000.123456-D\n',
  '====1700000000.123456-C\n',
  '====1700000000.123456-C\n',
  '====0.000000-D\n',
  '====1700000000.123456\n',
  '====-5.4294967295-D\n \n',
  '====  12345678901234567890123. 7-X',
  '====1.2-',
  '====1.2-\0\n',
  '===1.2-D\n',
  '',
]

/** Something that a zone of a kind may hold, at most so long. */
const contentFor = (random: Random, kind: Kind, room: number, { endian }: ModelLayout): Buffer => {
  const length = random.pick([0, 1, room, random.below(room + 1), random.below(room + 1)])
  if (random.below(6) === 0) return random.bytes(length)
  if (kind === 'dmesg') {
    const start = Buffer.from(random.pick(dumpStarts))
    const room = Math.max(0, length - start.length)
    const many = lines(random, random.pick([room, 2 * room, 4 * room]))
    const body = random.below(3) ? zlib.deflateRawSync(many) : many
    return Buffer.concat([start, body]).subarray(0, length)
  }
  return kind === 'ftrace' ? calls(random, length, endian) : lines(random, length)
}

const numbers = [0, 1, 12, 0x7fffffff, 0x80000000, 0xffffffff]

/** One zone: a ring that a kernel left, or what it may have become. */
const randomZone = (random: Random, { kind, size }: ModelZone, layout: ModelLayout): Buffer => {
  const zone = random.bytes(size)
  const length = dataLength(size, layout.ecc)
  const content = contentFor(random, kind, length, layout)
  // A ring that has not wrapped usually, and any that is valid sometimes.
  const start = random.below(2) ? content.length : random.below(content.length + 1)
  content.copy(zone, 12 + start, 0)
  content.copy(zone, 12, content.length - start)
  const put = (value: number, at: number): unknown =>
    layout.endian === 'big' ? zone.writeUInt32BE(value, at) : zone.writeUInt32LE(value, at)
  const version = random.pick([0x060c00, 0x050a10, 0x020623, 0xff0101, 0, 0x01ffff, 0x1000000])
  put((0x43474244 ^ (kind === 'ftrace' ? version : 0)) >>> 0, 0)
  put(start, 4)
  put(content.length, 8)
  if (random.below(8) === 0) put(random.pick([...numbers, length, length + 1]), random.pick([4, 8]))
  if (layout.ecc) addParity(zone, layout.ecc)
  // Damage: none, a few bits, as many bytes as parity can just correct in a block or not, or much.
  const flips = random.pick([0, 0, 0, 1, 3, layout.ecc >> 1, layout.ecc, 60])
  const from = random.below(size)
  const span = random.pick([12, 128, size])
  for (let i = 0; i < flips; i++)
    zone[(from + random.below(span)) % size] ^= random.pick([1, 0x80, random.between(1, 255)])
  return zone
}

/** A region of that layout, its zones in every state. */
export const randomRegion = (random: Random, layout: ModelLayout): Buffer => {
  const region = random.bytes(layout.mem_size)
  for (const zone of zonesOf(layout)!) {
    if (random.below(10) === 0) continue
    randomZone(random, zone, layout).copy(region, zone.offset)
  }
  return region
}
