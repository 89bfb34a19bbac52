/** efivarfs, as far as an ordinary folder can stand for it. */
import fs from 'node:fs'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import t, { type Test } from 'tap'
import { EfiDriver } from '#src/backends/efi/driver.js'
import { ringGuid, vendorGuid } from '#src/backends/efi/names.js'
import type { Variables } from '#src/backends/efi/variables.js'
import type { Unreadable } from '#src/index.js'
import { deflate } from '#src/pstore/codecs/deflate.js'
import { storeLz4 } from '../../model/lz4.js'
import { run } from '../../program.js'
import {
  attached,
  errnoOf,
  makeFolder,
  shown,
  varFile,
  withAttributes,
  variablesOf,
} from './stores.js'

const one = varFile('dump-type0-1-1-1700000000-D')
const two = varFile('dump-type0-2-1-1700000000-D')
const nameOne = 'dmesg-efi_pstore-170000000001001'

t.test('only regular files of Linux with something in them', async t => {
  const made = makeFolder(t, {
    [one]: 'text',
    [varFile('dump-type0-3-1-1700000000-D')]: '',
    [varFile('dump-type0-4-1-1700000000-D')]: 'x'.repeat(65536),
    [varFile('dump-type0-5-1-1700000000-D')]: 'x'.repeat(65537),
    [varFile('dump-type12-1-1-1700000000-D')]: 'unknown type',
    [varFile('dump-type0-6-1-1700000000-D\n')]: 'control character',
    [varFile('\u00e4dump-type0-6-1-1700000000-D')]: 'letter',
    'dump-type0-7-1-1700000000-D-8be4df61-93ca-11d2-aa0d-00e098032b8c': 'of another vendor',
    'dump-type0-8-1-1700000000-D': 'no vendor',
  })
  const secret = path.join(makeFolder(t, { secret: 'secret' }), 'secret')
  fs.symlinkSync(secret, path.join(made, varFile('dump-type0-9-1-1700000000-D')))
  fs.mkdirSync(path.join(made, varFile('dump-type0-10-1-1700000000-D')))
  run('mkfifo', [path.join(made, varFile('dump-type0-11-1-1700000000-D'))])
  fs.writeFileSync(path.join(made, varFile('dump-type0-12-1-1700000000-D')), '\x07\0')
  // A name that is no UTF-8.
  fs.writeFileSync(Buffer.from(`${made}/dump-type0-1-1-9-\xff${varFile('')}`, 'latin1'), 'latin1')
  const backend = attached(t, made)
  t.same(shown(backend), {
    [nameOne]: 'text',
    'dmesg-efi_pstore-170000000004001': 'x'.repeat(65536),
  })
})

/**
 * Put a file of sysfs in a variable's place, which claims a page and has a few bytes: efivarfs lists what
 * Linux's own pstore has deleted, and its file is empty then.
 *
 * @returns false where that cannot be (no root)
 */
const withShortFile = (file: string, work: () => void): boolean => {
  if (run('mount', ['--bind', '/sys/kernel/uevent_seqnum', file]).status !== 0) return false
  try {
    work()
  } finally {
    run('umount', [file])
  }
  return true
}

t.test('what is listed and has gone is not shown, nor looked for again', async t => {
  const made = makeFolder(t, { [one]: 'text', [two]: 'gone' })
  const backend = attached(t, made)
  const tried = withShortFile(path.join(made, two), () => {
    for (let listed = 0; listed < 3; listed++) {
      t.same(shown(backend), { [nameOne]: 'text' })
      t.same([...backend.survey.conditions()].length, 1)
      // Have it listed anew.
      fs.utimesSync(made, listed, listed)
    }
    t.same(
      variablesOf(backend)
        .list()
        .dumps.map(({ name }) => name),
      ['dump-type0-1-1-1700000000-D'],
    )
  })
  if (!tried) t.comment('nothing can be mounted here')
  fs.utimesSync(made, 9, 9)
  t.equal(Object.keys(shown(backend)).length, 2, 'it is back')
})

t.test('what is replaced by a link or a FIFO is not followed', async t => {
  const made = makeFolder(t, { [one]: 'text' })
  const secret = path.join(makeFolder(t, { secret: 'text' }), 'secret')
  const backend = attached(t, made)
  for (const replace of [
    (): void => fs.symlinkSync(secret, path.join(made, one)),
    (): void => void run('mkfifo', [path.join(made, one)]),
    (): void => fs.mkdirSync(path.join(made, one)),
  ]) {
    fs.rmSync(path.join(made, one), { recursive: true })
    fs.writeFileSync(path.join(made, one), withAttributes('text'))
    const record = backend.find(nameOne)!
    const [variable] = variablesOf(backend).list().dumps
    fs.rmSync(path.join(made, one))
    replace()
    t.equal(variablesOf(backend).read(variable), null)
    t.equal(
      errnoOf(() => record.read()),
      'ENOENT',
    )
    t.equal(backend.find(nameOne), null)
  }
})

t.test('order: dump by dump, part by part, whatever the names sort to', async t => {
  const names = [
    'dump-type0-1-7-1600000000',
    'dump-type0-1-1-1700000000-C',
    'dump-type0-2-1-1700000000-C',
    'dump-type0-10-1-1700000000-C',
    'dump-type0-1-2-1700000000-D',
    'dump-type0-2-2-1700000000-D',
    'dump-type0-1-1-1700000001-D',
  ]
  const files = Object.fromEntries(names.toReversed().map(name => [varFile(name), name]))
  const backend = attached(t, makeFolder(t, files))
  // These are no streams, so that they are shown as they are.
  t.same(Object.values(shown(backend)), names)
})

t.test('two variables of one file name: each has one of its own, and keeps it', async t => {
  const made = makeFolder(t, {
    [varFile('dump-type0-1-1-1700000000-D')]: 'with the letter',
    [varFile('dump-type0-1-1-1700000000')]: 'without',
  })
  const backend = attached(t, made)
  const copy = `${nameOne}.${crc32('dump-type0-1-1-1700000000-D')}`
  t.same(shown(backend), { [nameOne]: 'without', [copy]: 'with the letter' })
  const [first, second] = backend.records()
  t.equal(attached(t, made).find(nameOne)!.erase(), true)
  t.equal(
    errnoOf(() => first!.erase()),
    'ENOENT',
  )
  t.same(shown(backend), { [copy]: 'with the letter' })
  const fresh = attached(t, made)
  t.same(shown(fresh), { [nameOne]: 'with the letter' }, 'as Linux calls it now')
  t.equal(fresh.find(copy)?.read().toString(), 'with the letter', 'and as it was called')
  t.equal(fresh.find(`${nameOne}.1`), null)
  t.equal(second!.erase(), true)
  t.same(fs.readdirSync(made), [])
})

t.test('compressed, and no longer so', async t => {
  const text = Buffer.from(`Panic#1 Part1\n${'<6>all is well\n'.repeat(100)}`)
  const limit = 3 * 1024
  const said = Array.from({ length: 160 }, (_, n) => `<6>[  ${n}.5] port ${n * n}: link is up\n`)
  const long = Buffer.from(`Panic#1 Part7\n${said.join('')}`)
  const compressed = (part: number): string => varFile(`dump-type0-${part}-1-1700000000-C`)
  const stream = deflate(text)
  const made = makeFolder(t, {
    [compressed(1)]: stream,
    [compressed(2)]: stream.subarray(0, -1),
    [compressed(3)]: deflate(Buffer.alloc(limit)),
    [compressed(4)]: deflate(Buffer.alloc(limit + 1)),
    [compressed(5)]: Buffer.concat([stream, Buffer.from('trailing')]),
    // Kernels with a larger record_size: of 4096 the text has up to 6827 bytes, however short they become.
    [compressed(7)]: deflate(long),
    [compressed(8)]: Buffer.concat([deflate(Buffer.alloc(3 * 65536)), Buffer.alloc(2 ** 14)]),
    [compressed(9)]: Buffer.concat([deflate(Buffer.alloc(3 * 65536 + 1)), Buffer.alloc(2 ** 14)]),
    [compressed(6)]: Buffer.concat([deflate(Buffer.alloc(3 * 4096)), Buffer.alloc(4096)]).subarray(
      0,
      4096,
    ),
  })
  const backend = attached(t, made)
  const facts = Array.from(backend.records(), record => {
    const { name, size, compressed } = record
    t.equal(record.read().length, size)
    return [name.slice('dmesg-efi_pstore-1700000000'.length), size, compressed]
  })
  t.same(facts, [
    ['01001', text.length, false],
    ['02001.enc.z', stream.length - 1, true],
    ['03001', limit, false],
    ['04001.enc.z', deflate(Buffer.alloc(limit + 1)).length, true],
    ['05001', text.length, false],
    ['06001', 3 * 4096, false],
    ['07001', long.length, false],
    ['08001', 3 * 65536, false],
    ['09001.enc.z', deflate(Buffer.alloc(3 * 65536 + 1)).length + 2 ** 14, true],
  ])
  t.equal(backend.find('dmesg-efi_pstore-170000000002001'), null, 'not under the other name')
  t.equal(backend.find('dmesg-efi_pstore-170000000001001.enc.z'), null)
  backend.find('dmesg-efi_pstore-170000000002001.enc.z')!.erase()
  t.notOk(fs.existsSync(path.join(made, compressed(2))))
})

t.test('times', async t => {
  const backend = attached(
    t,
    makeFolder(t, {
      [varFile('dump-type0-1-1-0-D')]: 'none',
      [varFile('dump-type0-1-1-1700000000-D')]: 'some',
      [varFile('dump-type0-1-1-18446744073709551615-D')]: 'before 1970',
    }),
  )
  t.same(
    Array.from(backend.records(), ({ time }) => time),
    [null, { sec: 1700000000n, nsec: 0 }, { sec: -1n, nsec: 0 }],
  )
})

t.test('what others do is seen', async t => {
  const made = makeFolder(t, { [one]: 'text' })
  const backend = attached(t, made)
  t.same(Object.values(shown(backend)), ['text'])
  const { version } = backend.find(nameOne)!
  fs.writeFileSync(path.join(made, two), withAttributes('more'))
  t.same(Object.values(shown(backend)), ['text', 'more'])
  const record = backend.find(nameOne)!
  t.equal(record.version, version)
  fs.unlinkSync(path.join(made, one))
  t.equal(
    errnoOf(() => record.read()),
    'ENOENT',
  )
  t.equal(
    errnoOf(() => record.erase()),
    'ENOENT',
  )
  fs.rmSync(made, { recursive: true })
  t.equal(
    errnoOf(() => [...backend.records()]),
    'EIO',
  )
})

t.test('what has taken the place of a record that was seen is not erased for it', async t => {
  const made = makeFolder(t, {})
  const backend = attached(t, made)
  // Also where that is done at once: the folder's own time does not tell of it.
  for (let round = 0; round < 20; round++) {
    fs.writeFileSync(path.join(made, one), withAttributes('text'))
    const seen = backend.find(nameOne)!
    fs.writeFileSync(path.join(made, one), withAttributes('other text'))
    t.equal(seen.erase(true), false)
    t.same(shown(backend), { [nameOne]: 'other text' })
    t.equal(backend.find(nameOne)!.erase(true), true)
    t.same(fs.readdirSync(made), [])
  }
})

t.test('a machine check has a place of its own, and is no dump', async t => {
  const backend = attached(t, makeFolder(t, { [varFile('dump-type1-1-1-1700000000-D')]: 'mce' }))
  const name = 'mce-efi_pstore-170000000001001'
  t.match(
    [...backend.survey.conditions()],
    [{ type: 'mce', record: name, used: 3, state: 'sound', dump: null }],
  )
})

t.test('a broken stream is damage, whatever its type', async t => {
  const backend = attached(t, makeFolder(t, { [varFile('dump-type1-1-1-1700000000-C')]: '\xff' }))
  const record = 'mce-efi_pstore-170000000001001.enc.z'
  t.match(
    [...backend.survey.conditions()],
    [{ record, state: 'damaged', findings: [/^it is no deflate, /] }],
  )
})

t.test("a dump of 1970 that would have a ring's name", async t => {
  const tty = 'tty-efi_pstore-0'
  const files = { [varFile('dump-type9-0-0-0-D')]: 'dump', [`tty-0-4-${ringGuid}`]: 'ring' }
  const backend = attached(t, makeFolder(t, files))
  const copy = `${tty}.${crc32('dump-type9-0-0-0-D')}`
  t.same(shown(backend), { [copy]: 'dump', [tty]: 'ring' })
  t.same(
    Array.from(backend.survey.conditions(), ({ record, state }) => [record, state]),
    [
      [copy, 'damaged'],
      [tty, 'sound'],
    ],
  )
  backend.find(tty)!.erase()
  t.same(shown(backend), { [copy]: 'dump' })
  backend.find(copy)!.erase()
  t.same(shown(backend), {})
})

t.test('writing a part of a dump', async t => {
  const made = makeFolder(t, {})
  const backend = attached(t, made)
  const time = { sec: 1700000000n, nsec: 999 }
  t.equal(backend.capacity('dmesg')?.room ?? 0, 1024)
  t.equal(backend.capacity('console')?.room ?? 0, 0)
  const write = (bytes: Buffer, compressed?: boolean): number =>
    backend.write({
      type: 'dmesg',
      bytes,
      time,
      ...(compressed === undefined ? {} : { compressed }),
    })
  const text = Buffer.from('Oops#3 Part2\n<1>text\n')
  t.equal(write(text), text.length)
  t.ok(
    fs
      .readFileSync(path.join(made, varFile('dump-type0-2-3-1700000000-D')))
      .equals(withAttributes(text)),
  )
  // The first line counts wherever it is.
  const stream = deflate(Buffer.from('Panic#4 Part12\n<1>text\n'))
  write(stream, true)
  t.ok(
    fs
      .readFileSync(path.join(made, varFile('dump-type0-12-4-1700000000-C')))
      .equals(withAttributes(stream)),
  )
  // Whatever the stream's codec.
  write(storeLz4(Buffer.from('Panic#5 Part13\n<1>text\n')), true)
  t.ok(fs.existsSync(path.join(made, varFile('dump-type0-13-5-1700000000-C'))))
  write(Buffer.alloc(1024, 'x'))
  t.ok(fs.existsSync(path.join(made, varFile('dump-type0-1-1-1700000000-D'))))
  // None is overwritten, and none is hidden behind another.
  write(Buffer.from('Oops#3 Part2\nanother'))
  write(deflate(Buffer.from('Oops#3 Part2\na third')), true)
  t.same(Object.keys(shown(backend)), [
    'dmesg-efi_pstore-170000000001001',
    'dmesg-efi_pstore-170000000002003',
    'dmesg-efi_pstore-170000000002004',
    'dmesg-efi_pstore-170000000012004',
    'dmesg-efi_pstore-170000000002005',
    'dmesg-efi_pstore-170000000013005',
  ])
  t.same(
    Array.from(backend.survey.conditions(), ({ state, findings }) => [state, findings]),
    Array.from({ length: 6 }, () => ['sound', []]),
    'plain or compressed',
  )
  t.equal(
    errnoOf(() => write(Buffer.alloc(1025))),
    'ENOSPC',
  )
  t.equal(
    errnoOf(() => write(Buffer.alloc(0))),
    'EINVAL',
  )
  t.equal(
    errnoOf(() => backend.write({ type: 'console', bytes: text })),
    'ENOSPC',
  )
  t.equal(fs.readdirSync(made).length, 6)
})

t.test('more dumps of one second than there are numbers for', async t => {
  const files = Array.from({ length: 1000 }, (_, i) =>
    varFile(`dump-type0-1-${i + 1}-1700000000-D`),
  )
  const made = makeFolder(t, Object.fromEntries(files.map(name => [name, 'x'])))
  const backend = attached(t, made)
  const dump = {
    type: 'dmesg',
    bytes: Buffer.from('x'),
    time: { sec: 1700000000n, nsec: 0 },
  } as const
  t.equal(
    errnoOf(() => backend.write(dump)),
    'ENOSPC',
  )
  t.equal(fs.readdirSync(made).length, 1000)
  fs.rmSync(path.join(made, files[500]))
  t.equal(backend.write(dump), 1)
  t.ok(fs.existsSync(path.join(made, files[500])))
  t.equal(backend.capacity('ftrace')?.room ?? 0, 0)
})

t.test('names that say the same come in the order of their letters', async t => {
  const made = makeFolder(t, {})
  for (const letter of 'FACEBGDH')
    fs.writeFileSync(
      path.join(made, varFile(`dump-type0-1-1-1700000000-${letter}`)),
      withAttributes(letter),
    )
  const { dumps } = variablesOf(attached(t, made)).list()
  t.equal(dumps.map(({ name }) => name.at(-1)).join(''), 'ABCDEFGH')
})

t.test('a file that a kill left without its bytes is no reason to lose text', async t => {
  const made = makeFolder(t, { [`tty-0-3-${ringGuid}`]: 'one' })
  fs.writeFileSync(path.join(made, `tty-0-7-${ringGuid}`), '')
  const backend = attached(t, made, { tty_size: 4096 })
  t.equal(backend.write({ type: 'tty', bytes: Buffer.from('-two') }), 4)
  t.equal(backend.find('tty-efi_pstore-0')?.read().toString(), 'one-two')
  // A source in which it cannot be had: nothing is said to be stored.
  const variables: Variables = {
    path: made,
    readOnly: false,
    list: () => ({ dumps: [], pieces: [] }),
    create: () => false,
    remove: () => {},
    read: () => null,
    exclusively: work => work(),
    close: () => {},
  }
  const ring = new EfiDriver(variables, { tty_size: 4096 }).ring('tty')
  t.match(
    errnoOf(() => ring!.append(Buffer.from('text'))),
    'EIO',
  )
})

t.test('a link in the place of a new variable is not written through', async t => {
  const made = makeFolder(t, {})
  const target = path.join(makeFolder(t, {}), 'target')
  fs.symlinkSync(target, path.join(made, one))
  const backend = attached(t, made)
  backend.write({ type: 'dmesg', bytes: Buffer.from('x'), time: { sec: 1700000000n, nsec: 0 } })
  t.notOk(fs.existsSync(target))
  t.same(shown(backend), { 'dmesg-efi_pstore-170000000001002': 'x' })
})

t.test('read-only', async t => {
  const made = makeFolder(t, { [one]: 'text' })
  const backend = attached(t, made, { readOnly: true, name: 'guest' })
  t.equal(backend.readOnly, true)
  const record = backend.find('dmesg-guest-170000000001001')!
  t.equal(
    errnoOf(() => record.erase()),
    'EROFS',
  )
  t.equal(
    errnoOf(() => backend.write({ type: 'dmesg', bytes: Buffer.from('x') })),
    'EROFS',
  )
  t.same(fs.readdirSync(made), [one])
})

/** Set a file's flag while something is done; false where that cannot be (no root, no such flags). */
const withFlag = (flag: 'i' | 'a', of: string, work: () => void): boolean => {
  if (run('sh', ['-c', 'chattr "+$0" "$1"', flag, of]).status !== 0) return false
  try {
    work()
  } finally {
    run('sh', ['-c', 'chattr "-$0" "$1"', flag, of])
  }
  return true
}

t.test('an immutable variable can be erased', async t => {
  const made = makeFolder(t, { [one]: 'text' })
  const file = path.join(made, one)
  const tried = withFlag('i', file, () => {
    t.throws(() => fs.unlinkSync(file), { code: 'EPERM' })
    const backend = attached(t, made)
    backend.find(nameOne)!.erase()
    t.notOk(fs.existsSync(file))
  })
  if (!tried) t.comment('files cannot be made immutable here')
})

t.test('what cannot be erased says so, and is as it was', async t => {
  const made = makeFolder(t, { [one]: 'text' })
  const file = path.join(made, one)
  const refused = (): void => {
    // A backend remembers its list for longer, the longer that took, and a flag changes a file's version.
    const backend = attached(t, made)
    t.equal(
      errnoOf(() => backend.find(nameOne)!.erase()),
      'EPERM',
    )
    t.same(shown(backend), { [nameOne]: 'text' })
  }
  const tried = withFlag('a', made, () => {
    refused()
    fs.closeSync(fs.openSync(file, 'r+'))
    withFlag('i', file, () => {
      refused()
      t.throws(() => fs.openSync(file, 'r+'), { code: 'EPERM' }, 'immutable again')
    })
  })
  if (!tried) t.comment('folders cannot be made append-only here')
})

t.test('a variable that another erases first is erased', async t => {
  const made = makeFolder(t, { [one]: 'text' })
  const variables = variablesOf(attached(t, made))
  const [variable] = variables.list().dumps
  fs.rmSync(path.join(made, one))
  variables.remove(variable!)
  t.same(fs.readdirSync(made), [])
})

t.test('what cannot be looked at, and what only efivarfs knows', async t => {
  const made = makeFolder(t, { [varFile('dump-type0-1-1-1700000000-D')]: 'Panic#1 Part1\n' })
  const { lstatSync, readdirSync, statfsSync } = fs
  t.teardown(() => Object.assign(fs, { lstatSync, readdirSync, statfsSync }))
  const refusal = Object.assign(new Error('EACCES'), { code: 'EACCES' })
  const refuse = (): never => {
    throw refusal
  }
  t.equal(attached(t, made).usage(), null, 'a copy is on any disk')
  const stat = { type: 0xde5e81e4, bsize: 1, blocks: 1000, bfree: 300 }
  Object.assign(fs, { statfsSync: () => stat })
  const backend = attached(t, made)
  t.same(backend.usage(), { size: 1000, free: 300, records: 14 })
  stat.blocks = 0
  t.equal(attached(t, made).usage(), null, 'before Linux 6.6')
  Object.assign(fs, { lstatSync: refuse })
  const told: Unreadable[] = []
  const unseen = attached(t, made, { tty_size: 4096 })
  t.same([...unseen.records(what => told.push(what))], [])
  t.match(told, [{ error: { code: 'EACCES', message: /cannot be looked at: permission denied$/ } }])
  t.equal(
    errnoOf(() => unseen.write({ type: 'tty', bytes: Buffer.from('x') })),
    'EACCES',
  )
  refusal.code = 'ENOENT'
  t.same([...attached(t, made).records(() => t.fail('it has gone'))], [])
  refusal.code = 'EACCES'
  Object.assign(fs, { lstatSync })
  const other = attached(t, makeFolder(t, {}))
  t.same([...other.records()], [])
  Object.assign(fs, { readdirSync: refuse })
  t.equal(
    errnoOf(() => other.doubts()),
    'EACCES',
  )
})

/** A small file system with one dump in it; null where none can be mounted (no root). */
const makeDisk = (t: Test): string | null => {
  const disk = makeFolder(t, {})
  if (run('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'none', disk]).status !== 0) {
    t.comment('nothing can be mounted here')
    return null
  }
  t.teardown(() => void run('umount', [disk]))
  fs.writeFileSync(path.join(disk, one), withAttributes('text'))
  return disk
}

const dump = { type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\nmore\n') } as const

t.test('what has no room leaves nothing', async t => {
  const disk = makeDisk(t)
  if (disk === null) return
  const backend = attached(t, disk)
  const variables = variablesOf(backend)
  const refused = { code: 'ENOSPC' } as const
  const create = (size: number): boolean =>
    variables.create(vendorGuid, 'dump-type0-3-1-1700000000-D', Buffer.alloc(size))
  t.throws(() => create(60_000), { ...refused, message: /: was cut short$/ })
  t.same(fs.readdirSync(disk), [one])
  const filler = path.join(disk, 'filler')
  t.throws(() => fs.writeFileSync(filler, Buffer.alloc(60_000)), { code: 'ENOSPC' })
  const full = { ...refused, message: /cannot be written: the firmware has no more room/ }
  t.throws(() => backend.write(dump), full)
  t.same(fs.readdirSync(disk).toSorted(), [one, 'filler'])
  const tried = withFlag('a', disk, () => {
    t.throws(() => backend.write(dump), full, 'and it cannot be deleted')
    t.equal(fs.readdirSync(disk).length, 3)
    t.same(shown(backend), { [nameOne]: 'text' }, 'an empty file is no record')
  })
  if (!tried) t.comment('folders cannot be made append-only here')
  fs.rmSync(filler)
  backend.write(dump)
  t.equal(Object.keys(shown(backend)).length, 2)
})

t.test('a disk that becomes read-only', async t => {
  const disk = makeDisk(t)
  if (disk === null) return
  const backend = attached(t, disk)
  t.equal(backend.readOnly, false)
  t.equal(run('mount', ['-o', 'remount,ro', disk]).status, 0)
  t.throws(() => backend.write(dump), {
    code: 'EROFS',
    message: /cannot be made: read-only file system$/,
  })
  t.same(shown(backend), { [nameOne]: 'text' })
  t.equal(attached(t, disk).readOnly, true)
})

/** efivarfs answers EINTR to those who ask too often, but never to root, as whom a folder like it can be made. */
t.test('efivarfs answers at last, or never', async t => {
  const backend = attached(t, makeFolder(t, { [one]: 'text' }))
  const { readSync } = fs
  t.teardown(() => Object.assign(fs, { readSync }))
  let asked = 0
  const refuse = (code: string, times: number): void => {
    asked = 0
    const late = (...args: Parameters<typeof readSync>): number => {
      if (asked++ < times) throw Object.assign(new Error(code), { code })
      return readSync(...args)
    }
    Object.assign(fs, { readSync: late })
  }
  const read = (): Buffer => backend.find(nameOne)!.read()
  shown(backend)
  refuse('EINTR', 2)
  t.equal(read().toString(), 'text')
  t.equal(asked, 3)
  refuse('EINTR', Infinity)
  t.throws(read, { code: 'EIO', message: /cannot be read: interrupted system call$/ })
  refuse('EIO', 1)
  t.throws(read, { code: 'EIO', message: /cannot be read: i\/o error$/ })
  t.equal(asked, 1, 'once')
})
