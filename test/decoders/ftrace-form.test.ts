/** The forms of ftrace's records, told by their bytes. */
import t from 'tap'
import { ftraceTextWith } from '#src/decoders/ftrace.js'
import type { FtraceZone, WordSize } from '#src/pstore/ftrace.js'
import type { Endian } from '#src/pstore/types.js'
import { ftraceText } from '../model/ftrace.js'
import { callFormNames, calls } from '../model/make.js'
import { randomFor } from '../random.js'

/** Words of 1, 4 or 8 bytes, in a machine's order. */
const words = (endian: Endian, ...list: [value: bigint | number, width: number][]): Buffer =>
  Buffer.concat(
    list.map(([value, width]) => {
      const bytes = Buffer.alloc(width)
      for (let i = 0; i < width; i++)
        bytes[i] = Number((BigInt.asUintN(64, BigInt(value)) >> BigInt(8 * i)) & 0xffn)
      return endian === 'big' ? bytes.reverse() : bytes
    }),
  )

const show = (zones: FtraceZone[], endian: Endian, wordSize?: WordSize): string[] => {
  const text = ftraceTextWith()
  const form = text.form(zones, endian, wordSize)
  const shown = text
    .render(text.merge(zones, endian, form), [])
    .all()
    .toString()
  return [String(form.size), ...shown.split('\n').slice(0, -1)]
}

const endians = ['little', 'big'] as const

t.test('each form, as its kernel would show it', async t => {
  const wide = 0xffffffff81000010n
  const cases: {
    of: string
    kernel: number
    record: (i: number) => [value: bigint | number, width: number][]
    size: number
    lines: string[]
  }[] = [
    {
      of: '64 bits',
      kernel: 0x060c00,
      record: i => [
        [wide, 8],
        [wide + 7n, 8],
        [((1000 + i) << 8) | 3, 8],
      ],
      size: 24,
      lines: [1000, 1001, 1002].map(
        time =>
          `CPU:3 ts:${time} ffffffff81000010  ffffffff81000017  0xffffffff81000010 <- 0xffffffff81000017`,
      ),
    },
    {
      of: '32 bits',
      kernel: 0x060c00,
      record: i => [
        [0xc1000010, 4],
        [0x8048000 + i, 4],
        [((1000 + i) << 8) | 2, 8],
      ],
      size: 16,
      lines: [0, 1, 2].map(
        i => `CPU:2 ts:${1000 + i} c1000010  0804800${i}  0xc1000010 <- 0x804800${i}`,
      ),
    },
    {
      of: 'ARM of four CPUs',
      kernel: 0x050400,
      record: i => [
        [0xc0100010 + i, 4],
        [0xc0100020, 4],
        [1000 + i, 8],
      ],
      size: 16,
      lines: [0, 1, 2].map(
        i => `CPU:${i} ts:${1000 + i} c010001${i}  c0100020  0xc010001${i} <- 0xc0100020`,
      ),
    },
    {
      of: 'Thumb of two CPUs',
      kernel: 0x050400,
      record: i => [
        [0xc0100010 + i, 4],
        [0xc0100021, 4],
        [2n ** 32n + BigInt(i), 8],
      ],
      size: 16,
      lines: [0, 1, 2].map(
        i => `CPU:${i & 1} ts:${4294967296 + i} c010001${i}  c0100021  0xc010001${i} <- 0xc0100021`,
      ),
    },
    {
      of: '64 bits before 4.10',
      kernel: 0x040900,
      record: i => [
        [wide, 8],
        [wide, 8],
        [i, 4],
        [0, 4],
      ],
      size: 24,
      lines: [0, 1, 2].map(
        i =>
          `CPU:${i} ts:0 ffffffff81000010  ffffffff81000010  0xffffffff81000010 <- 0xffffffff81000010`,
      ),
    },
    {
      of: '32 bits before 4.10',
      kernel: 0x030a00,
      record: i => [
        [0xc1000010, 4],
        [0xc1000020, 4],
        [i, 4],
      ],
      size: 12,
      lines: [0, 1, 2].map(i => `CPU:${i} ts:0 c1000010  c1000020  0xc1000010 <- 0xc1000020`),
    },
    {
      of: 'ARM before 4.10',
      kernel: 0x030a00,
      record: i => [
        [0xc0100010 + i, 4],
        [0xc0100020, 4],
      ],
      size: 8,
      lines: [0, 1, 2].map(i => `CPU:${i} ts:0 c010001${i}  c0100020  0xc010001${i} <- 0xc0100020`),
    },
  ]
  for (const { of, kernel, record, size, lines } of cases)
    for (const endian of endians) {
      const records = [0, 1, 2].map(i => words(endian, ...record(i)))
      // What does not divide is in front.
      for (const torn of [0, 3])
        t.same(
          show([{ bytes: Buffer.concat([Buffer.alloc(torn, 0xc3), ...records]), kernel }], endian),
          [String(size), ...lines],
          `${of}, ${endian}, ${torn}`,
        )
      // The same from any number of zones; those without a time one after the other.
      const zones = records.map(bytes => ({ bytes, kernel }))
      const wordSize = size === 24 ? 64 : 32
      const [, ...merged] = show(zones, endian, wordSize)
      if (!of.includes('ARM') && !of.includes('Thumb')) t.same(merged, lines, `${of}, merged`)
    }
})

t.test('what tells nothing is of 64 bits, unless a user says more', async t => {
  const kernel = 0x060c00
  const size = (bytes: Buffer, wordSize?: WordSize, of = kernel): string | undefined =>
    show(bytes.length > 0 ? [{ bytes, kernel: of }] : [], 'little', wordSize)[0]
  for (const of of [kernel, 0x030000]) {
    t.equal(size(Buffer.alloc(0), undefined, of), '24')
    t.equal(size(Buffer.alloc(96), undefined, of), '24')
    t.equal(size(Buffer.alloc(96, 0x25), undefined, of), '24')
    t.equal(size(Buffer.alloc(96), 64, of), '24')
  }
  t.equal(size(Buffer.alloc(96), 32), '16')
  t.equal(size(Buffer.alloc(96), 32, 0x030000), '12')
  // The end of a larger record, whose words are halves of addresses, is none of a small one.
  const end = words('little', [0x81000010, 4], [0xffffffff, 4], [7 << 8, 8])
  t.equal(size(end), '24')
  t.equal(size(words('little', [0xc1000010, 4], [0xc1000020, 4], [7 << 8, 8])), '16')
  // Kernels before 4.10 that have its time, as vendors' do.
  t.equal(
    show([{ bytes: calls(randomFor(t), 960, 'big', 'wide'), kernel: 0x040900 }], 'big')[0],
    '24',
  )
})

t.test('a CPU before 4.10 is printed as a signed number', async t => {
  const address = 0xffffffff81000010n
  const record = (cpu: number): Buffer =>
    words('little', [address, 8], [address, 8], [cpu, 4], [0, 4])
  const bytes = Buffer.concat([
    ...[0, 1, 2, 3, 4, 5].map(record),
    record(0xffffffff),
    record(2 ** 31),
  ])
  const lines = show([{ bytes, kernel: 0x030a00 }], 'little')
  t.match(lines.at(-2), /^CPU:-1 ts:0 /)
  t.match(lines.at(-1), /^CPU:-2147483648 ts:0 /)
})

t.test('any time is printed whole', async t => {
  for (const time of [0n, 10n ** 9n, 10n ** 18n, 10n ** 18n + 7n, 2n ** 63n, 2n ** 64n - 1n]) {
    // Where most times are small, one may be anything.
    const small = Array.from({ length: 8 }, (_, i) =>
      words('little', [0xc0100010, 4], [0xc0100020, 4], [i, 8]),
    )
    const odd = words('little', [0xc0100010, 4], [0xc0100020, 4], [time, 8])
    const bytes = Buffer.concat([odd, ...small])
    t.match(show([{ bytes, kernel: 0 }], 'little')[1], new RegExp(`^CPU:0 ts:${time} c0100010 `))
  }
})

t.test('any zones, as a second reading has them', async t => {
  const random = randomFor(t)
  const kernels = [0, 0x020623, 0x030a00, 0x040900, 0x040a00, 0x060c00, 0x070100, 0x07020d]
  for (let round = 0; round < 200; round++) {
    const endian = random.pick(endians)
    const form = random.pick(callFormNames)
    const kernel = random.pick(kernels)
    const zones = Array.from({ length: random.between(1, 20) }, () => {
      const length = random.pick([random.between(1, 60), random.between(1, 2000)])
      const bytes = random.below(12) ? calls(random, length, endian, form) : random.bytes(length)
      for (let n = random.below(4); n > 0; n--)
        bytes[random.below(length)] = random.pick([0, 0x7f, 0x80, 0xff])
      // pstore_blk's zones are all without a version.
      const other = kernel && !random.below(8) ? random.pick(kernels.slice(1)) : kernel
      return { bytes, kernel: other }
    })
    const expected = ftraceText(zones, endian)
    const [, ...lines] = show(zones, endian)
    if (lines.map(line => `${line}\n`).join('') !== expected.text)
      t.fail(`round ${round}: ${form}, ${endian}, ${kernel.toString(16)}`)
  }
})

t.test('the ends of the first zones tell as much as all', async t => {
  const random = randomFor(t)
  const text = ftraceTextWith()
  for (let round = 0; round < 50; round++) {
    const kernel = random.pick([0x030a00, 0x060c00])
    const zones = Array.from({ length: random.between(1, 40) }, () => ({
      bytes: random.below(5)
        ? calls(random, random.between(1, 9000), 'little')
        : random.bytes(random.between(1, 9000)),
      kernel,
    }))
    const ends = zones
      .slice(0, 16)
      .map(zone => ({ kernel, bytes: Buffer.from(zone.bytes.subarray(-1536)) }))
    t.same(text.form(ends, 'little', undefined), text.form(zones, 'little', undefined))
  }
})
