/** Opening what others may have replaced: nothing keeps us waiting, and each thing says what it is. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import t from 'tap'
import { openFile, openNow, readWhole } from '#src/native/open.js'
import { folder, project, run } from '../program.js'

const { O_RDONLY, O_RDWR, O_NOFOLLOW } = fs.constants

t.test('what is no file', async t => {
  const home = folder(t)
  run('mkfifo', [`${home}/fifo`])
  fs.symlinkSync('/dev/null', `${home}/link`)
  const server = net.createServer().listen(`${home}/socket`)
  await new Promise(resolve => server.once('listening', resolve))
  t.teardown(() => server.close())
  for (const [name, flags, message, errno] of [
    ['fifo', O_RDONLY, /\/fifo: is a pipe or socket, not a file$/, 'EIO'],
    ['fifo', O_RDWR, /\/fifo: is a pipe or socket, not a file$/, 'EIO'],
    ['socket', O_RDONLY, /\/socket: is a pipe or socket, not a file$/, 'EIO'],
    ['socket', O_RDWR, /\/socket: is a pipe or socket, not a file$/, 'EIO'],
    ['.', O_RDONLY, /\/\.: is a folder, not a file$/, 'EISDIR'],
    ['.', O_RDWR, /\/\.: is a folder, not a file$/, 'EISDIR'],
    ['link', O_RDONLY | O_NOFOLLOW, /\/link: is a link/, 'EIO'],
    ['none', O_RDONLY, /\/none: no such file$/, 'ENOENT'],
    ['b\ufffd', O_RDONLY, /\/b\ufffd: no such file; if its name is no UTF-8, rename it/, 'ENOENT'],
    ['link/none', O_RDONLY, /\/link\/none: not a directory$/, 'ENOENT'],
  ] as const)
    t.throws(() => openFile(`${home}/${name}`, flags), { name: 'StoreError', message, code: errno })
  const { fd, stat } = openNow(home)
  t.ok(stat.isDirectory(), 'who wants a folder opens one')
  fs.closeSync(fd)
})

t.test('a small file is read to its end, and a large one is not', async t => {
  const file = `${folder(t)}/file`
  for (const length of [0, 1, 4095, 4096, 100_000]) {
    const bytes = Buffer.alloc(length, 'abc')
    fs.writeFileSync(file, bytes)
    t.ok(readWhole(file, 100_000).equals(bytes), `${length} bytes`)
  }
  t.throws(() => readWhole(file, 99_999), { message: /file: is too large: more than 99999 bytes$/ })
  t.throws(() => readWhole('/dev/zero', 2 ** 21), { message: /too large: more than 2 MiB$/ })
  t.equal(readWhole('/dev/null', 1).length, 0)
  const boot = '/proc/sys/kernel/random/boot_id'
  t.equal(readWhole(boot, 4096).toString(), fs.readFileSync(boot, 'latin1'), 'of no length in stat')
  t.throws(() => readWhole(boot, 10), { message: /too large: more than 10 bytes$/ })
})

/** Opens a path a few thousand times, which a thread makes a file and a FIFO in turn. */
const script = `
import fs from 'node:fs'
import { Worker } from 'node:worker_threads'
import { Region } from '${path.join(project, 'dist/region/region.js')}'
const [home] = process.argv.slice(2)
const seen = new Set()
const swapper = new Worker(\`
  const fs = require('node:fs')
  const { workerData: home } = require('node:worker_threads')
  for (;;)
    for (const kind of ['fifo', 'file']) {
      fs.linkSync(home + '/' + kind, home + '/new')
      fs.renameSync(home + '/new', home + '/source')
    }
\`, { eval: true, workerData: home })
await new Promise(resolve => swapper.once('online', resolve))
for (const readOnly of [true, false])
  for (let n = 0; n < 3000 || seen.size < 2; n++)
    try {
      const region = new Region(home + '/source', { readOnly })
      seen.add(region.load(0, 5).toString())
      region.close()
    } catch (error) {
      if (error.name !== 'StoreError') throw error
      seen.add(error.message.replace(home, ''))
    }
console.log(JSON.stringify([...seen].sort()))
process.exit()
`

t.test('a source that becomes a FIFO between two looks', async t => {
  const home = folder(t)
  fs.writeFileSync(`${home}/file`, 'bytes')
  fs.linkSync(`${home}/file`, `${home}/source`)
  run('mkfifo', [`${home}/fifo`])
  fs.writeFileSync(`${home}/open.mjs`, script)
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${home}/open.mjs`, home], {
    timeout: 120_000,
    killSignal: 'SIGKILL',
  })
  t.equal(status, 0, `it ended; ${stderr}`)
  t.same(JSON.parse(stdout.toString() || '[]'), [
    '/source: is a pipe or socket, not a file',
    'bytes',
  ])
})
