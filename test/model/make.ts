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
  ['boot-log', 'dmesg', 'console', 'pmsg', 'tty', 'ftrace'],
]

const parities = [0, 0, 0, 2, 3, 4, 7, 8, 16, 16, 32, 64, 127]

/** A layout of no kernel's in particular. */
const anyLayout = (random: Random): ModelLayout => {
  const order = random.pick(orders)
  const size = (): number =>
    random.pick([0, 64, 512, 1024, 4096, random.between(100, 9000), random.between(20, 400)])
  return {
    mem_size: random.between(2000, 48000),
    record_size: size(),
    console_size: size(),
    ftrace_size: size(),
    pmsg_size: size(),
    tty_size: size(),
    boot_log_size: order.includes('boot-log') ? size() : 0,
    boot_log_count: random.pick([1, 1, 2, 3]),
    ecc: random.pick(parities),
    flags: random.below(2),
    cpus: random.pick([1, 1, 2, 3, 4, 7]),
    order,
    endian: random.pick(['little', 'little', 'big']),
  }
}

/** A preset, and little else said. */
const presetLayout = (random: Random): ModelOptions => {
  const preset = random.pick(presetNames)
  const options: ModelOptions = {
    mem_size: random.between(20000, 60000),
    preset,
    ecc: random.pick([0, 0, 1, 4]),
  }
  // Boards' own sizes are too large for a test.
  const isBoard = preset === 'rockchip'
  if (isBoard || /6\.2|anolis|^crosvm$/.test(preset) === false) {
    options.pmsg_size = random.pick([0, 512, 3001])
    options.ftrace_size = random.pick([0, 1000, 4096])
  } else options.tty_size = random.pick([0, 512, 4096])
  if (isBoard) {
    options.boot_log_size = random.pick([0, 777, 2000])
    options.boot_log_count = random.below(4)
  }
  if (random.below(2)) options.cpus = random.pick([1, 2, 4])
  if (isBoard || random.below(4) === 0)
    options.record_size = random.pick([0, 1024, 4096, 9000, 5001])
  if (isBoard || preset === 'linux-3.4' || random.below(4) === 0)
    options.console_size = random.pick([0, 1024, 9000])
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

/** Words of an ftrace record, by its form, each with its width in bytes. */
const callForms = {
  wide: (ip, parent, time, cpu) => [ip, 8, parent, 8, (time << 8n) | cpu, 8],
  narrow: (ip, parent, time, cpu) => [ip, 4, parent, 4, (time << 8n) | cpu, 8],
  arm: (ip, parent, time, cpu) => [ip | cpu, 4, parent, 4, time, 8],
  oldWide: (ip, parent, _, cpu) => [ip, 8, parent, 8, cpu, 4, 0n, 4],
  oldNarrow: (ip, parent, _, cpu) => [ip, 4, parent, 4, cpu, 4],
  oldArm: (ip, parent, _, cpu) => [ip | cpu, 4, parent, 4],
} as const satisfies {
  [form: string]: (ip: bigint, parent: bigint, time: bigint, cpu: bigint) => (bigint | number)[]
}
export type CallForm = keyof typeof callForms
export const callFormNames = Object.keys(callForms) as CallForm[]

/** An ftrace ring's content: records, and in front what does not divide. */
export const calls = (
  random: Random,
  length: number,
  endian: 'little' | 'big',
  form: CallForm = random.pick(callFormNames),
): Buffer => {
  const calls = Buffer.alloc(length)
  const isWide = form === 'wide' || form === 'oldWide'
  const text = isWide ? 0xffffffff81000000n : 0xc0100000n
  let time = BigInt(random.below(1000))
  const words = (): (bigint | number)[] => {
    time += BigInt(random.below(3))
    const parent = isWide ? BigInt(random.below(2 ** 31)) : text + BigInt(random.below(2 ** 20))
    const ip = text + BigInt(random.below(100)) * 4n
    return callForms[form](ip, parent, time, BigInt(random.below(4)))
  }
  const size = words().reduce<number>((sum, word, i) => sum + (i % 2 ? Number(word) : 0), 0)
  for (let at = length % size; at < length;) {
    const record = words()
    for (let i = 0; i < record.length; i += 2) {
      const word = BigInt(record[i])
      const width = Number(record[i + 1])
      const bytes = Buffer.alloc(width)
      for (let n = 0; n < width; n++) bytes[n] = Number((word >> BigInt(8 * n)) & 0xffn)
      if (endian === 'big') bytes.reverse()
      bytes.copy(calls, at)
      at += width
    }
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
const contentFor = (
  random: Random,
  kind: Kind,
  room: number,
  { endian }: ModelLayout,
  form: CallForm,
): Buffer => {
  const length = random.pick([0, 1, room, random.below(room + 1), random.below(room + 1)])
  if (random.below(6) === 0) return random.bytes(length)
  if (kind === 'dmesg') {
    const start = Buffer.from(random.pick(dumpStarts))
    const room = Math.max(0, length - start.length)
    const many = lines(random, random.pick([room, 2 * room, 4 * room]))
    const body = random.below(3) ? zlib.deflateRawSync(many) : many
    return Buffer.concat([start, body]).subarray(0, length)
  }
  return kind === 'ftrace' ? calls(random, length, endian, form) : lines(random, length)
}

const numbers = [0, 1, 12, 0x7fffffff, 0x80000000, 0xffffffff]

/** One zone: a ring that a kernel left, or what it may have become. */
const randomZone = (
  random: Random,
  { kind, size }: ModelZone,
  layout: ModelLayout,
  form: CallForm,
): Buffer => {
  const zone = random.bytes(size)
  const length = dataLength(size, layout.ecc, layout.rules)
  const content = contentFor(random, kind, length, layout, form)
  // A ring that has not wrapped usually, and any that is valid sometimes.
  const start = random.below(2) ? content.length : random.below(content.length + 1)
  content.copy(zone, 12 + start, 0)
  content.copy(zone, 12, content.length - start)
  const put = (value: number, at: number): unknown =>
    layout.endian === 'big' ? zone.writeUInt32BE(value, at) : zone.writeUInt32LE(value, at)
  const version = random.pick([
    0x060c00, 0x050a10, 0x030a00, 0x020623, 0x070101, 0xff0101, 0, 0x01ffff, 0x1000000,
  ])
  put((0x43474244 ^ (kind === 'ftrace' ? version : 0)) >>> 0, 0)
  put(start, 4)
  put(content.length, 8)
  if (random.below(8) === 0) put(random.pick([...numbers, length, length + 1]), random.pick([4, 8]))
  if (layout.ecc) addParity(zone, layout.ecc, layout.rules)
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
  const form = random.pick(callFormNames)
  for (const zone of zonesOf(layout)!) {
    if (random.below(10) === 0) continue
    randomZone(random, zone, layout, form).copy(region, zone.offset)
  }
  return region
}
