/** Zones that hold something, and show no file. */
import t from 'tap'
import { attach, format } from '#src/index.js'
import { Region } from '#src/region/region.js'
import { folder } from '../../program.js'

for (const ecc of [0, 16])
  t.test(`ecc ${ecc}: less than one ftrace record`, async t => {
    const source = `${folder(t)}/region.img`
    const layout = { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: 4096, ecc }
    format(source, { ...layout, mem_size: 4096 })
    const backend = attach(source, layout)
    t.teardown(() => backend.close())
    backend.write({ type: 'ftrace', bytes: Buffer.alloc(24, 1) })
    const [whole] = backend.records()
    t.match(whole.read().toString(), /^CPU:1 .*\n/)
    whole.erase()
    backend.write({ type: 'ftrace', bytes: Buffer.alloc(23, 1) })
    t.same([...backend.records()], [])
    t.match([...backend.survey.conditions()], [{ state: 'sound', used: 23, record: null }])
    t.throws(() => whole.read(), { message: /no such record/, errno: 'ENOENT' })
    t.equal(backend.survey.raw(whole.name)?.length, 23)
    t.equal(backend.capacity('dmesg')?.room ?? 0, 0)
  })

t.test('the bytes of a zone that nobody has signed', async t => {
  const source = `${folder(t)}/region.img`
  const layout = { record_size: 0, console_size: 4096, pmsg_size: 0, ftrace_size: 0 }
  format(source, { ...layout, mem_size: 4096 })
  const backend = attach(source, layout)
  t.teardown(() => backend.close())
  const region = new Region(source)
  t.teardown(() => region.close())
  region.store(0, Buffer.alloc(4096, 0x5a))
  t.match([...backend.survey.conditions()], [{ state: 'unsigned', used: 0 }])
  t.equal(backend.survey.raw('console-ramoops-0')?.length, 0, 'are nobody’s')
})
