/** Cheap looks at a store: a dump that comes is seen, wherever it comes, and a console that goes on is nothing. */
import fs from 'node:fs'
import t from 'tap'
import { attach, format, writeDump, type AttachOptions, type Backend } from '#src/index.js'
import { dumpsIn, Pulse, Settling } from '#src/lookout/pulse.js'
import { folder, until } from '../program.js'

const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
}
const blocks = { kmsg_size: 4096, console_size: 4096, pmsg_size: 0, ftrace_size: 0 }

const stores: readonly [name: string, driver: string, options: AttachOptions, size: number][] = [
  ['a region', 'ramoops', layout, 65536],
  ['a region of many zones', 'ramoops', layout, 2 ** 21],
  ['a disk', 'zone', { ...blocks, mem_size: 65536 }, 65536],
  ['an ERST store', 'erst', {}, 65536],
]

/** A look after others would not be due yet; where they took long, not for seconds. */
const soon = (pulse: Pulse): Promise<boolean> => until(() => pulse.beats())

for (const [name, driver, options, size] of stores)
  t.test(name, async t => {
    const source = `${driver}:${folder(t)}/store.img`
    format(source, {
      ...options,
      ...(driver === 'erst' ? { record_size: 4096 } : {}),
      mem_size: size,
    })
    const backend: Backend = attach(source, options)
    t.teardown(() => backend.close())
    const pulse = new Pulse(backend)
    t.ok(pulse.beats(), 'the first look says so in any case')
    t.equal(dumpsIn(backend), '')
    t.notOk(pulse.beats())
    if (backend.capacity('console')) {
      backend.write({ type: 'console', bytes: Buffer.from('a line\n') })
      for (let n = 0; n < 50; n++) t.notOk(pulse.beats(), 'a console is nothing')
    }
    const seen = new Set<string>()
    for (let n = 0; n < 6; n++) {
      writeDump(backend, Buffer.from(`dump ${n}\n`))
      t.ok(await soon(pulse), `dump ${n}`)
      seen.add(dumpsIn(backend))
    }
    t.equal(seen.size, 6)
    const [dump] = [...backend.records()].filter(({ type }) => type === 'dmesg')
    dump!.erase()
    t.ok(await soon(pulse), 'one goes')
  })

t.test('a dump in the place of one of the same length', async t => {
  const source = `${folder(t)}/store.img`
  format(source, { ...layout, mem_size: 16384 })
  const backend = attach(source, layout)
  t.teardown(() => backend.close())
  const { count } = backend.fronts!()!
  const dump = (sec: bigint): number =>
    backend.write({
      type: 'dmesg',
      bytes: Buffer.from('Panic#1 Part1\nx\n'),
      time: { sec, nsec: 0 },
    })
  for (let n = 0; n < count; n++) dump(1_800_000_000n + BigInt(n))
  const pulse = new Pulse(backend)
  pulse.beats()
  t.notOk(pulse.beats())
  dump(1_900_000_000n)
  t.ok(pulse.beats())
})

t.test('a place that no look begins with is looked at in turn', async t => {
  const source = `${folder(t)}/store.img`
  format(source, { ...layout, mem_size: 2 ** 21 })
  const backend = attach(source, layout)
  t.teardown(() => backend.close())
  const { count } = backend.fronts!()!
  for (const place of [count - 1, count >> 1]) {
    const pulse = new Pulse(backend)
    pulse.beats()
    const fd = fs.openSync(source, 'r+')
    fs.writeSync(fd, Buffer.from('changed'), 0, 7, place * 4096)
    fs.closeSync(fd)
    let looks = 1
    while (!pulse.beats() && looks < 1000) looks++
    t.ok(looks <= 41, `${looks} looks`)
  }
})

t.test(
  'a crash is whole once nothing changes, and a guest that goes on is not waited for',
  async t => {
    const source = `${folder(t)}/store.img`
    format(source, { ...layout, mem_size: 65536 })
    const backend = attach(source, layout)
    t.teardown(() => backend.close())
    const wait = async (each: () => void): Promise<number> => {
      const begun = performance.now()
      const settling = new Settling(backend)
      while (!settling.isOver()) {
        each()
        await new Promise(resolve => setTimeout(resolve, 10))
      }
      return performance.now() - begun
    }
    t.ok((await wait(() => {})) >= 250)
    const line = Buffer.from('a line\n')
    t.ok((await wait(() => backend.write({ type: 'console', bytes: line }))) >= 1000)
  },
)
