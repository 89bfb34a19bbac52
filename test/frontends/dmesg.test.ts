/** What the library's writeDump is given by who has no types. */
import t from 'tap'
import { attach, format, writeDump, type Reason } from '#src/index.js'
import { folder } from '../program.js'

const layout = { record_size: 4096, mem_size: 16384 }

t.test('a text or a reason that is none is refused', async t => {
  const source = `${folder(t)}/region.img`
  format(source, layout)
  const backend = attach(source, layout)
  t.teardown(() => backend.close())
  const text = Buffer.from('why\n')
  t.throws(() => writeDump(backend, 'why\n' as unknown as Buffer), {
    code: 'EINVAL',
    message: "a dump's text must be a Buffer",
  })
  t.throws(() => writeDump(backend, text, { reason: 'bogus' as Reason }), {
    code: 'EINVAL',
    message:
      "reason 'bogus': must be one of panic, oops, emergency, restart, shutdown, halt, poweroff",
  })
  t.same([...backend.records()], [])
  writeDump(backend, text, { reason: 'oops', compress: false })
  t.equal(backend.find('dmesg-ramoops-0')?.read().toString(), 'Oops#1 Part1\nwhy\n')
})

t.test('a store that is full before the dump is whole keeps its end, and says so', async t => {
  const source = `erst:${folder(t)}/erst.img`
  format(source, { mem_size: 4 * 8192 })
  const backend = attach(source, { readOnly: false })
  t.teardown(() => backend.close())
  writeDump(backend, Buffer.from('first\n'))
  writeDump(backend, Buffer.from('second\n'))
  const text = Buffer.from(`${'x'.repeat(999)}\n`.repeat(20))
  const full = 'all 3 slots are in use: erase a record'
  t.throws(() => writeDump(backend, text, { compress: false }), {
    code: 'ENOSPC',
    message: new RegExp(`: ${full}; of the dump only its end is stored: 1 part$`),
  })
  const texts = Array.from(backend.records(), record => record.read().toString())
  t.same(texts, [
    'Panic#1 Part1\nfirst\n',
    'Panic#2 Part1\nsecond\n',
    `Panic#3 Part1\n${text.subarray(-7000).toString()}`,
  ])
  // Nothing of this one is.
  t.throws(() => writeDump(backend, text), { message: new RegExp(`: ${full}$`) })
})
