/** ELF cores: where memory is in them, and what is none. */
import t, { type Test } from 'tap'
import { elfSegments } from '#src/backends/ramoops/probe/elf.js'
import type { Segment } from '#src/backends/ramoops/probe/segments.js'
import { probeSource } from '#src/index.js'
import { Region } from '#src/region/region.js'
import { loadFixture } from '../../fixtures.js'
import { file } from '../../program.js'

interface MadeSegment {
  type?: number
  offset: number
  address: number
  length: number
}

interface Form {
  bits: 32 | 64
  endian: 'little' | 'big'
}

const core = 4
const load = 1

/** A core (elf(5)), its memory zeros. */
const makeCore = ({ bits, endian }: Form, segments: MadeSegment[], size = 4096): Buffer => {
  const bytes = Buffer.alloc(size)
  const u16 = (value: number, at: number): unknown =>
    endian === 'big' ? bytes.writeUInt16BE(value, at) : bytes.writeUInt16LE(value, at)
  const u32 = (value: number, at: number): unknown =>
    endian === 'big' ? bytes.writeUInt32BE(value, at) : bytes.writeUInt32LE(value, at)
  const u64 = (value: number, at: number): unknown =>
    endian === 'big'
      ? bytes.writeBigUInt64BE(BigInt(value), at)
      : bytes.writeBigUInt64LE(BigInt(value), at)
  bytes.write('\x7fELF', 'latin1')
  bytes[4] = bits / 32
  bytes[5] = endian === 'big' ? 2 : 1
  u16(core, 16)
  if (bits === 64) {
    u64(64, 32)
    u16(56, 54)
    u16(segments.length, 56)
  } else {
    u32(64, 28)
    u16(32, 42)
    u16(segments.length, 44)
  }
  for (const [i, { type = load, offset, address, length }] of segments.entries()) {
    const at = 64 + i * (bits === 64 ? 56 : 32)
    u32(type, at)
    if (bits === 64) {
      u64(offset, at + 8)
      u64(address, at + 24)
      u64(length, at + 32)
    } else {
      u32(offset, at + 4)
      u32(address, at + 12)
      u32(length, at + 16)
    }
  }
  return bytes
}

const segmentsIn = (t: Test, bytes: Buffer): Segment[] | null => {
  const region = new Region(file(t, bytes))
  t.teardown(() => region.close())
  return elfSegments(region)
}

const forms: Form[] = [
  { bits: 64, endian: 'little' },
  { bits: 64, endian: 'big' },
  { bits: 32, endian: 'little' },
  { bits: 32, endian: 'big' },
]

t.test('the memory in a core', async t => {
  for (const form of forms)
    t.same(
      segmentsIn(
        t,
        makeCore(form, [
          { offset: 2048, address: 0x80000000, length: 1024 },
          { type: 4, offset: 600, address: 0, length: 100 },
          { offset: 1024, address: 0x1000, length: 1024 },
          { offset: 1500, address: 0x9000, length: 100 },
          { offset: 3072, address: 0xa000, length: 0xffffff },
          { offset: 4096, address: 0xb000, length: 1 },
        ]),
      ),
      [
        { offset: 1024, address: 0x1000, length: 1024 },
        { offset: 2048, address: 0x80000000, length: 1024 },
        { offset: 3072, address: 0xa000, length: 1024 },
      ],
      `${form.bits} bits, ${form.endian}: no notes, nothing twice, nothing beyond the file`,
    )
})

t.test('a region in a core, and the address that it had', async t => {
  const region = loadFixture('all-noecc').region()
  const segment = { offset: 8192, address: 0x8000000, length: region.length }
  const source = makeCore(forms[0], [segment], 8192 + region.length)
  region.copy(source, 8192)
  const { regions } = probeSource(file(t, source))
  t.match(regions, [{ mem_address: 8192, mem_size: region.length, certain: true }])
  t.match(regions[0].evidence[0], /^mem_address: 0x2000, which was address 0x8000000: /)
})

t.test('what is no core is memory itself', async t => {
  const [form] = forms
  const cases: [what: string, edit: (bytes: Buffer) => Buffer | void][] = [
    ['shorter than a header', bytes => bytes.subarray(0, 63)],
    ['another beginning', bytes => void bytes.write('\x7fELf', 'latin1')],
    ['neither 32 nor 64 bits', bytes => void (bytes[4] = 3)],
    ['no byte order', bytes => void (bytes[5] = 3)],
    ['a program', bytes => void bytes.writeUInt16LE(2, 16)],
    ['entries too small', bytes => void bytes.writeUInt16LE(55, 54)],
    ['a table behind the end', bytes => void bytes.writeBigUInt64LE(4090n, 32)],
    ['a table beyond 2^53', bytes => void bytes.writeBigUInt64LE(2n ** 64n - 1n, 32)],
    ['a table too long', bytes => void bytes.writeUInt16LE(0xffff, 56)],
  ]
  for (const [what, edit] of cases) {
    const bytes = makeCore(form, [{ offset: 1024, address: 0, length: 1024 }])
    t.equal(segmentsIn(t, edit(bytes) ?? bytes), null, what)
  }
})
