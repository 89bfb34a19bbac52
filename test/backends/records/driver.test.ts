/** Copies of records, in a folder or alone: what is shown of them, and what hostile ones do. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { attach, StoreError, type AttachOptions } from '#src/index.js'
import { listCopies, readCopy } from '#src/backends/records/copies.js'
import { RecordsDriver } from '#src/backends/records/driver.js'
import { records } from '#src/backends/records/index.js'
import { deflate } from '#src/pstore/codecs/deflate.js'
import { Store } from '#src/pstore/store.js'
import { loadFixture } from '../../fixtures.js'
import { folder } from '../../program.js'

const text = Buffer.from('Panic#1 Part1\n<4>[    1.000000] it is broken\n')
const notice = '\nECC: 3 Corrected bytes, 1 unrecoverable blocks\n'

/** A folder of files, which may be in folders of it. */
const made = (t: Test, files: { [name: string]: Buffer | string }): string => {
  const home = folder(t)
  for (const [name, bytes] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(home, name)), { recursive: true })
    fs.writeFileSync(path.join(home, name), bytes)
  }
  return home
}

/** An attached source, and what it said. */
const open = (t: Test, source: string, options: AttachOptions = {}) => {
  const lines: string[] = []
  const backend = attach(source, { ...options, report: line => lines.push(line) }) as Store
  t.teardown(() => backend.close())
  return { backend, lines, names: () => [...backend.records()].map(({ name }) => name) }
}

const errorOf = (work: () => unknown): StoreError => {
  try {
    work()
  } catch (error) {
    if (error instanceof StoreError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

t.test('what a kernel showed is shown as it is', async t => {
  const fixture = loadFixture('ecc1-all')
  const files = Object.fromEntries(fixture.files.map(({ name }) => [name, fixture.file(name)]))
  const home = made(t, files)
  fs.utimesSync(`${home}/dmesg-ramoops-0`, 1, 1_700_000_000)
  fs.utimesSync(`${home}/dmesg-ramoops-1`, 1, 0)
  const { backend, lines } = open(t, home)
  t.same(lines, [])
  t.same(backend.doubts(), [])
  t.same(backend.identity, { driver: 'records', path: home, offset: 0, hasNames: true })
  t.same(backend.survey.facts, { records: fixture.files.length })
  for (const record of backend.records())
    t.ok(record.read().equals(files[record.name]!), record.name)
  t.same([...backend.names()].toSorted(), Object.keys(files).toSorted())
  t.match(backend.find('dmesg-ramoops-0'), { time: { sec: 1_700_000_000n, nsec: 0 } })
  t.equal(backend.find('dmesg-ramoops-1')!.time, null, 'as the core has it')
  t.equal(backend.find('dmesg-ramoops-7'), null)
  t.equal(backend.find('dmesg-other-0'), null)
  const all = [...backend.survey.conditions()]
  t.equal(all.length, fixture.files.length)
  t.ok(all.every(({ state, record, name }) => state === 'sound' && record === name))
  t.same([...backend.survey.conditions(false)], [], 'and no others')
})

t.test('what could not be inflated', async t => {
  const stream = deflate(text)
  const home = made(t, {
    'dmesg-ramoops-0.enc.z': stream,
    'dmesg-ramoops-1.enc.z': Buffer.concat([stream, Buffer.from(notice)]),
    'dmesg-ramoops-2.enc.z': Buffer.concat([stream, Buffer.from('\nECC: No errors detected\n')]),
    'dmesg-ramoops-3.enc.z': stream.subarray(0, -9),
    'dmesg-ramoops-4.enc.z': '',
  })
  const { backend, names } = open(t, home)
  t.same(names(), [
    'dmesg-ramoops-0',
    'dmesg-ramoops-1',
    'dmesg-ramoops-2',
    'dmesg-ramoops-3.enc.z',
  ])
  t.same(names(), [...backend.names()], 'a second look')
  t.ok(backend.find('dmesg-ramoops-0')!.read().equals(text))
  t.equal(backend.open('dmesg-ramoops-0.enc.z')!.content.all().toString(), text.toString())
  t.match(backend.find('dmesg-ramoops-1'), { ecc: { corrected: 3, bad: 1 } })
  t.equal(backend.find('dmesg-ramoops-1')!.read().toString(), `${text}${notice}`)
  t.match(backend.find('dmesg-ramoops-2'), { ecc: { corrected: 0, bad: 0 } })
  t.ok(text.toString().startsWith(backend.survey.salvage('dmesg-ramoops-3')!.all().toString()))
  t.ok(backend.survey.raw('dmesg-ramoops-0')!.equals(stream))
  t.same(
    [...backend.survey.conditions()].map(({ state }) => state),
    ['sound', 'sound', 'sound', 'damaged', 'empty'],
  )
})

t.test('ftrace: text, and records in both byte orders', async t => {
  const record = (put: (bytes: Buffer, value: bigint, at: number) => unknown): Buffer =>
    Buffer.concat(
      Array.from({ length: 20 }, (_, i) => {
        const bytes = Buffer.alloc(24)
        put(bytes, 0xffffffff81000000n + BigInt(i), 0)
        put(bytes, 0xffffffff81200000n + BigInt(i), 8)
        put(bytes, BigInt(i) << 8n, 16)
        return bytes
      }),
    )
  const shown = 'CPU:0 ts:1 ffffffff81000000  ffffffff81200000  a <- b\n'
  const home = made(t, {
    'ftrace-little-0': record((bytes, value, at) => bytes.writeBigUInt64LE(value, at)),
    'ftrace-big-0': record((bytes, value, at) => bytes.writeBigUInt64BE(value, at)),
    'ftrace-text-0': shown,
    'ftrace-ramoops': 'of an old kernel',
    'ftrace-empty-0': '',
  })
  const { backend, names } = open(t, home)
  t.same(names(), ['ftrace-big-0', 'ftrace-little-0', 'ftrace-ramoops-0', 'ftrace-text-0'])
  for (const name of ['ftrace-little-0', 'ftrace-big-0']) {
    const { content } = backend.open(name)!
    t.match(content.all().toString(), /^CPU:0 ts:0 ffffffff81000000 {2}ffffffff81200000 /)
    t.equal(content.all().toString().split('\n').length, 21)
  }
  t.equal(backend.find('ftrace-text-0')!.read().toString(), shown)
  const wrong = open(t, home, { endian: 'little' }).backend
  t.notMatch(wrong.find('ftrace-big-0')!.read().toString(), /ffffffff81000000/, 'as it is told')
})

t.test("a mount's folders, and files of one name", async t => {
  const home = made(t, {
    'dmesg-ramoops-0': 'one',
    'ramoops/dmesg-ramoops-0': 'one',
    'guest/dmesg-ramoops-0': 'two',
    'guest/pmsg-ramoops-0': 'four',
    'other/dmesg-ramoops-0': 'six',
    'deep/er/dmesg-deep-0': 'as systemd-pstore has it',
    'deep/er/still/dmesg-deeper-0': 'not looked for',
    'dmesg-ramoops-0.enc.z': 'no stream',
  })
  fs.linkSync(`${home}/guest/pmsg-ramoops-0`, `${home}/pmsg-ramoops-0`)
  const { backend, lines, names } = open(t, home)
  t.same(names(), [
    'dmesg-deep-0',
    'dmesg-ramoops-0',
    'dmesg-ramoops-0.2.enc.z',
    'dmesg-ramoops-0.3',
    'dmesg-ramoops-0.4',
    'pmsg-ramoops-0',
  ])
  t.equal(backend.find('dmesg-ramoops-0.3')!.read().toString(), 'two')
  t.equal(backend.find('dmesg-deep-0')!.read().toString(), 'as systemd-pstore has it')
  t.same(lines, [
    `${home}: 3 records with the name of another one: dmesg-ramoops-0.enc.z is shown as dmesg-ramoops-0.2`,
  ])
})

t.test('what is there changes', async t => {
  const home = made(t, { 'pmsg-ramoops-0': 'one', 'dmesg-ramoops-0.enc.z': deflate(text) })
  const { backend, names } = open(t, home)
  const [dump, pmsg] = [...backend.records()]
  fs.writeFileSync(`${home}/console-ramoops-0`, 'new')
  t.same(names(), ['console-ramoops-0', 'dmesg-ramoops-0', 'pmsg-ramoops-0'])
  const slots = [...backend.driver.slots()]
  const extents = [...backend.driver.extents()]
  for (const name of fs.readdirSync(home)) fs.unlinkSync(`${home}/${name}`)
  for (const slot of slots) {
    t.same(slot.load(true), { version: '', raw: null })
    t.same(slot.glance(), { version: '', lengths: [0] })
    t.equal(slot.raw(undefined, true), null)
    t.same(slot.unreadable, { ...slot.unreadable, time: null, size: 0 })
  }
  t.match(
    errorOf(() => extents[0]!.inspect()),
    { code: 'ENOENT' },
  )
  t.match(
    errorOf(() => dump!.read()),
    { code: 'ENOENT' },
  )
  t.match(
    errorOf(() => pmsg!.read()),
    { code: 'ENOENT' },
  )
  fs.writeFileSync(`${home}/pmsg-ramoops-0`, 'one')
  const single = open(t, `${home}/pmsg-ramoops-0`).backend
  fs.unlinkSync(`${home}/pmsg-ramoops-0`)
  t.match([...single.survey.conditions()], [{ state: 'damaged', findings: [/no such file/] }])
  fs.rmdirSync(home)
  t.match(errorOf(names), { message: `${home}: no such file` })
})

t.test('what is there changes in a folder in the folder', async t => {
  const home = made(t, { 'first/001/pmsg-ramoops-0': 'one' })
  const { backend, names } = open(t, home)
  const seen = async (wanted: string[], why: string): Promise<void> => {
    // What was looked at is kept for some times as long as it took.
    for (let n = 0; n < 100 && names().join() !== wanted.join(); n++) await setTimeout(20)
    t.same(names(), wanted, why)
  }
  t.same(names(), ['pmsg-ramoops-0'])
  fs.mkdirSync(`${home}/first/002`)
  fs.writeFileSync(`${home}/first/002/dmesg-ramoops-0`, 'Panic#1 Part1\n')
  await seen(['dmesg-ramoops-0', 'pmsg-ramoops-0'], 'as systemd-pstore adds to a crash')
  t.equal(backend.find('dmesg-ramoops-0')?.read().toString(), 'Panic#1 Part1\n')
  fs.rmSync(`${home}/first/001/pmsg-ramoops-0`)
  await seen(['dmesg-ramoops-0'], 'and takes away')
  fs.rmSync(`${home}/first/002`, { recursive: true })
  await seen([], 'with its folder')
})

t.test('many files of one name are read no more often than two', async t => {
  const count = 60
  const home = made(
    t,
    Object.fromEntries(
      Array.from({ length: count }, (_, n) => [
        `${n}/console-ramoops-0`,
        // As long as each other: full rings are. Every fourth is another's copy.
        `boot ${String(n % 4 === 3 ? n - 1 : n).padStart(6, '0')}`,
      ]),
    ),
  )
  const { readSync } = fs
  t.teardown(() => Object.assign(fs, { readSync }))
  let reads = 0
  Object.assign(fs, {
    readSync: (...args: Parameters<typeof readSync>) => {
      reads++
      return readSync(...args)
    },
  })
  const { copies } = listCopies(home)
  Object.assign(fs, { readSync })
  t.equal(copies.length, (count * 3) / 4)
  t.ok(reads <= 3 * count, `${reads} reads`)
})

t.test('nothing is followed, waited for or erased', async t => {
  const home = made(t, { 'pmsg-ramoops-0': 'one', 'sub/pmsg-sub-0': 'two' })
  fs.symlinkSync('/etc/passwd', `${home}/console-ramoops-0`)
  fs.symlinkSync('/etc', `${home}/linked`)
  spawnSync('mkfifo', [`${home}/dmesg-ramoops-0`])
  fs.mkdirSync(`${home}/dmesg-ramoops-1`)
  const { backend, lines, names } = open(t, home)
  t.same(names(), ['pmsg-ramoops-0', 'pmsg-sub-0'])
  t.match(lines, [/: 3 records left out, as they are no files or links: console-ramoops-0$/])
  // What is a file when it is listed is anything when it is opened.
  for (const [name, file] of [
    ['pmsg-ramoops-0', 'pmsg-ramoops-0'],
    ['pmsg-sub-0', 'sub/pmsg-sub-0'],
  ] as const) {
    const copy = backend.driver.slot(name.slice(0, -2), 0n)!
    fs.unlinkSync(`${home}/${file}`)
    fs.symlinkSync('/etc/passwd', `${home}/${file}`)
    t.match(
      errorOf(() => copy.raw(undefined, true)),
      { message: /is a link/ },
    )
    fs.unlinkSync(`${home}/${file}`)
    spawnSync('mkfifo', [`${home}/${file}`])
    t.match(
      errorOf(() => copy.load(true)),
      { message: /is no file/ },
    )
    t.match(copy.glance(), { lengths: [0] })
    fs.unlinkSync(`${home}/${file}`)
    fs.writeFileSync(`${home}/${file}`, 'one')
  }
  fs.renameSync(`${home}/sub`, `${home}/moved`)
  fs.symlinkSync('moved', `${home}/sub`)
  t.throws(
    () => readCopy(home, { ...listCopies(home).copies[1]!, file: 'sub/pmsg-sub-0' }),
    /link|not a directory/,
  )
  const why = /is read-only: these are copies: rm removes them$/
  t.match(
    errorOf(() => backend.find('pmsg-ramoops-0')!.erase()),
    { code: 'EROFS', message: why },
  )
  t.match(
    errorOf(() => backend.driver.slot('pmsg-ramoops', 0n)!.erase()),
    { code: 'EROFS' },
  )
  t.equal(backend.capacity('console'), null)
  t.equal(backend.capacity('dmesg'), null)
  t.equal(backend.survey.whyReadOnly, 'these are copies: rm removes them')
  backend.sync()
})

t.test('a folder that cannot be opened', async t => {
  const home = made(t, { 'pmsg-ramoops-0': 'one', 'sub/pmsg-sub-0': 'two' })
  const { openSync } = fs
  t.teardown(() => (fs.openSync = openSync))
  let refused = '/sub'
  fs.openSync = (file, ...rest) => {
    if (String(file).endsWith(refused)) throw Object.assign(new Error('EACCES'), { code: 'EACCES' })
    return openSync(file, ...rest)
  }
  t.equal(listCopies(home).copies.length, 1)
  refused = home
  t.match(
    errorOf(() => listCopies(home)),
    { message: `${home}: permission denied` },
  )
})

t.test('one that cannot be read hides no other', async t => {
  const big = 2 ** 27 + 1
  const home = made(t, {
    'console-ramoops-0': '',
    'dmesg-ramoops-0.enc.z': '',
    'pmsg-ramoops-0': 'one',
  })
  for (const name of ['console-ramoops-0', 'dmesg-ramoops-0.enc.z'])
    fs.truncateSync(`${home}/${name}`, big)
  const { backend, names } = open(t, home)
  t.same(names(), ['console-ramoops-0', 'dmesg-ramoops-0.enc.z', 'pmsg-ramoops-0'])
  t.match(backend.find('dmesg-ramoops-0'), { size: big })
  t.match(
    errorOf(() => backend.find('console-ramoops-0')!.read()),
    { message: /too large/ },
  )
  t.match(
    [...backend.survey.conditions()].map(({ state }) => state),
    ['damaged', 'damaged', 'sound'],
  )
  fs.copyFileSync(`${home}/pmsg-ramoops-0`, `${home}/other`)
  fs.mkdirSync(`${home}/sub`)
  fs.truncateSync(`${home}/pmsg-ramoops-0`, big)
  fs.writeFileSync(`${home}/sub/pmsg-ramoops-0`, '')
  fs.truncateSync(`${home}/sub/pmsg-ramoops-0`, big)
  t.equal(listCopies(home).copies.length, 4, 'who cannot be compared is another one')
})

t.test('one that is compressed is what is in it', async t => {
  const long = Buffer.concat([text, Buffer.alloc(4096, 'x')])
  const file = `${made(t, { 'sent.gz': gzipSync(long) })}/sent.gz`
  fs.utimesSync(file, 1, 1_700_000_000)
  const { backend, names } = open(t, file)
  t.same(names(), ['dmesg-records-0'])
  const found = backend.find('dmesg-records-0')!
  t.same([found.size, found.time], [long.length, { sec: 1_700_000_000n, nsec: 0 }])
  t.same(found.read(), long)
  t.match([...backend.survey.conditions()], [{ used: long.length, state: 'sound' }])
  fs.writeFileSync(file, gzipSync(long).subarray(0, 30))
  t.match(
    errorOf(() => backend.find('dmesg-records-0')!.read()).message,
    /sent\.gz: is a gzip file of which /,
  )
})

t.test('one that is compressed, by its name', async t => {
  for (const [file, name, bytes] of [
    ['pmsg-ramoops-0.gz', 'pmsg-ramoops-0', gzipSync('a message')],
    ['console-ramoops.txt.gz', 'console-ramoops-0', gzipSync('a line')],
    ['dmesg-ramoops-5.enc.z.gz', 'dmesg-ramoops-5', gzipSync(deflate(text))],
    // It was unpacked, and kept its name.
    ['ftrace-ramoops-0.xz', 'ftrace-ramoops-0', Buffer.from('CPU:0 ts:1 0  0  a <- b\n')],
  ] as const) {
    const { names } = open(t, `${made(t, { [file]: bytes })}/${file}`)
    t.same(names(), [name], file)
  }
  // In a folder nothing is unpacked.
  const home = made(t, { 'pmsg-ramoops-0.gz': gzipSync('a message'), 'pmsg-ramoops-1': 'another' })
  t.same(open(t, home).names(), ['pmsg-ramoops-1'])
})

t.test('by their numbers', async t => {
  const home = made(t, { 'dmesg-ramoops-9': '1', 'dmesg-ramoops-10': '2', 'dmesg-efi-11': '3' })
  t.same(
    listCopies(home).copies.map(({ id }) => id),
    [11n, 9n, 10n],
  )
})

t.test('more entries than are looked at', async t => {
  const home = made(t, { 'one/file': '', 'one/other': '' })
  t.match(
    errorOf(() => attach(`records:${home}`, {})),
    {
      message: /no file in it has a record's name/,
    },
  )
  t.same(listCopies(home, 3).copies, [])
  t.match(
    errorOf(() => listCopies(home, 2)),
    { message: /has more than 2 entries: name the folder/ },
  )
})

t.test('files of other names', async t => {
  const bare = Buffer.alloc(4096)
  bare.write('====1300000000.4567\n<4>[    1.000000] a line\n')
  const home = made(t, {
    'dmesg.txt': text,
    last_kmsg: '<6>[    0.000000] Linux version 6.1\n',
    kmsg: '5,0,0,-;Linux version 6.1\n',
    journal: 'Nov 28 10:00:00 host kernel: Linux version 6.1\n',
    pmsg: loadPmsg(),
    ftrace: 'CPU:0 ts:1 ffffffff81000000  ffffffff81200000  a <- b\n',
    dump: deflate(text),
    bare: Buffer.concat([bare, bare]),
    one: bare,
    noise: Buffer.from([1, 2, 3]),
    erased: Buffer.alloc(64, 0xff),
  })
  const { names } = open(t, `${home}/dmesg.txt`)
  t.same(names(), ['dmesg-records-0'])
  for (const [name, like] of [
    ['last_kmsg', /it looks like a kernel's log: name it console-ramoops-0/],
    ['kmsg', /it looks like a kernel's log/],
    ['journal', /it looks like a kernel's log/],
    ['pmsg', /it looks like a pmsg record: name it pmsg-ramoops-0/],
    ['ftrace', /it looks like an ftrace record: name it ftrace-ramoops-0/],
    ['dump', /it looks like a compressed dmesg record: name it dmesg-ramoops-0\.enc\.z/],
    [
      'bare',
      /dumps of a kernel before 3\.5, .*: in an empty folder, `split -b 4096 -d -a 3 FILE dmesg-ramoops-`/,
    ],
    ['one', /`split -b RECORD_SIZE -d/],
    ['noise', /no pstore region found/],
    ['erased', /no pstore region found/],
  ] as const) {
    t.match(
      errorOf(() => attach(`${home}/${name}`, {})),
      { message: like },
      name,
    )
    t.match(
      errorOf(() => attach(`records:${home}/${name}`, {})),
      { message: /its name is no record's/ },
    )
  }
  t.equal(records.resembles!(Buffer.alloc(0), home), null)
  t.throws(() => new RecordsDriver(`${home}/nowhere`, null).listing(), StoreError)
})

/** A message as Android's logd keeps it. */
const loadPmsg = (): Buffer => {
  const bytes = Buffer.alloc(40)
  bytes[0] = 0x6c
  bytes.writeUInt16LE(40, 1)
  bytes.write('\x04tag\0hello\0', 18, 'latin1')
  return bytes
}
