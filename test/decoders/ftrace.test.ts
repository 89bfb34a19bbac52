/** ftrace's records: merged as Linux merges them, printed as it prints them. */
import t from 'tap'
import { ftraceTextWith } from '#src/decoders/ftrace.js'
import { loadSymbols, type Symbols } from '#src/decoders/kallsyms.js'
import type { FtraceRecords, RenderedFtrace } from '#src/pstore/ftrace.js'
import type { Endian } from '#src/pstore/types.js'
import { randomFor, type Random } from '../random.js'
import { measureWork } from '../work.js'

/** Bytes of a 64-bit machine's record. */
const recordSize = 24
/** Linux 6.12. */
const kernel = 0x60c00

const merge = (zones: readonly Buffer[], endian: Endian): FtraceRecords => {
  const text = ftraceTextWith()
  const filled = zones.filter(({ length }) => length > 0).map(bytes => ({ bytes, kernel }))
  return text.merge(filled, endian, text.form(filled, endian, 64))
}
const mergeFtrace = (zones: readonly Buffer[], endian: Endian): Buffer => merge(zones, endian).bytes
const render = (records: Buffer, endian: Endian, symbols?: Symbols): RenderedFtrace =>
  ftraceTextWith(symbols).render(merge([records], endian), [])
const renderFtrace = (...args: Parameters<typeof render>): Buffer => render(...args).all()

/** Lines of the kernel's kallsyms, about the records below. */
const kallsyms = `\
ffffffff81000000 T startup_64
ffffffff81000000 T _stext
ffffffff810e9b80 t __get_next_timer_interrupt
ffffffff810e9df0 t __mod_timer
ffffffff810ebb30 T hrtimer_get_next_event
ffffffff810ebbd0 T hrtimer_next_event_without
ffffffff810ff3d0 T tmigr_cpu_new_timer
ffffffff810ff570 T tmigr_cpu_deactivate
ffffffff8159fcf0 T _raw_spin_unlock_irqrestore
ffffffff8159fcf0 T __lock_text_start
ffffffff8159fd10 T _raw_write_unlock_irqrestore
ffffffff815a00d0 T _raw_spin_lock
ffffffff815a0100 T _raw_spin_lock_bh
ffffffff81800000 T _etext
ffffffff81800000 D __start_rodata
`

/** The oldest records of CPUs 0 and 2, as a kernel left them, and what it then showed of them. */
const zones = [
  'f4fc5981ffffffff79bb0e81ffffffff005d703200000000' +
    'd4005a81ffffffffe49b0e81ffffffff006e713200000000' +
    'd4005a81ffffffffec9b0e81ffffffff006f713200000000' +
    'd4005a81ffffffff1bf40f81ffffffff0071713200000000',
  '',
  'f4fc5981ffffffff79bb0e81ffffffff0258703200000000' +
    'd4005a81ffffffffe49b0e81ffffffff0270713200000000' +
    'd4005a81ffffffffec9b0e81ffffffff0272713200000000',
].map(hex => Buffer.from(hex, 'hex'))
const text = `\
CPU:2 ts:3305560 ffffffff8159fcf4  ffffffff810ebb79  _raw_spin_unlock_irqrestore <- hrtimer_get_next_event+0x49/0xa0
CPU:0 ts:3305565 ffffffff8159fcf4  ffffffff810ebb79  _raw_spin_unlock_irqrestore <- hrtimer_get_next_event+0x49/0xa0
CPU:0 ts:3305838 ffffffff815a00d4  ffffffff810e9be4  _raw_spin_lock <- __get_next_timer_interrupt+0x64/0x270
CPU:0 ts:3305839 ffffffff815a00d4  ffffffff810e9bec  _raw_spin_lock <- __get_next_timer_interrupt+0x6c/0x270
CPU:2 ts:3305840 ffffffff815a00d4  ffffffff810e9be4  _raw_spin_lock <- __get_next_timer_interrupt+0x64/0x270
CPU:0 ts:3305841 ffffffff815a00d4  ffffffff810ff41b  _raw_spin_lock <- tmigr_cpu_new_timer+0x4b/0x1a0
CPU:2 ts:3305842 ffffffff815a00d4  ffffffff810e9bec  _raw_spin_lock <- __get_next_timer_interrupt+0x6c/0x270
`

/** The same numbers, as a big-endian machine keeps them. */
const swap = (records: Buffer): Buffer => Buffer.from(records).swap64()

t.test('as the kernel showed them', async t => {
  const symbols = loadSymbols(`${t.testdir({ kallsyms })}/kallsyms`)
  t.equal(renderFtrace(mergeFtrace(zones, 'little'), 'little', symbols).toString(), text)
  t.equal(renderFtrace(mergeFtrace(zones.map(swap), 'big'), 'big', symbols).toString(), text)

  // What a ring's end cut in two is lost in front.
  const odd = zones.map((zone, i) => Buffer.concat([Buffer.alloc(7 * i + 1, 0xff), zone]))
  t.equal(renderFtrace(mergeFtrace(odd, 'little'), 'little', symbols).toString(), text)
  const ends = Buffer.concat([Buffer.alloc(23), zones[2]])
  t.match(renderFtrace(ends, 'little', symbols).toString(), /^CPU:2 ts:3305560 .*\n.*\n.*\n$/)
})

t.test('nonsense, as the kernel showed it', async t => {
  // Records of which one byte or more is gone, and the notice of a zone with parity.
  for (const [hex, line] of [
    [
      '025981ffffffff14195981ffffffff000fb7320000000054',
      'CPU:15 ts:23643898043708087 14ffffffff815902  ffffffff815919  0x14ffffffff815902 <- 0xffffffff815919',
    ],
    [
      'fffaeb2581ffffffff0117021a0000000020e62581ffffff',
      'CPU:0 ts:72057591909705248 ffffff8125ebfaff  1a021701ff  0xffffff8125ebfaff <- 0x1a021701ff',
    ],
    [
      '4543433a204e6f206572726f72732064657465637465640a',
      'CPU:101 ts:2925136674252148 206f4e203a434345  642073726f727265  0x206f4e203a434345 <- 0x642073726f727265',
    ],
  ])
    t.equal(renderFtrace(Buffer.from(hex, 'hex'), 'little').toString(), `${line}\n`)
})

t.test('small and large numbers', async t => {
  const record = (ip: bigint, parent: bigint, time: bigint, cpu: bigint): Buffer => {
    const bytes = Buffer.alloc(recordSize)
    bytes.writeBigUInt64LE(ip, 0)
    bytes.writeBigUInt64LE(parent, 8)
    bytes.writeBigUInt64LE((time << 8n) | cpu, 16)
    return bytes
  }
  const line = (bytes: Buffer): string => renderFtrace(bytes, 'little').toString()
  t.equal(line(record(0n, 0xabcdn, 0n, 0n)), 'CPU:0 ts:0 00000000  0000abcd  0x0 <- 0xabcd\n')
  for (const time of [1n, 2n ** 24n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 56n - 1n])
    t.equal(
      line(record(0x12345678n, 0x123456789n, time, 255n)),
      `CPU:255 ts:${time} 12345678  123456789  0x12345678 <- 0x123456789\n`,
    )
})

t.test('in pieces, from anywhere', async t => {
  const random = randomFor(t)
  const records = random.bytes(recordSize * 5000)
  const content = (): RenderedFtrace => render(records, 'little')
  const text = content().all()
  const one = content()
  for (let n = 0; n < 300; n++) {
    const offset = random.below(text.length + 10)
    const length = 1 + random.below(200_000)
    const piece = one.slice(offset, length)
    if (piece.length === 0 ? offset < text.length : piece.length > length) t.fail(`at ${offset}`)
    if (!piece.equals(text.subarray(offset, offset + piece.length))) t.fail(`at ${offset}`)
  }
  t.equal(one.slice(text.length, 1).length, 0)
  t.equal(one.slice(text.length - 1, 5).toString(), '\n')
})

t.test('nothing, and less than a record', async t => {
  for (const zones of [[], [Buffer.alloc(0)], [Buffer.alloc(23), Buffer.alloc(1)]])
    t.equal(mergeFtrace(zones, 'little').length, 0)
  t.equal(renderFtrace(Buffer.alloc(0), 'little').length, 0)
  t.equal(renderFtrace(Buffer.alloc(23), 'big').length, 0)
})

/** fs/pstore/ftrace.c, pstore_ftrace_combine_log: two zones, or what was merged so far and a zone. */
const combine = (earlier: Buffer, later: Buffer, endian: Endian): Buffer => {
  const split = (bytes: Buffer): Buffer[] => {
    const records: Buffer[] = []
    for (let at = bytes.length % recordSize; at < bytes.length; at += recordSize)
      records.push(bytes.subarray(at, at + recordSize))
    return records
  }
  const time = (record: Buffer): bigint =>
    (endian === 'little' ? record.readBigUInt64LE(16) : record.readBigUInt64BE(16)) >> 8n
  const [a, b] = [split(earlier), split(later)]
  const merged: Buffer[] = []
  while (a.length && b.length) merged.push((time(a[0]) < time(b[0]) ? a : b).shift()!)
  return Buffer.concat([...merged, ...a, ...b])
}

t.test('one merge over all zones is what Linux gets two by two', async t => {
  const random = randomFor(t)
  const zone = (random: Random, endian: Endian): Buffer => {
    // Bytes of any kind; times are few, so that many are equal, or any; in order, or not.
    const bytes = random.bytes(random.below(30 * recordSize))
    const kind = random.pick(['any', 'few', 'rising', 'upper'])
    let time = BigInt(random.below(10))
    for (
      let at = bytes.length % recordSize;
      at < bytes.length && kind !== 'any';
      at += recordSize
    ) {
      if (kind === 'rising') time += BigInt(random.below(3))
      else time = BigInt(random.below(4)) << (kind === 'upper' ? 40n : 0n)
      const value = (time << 8n) | BigInt(random.below(256))
      if (endian === 'little') bytes.writeBigUInt64LE(value, at + 16)
      else bytes.writeBigUInt64BE(value, at + 16)
    }
    return bytes
  }
  for (let round = 0; round < 300; round++) {
    const endian = random.pick(['little', 'big'] as const)
    const zones = Array.from({ length: random.below(12) }, () => zone(random, endian))
    const expected = zones.reduce((merged, zone) => combine(merged, zone, endian), Buffer.alloc(0))
    if (!mergeFtrace(zones, endian).equals(expected)) t.fail(`round ${round}`)
  }
})

t.test('any records, line by line', async t => {
  const symbols = loadSymbols(`${t.testdir({ kallsyms })}/kallsyms`)
  const random = randomFor(t)
  // More addresses than are remembered; some often, some alike in their lower halves. Functions are called
  // where they begin: else the names would be taken for another boot's.
  const count = 20000
  const records = random.bytes(count * recordSize + 5)
  for (let at = 5; at < records.length; at += recordSize)
    for (const offset of [0, 8]) {
      const kind = random.pick(['any', 'lower', 'few', 'function'])
      if (offset === 0 && kind !== 'any')
        records.writeBigUInt64LE(
          random.pick([0xffffffff810e9b80n, 0xffffffff8159fcf0n, 0x81000000n]) +
            BigInt(random.below(kind === 'few' ? 4 : 32)),
          at,
        )
      else if (kind === 'lower') records.writeUInt32LE(0x810ebb30, at + offset)
      else if (kind !== 'any')
        records.writeBigUInt64LE(
          0xffffffff810e9b80n + BigInt(random.below(kind === 'few' ? 16 : 30000)),
          at + offset,
        )
    }
  const lines = renderFtrace(records, 'little', symbols).toString().split('\n')
  t.equal(lines.length, count + 1)
  t.equal(lines.pop(), '')
  let wrong = 0
  lines.forEach((line, i) => {
    const at = 5 + i * recordSize
    const halves = (offset: number): [number, number] => [
      records.readUInt32LE(at + offset + 4),
      records.readUInt32LE(at + offset),
    ]
    const padded = (offset: number): string =>
      records
        .readBigUInt64LE(at + offset)
        .toString(16)
        .padStart(8, '0')
    const unnamed = (offset: number): string =>
      `0x${records.readBigUInt64LE(at + offset).toString(16)}`
    const expected =
      `CPU:${records[at + 16]} ts:${records.readBigUInt64LE(at + 16) >> 8n} ${padded(0)}  ${padded(8)}  ` +
      `${symbols.name(...halves(0)) ?? unnamed(0)} <- ${symbols.nameAndOffset(...halves(8)) ?? unnamed(8)}`
    if (line !== expected && wrong++ === 0) t.equal(line, expected, `line ${i}`)
  })
})

t.test('many zones of many records cost no more than one', async t => {
  // Two by two, each record would be moved some 500 times.
  const count = 400
  const zones = Array.from({ length: 1024 }, (_, cpu) => {
    const zone = Buffer.alloc(count * recordSize)
    for (let i = 0; i < count; i++) zone.writeUInt32LE((i * 1024 + cpu) * 8, i * recordSize + 17)
    return zone
  })
  const work = measureWork()
  const merged = mergeFtrace(zones, 'little')
  t.ok(work() < 10_000)
  t.equal(merged.length, 1024 * count * recordSize)
  for (let i = 1; i < 1024 * count; i++)
    if (merged.readUInt32LE(i * recordSize + 17) <= merged.readUInt32LE((i - 1) * recordSize + 17))
      return t.fail(`record ${i}`)
})
