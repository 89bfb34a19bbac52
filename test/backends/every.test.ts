/** What holds of every driver alike. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, StoreError, type AttachOptions } from '#src/index.js'
import { Store } from '#src/pstore/store.js'
import { folder } from '../program.js'

const rings = { console_size: 4096, pmsg_size: 4096, tty_size: 4096, ftrace_size: 0 }
const drivers: [name: string, options: AttachOptions, size: number][] = [
  ['ramoops', { record_size: 4096, ...rings }, 24576],
  ['zone', { kmsg_size: 4096, ...rings }, 24576],
  ['erst', { record_size: 4096, console_size: 4096, pmsg_size: 4096, tty_size: 4096 }, 65536],
  ['efi', { console_size: 4096, pmsg_size: 4096, tty_size: 4096 }, 0],
]

const make = (t: Test, driver: string, options: AttachOptions, size: number) => {
  const made = folder(t)
  const source = driver === 'efi' ? `efi:${made}` : `${driver}:${made}/store.img`
  if (size) {
    const { console_size, pmsg_size, tty_size, ...rest } = options
    const layout = driver === 'erst' ? rest : { ...rest, console_size, pmsg_size, tty_size }
    format(source, { ...(layout as AttachOptions), mem_size: size })
  }
  const open = (more: AttachOptions = {}): Store => {
    const backend = attach(source, { ...options, ...more }) as Store
    t.teardown(() => backend.close())
    return backend
  }
  return open
}

const errnoOf = (work: () => unknown): string => {
  try {
    work()
    return 'none'
  } catch (error) {
    return error instanceof StoreError ? error.code : String(error)
  }
}

for (const [driver, options, size] of drivers)
  t.test(driver, async t => {
    const open = make(t, driver, options, size)
    const backend = open()
    const console = { type: 'console', bytes: Buffer.from('one') } as const
    backend.write(console)
    const ring = backend.records().next().value!
    t.equal(ring.read().toString(), 'one')
    t.equal(backend.survey.raw(ring.name)?.toString(), 'one')
    t.equal(backend.survey.salvage(ring.name), null)
    backend.write(console)
    t.equal(ring.erase(true), false, 'not what was seen')
    t.equal(backend.find(ring.name)!.read().toString(), 'oneone')
    backend.driver.ring('console')!.restart()
    t.equal(backend.find(ring.name), null)
    backend.driver.ring('console')!.restart()
    t.same([...backend.records()], [], 'there is no such ring, and none is made')
    t.equal(
      errnoOf(() => ring.read()),
      'ENOENT',
    )
    const live = driver === 'ramoops' || driver === 'zone' ? ['console', 'pmsg', 'tty'] : []
    t.same(
      Array.from(backend.rings(), ({ name }) => name).sort(),
      live.map(type => `${type}-${backend.name}-0`),
      'the rings that can be followed',
    )
    const done = backend.driver.lock.exclusively(() => {
      backend.write(console)
      return backend.find(ring.name)!.erase(true)
    })
    t.equal(done, true)
    backend.sync()

    const other = open()
    for (const [i, each] of [backend, other, backend, other, backend].entries())
      each.write({ type: 'console', bytes: Buffer.from(`${i}\n`) })
    t.equal(ring.read().toString(), '0\n1\n2\n3\n4\n', 'two in one process, in one turn')
    t.equal(other.find(ring.name)!.erase(), true)
    backend.write(console)
    t.equal(ring.read().toString(), 'one', 'what another erased does not come back')
    t.equal(ring.erase(), true)

    const bytes = Buffer.from('Panic#1 Part1\nbroken')
    backend.write({
      type: 'dmesg',
      bytes,
      compressed: true,
      time: { sec: 1_700_000_000n, nsec: 0 },
    })
    const [dump] = backend.records()
    t.match(dump, { compressed: true, size: bytes.length })
    t.ok(dump.read().equals(bytes), 'as it is, where it is no stream')
    const places = Array.from(backend.survey.conditions()).filter(
      ({ record }) => record === dump.name,
    )
    t.match(places, [{ state: 'damaged', dump: { compressed: true, text: null } }])
    t.match(places[0].findings, [/^it is no deflate, zlib, zstd, lz4, lzo or 842 stream: /])
    t.ok(backend.survey.salvage(dump.name) ?? backend.survey.salvage(places[0].name))
    t.equal(
      errnoOf(() => backend.write({ type: 'rtas', bytes })),
      'ENOSPC',
    )
    t.equal(backend.survey.raw('dmesg-nothing-7'), null)
    t.equal(backend.survey.salvage('dmesg-nothing-7'), null)
    t.equal((backend.capacity('mce')?.room ?? 0) > 0, driver === 'erst')
    t.same(Object.keys(backend.survey.facts).length > 0, true)

    const reader = open({ readOnly: true })
    for (const refused of [
      (): unknown => reader.write(console),
      (): unknown => reader.find(dump.name)!.erase(),
    ])
      t.equal(errnoOf(refused), 'EROFS')
    t.equal(dump.erase(), true)
    t.equal(backend.find(dump.name), null)

    const before = BigInt(Math.floor(Date.now() / 1000))
    backend.write({ type: 'dmesg', bytes })
    const [{ time }] = backend.records()
    t.ok(time && time.sec >= before, 'who gives no time means now')
  })

const dumpOf = (text: string, sec: bigint) =>
  ({
    type: 'dmesg',
    bytes: Buffer.from(`Panic#1 Part1\n${text}`),
    time: { sec, nsec: 0 },
  }) as const

for (const [driver, options, size] of drivers)
  t.test(`${driver}: what is no bytes is not written, and changes nothing`, async t => {
    const backend = make(t, driver, options, size)()
    backend.write(dumpOf('seen', 1n))
    backend.write({ type: 'console', bytes: Buffer.from('one\n') })
    const shown = (): string[] =>
      Array.from(backend.records(), record => `${record.name} ${record.read().toString()}`)
    const before = shown()
    for (const type of ['console', 'dmesg'] as const)
      for (const bytes of ['a text\n', undefined, new Uint16Array(2)])
        t.throws(() => backend.write({ type, bytes: bytes as unknown as Buffer }), {
          code: 'EINVAL',
          message: `${type}: bytes must be a Uint8Array, as Buffer.from() makes of a text`,
        })
    t.same(shown(), before)
  })

for (const [driver, options, size] of drivers)
  t.test(`${driver}: only what was looked at is erased`, async t => {
    const open = make(t, driver, options, size)
    const backend = open()
    backend.write(dumpOf('seen', 1n))
    const seen = backend.records().next().value!
    const other = open()
    t.equal(other.find(seen.name)!.erase(), true)
    const gone = (what: string): void => {
      const before = bytesOf(backend)
      t.equal(
        errnoOf(() => seen.erase()),
        'ENOENT',
        what,
      )
      t.same(bytesOf(backend), before, 'and nothing is written')
    }
    gone('a record that is gone')
    // EFI's and ERST's records have ids that no other gets.
    if (driver === 'efi' || driver === 'erst') return
    // A machine writes past the lock: into the zone that is free, under the name that was looked at.
    const fresh = open()
    fresh.write(dumpOf('nobody has seen this one', 2n))
    while (!fresh.find(seen.name)) fresh.write(dumpOf('nobody has seen this one', 3n))
    t.equal(seen.erase(), false, 'another dump under the same name')
    t.match(backend.find(seen.name)!.read().toString(), /nobody has seen this one$/)
    t.equal(backend.find(seen.name)!.erase(), true, 'once it was looked at it can be erased')
  })

/** All bytes of a store. */
const bytesOf = ({ identity }: Store): { [name: string]: Buffer } =>
  fs.statSync(identity.path).isDirectory()
    ? Object.fromEntries(
        fs
          .readdirSync(identity.path)
          .map(name => [name, fs.readFileSync(`${identity.path}/${name}`)]),
      )
    : { '': fs.readFileSync(identity.path) }

t.test('a store is told from all others by its driver, its source and where it starts', async t => {
  const offset = 8192
  for (const [driver, options, size] of drivers.filter(([, , size]) => size > 0)) {
    const source = `${folder(t)}/disk.img`
    fs.writeFileSync(source, Buffer.alloc(offset + size))
    const layout = { ...options, mem_address: offset, mem_size: size }
    const made = driver === 'erst' ? { record_size: 4096, mem_size: offset + size } : layout
    const at = driver === 'erst' ? 0 : offset
    format(`${driver}:${source}`, made)
    const backend = attach(`${driver}:${source}`, at ? layout : { record_size: 4096 })
    t.same(backend.identity, { driver, path: source, offset: at })
    backend.close()
  }
  const efi = attach(`efi:${folder(t)}`, {})
  t.match(efi.identity, { driver: 'efi', offset: 0 })
  efi.close()
})

t.test('places that can no longer be read', async t => {
  for (const [driver, options, size] of drivers.slice(0, 2)) {
    const backend = make(t, driver, options, size)()
    backend.write({ type: 'console', bytes: Buffer.from('one') })
    fs.truncateSync(backend.identity.path, 0)
    const all = [...backend.survey.conditions()]
    t.equal(all.length > 3, true, driver)
    t.ok(all.every(({ state, findings }) => state === 'damaged' && /truncated/.test(findings[0])))
    t.same([...backend.survey.conditions(false)], all, 'no file shows them')
  }
})

t.test('a store that is not described is not made', async t => {
  const home = folder(t)
  for (const driver of ['ramoops', 'zone', 'erst', 'efi', 'records'])
    t.equal(
      errnoOf(() => format(`${driver}:${home}/new.img`)),
      driver === 'erst' ? 'ENOENT' : 'EINVAL',
      driver,
    )
  t.same(fs.readdirSync(home), [])
})
