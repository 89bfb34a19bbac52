/** A backend that is closed: the number of its descriptor may be another file's by then. */
import fs from 'node:fs'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { attach, format, StoreError, type AttachOptions, type Backend } from '#src/index.js'
import { folder } from '../program.js'

const sizes = { console_size: 4096, pmsg_size: 4096, ftrace_size: 0 }
const drivers: readonly [name: string, layout: AttachOptions, attached: AttachOptions][] = [
  ['ramoops', { record_size: 4096, ...sizes }, {}],
  ['zone', { kmsg_size: 4096, ...sizes }, {}],
  ['erst', { record_size: 4096 }, { console_size: 4096 }],
]

const dump = (text: string) =>
  ({ type: 'dmesg', bytes: Buffer.from(`Panic#1 Part1\n${text}\n`) }) as const

const isRefused = (work: () => unknown): boolean => {
  try {
    work()
    return false
  } catch (error) {
    return error instanceof StoreError
  }
}

for (const [driver, layout, attached] of drivers)
  t.test(`${driver}: no other file is read, written or closed in its place`, async t => {
    const home = folder(t)
    const open = (name: string): Backend => {
      format(`${driver}:${home}/${name}`, { ...layout, mem_size: 65536 })
      return attach(`${driver}:${home}/${name}`, { ...layout, ...attached })
    }
    const first = open('first.img')
    first.write(dump('first'))
    const [record] = first.records()
    first.close()
    const second = open('second.img')
    t.teardown(() => second.close())
    second.write(dump('second'))
    const before = fs.readFileSync(`${home}/second.img`)
    for (const [name, work] of Object.entries({
      write: () => first.write(dump('more')),
      append: () => first.write({ type: 'console', bytes: Buffer.from('more\n') }),
      erase: () => record!.erase(),
      read: () => record!.read(),
      records: () => [...first.records()],
      sync: () => first.sync(),
    }))
      t.ok(isRefused(work), `${name}: refused`)
    t.ok(fs.readFileSync(`${home}/second.img`).equals(before), 'the other store is as it was')
    first.close()
    t.match(second.find(record!.name)?.read().toString(), 'second', 'and still open')
    second.write(dump('third'))
  })

t.test('efi: a folder is closed once', async t => {
  const home = folder(t)
  const backend = attach(`efi:${home}`, { console_size: 4096 })
  backend.write({ type: 'console', bytes: Buffer.from('one\n') })
  backend.close()
  const fds = Array.from({ length: 8 }, () => fs.openSync('/dev/null', 'r'))
  backend.close()
  for (const fd of fds) fs.closeSync(fd)
})

t.test('an image: unpacked bytes are let go once', async t => {
  const home = folder(t)
  const layout = { record_size: 4096, ...sizes }
  format(`${home}/plain.img`, { ...layout, mem_size: 65536 })
  fs.writeFileSync(`${home}/packed.img.gz`, gzipSync(fs.readFileSync(`${home}/plain.img`)))
  const [one, other] = [0, 1].map(() => attach(`${home}/packed.img.gz`, layout))
  one!.close()
  one!.close()
  t.same([...other!.records()], [], 'whoever shares them has them still')
  t.ok(isRefused(() => [...one!.records()]))
  other!.close()
})
