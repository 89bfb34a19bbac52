/** `pstorefs archive --watch --otlp`: when what was not taken is sent again. */
import path from 'node:path'
import t from 'tap'
import { crashesCome, watch } from '../archive/watching.js'
import { pstorefs, until } from '../program.js'
import { archiveOf, unsentIn } from './archives.js'
import { receive } from './receiver.js'

const sizes = '--record-size 8K --console-size 4K --pmsg-size 4K --ftrace-size 0'.split(' ')

t.test('a collector is left alone for as long as it wants', async t => {
  const archive = archiveOf(t, { dumps: ['one\n'] })
  const region = path.join(path.dirname(archive), 'region.img')
  const write = (text: string): void => {
    const { status, stderr } = pstorefs(['write', 'dmesg', region, ...sizes], Buffer.from(text))
    t.equal(status, 0, stderr)
  }
  // More than one run tries for, so that the run gives up; the pause after it is 5 s.
  const { url, seen } = await receive(t, [{ status: 429, headers: { 'retry-after': '3600' } }])
  const watcher = watch(t, [region, archive, '--otlp', url, ...sizes])
  t.ok(await until(() => watcher.stderr().includes('429 Too Many Requests')))
  for (const [n, text] of ['two\n', 'three\n'].entries()) {
    write(text)
    await crashesCome(t, archive, n + 2)
  }
  await new Promise(resolve => setTimeout(resolve, 6000))
  t.equal(seen.length, 1, 'neither a crash that comes nor a pause that ends asks it again')
  t.equal(await watcher.end(), 0)
  t.equal(unsentIn(archive).length, 3)
})

t.test('then it is asked again', async t => {
  const archive = archiveOf(t, { dumps: ['one\n'] })
  const region = path.join(path.dirname(archive), 'region.img')
  const { url, seen } = await receive(t, [{ status: 503 }, { status: 401 }, { status: 200 }])
  const watcher = watch(t, [region, archive, '--otlp', url, ...sizes])
  t.ok(await until(() => unsentIn(archive).length === 0))
  t.equal(seen.length, 3)
  t.equal(await watcher.end(), 0)
  t.match(watcher.stderr(), /401 Unauthorized: 1 crash waits in /)
})
