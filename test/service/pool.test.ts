/** The pool of threads: it shows what the main thread would, and who is slow keeps nobody else waiting. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import {
  attach,
  format,
  StoreError,
  writeDump,
  type AttachOptions,
  type Backend,
} from '#src/index.js'
import { recordsOf, type Records } from '#src/pstore/records.js'
import type { PooledBackend } from '#src/service/pool/backend.js'
import { Pool } from '#src/service/pool/pool.js'
import { fixtures } from '../fixtures.js'
import { file, folder, until } from '../program.js'

const how = { readOnly: false }

const makePool = (t: Test, lines: string[] = []): Pool => {
  const pool = new Pool(line => lines.push(line))
  t.teardown(() => pool.end())
  return pool
}

/** The threads that are started from now on. */
const noteThreads = (t: Test): Worker[] => {
  const threads: Worker[] = []
  const note = (worker: Worker): void => {
    threads.push(worker)
    worker.once('message', () => begun.add(worker))
  }
  process.on('worker', note)
  t.teardown(() => process.off('worker', note))
  return threads
}

/** The threads that have told that they are there. */
const begun = new WeakSet<Worker>()

const small = { mem_size: 65536, record_size: 16384, console_size: 16384, ftrace_size: 0 }

/** A region with a console, and one backend of it in this thread to write with. */
const region = (t: Test, options: AttachOptions, console: string): [string, Backend] => {
  const source = path.join(folder(t), 'region.img')
  format(source, options)
  const backend = attach(source, options)
  t.teardown(() => backend.close())
  backend.write({ type: 'console', bytes: Buffer.from(console) })
  return [source, backend]
}

/** A guest whose look takes hundreds of ms: parity over many MB, and no two looks find the same. */
const slowRegion = (t: Test): [string, AttachOptions, Backend] => {
  const rings = { console_size: 8 << 20, pmsg_size: 0, ftrace_size: 0 }
  const options = { mem_size: (8 << 20) + 8192, record_size: 4096, ...rings, ecc: 16 }
  const [source, backend] = region(t, options, 'x'.repeat(7 << 20))
  return [source, options, backend]
}

/** How many descriptors this process has of a file. */
const descriptorsOf = (source: string): number =>
  fs.readdirSync('/proc/self/fd').filter(fd => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`) === source
    } catch {
      return false
    }
  }).length

/** Everything that the records show. */
const shownBy = async (records: Records) => {
  const names = await records.names()
  const shown = []
  for (const name of names) {
    const found = await records.find(name)
    const opened = await records.open(name)
    const factsOf = (facts: object | null): unknown =>
      facts &&
      JSON.parse(
        JSON.stringify({ ...facts }, (_, value) =>
          typeof value === 'bigint' ? `${value}n` : value,
        ),
      )
    shown.push({
      name,
      found: factsOf(found),
      opened: factsOf(opened?.record ?? null),
      bytes: opened?.content.all().toString('latin1'),
    })
  }
  return shown
}

t.test('every ramoops fixture is shown as the main thread shows it', async t => {
  const pool = makePool(t)
  const shown = { ftrace: 0, dmesg: 0 }
  for (const { name, backend, complete, refusal, layout, region } of fixtures()) {
    if (backend !== 'ramoops' || !complete || refusal) continue
    const source = file(t, region(), `${name}.img`)
    const here = attach(source, { ...layout })
    const there = await pool.attach({ name: 'ramoops', source, options: { ...layout } }, how)
    t.equal(there.readOnly, here.readOnly)
    t.same(there.identity, here.identity)
    const expected = await shownBy(recordsOf(here))
    t.same(await shownBy(there), expected, name)
    if (expected.some(({ name }) => name.startsWith('ftrace'))) shown.ftrace++
    if (expected.some(({ name }) => name.startsWith('dmesg'))) shown.dmesg++
    here.close()
    there.close()
  }
  t.ok(shown.ftrace > 0 && shown.dmesg > 0)
})

t.test("ftrace's text has the names of kallsyms, wherever its records are read", async t => {
  const pool = makePool(t)
  const [fixture] = fixtures('ftrace').filter(({ complete }) => complete)
  const source = file(t, fixture.region())
  const kallsyms = file(
    t,
    Buffer.from('0000000000000001 T first\nfffffffffffffff0 T last\n'),
    'kallsyms',
  )
  const options = { ...fixture.layout, kallsyms }
  const here = attach(source, options)
  t.teardown(() => here.close())
  const there = await pool.attach({ name: 'ramoops', source, options }, how)
  const expected = await shownBy(recordsOf(here))
  t.match(expected[0].bytes, /first/)
  t.same(await shownBy(there), expected)
  await t.rejects(
    pool.attach(
      { name: 'bad', source, options: { ...options, kallsyms: `${kallsyms}.none` } },
      how,
    ),
    { code: 'ENOENT', message: /kallsyms\.none: no such file$/ },
  )
})

t.test(
  'what cannot be attached says why, and what is no name of a backend asks nobody',
  async t => {
    const lines: string[] = []
    const pool = makePool(t, lines)
    const [source] = region(t, small, 'hello')
    await t.rejects(pool.attach({ name: 'none', source: `${source}.none`, options: small }, how), {
      name: 'StoreError',
      code: 'ENOENT',
    })
    fs.chmodSync(source, 0o444)
    const records = await pool.attach({ name: 'guest', source, options: small }, { readOnly: true })
    t.equal(records.readOnly, true)
    t.equal(records.find('console-other-0'), null)
    t.equal(records.open('README'), null)
    t.equal(await records.find('dmesg-guest-0'), null)
    t.equal(await records.open('dmesg-guest-0'), null)
    const record = (await records.find('console-guest-0'))!
    await t.rejects(async () => records.erase(record), { name: 'StoreError', code: 'EROFS' })
    t.same(lines, [])
  },
)

t.test('a record is erased, and only the one that was looked at', async t => {
  const pool = makePool(t)
  const [source, writer] = region(t, small, 'hello')
  const records = await pool.attach({ name: 'guest', source, options: small }, how)
  writer.write({ type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\none') })
  const seen = (await records.find('dmesg-guest-0'))!
  t.equal(await records.erase(seen), true)
  t.equal(await records.find('dmesg-guest-0'), null)
  await t.rejects(async () => records.erase(seen), { name: 'StoreError', code: 'ENOENT' })
  t.same(await records.names(), ['console-guest-0'])
})

t.test('an erasure waits for the lock, and no thread does', async t => {
  const pool = makePool(t)
  const guests: PooledBackend[] = []
  for (const name of ['one', 'two', 'three', 'four']) {
    const [source] = region(t, small, 'hello')
    guests.push(await pool.attach({ name, source, options: small }, how))
  }
  const [free, ...locked] = guests
  const done: string[] = []
  const erase = async (guest: PooledBackend): Promise<void> => {
    const record = (await guest.find(`console-${guest.name}-0`))!
    t.equal(await guest.erase(record), true)
    done.push('erased')
  }
  const holders = locked.map(({ identity }) =>
    spawn('flock', [identity.path, 'sh', '-c', 'echo held; read -r _']),
  )
  t.teardown(() => holders.forEach(holder => holder.kill()))
  await Promise.all(holders.map(({ stdout }) => once(stdout, 'data')))
  const erasing = locked.map(erase)
  for (let i = 0; i < 20; i++) await free.open('console-one-0')
  done.push('read')
  for (const { stdin } of holders) stdin.end('\n')
  await Promise.all(erasing)
  t.same(done, ['read', 'erased', 'erased', 'erased'])
})

t.test('who is slow keeps nobody else waiting', async t => {
  const pool = makePool(t)
  const [slowSource, slowOptions, guest] = slowRegion(t)
  const [quickSource] = region(t, small, 'hello')
  const slow = await pool.attach({ name: 'slow', source: slowSource, options: slowOptions }, how)
  const quick = await pool.attach({ name: 'quick', source: quickSource, options: small }, how)
  const name = 'console-slow-0'
  t.ok(await slow.open(name))
  const done: string[] = []
  let going = true
  const hammer = async (): Promise<void> => {
    while (going) {
      await slow.find(name)
      await slow.open(name)
      done.push('slow')
      guest.write({ type: 'console', bytes: Buffer.from('.') })
    }
  }
  const hammering = Array.from({ length: 4 }, hammer)
  const listing = slow.names().then(() => done.push('list'))
  for (let i = 0; i < 50; i++) {
    const record = await quick.find('console-quick-0')
    const opened = await quick.open('console-quick-0')
    t.equal(opened?.content.all().toString(), 'hello', { diagnostic: false })
    t.equal(record?.size, 5, { diagnostic: false })
    await quick.names()
    done.push('quick')
  }
  going = false
  await Promise.all([...hammering, listing])
  const lastQuick = done.lastIndexOf('quick')
  const slowBefore = done.slice(0, lastQuick).filter(who => who === 'slow').length
  // In one queue with them each of the 50 would have waited for all four.
  t.ok(slowBefore <= 25, `of the four who are slow ${slowBefore} were done before 50 quick ones`)
})

t.test(
  'who asks the same at a time is answered by one look, but not across an erasure',
  async t => {
    const pool = makePool(t)
    const [source, options] = slowRegion(t)
    const slow = await pool.attach({ name: 'slow', source, options }, how)
    const name = 'console-slow-0'
    const first = slow.open(name)
    const others = [slow.open(name), slow.open(name), slow.open(name)]
    const opened = await Promise.all([first, ...others])
    const contents = new Set(opened.map(snapshot => snapshot!.content.held[0].buffer))
    t.ok(contents.size <= 2, 'one look that may be under way, and one for all others')
    const record = (await slow.find(name))!
    const before = [slow.find(name), slow.find(name)]
    const erased = slow.erase(record)
    const after = slow.find(name)
    t.ok((await before[1])?.size)
    t.equal(await erased, true)
    t.equal(await after, null, 'what was asked after the erasure was looked at after it')
  },
)

t.test('who asks of several dumps at a time what crashed is told of each', async t => {
  const pool = makePool(t)
  const [source, backend] = region(t, small, '')
  const titles = ['apples', 'berries'].map(what => `kernel panic: ${what}`)
  for (const title of titles)
    writeDump(backend, Buffer.from(`Kernel panic - not syncing: ${title.split(' ').at(-1)}\n`))
  const there = await pool.attach({ name: 'guest', source, options: small }, how)
  const ask = (n: number) => there.crash(`dmesg-guest-${n}`)
  const found = await Promise.all([ask(0), ask(1), ask(0)])
  t.same(
    found.map(crash => crash?.title),
    [titles[0], titles[1], titles[0]],
  )
})

t.test('a thread that ends fails what it was doing, and another takes its place', async t => {
  const lines: string[] = []
  const threads = noteThreads(t)
  const pool = makePool(t, lines)
  const [source, options] = slowRegion(t)
  await until(() => threads.length === 2 && threads.every(thread => begun.has(thread)))
  const slow = await pool.attach({ name: 'slow', source, options }, how)
  const opening = slow.open('console-slow-0')
  const ended = t.rejects(opening as Promise<unknown>, { name: 'StoreError', code: 'EIO' })
  await Promise.all(threads.map(thread => thread.terminate()))
  await ended
  t.ok(await slow.open('console-slow-0'), 'the next one is served')
  t.equal(pool.threads, 2)
  t.same(lines, Array(2).fill('a thread of the pool ended: it left'))
})

t.test('where descriptors are scarce, no thread opens what another has', async t => {
  const [source, options] = slowRegion(t)
  for (const [limit, opened] of [
    [96 + 2, 0],
    [96 + 4, 1],
  ]) {
    const pool = new Pool(() => {}, limit)
    t.teardown(() => pool.end())
    await pool.begun()
    const guest = await pool.attach({ name: 'slow', source, options }, how)
    const before = descriptorsOf(source)
    // Whoever lists finds a thread free while the other one looks.
    const [record, names] = await Promise.all([guest.find('console-slow-0'), guest.names()])
    t.same([names, record?.name], [['console-slow-0'], 'console-slow-0'])
    t.equal(descriptorsOf(source) - before, opened, `of ${limit}`)
  }
})

t.test('a pool ends, also where its threads begin just then', async t => {
  const pool = new URL('../../dist/service/pool/pool.js', import.meta.url).href
  const code = `
    import { Pool } from ${JSON.stringify(pool)}
    const threads = []
    process.on('worker', thread => threads.push(thread))
    const pool = new Pool(() => {})
    await pool.begun()
    const ended = pool.end()
    // What a thread said before it was told to end is read after that.
    for (const thread of threads) thread.emit('message', { took: 0, answer: true })
    await ended
    console.log('ended')`
  // Without tap's hooks, which keep a process that nothing else does.
  const env = { ...process.env, NODE_OPTIONS: '' }
  const args = ['--input-type=module', '-e', code]
  const { status, stdout } = spawnSync(process.execPath, args, { env })
  t.same([status, stdout.toString()], [0, 'ended\n'])
})

t.test('a replaced file is not mixed with the one that was attached', async t => {
  const lines: string[] = []
  const threads = noteThreads(t)
  const pool = makePool(t, lines)
  const [source] = region(t, small, 'hello')
  const records = await pool.attach({ name: 'guest', source, options: small }, how)
  const [other] = region(t, small, 'another guest')
  fs.renameSync(other, source)
  const read = async (): Promise<string | undefined> =>
    (await records.open('console-guest-0'))?.content.all().toString()
  // Two lanes at a time take two threads.
  for (let i = 0; i < 10; i++) {
    const [names, text] = await Promise.all([records.names(), read()])
    t.same([names, text], [['console-guest-0'], 'hello'])
  }
  await Promise.all(threads.map(thread => thread.terminate()))
  t.ok(await until(() => lines.length >= 2))
  await t.rejects(read(), { code: 'ESTALE', message: /^backend guest: .* is another file by now/ })
  const anew = await pool.attach({ name: 'guest', source, options: small }, how)
  t.equal((await anew.open('console-guest-0'))?.content.all().toString(), 'another guest')
})

t.test('once it is attached everywhere, no source is opened any more', async t => {
  const lines: string[] = []
  const threads = noteThreads(t)
  const pool = makePool(t, lines)
  const guests: PooledBackend[] = []
  for (const text of ['one', 'two', 'three']) {
    const [source] = region(t, small, text)
    guests.push(await pool.attach({ name: text, source, options: small }, how))
  }
  const sources = guests.map(({ identity }) => identity.path)
  await pool.attachEverywhere()
  for (const source of sources) fs.rmSync(source)
  const readAll = () =>
    Promise.all(
      guests.map(async guest =>
        (await guest.open(`console-${guest.name}-0`))?.content.all().toString(),
      ),
    )
  t.same(await readAll(), ['one', 'two', 'three'])
  const erased = guests.map(async guest =>
    guest.erase((await guest.find(`console-${guest.name}-0`))!),
  )
  t.same(await Promise.all(erased), [true, true, true])
  t.equal(threads.length, 3)
  t.equal(pool.threads, 3)
})

t.test('damage is looked for while there is nothing else to do', async t => {
  const pool = makePool(t)
  const options = { mem_size: 65536 * 4, record_size: 4096, console_size: 4096, ecc: 16 }
  const [source, writer] = region(t, options, 'x'.repeat(3000))
  const damaged = [0, 1, 2, 3, 4, 5, 6]
  for (const _ of damaged)
    writer.write({ type: 'dmesg', bytes: Buffer.from(`Panic#1 Part1\n${'y'.repeat(2000)}`) })
  const bytes = fs.readFileSync(source)
  for (const zone of damaged) bytes.fill(0xff, zone * 4096 + 100, zone * 4096 + 900)
  fs.writeFileSync(source, bytes)
  const records = await pool.attach({ name: 'guest', source, options }, how)
  const lines: string[] = []
  for await (const line of records.damage()) lines.push(line)
  t.match(lines.slice(0, 5), Array(5).fill(/^dmesg-guest-\d: damaged: /))
  t.equal(lines[5], 'guest: 7 damaged zones in all')
  t.equal(lines.length, 6)
})

t.test('what is detached is closed in every thread, and fails who waits for it', async t => {
  const pool = makePool(t)
  const [source, options] = slowRegion(t)
  const descriptors = (): number => descriptorsOf(source)
  const before = descriptors()
  const slow = await pool.attach({ name: 'slow', source, options }, how)
  const [first, second] = [slow.open('console-slow-0'), slow.find('console-slow-0')]
  const listed = slow.names()
  t.ok(descriptors() > before)
  const failed = t.rejects(second as Promise<unknown>, { name: 'StoreError', code: 'ESTALE' })
  slow.close()
  await failed
  await Promise.allSettled([first, listed])
  t.ok(await until(() => descriptors() === before))
  await t.rejects(slow.names(), StoreError)
})
