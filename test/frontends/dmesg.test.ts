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
