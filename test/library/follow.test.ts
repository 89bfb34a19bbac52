/** The library's follow(): what counts as new. */
import t from 'tap'
import { attach, follow, format } from '#src/index.js'
import { folder } from '../program.js'

const layout = { mem_size: 65536, record_size: 4096, console_size: 4096 }

t.test('what is appended before the loop begins is news', async t => {
  const source = `${folder(t)}/region.img`
  format(source, layout)
  const backend = attach(source, layout)
  t.teardown(() => backend.close())
  const append = (text: string) => backend.write({ type: 'console', bytes: Buffer.from(text) })
  append('old\n')
  const signal = AbortSignal.timeout(10_000)
  const followed = follow(backend, 'console-ramoops-0', { history: false, signal })
  append('new\n')
  for await (const bytes of followed) {
    t.equal(bytes.toString(), 'new\n')
    break
  }
})
