/** A thread that serves a mount: whoever holds a source's lock keeps none of its requests waiting. */
import { spawn } from 'node:child_process'
import t from 'tap'
import { neverWait, SourceLock } from '#src/region/lock.js'
import { Region } from '#src/region/region.js'
import { file } from '../program.js'

t.test('each attempt is one try', async t => {
  const path = file(t, Buffer.alloc(4096))
  // By the rights of one who can only read it.
  const holder = spawn('flock', ['-x', path, 'sh', '-c', 'echo held; exec sleep 600'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => process.kill(-holder.pid!, 'SIGKILL'))
  await new Promise(resolve => holder.stdout.once('data', resolve))
  neverWait()
  const region = new Region(path)
  const lock = SourceLock.of(path, region.fd, true)
  const start = performance.now()
  for (let i = 0; i < 40; i++) {
    t.equal(
      lock.shared(alone => alone),
      false,
      'it reads, and knows that it is not alone',
    )
    t.throws(() => lock.hold(), { code: 'EBUSY', message: /holds it/ })
  }
  // With a command's patience: 3½ minutes.
  t.ok(performance.now() - start < 5000, 'at once')
  lock.close()
  region.close()
})

t.test('a long run of appends goes on', async t => {
  const path = file(t, Buffer.alloc(4096))
  const region = new Region(path)
  const { lock } = region
  const first = lock.hold()
  const end = performance.now() + 50
  let last = first
  while (performance.now() < end) last = lock.hold()
  t.ok(last > first, 'and lets others in')
  region.close()
})
