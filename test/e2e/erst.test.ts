/** ERST with a real guest: what it leaves is read and erased here, and what is written here it shows. */
import { join } from 'node:path'
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { ErstDriver } from '#src/backends/erst/driver.js'
import { makeErst } from '#src/backends/erst/mkfs.js'
import { Region } from '#src/region/region.js'
import { bootGuest, skipWithoutGuest, type GuestFile, type GuestResult } from './guest.js'
import { storeOf } from '../backends/store.js'
import type { Backend } from '#src/pstore/backend.js'

const skip = skipWithoutGuest()
const size = 65536

/** The device over a file, which QEMU makes where there is none. */
const device = (path: string, recordSize?: number): string[] => [
  '-object',
  // A comma in a value is doubled.
  `memory-backend-file,id=erst,share=on,mem-path=${path.replaceAll(',', ',,')},size=${size}`,
  '-device',
  `acpi-erst,memdev=erst${recordSize ? `,record_size=${recordSize}` : ''}`,
]

const boot = (
  path: string,
  options: Partial<Parameters<typeof bootGuest>[0]> = {},
): Promise<GuestResult> => bootGuest({ qemu: device(path), ...options })

const attach = (t: Test, path: string): Backend => {
  const backend = storeOf(new ErstDriver(new Region(path), { tty_size: 8192 }), 'erst')
  t.teardown(() => backend.close())
  return backend
}

/** What is shown here is what the guest showed. */
const same = (t: Test, backend: Backend, files: GuestFile[]): void => {
  // Terminals are none of Linux's.
  const records = [...backend.records()].filter(({ type }) => type !== 'tty')
  // readdir lists the newest inode first.
  t.same(
    records.map(({ name }) => name),
    files.map(({ name }) => name).reverse(),
  )
  for (const record of records) {
    const shown = files.find(({ name }) => name === record.name)!
    t.equal(record.size, shown.size)
    t.equal(shown.mtime, `${record.time!.sec}.000000000`)
    t.ok(record.read().equals(shown.bytes), record.name)
  }
}

t.test('a panic is read here, and what is erased here is gone there', { skip }, async t => {
  const path = join(t.testdir(), 'erst, odd.img')
  const first = await boot(path, { crash: true })
  t.same(first.files, [], 'nothing in a new store')
  t.match(first.log, 'sysrq triggered crash')

  const backend = attach(t, path)
  const crashed = [...backend.records()]
  t.ok(crashed.length > 0)
  const [panic] = crashed
  t.equal(panic!.read().toString().split('\n', 1)[0], 'Panic#1 Part1')
  t.ok(Math.abs(Number(panic!.time!.sec) - Date.now() / 1000) < 600, 'the time of the panic')

  const { name: erased } = panic!
  const bytes = panic!.read()
  panic!.erase()
  backend.write({ type: 'mce', bytes: Buffer.from('\0\xff a machine check', 'latin1') })
  const second = await boot(path, { crash: true })
  t.notOk(second.files.some(({ name }) => name === erased))
  t.equal(second.files.length, crashed.length)
  const texts = second.files.map(({ bytes }) => bytes.toString('latin1'))
  t.ok(texts.includes('\0\xff a machine check'))

  // The guest's own records beside ours.
  const third = await boot(path, { unlink: [second.files[0]!.name] })
  t.ok(third.files.length > second.files.length)
  // Ids are seconds of the guest's clock, which may be slow: another crash can have this one's.
  t.notOk(third.files.some(file => file.name === erased && file.bytes.equals(bytes)))
  for (const { name } of second.files) t.ok(third.files.some(file => file.name === name))
  const left = third.files.filter(({ name }) => name !== second.files[0]!.name)
  same(t, backend, left)
})

t.test('dumps written here are shown by the guest', { skip }, async t => {
  const path = join(t.testdir(), 'erst.img')
  makeErst(path, size, 4096)
  const backend = attach(t, path)
  const text = `Panic#1 Part1\n${'<6>[    1.000000] a line of some length\n'.repeat(100)}`
  const write = (text: string, compressed: boolean, sec: bigint): void => {
    const plain = Buffer.from(text)
    const bytes = compressed ? zlib.deflateRawSync(plain) : plain
    backend.write({ type: 'dmesg', bytes, compressed, time: { sec, nsec: 0 } })
  }
  write('Oops#1 Part1\nhello\n', false, 1_700_000_000n)
  write(text, true, 1_700_000_000n)
  write('Oops#2 Part1\nonce erased\n', false, 1_700_000_001n)
  write('Oops#3 Part1\nafter it\n', false, 4_000_000_000n)
  const [, , third] = backend.records()
  third!.erase()
  t.equal(backend.capacity('dmesg')?.room ?? 0, 4096 - 200)
  backend.write({ type: 'tty', bytes: Buffer.from('what a terminal printed\n') })
  write(`Oops#4 Part1\n${'x'.repeat(4096 - 200 - 13)}`, false, 1_700_000_002n)

  // The store's record size counts, not the device's.
  const { files } = await bootGuest({ qemu: device(path, 8192) })
  t.equal(files.length, 4)
  same(t, backend, files)
  t.ok(files.some(({ bytes }) => bytes.toString() === text))

  t.equal(
    backend.find('tty-erst-0')!.read().toString(),
    'what a terminal printed\n',
    'the guest left it alone',
  )

  // What is said to be compressed, and is not.
  backend.write({ type: 'dmesg', bytes: Buffer.from('no stream'), compressed: true })
  const again = await bootGuest({
    qemu: device(path),
    unlink: files.map(({ name }) => name),
  })
  same(t, backend, again.files.slice(0, 1))
  t.match(again.files[0]!.name, /\.enc\.z$/)
})
