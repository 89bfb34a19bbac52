/** Sources that are mostly holes: a search for a region reads what is there, and no more than it may. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { findSignatures } from '#src/backends/ramoops/probe/signatures.js'
import { wholeSource } from '#src/backends/ramoops/probe/segments.js'
import { attach, probeSource, StoreError } from '#src/index.js'
import { Region } from '#src/region/region.js'
import { loadFixture } from '../../fixtures.js'
import { file, folder } from '../../program.js'
import { randomFor } from '../../random.js'
import { measureWork } from '../../work.js'

const MiB = 2 ** 20
const TiB = 2 ** 40

/** A sparse file with some bytes in it. */
const sparse = (t: Test, size: number, pieces: readonly [at: number, bytes: Buffer][]): string => {
  const path = `${folder(t)}/sparse.img`
  const fd = fs.openSync(path, 'w')
  fs.ftruncateSync(fd, size)
  for (const [at, bytes] of pieces) fs.writeSync(fd, bytes, 0, bytes.length, at)
  fs.closeSync(fd)
  return path
}

/** Bytes that this process has read. */
const bytesRead = (): number =>
  Number(/^rchar: (\d+)$/m.exec(fs.readFileSync('/proc/self/io', 'latin1'))![1])

/** How many bytes are read, and what time of a processor is taken, in ms. */
const costOf = (work: () => void): { read: number; time: number } => {
  const before = bytesRead()
  const stop = measureWork()
  work()
  return { time: stop(), read: bytesRead() - before }
}

t.test('a region at the end of 15 TiB', async t => {
  const at = 15 * TiB - MiB
  const path = sparse(t, 15 * TiB, [[at, loadFixture('ecc1-all').region()]])
  const { read, time } = costOf(() => {
    const [found, ...more] = probeSource(path).regions
    t.match(found, { mem_address: at, mem_size: 131072 })
    t.same(more, [])
  })
  t.ok(read < 64 * MiB, `${read} bytes read`)
  t.ok(time < 20_000, `${time.toFixed()} ms`)
})

t.test('nothing in 64 GiB', async t => {
  const path = sparse(t, 2 ** 36, [])
  const { read, time } = costOf(() => {
    t.throws(() => attach(path, { readOnly: true }), { message: /^no pstore region found in / })
  })
  t.ok(read < MiB, `${read} bytes read`)
  t.ok(time < 20_000, `${time.toFixed()} ms`)
})

t.test('pages far apart', async t => {
  const page = Buffer.alloc(4096, 'x')
  const pages = Array.from({ length: 1000 }, (_, i): [number, Buffer] => [i * 16 * MiB, page])
  const path = sparse(t, 2 ** 35, pages)
  const { read } = costOf(() => t.same(probeSource(path).regions, []))
  t.ok(read < 16 * MiB, `${read} bytes read`)
  t.throws(
    () => probeSource(path, { probeLimit: 8 * MiB }),
    /too long to search/,
    'each costs more than its bytes',
  )
})

t.test('holes hide nothing', async t => {
  const random = randomFor(t)
  /** The same source, all of it read. */
  class Solid extends Region {
    override nextData = (from: number): { from: number; to: number } | null =>
      from < this.length ? { from, to: this.length } : null
  }
  let found = 0
  for (let round = 0; round < 20; round++) {
    const size = 4096 * random.between(1, 2000) + random.below(4096)
    const pieces = Array.from({ length: random.between(1, 20) }, (): [number, Buffer] => {
      const bytes = random.bytes(random.between(1, 8192))
      for (let i = 0; i < 8; i++) bytes.write('DBGC', random.below(bytes.length), 'latin1')
      return [random.below(size), bytes]
    })
    const path = sparse(t, size, pieces)
    const [some, all] = [new Region(path), new Solid(path)].map(region => {
      const { plain, ftrace } = findSignatures(region, wholeSource(region), Infinity)
      region.close()
      return { plain, ftrace }
    })
    t.same(some, all)
    found += some!.plain.little.length
  }
  t.ok(found > 100, `${found} signatures`)
})

t.test('a limit', async t => {
  const bytes = Buffer.alloc(3 * MiB, 'x')
  loadFixture('ecc1-all').region().copy(bytes)
  const path = file(t, bytes)
  t.throws(
    () => attach(path, { readOnly: true, probeLimit: 2 * MiB }),
    new StoreError(
      `${path}: no layout given, and too long to search for one here: give the layout that \`pstorefs probe\` finds`,
    ),
  )
  const within = attach(path, { readOnly: true, probeLimit: 4 * MiB, report: () => {} })
  t.ok([...within.names()].length > 0)
  within.close()
  const described = attach(path, { record_size: 16384, readOnly: true, probeLimit: 1 })
  described.close()
})
