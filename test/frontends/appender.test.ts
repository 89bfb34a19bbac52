/** Streams into backends: gathered, at the backend's pace, and none stops the others. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions, type Backend } from '#src/index.js'
import { Appender, type Listener } from '#src/frontends/appender.js'
import { folder, until } from '../program.js'

/** A backend, and how often it was written to. */
const counted = (t: Test, source: string, options: AttachOptions) => {
  const backend = attach(source, options)
  t.teardown(() => backend.close())
  const seen = { writes: 0 }
  const write = backend.write.bind(backend)
  backend.write = record => {
    seen.writes++
    return write(record)
  }
  return { backend, seen }
}

const layout = { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: 0, tty_size: 65536 }

const ramoops = (t: Test) => {
  const path = `${folder(t)}/region.img`
  format(path, { ...layout, mem_size: 65536 })
  return counted(t, path, layout)
}

const efi = (t: Test, options: AttachOptions) => {
  const path = folder(t)
  return { ...counted(t, `efi:${path}`, options), path }
}

const text = (backend: Backend): string => {
  const [record] = [...backend.records()]
  return record ? record.read().toString() : ''
}

const broken: Listener = {
  failed(backend, error) {
    throw new Error(`${backend.name}: ${error.message}`)
  },
}

t.test('many lines are one append', async t => {
  const { backend, seen } = ramoops(t)
  const appender = new Appender([backend], 'tty', broken)
  const line = Buffer.from('a line of text\n')
  for (let i = 0; i < 1000; i++) appender.append(line)
  t.equal(seen.writes, 0, 'nothing while it keeps coming')
  t.ok(await until(() => seen.writes === 1), 'stored after a moment')
  t.equal(text(backend), line.toString().repeat(1000))

  appender.append(Buffer.from('the last words'))
  appender.flush()
  t.equal(seen.writes, 2)
  t.match(text(backend), /the last words$/)
  appender.flush()
  t.equal(seen.writes, 2, 'nothing is no append')
})

t.test('much is stored when it is much', async t => {
  const { backend, seen } = ramoops(t)
  const appender = new Appender([backend], 'tty', broken)
  const bytes = Buffer.alloc(1000, 'x')
  for (let i = 0; i < 200; i++) appender.append(bytes)
  t.equal(seen.writes, 3)
  appender.append(Buffer.alloc(300_000, 'y'))
  appender.flush()
  t.equal(text(backend), 'y'.repeat(65536 - 12))
})

t.test('a store that wears out gets batches', async t => {
  const { backend, path } = efi(t, { tty_size: 16384, batch_seconds: 1 })
  const appender = new Appender([backend], 'tty', broken)
  for (let i = 0; i < 10; i++) appender.append(Buffer.from(`line ${i}\n`))
  await new Promise(resolve => setTimeout(resolve, 20))
  t.same(fs.readdirSync(path), [], 'it waits for more')
  t.ok(await until(() => fs.readdirSync(path).length === 1))
  t.match(text(backend), /^line 0\n.*line 9\n$/s)
  // As much as a record takes is worth a store at once.
  appender.append(Buffer.alloc(3000, 'z'))
  t.equal(text(backend).length, 70 + 3000)
})

t.test('and so many stores an hour', async t => {
  const { backend, seen } = efi(t, { tty_size: 4096, batch_seconds: 0, writes_per_hour: 2 })
  const appender = new Appender([backend], 'tty', broken)
  appender.append(Buffer.alloc(2048, 'a'))
  t.equal(seen.writes, 1, 'two records at once: the hour is used up')
  for (let i = 0; i < 100; i++) appender.append(Buffer.from(`${i} `.padEnd(100)))
  await new Promise(resolve => setTimeout(resolve, 50))
  t.equal(seen.writes, 1)
  appender.flush()
  t.equal(seen.writes, 2, 'the end is stored all the same')
  t.match(text(backend), /99 +$/)
  t.equal(text(backend).length, 4096, 'what the ring takes, the newest')
})

t.test('one that fails is told of once, and the others go on', async t => {
  const good = ramoops(t)
  const bad = efi(t, { tty_size: 4096, batch_seconds: 0 })
  fs.rmdirSync(bad.path)
  const told: string[] = []
  const failed = ({ name }: Backend): unknown => told.push(name)
  const appender = new Appender([bad.backend, good.backend], 'tty', { failed })
  for (const word of ['one ', 'two ', 'three']) {
    appender.append(Buffer.from(word))
    appender.flush()
  }
  t.same(told, ['efi_pstore'])
  t.equal(text(good.backend), 'one two three')
})
