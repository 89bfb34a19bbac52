/** Kernels that KASLR moved: what their addresses are shown as, and which names they have. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { ftraceTextWith } from '#src/decoders/ftrace.js'
import { loadSymbols, type Symbols } from '#src/decoders/kallsyms.js'
import type { KernelOffset } from '#src/pstore/kernel-offset.js'
import { folder } from '../program.js'

const linked = 0xffffffff81000000n
const functions = 64
/** Functions of some hundred bytes, of no common length. */
const places = Array.from({ length: functions + 1 }, () => 0n)
for (let i = 0; i <= functions; i++)
  places[i] = i === 0 ? 0x1000n : places[i - 1] + 16n * BigInt(17 + (i % 5))
const placeOf = (i: number): bigint => places[i]
const hex = (n: bigint): string => BigInt.asUintN(64, n).toString(16).padStart(16, '0')

const tableAt = (start: bigint): string =>
  [
    `${hex(start)} T _text`,
    `${hex(start)} T _stext`,
    ...Array.from({ length: functions }, (_, i) => `${hex(start + placeOf(i))} t f${i}`),
    `${hex(start + placeOf(functions))} T _etext`,
    '',
  ].join('\n')

const symbolsAt = (t: Test, start: bigint, text = tableAt(start)): Symbols =>
  loadSymbols(`${t.testdir({ kallsyms: text })}/kallsyms`)

const record = (ip: bigint, parent: bigint, time: number): Buffer => {
  const bytes = Buffer.alloc(24)
  bytes.writeBigUInt64LE(BigInt.asUintN(64, ip), 0)
  bytes.writeBigUInt64LE(BigInt.asUintN(64, parent), 8)
  bytes.writeBigUInt64LE(BigInt(time) << 8n, 16)
  return bytes
}

/** Records of a kernel whose image starts there: each function, called by the next. */
const recordsAt = (start: bigint, count = functions - 1): Buffer =>
  Buffer.concat(
    Array.from({ length: count }, (_, i) =>
      record(start + placeOf(i) + 4n, start + placeOf(i + 1) + 0x20n, i),
    ),
  )

const show = (
  bytes: Buffer,
  kernel: number,
  symbols?: Symbols,
  offsets: KernelOffset[] = [],
): string[] => {
  const text = ftraceTextWith(symbols)
  const zones = [{ bytes, kernel }]
  const merged = text.merge(zones, 'little', text.form(zones, 'little', undefined))
  return text.render(merged, offsets).all().toString().split('\n').slice(0, -1)
}

const namedLine = (start: bigint, i = 0): RegExp =>
  new RegExp(
    `^CPU:0 ts:${i} ${hex(start + placeOf(i) + 4n)}  ${hex(start + placeOf(i + 1) + 0x20n)}  f${i} <- f${i + 1}\\+0x20/`,
  )
const unnamedLine = (start: bigint): RegExp =>
  new RegExp(
    `^CPU:0 ts:0 ${hex(start + placeOf(0) + 4n)}  ${hex(start + placeOf(1) + 0x20n)}  0x${hex(start + placeOf(0) + 4n)} <- 0x`,
  )

const moved = linked + 0x12a00000n
const near = linked + 0x1600n
const other = linked + 0x5600000n
const told = { offset: moved - linked, base: linked }

t.test('addresses as a boot had them', async t => {
  const bytes = recordsAt(moved)
  const kernel = 0x060c00
  const map = symbolsAt(t, linked)
  t.match(show(bytes, kernel, symbolsAt(t, moved))[0], namedLine(moved), "that boot's symbols")
  t.match(show(bytes, kernel, map, [told])[0], namedLine(moved), 'moved back')
  t.match(show(bytes, kernel, symbolsAt(t, other), [told])[0], namedLine(moved), 'moved on')
  const boots = [{ offset: 0x200000n, base: linked }, told]
  t.match(show(bytes, kernel, map, boots)[5], namedLine(moved, 5), 'what fits of two boots')
  t.match(show(bytes, kernel, map)[0], unnamedLine(moved), 'nobody says how far')
  t.match(show(recordsAt(near), kernel, map)[0], unnamedLine(near), 'names that cannot be right')
  t.match(show(bytes, kernel)[0], unnamedLine(moved), 'no symbols')
  t.match(show(recordsAt(linked), kernel, map, [told])[0], namedLine(linked), 'not moved at all')
  // Few prove nothing, and neither does a table that does not say where the kernel is.
  const few = show(recordsAt(near, 8), kernel, map)
  t.notMatch(few[3], / 0x[0-9a-f]+ <- /)
  const bare = symbolsAt(t, linked, `${hex(1n)} T first\n${hex(2n ** 64n - 16n)} T last\n`)
  t.match(show(bytes, kernel, bare, [told])[0], / first <- first\+0x/)
})

t.test('encoded addresses are those of the boot that the symbols are of', async t => {
  const kernel = 0x070100
  const bytes = Buffer.concat([
    recordsAt(linked),
    // A module's, a program's, and none; one whose sum wraps.
    record(0x7fffffffc0123456n, 0x7f1234567890n, 100),
    record(0n, -1n, 101),
  ])
  for (const start of [linked, moved, other]) {
    const lines = show(bytes, kernel, symbolsAt(t, start))
    t.match(lines[0], namedLine(start))
    t.match(lines[62], namedLine(start, 62))
    t.match(lines[63], /^CPU:0 ts:100 ffffffffc0123456  80007f1234567890  0xffffffffc0123456 <- /)
    const end = BigInt.asUintN(64, start - linked - 1n)
      .toString(16)
      .padStart(8, '0')
    t.match(lines[64], `CPU:0 ts:101 8000000000000000  ${end}  0x8000000000000000 <- 0x`)
  }
  t.match(show(bytes, kernel)[0], unnamedLine(linked), 'without symbols: as it was linked')
  // arm64, whose kernels are linked elsewhere, and are moved further.
  const arm = 0xffff800080000000n
  t.match(
    show(recordsAt(arm), kernel, symbolsAt(t, arm + 0x300012340000n))[0],
    namedLine(arm + 0x300012340000n),
  )
  // A kernel that was linked to start where no other is.
  const odd = 0xffffffff80200000n
  t.match(show(recordsAt(odd), kernel, symbolsAt(t, odd))[0], namedLine(odd))
  t.match(show(recordsAt(linked), 0x0700ff, symbolsAt(t, other))[0], unnamedLine(linked), '7.0')
})

t.test('zones that say nothing of their kernel', async t => {
  const module = record(0x7fffffffc0123456n, 0n, 100)
  const map = symbolsAt(t, linked)
  const boot = symbolsAt(t, moved)
  t.match(show(recordsAt(linked), 0, map)[0], namedLine(linked), 'either')
  t.match(show(recordsAt(linked), 0, boot)[0], namedLine(moved), 'encoded: it fits')
  t.match(show(recordsAt(moved), 0, boot)[0], namedLine(moved), 'not encoded: it fits')
  const encoded = Buffer.concat([recordsAt(linked), module])
  for (const symbols of [undefined, boot])
    t.match(show(encoded, 0, symbols)[63], /^CPU:0 ts:100 ffffffffc0123456  8000000000000000 /)
  const program = Buffer.concat([
    recordsAt(linked),
    record(0x7fff12345678n, 0x7fff00000000ffffn, 100),
  ])
  t.match(show(program, 0)[63], /^CPU:0 ts:100 7fff12345678  7fff00000000ffff /)
})

t.test('big-endian zones that say nothing of their kernel', async t => {
  const text = ftraceTextWith()
  const swap = (bytes: Buffer): Buffer => Buffer.from(bytes).swap64()
  for (const [last, shown] of [
    [record(0x7fffffffc0123456n, 0n, 100), 'ffffffffc0123456  8000000000000000'],
    [record(0x7fff12345678n, 0x7fff00000000ffffn, 100), '7fff12345678  7fff00000000ffff'],
  ] as const) {
    const zones = [{ bytes: swap(Buffer.concat([recordsAt(linked), last])), kernel: 0 }]
    const merged = text.merge(zones, 'big', text.form(zones, 'big', undefined))
    t.match(text.render(merged, []).all().toString(), `CPU:0 ts:100 ${shown}  0x`)
  }
})

t.test('zones of two kernels: each as its own', async t => {
  const text = ftraceTextWith(symbolsAt(t, moved))
  const zones = [
    { bytes: recordsAt(linked), kernel: 0x070100 },
    { bytes: recordsAt(moved), kernel: 0x060c00 },
  ]
  const merged = text.merge(zones, 'little', text.form(zones, 'little', undefined))
  const lines = text.render(merged, []).all().toString().split('\n')
  t.equal(lines.length, 2 * (functions - 1) + 1)
  for (let i = 0; i < functions - 1; i++)
    for (const line of [lines[2 * i], lines[2 * i + 1]])
      if (!namedLine(moved, i).test(line)) t.fail(line)
})

t.test('32-bit kernels are moved, too', async t => {
  const narrow = (start: bigint): Buffer =>
    Buffer.concat(
      Array.from({ length: functions }, (_, i) => {
        const bytes = Buffer.alloc(16)
        bytes.writeUInt32LE(Number(start + placeOf(i)), 0)
        bytes.writeUInt32LE(Number(start + placeOf(i) + 8n), 4)
        bytes.writeUInt32LE(i << 8, 8)
        return bytes
      }),
    )
  const start = 0xc1000000n
  const text = tableAt(start).replaceAll(/^0{8}/gm, '')
  const symbols = symbolsAt(t, start, text)
  const offsets = [{ offset: 0x5000000n, base: start }]
  t.match(
    show(narrow(0xc6000000n), 0x060c00, symbols, offsets)[1],
    / c6001120  c6001128  f1 <- f1\+0x8\//,
  )
  t.match(show(narrow(0xc6000000n), 0x060c00, symbols)[1], / c6001120  c6001128  0xc6001120 <- 0x/)
})

t.test("a store's dumps and console say how far its kernel was moved", async t => {
  const dir = folder(t)
  const path = `${dir}/region.img`
  fs.writeFileSync(`${dir}/System.map`, tableAt(linked))
  const layout: AttachOptions = {
    record_size: 4096,
    console_size: 4096,
    pmsg_size: 0,
    ftrace_size: 4096,
    order: ['ftrace', 'console', 'dmesg'],
  }
  const line = `Kernel Offset: 0x${told.offset.toString(16)} from 0x${linked.toString(16)}\n`
  const name = 'ftrace-ramoops-0'
  const read = (): string => {
    const backend = attach(path, { ...layout, kallsyms: `${dir}/System.map` })
    const text = backend.find(name)!.read().toString()
    backend.close()
    return text
  }
  for (const [type, times] of [
    ['dmesg', 1],
    ['dmesg', 14],
    ['console', 20],
  ] as const) {
    fs.rmSync(path, { force: true })
    format(path, { ...layout, mem_size: 30 * 4096 })
    const backend = attach(path, layout)
    backend.write({ type: 'ftrace', bytes: recordsAt(moved) })
    backend.close()
    t.match(read(), unnamedLine(moved), 'before anybody says')
    const writer = attach(path, layout)
    for (let n = 0; n < times; n++)
      writer.write({ type, bytes: Buffer.from(`Panic#1 Part1\n${line}`) })
    writer.close()
    t.match(read(), namedLine(moved), `${type}, ${times}`)
  }
  fs.rmSync(path)
  format(path, { ...layout, mem_size: 6 * 4096 })
  const backend = attach(path, layout)
  backend.write({ type: 'ftrace', bytes: recordsAt(moved) })
  backend.write({ type: 'console', bytes: Buffer.from(line) })
  backend.write({ type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\n') })
  t.match(read(), namedLine(moved), 'the console says it')
  // What has gone says nothing, and hides nothing.
  const short = attach(path, { ...layout, kallsyms: `${dir}/System.map` })
  fs.truncateSync(path, 2 * 4096)
  t.match(short.open(name)!.content.all().toString(), namedLine(moved), 'no dumps any more')
  short.close()
  backend.close()
  // No console, and nobody who says it; the machine's words as a user says them.
  fs.rmSync(path)
  format(path, { ...layout, console_size: 0, mem_size: 6 * 4096 })
  const mute = attach(path, { ...layout, console_size: 0, word_size: 32 })
  mute.write({ type: 'ftrace', bytes: recordsAt(linked) })
  t.match(mute.find(name)!.read().toString(), /^CPU:/)
  t.equal(mute.find(name)!.size, 63 * 24 - ((63 * 24) % 16))
  mute.close()
})
