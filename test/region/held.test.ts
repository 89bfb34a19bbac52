/** A layout that is given is held against the bytes: what speaks against it is said, and nothing of a sound one. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions, type Backend } from '#src/index.js'
import { recognise } from '#src/backends/index.js'
import { openRegion } from '#src/backends/module.js'
import { elsewhereOf, signs } from '#src/backends/ramoops/elsewhere.js'
import { makeLayout } from '#src/backends/ramoops/layout.js'
import { refuseForeign } from '#src/region/held.js'
import { Region } from '#src/region/region.js'
import { file, folder, run } from '../program.js'

const K = 1024
const text = Buffer.from(
  Array.from({ length: 30 }, (_, n) => `<6>[ ${n}.000000] unit ${n}: state idle\n`).join(''),
)

const ramoops: AttachOptions = {
  record_size: 4 * K,
  console_size: 4 * K,
  pmsg_size: 4 * K,
  ftrace_size: 8 * K,
  cpus: 2,
}
const { record_size, ...rings } = ramoops
const blk: AttachOptions = { ...rings, kmsg_size: record_size! }

const open = (t: Test, source: string, options: AttachOptions): Backend => {
  const backend = attach(source, options)
  t.teardown(() => backend.close())
  return backend
}

/** The same, with ftrace's bytes for 6 CPUs: shares that are odd, if no kernel made them even. */
const six = { cpus: 6 }

/** Neither text nor ftrace's records: only pmsg holds such bytes. */
const noText = Buffer.from(text.map((byte, n) => byte ^ (n * 37)))

/** A store of 5 dmesg zones and the rings, with something in most of them. */
const filled = (t: Test, driver: string, options: AttachOptions, pmsg = noText): string => {
  const path = `${folder(t)}/store.img`
  format(`${driver}:${path}`, { ...options, mem_size: 36 * K })
  const backend = attach(`${driver}:${path}`, options)
  for (const sec of [1n, 2n, 3n])
    backend.write({
      type: 'dmesg',
      bytes: Buffer.concat([Buffer.from('Oops#1 Part1\n'), text]),
      time: { sec: 1_700_000_000n + sec, nsec: 0 },
    })
  backend.write({ type: 'console', bytes: text })
  backend.write({ type: 'pmsg', bytes: pmsg })
  if (options.ftrace_size !== 0) backend.write({ type: 'ftrace', bytes: Buffer.alloc(48, 1) })
  backend.close()
  // A copy, as those are that are looked at: without the layout that `format` keeps beside a file's bytes.
  const copy = `${path}.copy`
  fs.writeFileSync(copy, fs.readFileSync(path))
  return copy
}

const doubts = (t: Test, source: string, options: AttachOptions): string[] =>
  open(t, source, { ...options, readOnly: true }).doubts()

const probe =
  /: the layout is not this region's: `pstorefs probe` finds --mem-size 36864 --record-size 4096 /
const alone = /: the layout is not this region's$/

/** Of a store with the layout `of`, or the usual one, another one is `given`: what is `said`. */
const wrong: {
  [what: string]: { driver?: 'zone'; of?: AttachOptions; given: AttachOptions; said: RegExp[] }
} = {
  'an address in the midst of it': { given: { mem_address: 4 * K }, said: [/^a signature stands where no zone begins, at 0x0:/, probe] },
  'the other byte order': { given: { endian: 'big' }, said: [/^9 of 9 zones are signed in the other byte order \(--endian little\)/, probe] },
  'the other byte order, of a big-endian one': { of: { endian: 'big' }, given: { endian: 'little' }, said: [/\(--endian big\)/, probe, /--endian big$/] },
  parity: { given: { ecc: 1 }, said: [/^no header of its zones, or of its dumps, fits its parity:/, probe] },
  'a larger console': { given: { console_size: 8 * K }, said: [/^a signature stands where no zone begins, at 0x5000:/, probe] },
  'larger records': { given: { record_size: 16 * K }, said: [/^a signature stands where no zone begins, at 0x1000:/, probe] },
  'another number of records': { given: { pmsg_size: 1 * K }, said: [/^8 of 9 zones have no header .*, but \d signatures stand elsewhere, the first at 0x1000: /, probe] },
  'one CPU': { given: { cpus: 1 }, said: [/^ftrace has the zones of 2 CPUs, and this layout has 1 zone of it: give --cpus 2$/] },
  'three CPUs': { given: { cpus: 3 }, said: [/^ftrace has the zones of 2 CPUs, and this layout has 3 zones of it: give --cpus 2$/] },
  'six CPUs, of which each has an odd size': { of: { ...six, preset: 'linux-pre-6.8' }, given: { preset: 'linux-6.2' }, said: [/^ftrace has the zones of 6 CPUs, of 1365 bytes, and this layout has 6 zones of it:/] },
  'six CPUs, of which each has an even size': { of: six, given: { preset: 'linux-pre-6.8' }, said: [/^ftrace has the zones of 6 CPUs, of 1364 bytes, and this layout has 6 zones of it:/] },
  'no parity': { of: { ecc: 1 }, given: { ecc: 0 }, said: [/^the zones have 16 bytes of parity a block, which this layout leaves out: give --ecc 16$/] },
  "records of half the size, of one with parity": { of: { ecc: 1 }, given: { record_size: 2 * K }, said: [/^no header of its zones, or of its dumps, fits its parity:/, probe] },
  "another kernel's order": { given: { preset: 'linux-pre-6.2' }, said: [/^2 of 9 zones are signed as of another kind \(ftrace at 0x6000, pmsg at 0x8000\):/, probe] },
  'pstore_blk in the other byte order': { driver: 'zone', given: { endian: 'big' }, said: [/^\d of \d zones are signed in the other byte order \(--endian little\)/, alone] },
  'pstore_blk with a larger console': { driver: 'zone', given: { console_size: 8 * K }, said: [/^\d of 8 zones are signed as of another kind/, alone] },
  'pstore_blk with other sizes': { driver: 'zone', given: { pmsg_size: 4608 }, said: [/^\d of 8 zones have no header \(.*\), but \d signatures stand elsewhere, the first at 0x\d000/, alone] },
  'pstore_blk of one CPU': { driver: 'zone', given: { cpus: 1 }, said: [/give --cpus 2$/] },
} // prettier-ignore

for (const [what, { driver = 'ramoops', of: other = {}, given, said }] of Object.entries(wrong))
  t.test(what, async t => {
    const of = { ...(driver === 'zone' ? blk : ramoops), ...other }
    const path = filled(t, driver, of)
    const before = fs.readFileSync(path)
    t.same(doubts(t, `${driver}:${path}`, of), [], 'none of the right one')
    const [line = '', ...more] = doubts(t, `${driver}:${path}`, { ...of, ...given })
    for (const each of said) t.match(line, each)
    t.same(more, [], 'in one line')
    const write = (options: AttachOptions): unknown =>
      open(t, `${driver}:${path}`, { ...of, ...given, ...options }).write({
        type: 'pmsg',
        bytes: text,
      })
    if (line.endsWith('give --cpus 2')) t.doesNotThrow(() => write({}), 'pmsg is where it is')
    else {
      const refused = { message: `${path}: ${line} (with --force it is written to)` }
      t.throws(() => write({}), refused)
      t.ok(fs.readFileSync(path).equals(before), 'nothing is written')
      t.doesNotThrow(() => write({ force: true }))
      t.notOk(fs.readFileSync(path).equals(before))
    }
  })

const perhaps =
  /: the layout is perhaps not this region's: `pstorefs probe` finds --mem-size 36864 --record-size 4096 /

/** The same, where the probe's layout is a guess too: a writer is not refused. */
const doubtful: { [what: string]: { of?: AttachOptions; given: AttachOptions; said: RegExp } } = {
  'larger records': { of: { ftrace_size: 0 }, given: { record_size: 8 * K, pmsg_size: 0 }, said: /^a signature stands where no zone begins, at 0x1000:/ },
  'smaller records': { given: { record_size: 2 * K }, said: /^5 of 14 zones have no header \(dmesg 1 at 0x800, .*\):/ },
  'no console': { given: { console_size: 0 }, said: /^dmesg 5 at 0x5000 holds no dump:/ },
  'no console, with parity': { of: { ecc: 1, console_size: 8 * K }, given: { console_size: 0 }, said: /^dmesg 4 at 0x4000 holds no dump:/ },
} // prettier-ignore

for (const [what, { of: other = {}, given, said }] of Object.entries(doubtful))
  t.test(`a guess: ${what}`, async t => {
    const of = { ...ramoops, ...other }
    // Which of two rings with text is pmsg's nobody can tell.
    const path = filled(t, 'ramoops', of, Buffer.from('a program says something\n'.repeat(30)))
    t.same(doubts(t, path, of), [], 'none of the right one')
    const [line = '', ...more] = doubts(t, path, { ...of, ...given })
    t.match(line, said)
    t.match(line, perhaps)
    t.same(more, [], 'in one line')
    t.doesNotThrow(() => open(t, path, { ...of, ...given }).refuseForeign())
  })

t.test('parity that only one header tells', async t => {
  const path = `${folder(t)}/store.img`
  const layout = { record_size: 0, console_size: 8 * K, pmsg_size: 0, ftrace_size: 0 }
  for (const [ecc, said] of [
    [2, []],
    [4, [/give --ecc 4$/]],
  ] as const) {
    format(path, { ...layout, ecc, mem_size: 8 * K }, true)
    t.same(doubts(t, path, layout), [], 'an empty zone has the parity of any kernel before')
    open(t, path, { ...layout, ecc }).write({ type: 'console', bytes: text })
    t.match(doubts(t, path, layout), said)
    t.equal(doubts(t, path, layout).length, said.length)
  }
})

t.test('parity that more headers tell than are asked', async t => {
  const path = `${folder(t)}/store.img`
  const layout = { record_size: 4 * K, console_size: 0, pmsg_size: 0, ftrace_size: 0 }
  format(path, { ...layout, ecc: 1, mem_size: 48 * K })
  const backend = open(t, path, { ...layout, ecc: 1 })
  for (let dump = 0; dump < 9; dump++) backend.write({ type: 'dmesg', bytes: text })
  t.match(doubts(t, path, layout), [/give --ecc 16$/])
})

t.test('ftrace whose zones lost their headers', async t => {
  const of = { ...ramoops, cpus: 4 }
  const path = filled(t, 'ramoops', of)
  const image = fs.readFileSync(path)
  image.fill(0, 28 * K + 2 * K, 28 * K + 2 * K + 12)
  fs.writeFileSync(path, image)
  t.same(doubts(t, path, of), [], 'the third one has a header, as 2 CPUs would not have it')
})

t.test('a source that has the region elsewhere', async t => {
  const path = filled(t, 'ramoops', ramoops)
  fs.writeFileSync(path, Buffer.concat([fs.readFileSync(path), Buffer.alloc(36 * K)]))
  const [line] = doubts(t, path, { ...ramoops, mem_address: 36 * K })
  t.match(
    line,
    /^no zone of this layout has a header, but 7 signatures stand elsewhere, the first at 0x0/,
  )
  t.match(line, probe)
})

t.test('two regions, and none is this one', async t => {
  const image = fs.readFileSync(filled(t, 'ramoops', ramoops))
  const path = file(t, Buffer.concat([image, Buffer.alloc(64 * K), image]))
  const given = { ...ramoops, mem_address: 40 * K, mem_size: 36 * K }
  t.match(doubts(t, path, given), [/`pstorefs probe` finds 2 regions in it$/])
})

t.test('a signature by itself', async t => {
  const image = Buffer.alloc(36 * K)
  image.write('DBGC', 1000)
  t.match(doubts(t, file(t, image), ramoops), [
    /^no zone of this layout has a header, but a signature stands elsewhere, at 0x3e8: the layout is not/,
  ])
})

t.test('more signatures than any region has are not probed', async t => {
  const image = Buffer.alloc(2 ** 20)
  for (let at = 0; at < image.length; at += 16) image.write('DBGC', at + 8)
  t.match(doubts(t, file(t, image), ramoops), [
    /but 4096 or more signatures stand elsewhere, the first at 0x8: the layout is not this region's$/,
  ])
})

t.test('no doubt', async t => {
  const make = (change: (image: Buffer) => void): string => {
    const path = filled(t, 'ramoops', ramoops)
    const image = fs.readFileSync(path)
    change(image)
    fs.writeFileSync(path, image)
    return path
  }
  const sound: { [what: string]: (image: Buffer) => void } = {
    'a bit of a signature': image => (image[4096] = image[4096]! ^ 4),
    'a lost header': image => image.fill(0, 4096, 4108),
    'a stray signature, where probe finds the same layout': image => {
      image.write('DBGC', 16 * K + 200)
    },
    'zones that nobody signed': image => image.fill(0, 12 * K, 20 * K),
    'the last zones, which nobody signed': image => image.fill(0, 8 * K),
    'a signature in what a ring holds': image => {
      image.fill(0, 16 * K, 16 * K + 12)
      image.write('DBGC\0\0\0\0\0\0\0\0', 20 * K + 100)
    },
    'what an older layout left': image => {
      image.write('DBGC\0\0\0\0\0\0\0\0', 16 * K + 2000)
    },
  }
  for (const [what, change] of Object.entries(sound))
    t.same(doubts(t, make(change), ramoops), [], what)
  t.same(
    doubts(
      t,
      make(() => {}),
      {},
    ),
    [],
    'of a layout that was found',
  )
  const small = { record_size: 512, console_size: 512, pmsg_size: 0, ftrace_size: 0 }
  const path = `${folder(t)}/small.img`
  format(path, { ...small, mem_size: 128 * K })
  t.same(doubts(t, path, small), [], 'of many small zones')
})

t.test('a region in which nothing is, and writers', async t => {
  const path = `${folder(t)}/store.img`
  for (const driver of ['ramoops', 'zone'])
    for (const byte of [0, 0xff, 0x5a]) {
      // What was written in this turn keeps the lock until its end.
      await new Promise(setImmediate)
      const state = `${folder(t)}/state`
      const source = `${driver}:${path}`
      const layout = driver === 'zone' ? blk : ramoops
      const bytes = Buffer.alloc(36 * K, byte)
      fs.writeFileSync(path, bytes)
      const backend = open(t, source, layout)
      t.same(backend.doubts(), [])
      t.match(
        backend.unused(),
        /^no zone has a header yet: nothing was written here, or the layout is not/,
      )
      const refused = {
        message: /^.*store\.img: no zone of this layout has a header: is the layout right\?/,
      }
      t.throws(() => backend.refuseForeign(), refused)
      for (const type of ['console', 'pmsg', 'ftrace', 'dmesg'] as const) {
        t.throws(() => backend.write({ type, bytes: text, time: { sec: 1n, nsec: 0 } }), refused)
        t.equal(run('flock', ['-n', path, 'true']).status, 0, `${type}: nobody waits for that look`)
      }
      t.ok(fs.readFileSync(path).equals(bytes))
      if (byte === 0x5a) {
        t.throws(() => open(t, source, { ...layout, attach: 'boot', state }), refused)
        t.ok(fs.readFileSync(path).equals(bytes), 'not a byte of it changes')
        t.notOk(fs.existsSync(state), 'and nothing is kept')
      }
      const force = byte === 0x5a
      open(t, source, { ...layout, attach: 'boot', state, force })
      t.notOk(fs.readFileSync(path).equals(bytes), 'a life begins in what is empty, or by force')
      t.equal(open(t, source, layout).unused(), null)
      fs.writeFileSync(path, bytes)
      const forced = open(t, source, { ...layout, force: true })
      forced.write({ type: 'console', bytes: text })
      t.ok(forced.find(driver === 'zone' ? 'console-pstore_blk-0' : 'console-ramoops-0'))
    }
})

t.test('a hole of any length is empty', async t => {
  const path = `${folder(t)}/store.img`
  fs.writeFileSync(path, '')
  fs.truncateSync(path, 2 ** 26)
  const layout = { ...ramoops, record_size: 2 ** 24 }
  t.same(doubts(t, path, layout), [])
  open(t, path, { ...layout, attach: 'boot', state: `${folder(t)}/state` })
})

t.test('a source that cannot be opened again', async t => {
  const path = filled(t, 'ramoops', ramoops)
  const big = open(t, path, { ...ramoops, endian: 'big' })
  const blank = open(t, file(t, Buffer.alloc(36 * K)), ramoops)
  for (const backend of [big, blank]) fs.unlinkSync(backend.identity.path)
  t.match(big.doubts(), [alone])
  t.same(blank.doubts(), [])
})

t.test('what probe finds is the layout that was given', async t => {
  const path = filled(t, 'ramoops', ramoops)
  t.equal(
    elsewhereOf(path, makeLayout(ramoops, 36 * K), openRegion, () => null).advice()?.clause,
    '',
  )
})

t.test('a search reads all its pieces into one buffer', async t => {
  const large = { record_size: 2 ** 20, console_size: 2 ** 22, pmsg_size: 0, ftrace_size: 0 }
  const signed = `${folder(t)}/large.img`
  format(signed, { ...large, mem_size: 2 ** 24 })
  // Holes are not looked at: without them all of it is.
  const bytes = fs.readFileSync(signed)
  fs.writeFileSync(signed, bytes)
  const blank = file(t, Buffer.alloc(2 ** 24))

  const { loadInto } = Region.prototype
  t.teardown(() => (Region.prototype.loadInto = loadInto))
  /** How many pieces some work reads, and into how many buffers. */
  const piecesOf = (work: () => void): [pieces: number, buffers: number] => {
    const into: ArrayBufferLike[] = []
    Region.prototype.loadInto = function (bytes, offset, length) {
      if (length > 2 ** 19) into.push(bytes.buffer)
      loadInto.call(this, bytes, offset, length)
    }
    work()
    return [into.length, new Set(into).size]
  }
  t.same(
    piecesOf(() => t.equal(recognise(signed), null)),
    [16, 1],
    'for a driver',
  )
  const backend = attach(`ramoops:${signed}`, { ...large, readOnly: true })
  t.teardown(() => backend.close())
  t.same(
    piecesOf(() => t.same(backend.doubts(), [])),
    // Of the region, and of the source around it.
    [8, 2],
    'for signatures that the layout does not explain',
  )
  const region = new Region(blank)
  t.teardown(() => region.close())
  const zone = (): never => t.fail('there is none') as never
  t.same(
    piecesOf(() =>
      refuseForeign(
        { region, endian: 'little', zones: [], signs, zone, isDump: zone, begun: false },
        undefined,
        true,
      ),
    ),
    [16, 1],
    'for anything that would be overwritten',
  )
})
