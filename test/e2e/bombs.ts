/** Dumps that are as short as each codec can make them: bombs, for test/e2e/limits.test.ts. */
import zlib from 'node:zlib'
import { crc32be } from '#src/pstore/codecs/crc32.js'

const title = Buffer.from('Panic#1 Part1\n')

/** What a length has beyond what an instruction holds, 255 a byte. */
const lengthBytes = (rest: number, filler: number): Buffer =>
  Buffer.concat([Buffer.alloc(Math.floor(rest / 255), filler), Buffer.of(rest % 255)])

/** The title and one byte, which a match repeats; five more literals end a block. */
const lz4 = (length: number): Buffer => {
  const [first, last] = [Buffer.from([...title, 0x0a]), Buffer.alloc(5, '\n')]
  const match = length - first.length - last.length
  return Buffer.concat([
    Buffer.of(0xff, 0),
    first,
    Buffer.of(1, 0),
    lengthBytes(match - 19, 255),
    Buffer.of(5 << 4),
    last,
  ])
}

/** The title, which ends in the byte that one match repeats. A length's last byte is not 0. */
const lzo = (length: number): Buffer => {
  const rest = length - title.length - 33
  return Buffer.concat([
    Buffer.of(17 + title.length),
    title,
    Buffer.of(0x20),
    lengthBytes(rest - (rest % 255 === 0 ? 1 : 0), 0),
    Buffer.of(0, 0, 0x11, 0, 0),
  ])
}

/** Two groups, and the last of them 64 times with each instruction. The text's length is rounded down to that. */
const e842 = (length: number): Buffer => {
  const groups = Buffer.concat([title, Buffer.alloc(2, '\n')])
  const times = Math.floor((length - groups.length) / 512)
  let crc = crc32be(0, groups)
  const repeated = Buffer.alloc(512, groups.subarray(8))
  for (let i = 0; i < times; i++) crc = crc32be(crc, repeated)
  const bits = (n: number, width: number): string => n.toString(2).padStart(width, '0')
  const literal = (group: Buffer): string => Array.from(group, byte => bits(byte, 8)).join('')
  const stored = [0, 8].map(at => bits(0, 5) + literal(groups.subarray(at, at + 8)))
  const all = stored.join('') + '11011111111'.repeat(times) + bits(0x1e, 5) + bits(crc, 32)
  const bytes = all.padEnd(Math.ceil(all.length / 64) * 64, '0').match(/.{8}/g)!
  return Buffer.from(bytes.map(byte => Number.parseInt(byte, 2)))
}

/** A window of 8 MiB, which is the most that is kept, and blocks of one byte repeated. */
const zstd = (length: number): Buffer => {
  const block = (type: number, size: number, last = false): Buffer => {
    const header = Buffer.alloc(3)
    header.writeUIntLE((size << 3) | (type << 1) | Number(last), 0, 3)
    return header
  }
  const parts = [Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3), block(0, title.length), title]
  for (let left = length - title.length; left > 0; left -= 1 << 17)
    parts.push(block(1, Math.min(left, 1 << 17), left <= 1 << 17), Buffer.from('\n'))
  return Buffer.concat(parts)
}

/** By codec: a sound stream of a dump of so many bytes. */
export const bombs: { readonly [codec: string]: (length: number) => Buffer } = {
  zlib: length => zlib.deflateSync(Buffer.concat([title, Buffer.alloc(length - title.length)])),
  zstd,
  lz4,
  lzo,
  842: e842,
}
