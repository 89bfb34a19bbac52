/** A store that another process holds: who asked waits, for as long as that makes sense, and nobody else. */
import { spawn } from 'node:child_process'
import t, { type Test } from 'tap'
import { attach, format } from '#src/index.js'
import { neverWait } from '#src/region/lock.js'
import { StoreError } from '#src/pstore/errors.js'
import { Patience } from '#src/pstore/patience.js'
import { servedHere } from '#src/service/served.js'
import { folder } from '../program.js'

neverWait()

const options = { record_size: 4096, console_size: 4096, pmsg_size: 0, ftrace_size: 0 }
const name = 'console-ramoops-0'

/** A served store, and what holds its lock until it is called off. */
const make = async (t: Test) => {
  const path = `${folder(t)}/region.img`
  format(path, { ...options, mem_size: 16384 })
  const backend = attach(path, options)
  backend.write({ type: 'console', bytes: Buffer.from('text') })
  await new Promise(resolve => setImmediate(resolve))
  const served = servedHere(backend)
  t.teardown(() => served.close())
  const holder = spawn('flock', ['-x', '-F', path, 'sh', '-c', 'echo held; exec sleep 1000'])
  t.teardown(() => holder.kill('SIGKILL'))
  await new Promise(resolve => holder.stdout.once('data', resolve))
  const letGo = (): Promise<unknown> => {
    const gone = new Promise(resolve => holder.once('close', resolve))
    holder.kill('SIGKILL')
    return gone
  }
  return { backend, served, letGo }
}

t.test('a look is had as soon as it is let go', async t => {
  const { backend, served, letGo } = await make(t)
  t.throws(() => backend.open(name, true), { name: 'StoreError', code: 'EBUSY' }, 'one try')
  const opened = served.open(name)
  t.ok(opened instanceof Promise, 'others are served meanwhile')
  await letGo()
  t.equal(String((await opened)!.content.all()), 'text')
})

t.test('and so is an erasure', async t => {
  const { backend, served, letGo } = await make(t)
  const erased = served.erase(backend.find(name)!)
  t.ok(erased instanceof Promise)
  await letGo()
  t.equal(await erased, true)
  t.equal(await served.open(name), null, 'at once, as nobody holds it')
})

t.test('or in spite of it, and from then on at once', async t => {
  const { served } = await make(t)
  const opened = served.open(name)
  t.ok(opened instanceof Promise)
  t.equal(String((await opened)!.content.all()), 'text')
  const again = served.open(name)
  t.notOk(again instanceof Promise, 'whoever holds it keeps it')
})

t.test('what is no matter of patience', async t => {
  const patience = new Patience()
  const fail = (): never => {
    throw new StoreError('a bad sector', 'EIO')
  }
  t.throws(() => patience.open(fail), { name: 'StoreError', code: 'EIO' })
  t.throws(() => patience.erase(fail), { name: 'StoreError', code: 'EIO' })
  await t.rejects(async () => patience.open(async () => fail()), {
    name: 'StoreError',
    code: 'EIO',
  })
  t.equal(await patience.open(async alone => alone), true)
  const codes = ['EBUSY', 'EBUSY', 'EIO'] as const
  let n = 0
  const worse = (): never => {
    throw new StoreError('first held, then bad', codes[n++])
  }
  await t.rejects(async () => patience.erase(worse), { name: 'StoreError', code: 'EIO' })
})
