/** Random EFI variables for tests, in a folder and in a firmware's store. */
import zlib from 'node:zlib'
import type { Random } from '../random.js'
import type { Field } from './damage.js'
import { dumpVendor, ringVendor, type ModelVariable } from './efi.js'
import { guidBytes } from './guid.js'
import { lines } from './make.js'

const otherVendor = '8be4df61-93ca-11d2-aa0d-00e098032b8c'

/** Names as kernels write them and wrote them, and such as sscanf takes, or does not. */
const dumpName = (random: Random): string => {
  // What has a ring's name.
  if (random.below(40) === 0) return `dump-type${random.pick([2, 7, 9])}-0-0-0-D`
  const number = (usual: number): string =>
    random.below(12)
      ? `${random.below(usual)}`
      : random.pick(['', ' 1', '-1', '007', '4294967295', '4294967297', '1e3', '9'.repeat(25)])
  const type = random.below(8) ? 0 : random.below(12)
  const sec = random.below(10)
    ? `${1_700_000_000 + random.below(3)}`
    : random.pick(['0', '18446744073709551615', number(2)])
  const old = random.pick([0, 0, 0, 0, 1, 2])
  const fields = [`dump-type${type}`, number(4)]
  if (old < 2) fields.push(number(3))
  fields.push(sec)
  if (old < 1) fields.push(random.pick(['C', 'C', 'D', 'c', '', ' ', 'Cx', 'D-C']))
  const name = fields.join('-')
  return random.below(20) ? name : name.slice(0, random.below(name.length)) + random.pick(['', '-'])
}

const pieceName = (random: Random, length: number): string => {
  const position = random.below(10)
    ? random.below(1000)
    : random.pick([`0${random.below(10)}`, `${2n ** 62n}`, `${2n ** 62n + 1n}`, '9'.repeat(19)])
  const type = random.pick(['tty', 'tty', 'console', 'pmsg', 'dmesg'])
  return `${type}-${position}-${random.below(10) ? length : random.below(100)}`
}

export const randomVariable = (random: Random): ModelVariable => {
  const vendor = random.pick([dumpVendor, dumpVendor, dumpVendor, ringVendor, otherVendor])
  // Where a kernel was told a larger record size, one whose stream is longer than Linux's own.
  const text = random.below(20)
    ? lines(random, random.pick([0, 1, 10, random.below(5000), random.below(300)]))
    : Buffer.from(random.bytes(random.between(1000, 4000)).toString('hex'))
  if (vendor === ringVendor) return { vendor, name: pieceName(random, text.length), data: text }
  const name = dumpName(random)
  const isStream = /-C/.test(name) !== (random.below(8) === 0)
  const data = isStream ? zlib.deflateRawSync(text) : text
  // Now and then a stream that is cut short.
  return { vendor, name, data: random.below(12) ? data : data.subarray(0, random.below(100)) }
}

/** A folder's files. */
export const randomFiles = (random: Random, count: number): Map<string, Buffer> =>
  new Map(
    Array.from({ length: count }, () => {
      const { vendor, name, data } = randomVariable(random)
      const bytes = Buffer.concat([Buffer.of(7, 0, 0, 0), data])
      const end = random.below(12) ? vendor : random.pick([vendor.toUpperCase(), vendor.slice(1)])
      return [
        `${name}-${end}`,
        random.below(12) ? bytes : bytes.subarray(0, random.below(6)),
      ] as const
    }),
  )

const states = [0x3f, 0x3f, 0x3f, 0x3f, 0x3e, 0x3e, 0x3d, 0x3c, 0x7f, 0xff]

/** A variable as firmware stores it; perhaps another copy of one. */
const stored = (random: Random, hasTime: boolean, before: ModelVariable[]): Buffer => {
  const one = randomVariable(random)
  const { data } = one
  const { vendor, name } = random.below(3) ? one : random.pick([one, ...before])
  before.push(one)
  const text = Buffer.from(`${name}${random.below(12) ? '\0' : ''}`, 'utf16le')
  const sizesAt = hasTime ? 36 : 8
  const header = Buffer.alloc(sizesAt + 24)
  header.writeUInt16LE(0x55aa, 0)
  header[2] = random.pick(states)
  header.writeUInt32LE(7, 4)
  header.writeUInt32LE(text.length, sizesAt)
  header.writeUInt32LE(data.length, sizesAt + 4)
  guidBytes(vendor).copy(header, sizesAt + 8)
  const bytes = Buffer.concat([header, text, data])
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4, 0xff)])
}

/** A volume with a store of either format, erased flash after its variables. */
export const randomStore = (random: Random): Buffer => {
  const hasTime = random.below(2) === 1
  const bytes = Buffer.alloc(random.pick([4096, 16384, 32768]), 0xff)
  const headerLength = 72
  bytes.fill(0, 0, headerLength + 28)
  bytes.writeBigUInt64LE(BigInt(bytes.length), 32)
  bytes.write('_FVH', 40)
  bytes.writeUInt16LE(headerLength, 48)
  guidBytes(
    hasTime ? 'aaf32c78-947b-439a-a180-2e144ec37792' : 'ddcf3616-3275-4164-98b6-fe85707ffe7d',
  ).copy(bytes, headerLength)
  bytes.writeUInt32LE(bytes.length - headerLength, headerLength + 16)
  bytes[headerLength + 20] = 0x5a
  bytes[headerLength + 21] = 0xfe
  let at = headerLength + 28
  const before: ModelVariable[] = []
  for (let left = random.below(30); left > 0; left--) {
    const variable = stored(random, hasTime, before)
    if (at + variable.length > bytes.length) break
    at += variable.copy(bytes, at)
  }
  // The last variable may end where its store does.
  if (random.below(6) === 0) bytes.writeUInt32LE(at - headerLength, headerLength + 16)
  return bytes
}

/** Where numbers of the format lie: both headers, and those of the variables that look like ones. */
export const fieldsOf = (store: Buffer): Field[] => {
  const header = store.readUInt16LE(48)
  const fields: Field[] = [
    { at: 32, width: 8 },
    { at: 48, width: 2 },
    { at: header + 16, width: 4 },
  ]
  const start = Buffer.of(0xaa, 0x55)
  let at = store.indexOf(start, header)
  for (let left = 100; at >= 0 && left > 0; left--, at = store.indexOf(start, at + 2)) {
    fields.push({ at, width: 2 }, { at: at + 2, width: 2 }, { at: at + 4, width: 4 })
    for (const sizes of [8, 36])
      fields.push({ at: at + sizes, width: 4 }, { at: at + sizes + 4, width: 4 })
    // A letter of the name.
    fields.push({ at: at + 60 + 2 * (left % 25), width: 2 })
  }
  return fields
}
