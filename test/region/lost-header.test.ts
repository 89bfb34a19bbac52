/** Damage to a header hides nothing that is behind it: both drivers, both byte orders, with ECC and without. */
import fs from 'node:fs'
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions, type Backend } from '#src/index.js'
import type { Condition } from '#src/pstore/condition.js'
import { folder } from '../program.js'
import { randomFor, type Random } from '../random.js'

const lines = Array.from({ length: 20 }, (_, n) => `<6>[ ${n}.000000] unit ${n}: state idle\n`)
const text = `Panic#1 Part1\n${lines.join('')}`
const rings = { console_size: 4096, pmsg_size: 4096, ftrace_size: 4096, cpus: 1 }

interface Kind {
  driver: 'ramoops' | 'zone'
  options: AttachOptions
}

const kinds: Kind[] = (['little', 'big'] as const).flatMap(endian => [
  { driver: 'zone', options: { kmsg_size: 4096, ...rings, endian } },
  ...[0, 16].map(ecc => ({
    driver: 'ramoops' as const,
    options: { record_size: 4096, ...rings, endian, ecc },
  })),
])

const calls = (): Buffer => {
  const bytes = Buffer.alloc(40 * 24)
  for (let at = 0, n = 0n; at < bytes.length; at += 24, n++) {
    bytes.writeBigUInt64LE(0xffffffff81000000n + 977n * n, at)
    bytes.writeBigUInt64LE(0xffffffff81200000n + 1009n * n, at + 8)
    bytes.writeBigUInt64LE((0x123456789n + 3n * n) << 8n, at + 16)
  }
  return bytes
}

/** A store with something in each zone, and how it is looked at. */
const filled = (t: Test, { driver, options }: Kind) => {
  const path = `${folder(t)}/store.img`
  const source = `${driver}:${path}`
  format(source, { ...options, mem_size: 24576 })
  const open = (): Backend => {
    const backend = attach(source, options)
    t.teardown(() => backend.close())
    return backend
  }
  const backend = open()
  const stream = zlib.deflateRawSync(Buffer.from(text))
  backend.write({ type: 'dmesg', bytes: Buffer.from(text), time: { sec: 5n, nsec: 0 } })
  backend.write({ type: 'dmesg', bytes: stream, compressed: true, time: { sec: 6n, nsec: 0 } })
  backend.write({ type: 'console', bytes: Buffer.from(text.repeat(9)) })
  backend.write({ type: 'pmsg', bytes: Buffer.from(lines.join('')) })
  backend.write({ type: 'ftrace', bytes: calls() })
  const conditions = (): Condition[] => [...open().survey.conditions()]
  return { path, open, conditions }
}

const store = (path: string, at: number, bytes: Uint8Array): void => {
  const fd = fs.openSync(path, 'r+')
  fs.writeSync(fd, bytes, 0, bytes.length, at)
  fs.closeSync(fd)
}

const flipped = (random: Random, path: string, at: number, bits: number): void => {
  const header = fs.readFileSync(path).subarray(at, at + 4)
  const places = new Set<number>()
  while (places.size < bits) places.add(random.below(32))
  for (const place of places) header[place >> 3] ^= 1 << (place & 7)
  store(path, at, header)
}

for (const kind of kinds)
  t.test(`${kind.driver}, ${JSON.stringify(kind.options)}`, async t => {
    const random = randomFor(t)
    const isMended = kind.options.ecc === 16
    const { path, open, conditions } = filled(t, kind)
    const image = fs.readFileSync(path)
    const sound = conditions()
    const shown = (name: string): string => open().find(name)!.read().toString('latin1')
    for (const place of sound.filter(({ used }) => used > 0)) {
      const { name, offset, type } = place
      fs.writeFileSync(path, image)
      const raw = open().survey.raw(name)!
      const record = type === 'ftrace' ? '' : shown(name).replace('\nECC: No errors detected\n', '')
      const look = (): Condition =>
        conditions().find(found => found.offset === offset && found.type === type)!
      const salvaged = (): string | undefined =>
        open().survey.salvage(name)?.all().toString('latin1')
      for (const bits of [1, 2, 3]) {
        fs.writeFileSync(path, image)
        flipped(random, path, offset!, bits)
        const found = look()
        // Another kernel's ftrace is as good as this one's.
        if (isMended || (type === 'ftrace' && found.state === 'sound')) {
          t.equal(found.state, 'sound')
          continue
        }
        t.match(found, { state: 'damaged', used: raw.length, record: null }, name)
        t.match(found.findings[0], /^the signature (has \d wrong bit|is another kind)/)
        t.ok(open().survey.raw(name)!.equals(raw), `${name}: all bytes`)
        t.equal(open().find(name), null, 'no file shows it')
        if (type !== 'ftrace') t.equal(salvaged(), record, `${name}: the text`)
        store(path, offset! + 4, Buffer.alloc(8, 0xee))
        if (type !== 'ftrace')
          t.match(look().findings.join(), /wrong bit.*claims more than the zone holds/)
        store(path, offset! + 4, Buffer.alloc(8))
        t.equal(look().state, 'damaged', 'it says that nothing is there')
      }
      for (const header of [Buffer.alloc(12), Buffer.alloc(12, 0xff), Buffer.alloc(12, 0xa5)]) {
        fs.writeFileSync(path, image)
        store(path, offset!, header)
        const found = look()
        // Parity mends eight bytes, which may be all that are not zeros.
        if (isMended && found.record === name) continue
        const bytes = open().survey.raw(name)!
        t.match(found, { state: 'damaged', used: 0, record: null }, `${name}: lost`)
        t.match(found.findings.join(), /header is lost.*\d+ bytes of [a-z ]+ are still there$/)
        t.equal(bytes.length, place.room)
        if (type === 'ftrace') t.equal(found.remains!.holds, 'records')
        else t.ok(found.remains!.bytes > 100)
        if (type === 'dmesg') t.match(found.dump, { time: { sec: BigInt(5 + place.index) } })
        if (type === 'dmesg' || type === 'pmsg') t.equal(salvaged(), record, `${name}: the text`)
      }
      fs.writeFileSync(path, image)
      open().find(name)!.erase()
      const erased = look()
      t.match(erased, { state: 'erased', used: 0, record: null })
      t.match(erased.findings[0], /^erased, but \d+ bytes of .* are still there$/)
      t.equal(open().survey.raw(name)!.length, place.room)
      if (type === 'dmesg' || type === 'pmsg') t.equal(salvaged(), record, `${name}: erased`)
      if (type === 'ftrace') t.equal(salvaged(), undefined, 'no text')
    }
    // What holds nothing.
    const fills = [Buffer.alloc(4096), Buffer.alloc(4096, 0xff), Buffer.alloc(4096, 0x5a)]
    for (const fill of [...fills, random.bytes(4096)])
      for (const { offset, type, length, name } of sound) {
        fs.writeFileSync(path, image)
        store(path, offset!, fill.subarray(0, length))
        const found = conditions().find(place => place.offset === offset && place.type === type)!
        // Parity of noise is damage, as it was.
        if (isMended && found.state === 'damaged') continue
        t.match(found, { state: 'unsigned', used: 0, findings: [], remains: null }, `${name}`)
        t.equal(open().survey.raw(name)!.length, 0, 'nobody’s')
        t.equal(open().survey.salvage(name), null)
      }
  })

t.test('of the CPUs’ rings what was erased is no part of what is there', async t => {
  const options = { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: 8192, cpus: 2 }
  const path = `${folder(t)}/store.img`
  format(path, { ...options, mem_size: 8192 })
  const open = (): Backend => {
    const backend = attach(path, options)
    t.teardown(() => backend.close())
    return backend
  }
  open().write({ type: 'ftrace', bytes: calls() })
  const image = fs.readFileSync(path)
  store(path, 4096, image.subarray(0, 4096))
  store(path, 4100, Buffer.alloc(8))
  t.match([...open().survey.conditions()], [{ state: 'sound' }, { state: 'erased', record: null }])
  t.ok(open().survey.raw('ftrace-ramoops-0')!.equals(calls()))
  store(path, 4, Buffer.alloc(8))
  t.equal(open().survey.raw('ftrace-ramoops-0')!.length, 2 * 4084, 'but where nothing else is')
})

t.test('zones that are too small for a look', async t => {
  const path = `${folder(t)}/store.img`
  const options = { record_size: 0, console_size: 16, pmsg_size: 0, ftrace_size: 0 }
  fs.writeFileSync(path, Buffer.from('no header, text!'))
  const backend = attach(path, { ...options, mem_size: 16 })
  t.teardown(() => backend.close())
  t.match([...backend.survey.conditions()], [{ state: 'unsigned' }])
  t.equal(backend.survey.salvage('console-ramoops-0'), null)
})

t.test('dumps that do not begin as one, and streams that break', async t => {
  const { path, open, conditions } = filled(t, kinds[1]!)
  const image = fs.readFileSync(path)
  store(path, 12, Buffer.from('#'))
  t.match(
    open().survey.salvage('dmesg-ramoops-0')!.all().toString('latin1'),
    /^#===5\..*-D\nPanic#1/,
  )
  store(path, 12, Buffer.alloc(30))
  store(path, 42, Buffer.alloc(600, 0x81))
  t.equal(open().survey.salvage('dmesg-ramoops-0'), null, 'noise')
  fs.writeFileSync(path, image)
  open().find('dmesg-ramoops-1')!.erase()
  store(path, 4096 + 136, Buffer.alloc(200, 0xff))
  t.match(conditions()[1], { state: 'erased', dump: { compressed: true, text: null } })
  t.ok(open().survey.salvage('dmesg-ramoops-1')!.length > 0)
  // A line without a body, and only zeros behind it: the line is too little for a dump.
  fs.writeFileSync(path, image)
  store(path, 0, Buffer.alloc(4096))
  store(path, 12, Buffer.from('====5.000000-D\n'))
  t.match(conditions()[0], { state: 'unsigned' })
})

t.test('what is neither text nor records is all the same there', async t => {
  const { path, open, conditions } = filled(t, kinds[0]!)
  const random = randomFor(t)
  const bytes = random.bytes(500)
  open().write({ type: 'pmsg', bytes })
  const { offset, used } = conditions().find(({ type }) => type === 'pmsg')!
  // Not of the signature's lowest byte, which may then be another kind's.
  const [at, bit] = [offset! + random.between(1, 3), random.below(8)]
  store(path, at, Buffer.of(fs.readFileSync(path)[at]! ^ (1 << bit)))
  store(path, offset! + 12, random.bytes(used))
  const found = conditions().find(({ type }) => type === 'pmsg')!
  t.match(found, { state: 'damaged', used, remains: { holds: 'data', bytes: used } })
  t.equal(open().survey.salvage('pmsg-pstore_blk-0')!.length, used)
})
