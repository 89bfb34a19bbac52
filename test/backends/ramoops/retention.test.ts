/** `retention`: bits that a reset loses, counted a second time from the bytes before and after it. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { testRetention } from '#src/attach.js'
import { refuseUsed, testRegion } from '#src/backends/ramoops/retention/index.js'
import { Region } from '#src/region/region.js'
import { file, folder, pstorefs, succeed } from '../../program.js'
import { randomFor } from '../../random.js'

const page = 4096
const layout: AttachOptions = {
  record_size: 16384,
  console_size: 16384,
  pmsg_size: 8192,
  ftrace_size: 0,
  ecc: 8,
}
const flags = Object.entries(layout).flatMap(([name, value]) => [`--${name}`, String(value)])
const first = { again: false, force: false }

/** A region with a pattern; its length is no multiple of a page. */
const make = (t: Test, length = 65536 + 100): { path: string; before: Buffer } => {
  const path = file(t, Buffer.alloc(length))
  t.match(testRetention(path, {}, first), { written: { length } })
  return { path, before: fs.readFileSync(path) }
}

const report = (path: string, options: AttachOptions = {}) => {
  const before = fs.readFileSync(path)
  const test = testRetention(path, options, first)
  if (!('found' in test)) throw new Error('a pattern was written')
  if (!fs.readFileSync(path).equals(before)) throw new Error('it was changed')
  return test.found
}

/** One at a time, as slowly as can be. */
const bitsOf = (bytes: Buffer): string[] =>
  [...bytes].map(byte => byte.toString(2).padStart(8, '0'))

/** What is lost, from the bytes alone. */
const model = (before: Buffer, after: Buffer) => {
  let [toZero, toOne] = [0, 0]
  const perPage = new Map<number, number>()
  const [was, is] = [bitsOf(before), bitsOf(after)]
  for (const [at, bits] of was.entries())
    for (const [i, bit] of [...bits].entries()) {
      if (is[at]![i] === bit) continue
      if (bit === '1') toZero++
      else toOne++
      perPage.set(Math.floor(at / page), (perPage.get(Math.floor(at / page)) ?? 0) + 1)
    }
  const lost = [...perPage].filter(
    ([n, bits]) => bits > 2 * Math.min(page, before.length - n * page),
  )
  return { toZero, toOne, changedPages: perPage.size, lostPages: lost.length, perPage }
}

t.test('bits by direction, pages and ranges: random losses', async t => {
  const random = randomFor(t)
  for (let round = 0; round < 8; round++) {
    const { path, before } = make(t)
    const after = Buffer.from(before)
    for (let n = random.below(200); n > 0; n--)
      after[random.below(after.length)]! ^= 1 << random.below(8)
    const lost = random.below(16)
    if (round % 2) after.fill(random.pick([0, 255]), lost * page, (lost + 1) * page)
    fs.writeFileSync(path, after)
    const { perPage, ...counts } = model(before, after)
    const found = report(path)
    t.match(found, counts)
    t.equal(found.pages, 17)
    t.equal(
      found.ranges.reduce((sum, { bits }) => sum + bits, 0),
      counts.toZero + counts.toOne,
    )
    for (const { offset, length, bits, worst } of found.ranges) {
      const of = [...perPage].filter(([n]) => n * page >= offset && n * page < offset + length)
      t.equal(of.length, Math.ceil(length / page))
      t.equal(
        bits,
        of.reduce((sum, [, bits]) => sum + bits, 0),
      )
      t.equal(worst.bits, Math.max(...of.map(([, bits]) => bits)))
      t.equal(perPage.get(worst.offset / page), worst.bits)
      t.notOk(perPage.has(offset / page - 1), 'it begins there')
      t.notOk(perPage.has(Math.ceil((offset + length) / page)), 'and ends there')
    }
  }
})

/** Flip a bit in so many bytes. */
const flip = (bytes: Buffer, at: number, count: number): void => {
  for (let i = 0; i < count; i++) bytes[at + i]! ^= 0x10
}

t.test('parity: as many bytes of a block as half of it has, also in the parity itself', async t => {
  // A dmesg zone of 16384: 12 of a header, then blocks of 128 with 8 bytes each, and the header's 8.
  const blocks = Math.ceil((16384 - 12 - 8) / 136)
  const data = 16384 - 12 - (blocks + 1) * 8
  const cases: [what: string, at: number, count: number, corrected: number, lost: number][] = [
    ['four of the first block', 12, 4, 1, 0],
    ['five of it', 12, 5, 0, 1],
    ['two of it and three of the next', 12 + 126, 5, 2, 0],
    ['its parity', 12 + data, 4, 1, 0],
    ['more of its parity', 12 + data, 5, 0, 1],
    ['the header', 8, 4, 1, 0],
    ['more of the header', 0, 5, 0, 1],
    ["the header's parity", 12 + data + blocks * 8, 8, 0, 1],
    ['the last, short block', 12 + data - 1, 1, 1, 0],
  ]
  for (const [what, at, count, corrected, lost] of cases) {
    // Two dumps' zones, and no byte over.
    const { path, before } = make(t, 2 * 16384 + 16384 + 8192)
    flip(before, 16384 + at, count)
    fs.writeFileSync(path, before)
    const { ecc, zones, parity } = report(path, layout)
    const [hit, ...others] = zones.filter(zone => zone.corrected + zone.lost > 0)
    t.equal(ecc, 8)
    t.match(hit, { kind: 'dmesg', index: 1, offset: 16384, corrected, lost }, what)
    t.equal(others.length, 0)
    t.match(
      parity.find(({ ecc }) => ecc === 8),
      { corrected, lost, whole: zones.length - Number(lost > 0), zones: zones.length },
    )
  }
})

t.test('other sizes of parity, and zones that have no room for them', async t => {
  const { path, before } = make(t, 65536)
  flip(before, 12, 6)
  fs.writeFileSync(path, before)
  const small = { ...layout, ecc: 5, pmsg_size: 32 }
  const { parity, zones } = report(path, small)
  t.same(
    parity.map(({ ecc, whole, corrected, lost }) => [ecc, whole, corrected, lost]),
    [
      [0, zones.length - 1, 0, 1],
      [4, zones.length - 1, 0, 1],
      [5, zones.length - 1, 0, 1],
      [8, zones.length - 1, 0, 1],
      // Of pmsg's 32 bytes nothing is left beside so much parity.
      [16, zones.length - 1, 1, 0],
      [32, zones.length - 1, 1, 0],
      [64, zones.length - 1, 1, 0],
    ],
  )
})

t.test('a header that is damaged in every page is put together again', async t => {
  const { path, before } = make(t)
  for (let at = 0; at < before.length; at += page) before[at + ((at / page) % 60)]! ^= 1
  fs.writeFileSync(path, before)
  t.match(report(path), { toZero: /\d/, changedPages: 17, lostPages: 0 })
  // Nothing is left of most of them: one that is whole tells.
  before.fill(0, 0, 15 * page)
  before.writeUInt8(before[15 * page + 15]! ^ 1, 15 * page + 15)
  fs.writeFileSync(path, before)
  t.match(report(path), { lostPages: 15 })
})

t.test('it is written once, again only when told, and never over what is used', async t => {
  const { path, before } = make(t)
  t.ok('found' in testRetention(path, {}, { again: false, force: true }))
  t.same(fs.readFileSync(path), before)
  t.ok('written' in testRetention(path, {}, { again: true, force: false }))
  t.notSame(fs.readFileSync(path), before)
  t.throws(() => testRetention(path, { mem_size: 8192 }, first), /pattern of 65636 bytes, not 8192/)

  const region = `${folder(t)}/region.img`
  format(region, { ...layout, mem_size: 65536 })
  const backend = attach(region, layout)
  backend.write({ type: 'console', bytes: Buffer.from('last words') })
  backend.close()
  const used = fs.readFileSync(region)
  for (const options of [layout, {}])
    t.throws(() => testRetention(region, options, first), /holds a region.*--force/)
  t.throws(() => testRetention(region, {}, { again: true, force: false }), /holds a region/)
  t.same(fs.readFileSync(region), used)
  t.ok('written' in testRetention(region, layout, { again: false, force: true }))

  const other = file(t, Buffer.alloc(8192, 'x'))
  t.throws(() => testRetention(other, {}, first), /is not empty: --force/)
  t.throws(() => testRetention(other, layout, first), /zone|no room|region/)
  t.throws(() => testRetention(file(t, Buffer.alloc(40)), {}, first), /40 bytes are too few/)
  t.throws(() => testRetention(`efi:${other}`, {}, first), /only a region's memory/)
})

t.test('memory has something in it after a power-up', async t => {
  const of = (fill: number) => ({
    path: '/dev/mem',
    length: 8192,
    isMemory: true,
    load: (_: number, length: number) => Buffer.alloc(length, fill),
  })
  t.doesNotThrow(() => refuseUsed(of(0), () => true))
  t.doesNotThrow(() => refuseUsed(of(7), () => false))
  t.throws(() => refuseUsed(of(7), () => true), /holds a region/)
})

t.test('what cannot be written', async t => {
  const path = file(t, Buffer.alloc(8192))
  const open = (): Region => new Region(path, { readOnly: true })
  const test = (): unknown =>
    testRegion(
      open,
      () => null,
      () => false,
      first,
    )
  t.throws(test, { message: /read-only/, code: 'EROFS' })
})

t.test('the command: two runs, JSON, exit codes', async t => {
  const path = file(t, Buffer.alloc(65536))
  t.match(succeed(t, ['retention', path]).toString(), /65536 bytes is written: reset now, then run/)
  t.match(
    succeed(t, ['retention', path, ...flags]).toString(),
    /no bit is lost\n.*ecc 8 \(the layout\): all of /s,
  )
  const bytes = fs.readFileSync(path)
  flip(bytes, 20, 4)
  flip(bytes, 20 + page, 1)
  fs.writeFileSync(path, bytes)
  const corrected = succeed(t, ['retention', path, ...flags]).toString()
  t.match(
    corrected,
    /5 bits lost .*\n2 of 16 pages changed, 0 lost as a whole\n  0x0-0x1fff  5 bits  0x0 is worst: 4\n/,
  )
  t.match(corrected, /  dmesg 0  0x0  2 blocks corrected  0 lost\n/)
  t.match(corrected, /ecc 4: \d+ of \d+ zones whole, 1 block corrected, 1 lost\n/)
  const plain = pstorefs(['retention', path])
  t.equal(plain.status, 1, 'without a layout nothing is corrected')
  t.match(plain.stdout.toString(), /no layout given/)
  flip(bytes, 25, 4)
  for (let at = 0; at < 20; at++) flip(bytes, (at % 2) * 32768 + at * 2 * 512, 1)
  fs.writeFileSync(path, bytes)
  const lost = pstorefs(['retention', path, '--json', ...flags])
  t.equal(lost.status, 1)
  t.match(JSON.parse(lost.stdout.toString()), { found: { ecc: 8, lost_pages: 0, pages: 16 } })
  const again = JSON.parse(
    succeed(t, ['retention', path, '--again', '--json']).toString(),
  ) as object
  t.match(again, { written: { length: 65536, time: /^20/ } })
  t.equal(pstorefs(['retention', file(t, Buffer.alloc(8192, 'x'))]).status, 1)
  t.equal(pstorefs(['retention', '-']).status, 1)
})
