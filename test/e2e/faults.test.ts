/** What goes wrong around a region: the source goes bad, away or is another, disks are full, crowds read. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, writeDump, type AttachOptions } from '#src/index.js'
import {
  daemonOf,
  folder,
  isMounted,
  mount,
  program,
  pstorefs,
  pstorefsRefused,
  run,
  succeed,
  until,
} from '../program.js'
import { faultyDisk } from './faulty-disk.js'

const options: AttachOptions = { record_size: 4096, console_size: 4096, ftrace_size: 0 }
const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
const asRoot = process.getuid?.() !== 0 && 'only root can mount a full disk, and FUSE for others'
/** Two dumps, a console, a pmsg. */
const size = 16384

const makeRegion = (path: string): void => {
  format(path, { ...options, mem_size: size })
  const backend = attach(path, options)
  for (const text of ['one\n', 'two\n']) writeDump(backend, Buffer.from(text))
  backend.write({ type: 'console', bytes: Buffer.from('console\n') })
  backend.write({ type: 'pmsg', bytes: Buffer.from('pmsg\n') })
  backend.close()
}

const names = ['console-ramoops-0', 'dmesg-ramoops-0', 'dmesg-ramoops-1', 'pmsg-ramoops-0']

/** What reading gives: the text, or the errno. */
const reading = (file: string): string => {
  try {
    return fs.readFileSync(file, 'latin1')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  }
}

t.test('a disk with bad sectors: the zones elsewhere are shown', { skip: asRoot }, async t => {
  const { region, fail } = await faultyDisk(t, makeRegion)
  const mountpoint = mount(t, region, flags)
  t.same(
    fs
      .readdirSync(mountpoint)
      .filter(name => name !== 'ramoops')
      .sort(),
    names,
  )
  // The second dump's zone.
  fail('4096 8192')
  for (const name of names) {
    const expected = { 'dmesg-ramoops-1': 'EIO', 'console-ramoops-0': 'console\n' }[name]
    const found = reading(`${mountpoint}/${name}`)
    if (expected) t.equal(found, expected, name)
    else t.match(found, /\n$/, name)
  }
  const { status, stdout, stderr } = pstorefs(['cat', region, 'console-ramoops-0', ...flags])
  t.equal(`${stdout.toString()}${stderr}`, 'console\n')
  t.equal(status, 0)
  const bad = pstorefs(['cat', region, 'dmesg-ramoops-1', ...flags])
  t.equal(bad.status, 1)
  t.match(bad.stderr, /^pstorefs: .*region\.img: .*i\/o error.*\n$/)
  const listed = pstorefs(['ls', region, ...flags])
  t.match(listed.stdout.toString(), /^console-ramoops-0 /m, 'ls shows what it can')
  t.equal(listed.status, 1)
  t.match(listed.stderr, /^pstorefs: .*i\/o error.*\n$/)
  t.same(
    fs
      .readdirSync(mountpoint)
      .filter(name => name !== 'ramoops')
      .sort(),
    names.filter(name => name !== 'dmesg-ramoops-1'),
  )
  t.match(pstorefs(['check', region, ...flags]).stdout.toString(), /damaged/)
  fail('')
  t.match(reading(`${mountpoint}/dmesg-ramoops-1`), /two\n$/, 'and when it is well again')
  t.ok(daemonOf(mountpoint))
})

t.test('a full disk: an append is refused in a line', { skip: asRoot }, async t => {
  const { region, fail } = await faultyDisk(t, makeRegion)
  fail('full')
  const { status, stderr } = pstorefs(['write', 'console', region, ...flags], Buffer.from('more\n'))
  t.equal(status, 1)
  t.match(stderr, /^pstorefs: .*no space left on device.*\n$/)
  const mountpoint = mount(t, region, flags)
  t.throws(() => fs.unlinkSync(`${mountpoint}/console-ramoops-0`), { code: 'EIO' })
  t.equal(reading(`${mountpoint}/console-ramoops-0`), 'console\n', 'what is not erased is there')
  fail('')
  t.equal(succeed(t, ['cat', region, 'console-ramoops-0', ...flags]).toString(), 'console\n')
  fs.unlinkSync(`${mountpoint}/console-ramoops-0`)
  t.same(fs.readdirSync(mountpoint), [
    'dmesg-ramoops-0',
    'dmesg-ramoops-1',
    'pmsg-ramoops-0',
    'ramoops',
  ])
})

t.test('what a signal interrupts is done again', async t => {
  const region = `${folder(t)}/region.img`
  makeRegion(region)
  const interrupted = ['pread64:error=EINTR:when=1+2', 'pwrite64:error=EINTR:when=1+2']
  // The first one is for the lock; nothing interrupts its release.
  interrupted.push('flock:error=EINTR:when=1')
  const cat = ['cat', region, 'console-ramoops-0', ...flags]
  const { status, stdout, stderr } = pstorefsRefused(region, interrupted, cat)
  t.equal(`${stdout.toString()}${stderr}`, 'console\n')
  t.equal(status, 0)
  const erase = ['erase', region, 'console-ramoops-0', ...flags]
  const { status: erased, stderr: why } = pstorefsRefused(region, interrupted, erase)
  t.equal(erased, 0, why)
  t.notMatch(succeed(t, ['ls', region, ...flags]).toString(), /console/)
  t.equal(succeed(t, ['cat', region, 'pmsg-ramoops-0', ...flags]).toString(), 'pmsg\n')
})

t.test('a sparse region on a full disk kills no writer', { skip: asRoot }, async t => {
  const disk = folder(t)
  run('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'none', disk])
  t.teardown(() => run('umount', [disk]))
  const large = ['--record-size', '64K', '--console-size', '512K', '--ftrace-size', '0']
  const made = pstorefs(['format', `${disk}/new.img`, '--mem-size', '1M', ...large])
  t.equal(made.status, 1)
  t.match(
    made.stderr,
    /^pstorefs: .*no space left on device.*\n$/,
    'a new region has its room, or is none',
  )
  t.same(fs.readdirSync(disk), [])
  const elsewhere = `${folder(t)}/region.img`
  succeed(t, ['format', elsewhere, '--mem-size', '1M', ...large])
  run('cp', ['--sparse=always', elsewhere, `${disk}/sparse.img`])
  const input = `${folder(t)}/text`
  fs.writeFileSync(input, Buffer.alloc(400_000, 'text\n'))
  // From a file: a pipe would break when the program ends.
  const command = `${process.execPath} ${program} write console ${disk}/sparse.img ${large.join(' ')} < ${input}`
  const { status, stderr } = run('sh', ['-c', command])
  t.equal(status, 1, 'not killed by SIGBUS')
  t.match(stderr, /^pstorefs: .*no space left on device.*\n$/)
  t.match(succeed(t, ['check', `${disk}/sparse.img`, ...large]).toString(), /sound|empty/)
})

t.test('a source that is removed, or another in its place', async t => {
  const home = folder(t)
  const region = `${home}/region.img`
  makeRegion(region)
  const mountpoint = mount(t, region, flags)
  makeRegion(`${home}/other.img`)
  const other = attach(`${home}/other.img`, options)
  other.write({ type: 'console', bytes: Buffer.from('other\n') })
  other.close()
  fs.renameSync(`${home}/other.img`, region)
  // What was opened is what is served, as with any file.
  t.equal(reading(`${mountpoint}/console-ramoops-0`), 'console\n')
  fs.unlinkSync(region)
  t.equal(reading(`${mountpoint}/console-ramoops-0`), 'console\n')
  fs.unlinkSync(`${mountpoint}/console-ramoops-0`)
  t.equal(reading(`${mountpoint}/console-ramoops-0`), 'ENOENT')
  t.match(reading(`${mountpoint}/dmesg-ramoops-0`), /one\n$/)
})

/** A process that does something with the mount or the region until it is told to stop. */
const loop = (
  t: Test,
  code: string,
  env: { [name: string]: string } = {},
): { done: Promise<number>; stop: () => void } => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', (text: Buffer) => (said += text.toString()))
  const done = new Promise<number>(resolve => child.on('close', () => resolve(Number(said))))
  return { done, stop: () => child.stdin.end() }
}

const seconds = 21

/** What says how many requests to a mount wait for an answer; 0 for who may not know. */
const requestsTo = (t: Test, mountpoint: string): (() => number) => {
  if (asRoot) return () => 0
  const control = folder(t)
  run('mount', ['-t', 'fusectl', 'fusectl', control])
  t.teardown(() => run('umount', [control]))
  // A connection is called by its device's minor number.
  const { dev } = fs.statSync(mountpoint)
  const file = `${control}/${(dev & 0xff) | ((dev >>> 12) & 0xfff00)}/waiting`
  return () => Number(fs.readFileSync(file, 'latin1'))
}

t.test(`500 readers, an eraser and a writer, for ${seconds} s`, async t => {
  const region = `${folder(t)}/region.img`
  makeRegion(region)
  const mountpoint = mount(t, region, flags)
  const pid = daemonOf(mountpoint)
  const waiting = requestsTo(t, mountpoint)
  const memory = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
  // Each reader's file is whole: the same line over and over, whichever was there.
  const readers = loop(
    t,
    `import fs from 'node:fs/promises'
    let [going, reads, stale] = [true, 0, 0]
    process.stdin.resume().on('end', () => (going = false))
    const read = async () => {
      while (going || reads <= 500) {
        const text = await fs.readFile('${mountpoint}/console-ramoops-0', 'latin1').catch(error => {
          // ESTALE, as over NFS: it was erased and written anew between a look and its open, and once more
          // in the one other try that the kernel makes.
          if (error.code !== 'ENOENT' && (error.errno !== -116 || ++stale > 10)) throw error
          return ''
        })
        const lines = text.split('\\n').slice(1, -1)
        if (lines.some(line => !/^line \\d+ \\1*x{20}$/.test(line))) throw new Error(lines.join('|'))
        reads++
      }
    }
    await Promise.all(Array.from({ length: 500 }, read))
    console.log(reads)`,
    // Else four of them would read, and the others wait for these.
    { UV_THREADPOOL_SIZE: '500' },
  )
  const writer = loop(
    t,
    `import { attach } from '${path.resolve(import.meta.dirname, '../../dist/index.js')}'
    let [going, lines] = [true, 0]
    process.stdin.resume().on('end', () => (going = false))
    const backend = attach('${region}', ${JSON.stringify(options)})
    while (going || lines <= 100) {
      for (let i = 0; i < 20; i++)
        backend.write({ type: 'console', bytes: Buffer.from('line ' + lines++ + ' ' + 'x'.repeat(20) + '\\n') })
      await new Promise(resolve => setTimeout(resolve, 1))
    }
    backend.close()
    console.log(lines)`,
  )
  const eraser = loop(
    t,
    `import fs from 'node:fs/promises'
    let [going, erased] = [true, 0]
    process.stdin.resume().on('end', () => (going = false))
    while (going || erased <= 3) {
      await fs.unlink('${mountpoint}/console-ramoops-0').then(() => erased++, error => {
        if (error.code !== 'ENOENT') throw error
      })
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    console.log(erased)`,
  )
  await new Promise(resolve => setTimeout(resolve, (seconds * 1000) / 3))
  const early = memory()
  const tasks = fs.readdirSync(`/proc/${pid}/task`).length
  let most = 0
  for (let second = seconds / 3; second < seconds; second++) {
    await new Promise(resolve => setTimeout(resolve, 1000))
    most = Math.max(most, waiting())
  }
  // Each goes on until it has done enough; the writer last, as the others need what it writes.
  for (const process of [readers, eraser]) process.stop()
  const [reads, erased] = await Promise.all([readers.done, eraser.done])
  writer.stop()
  const lines = await writer.done
  t.ok(reads > 500 && lines > 100 && erased > 3, `${reads} reads, ${lines} lines, ${erased} erased`)
  // What is kept for a thread of libfuse's is never freed: a crowd must not make more of them.
  t.ok(tasks < 30, `${tasks} threads`)
  // Nor may files that were closed pile up: each reader waits for one answer, and has perhaps closed one more.
  t.ok(most <= 2 * 500 + 10, `${most} requests waiting at most`)
  t.ok(memory() < early + 60, `${early.toFixed()} MB, then ${memory().toFixed()} MB`)
  t.match(reading(`${mountpoint}/dmesg-ramoops-0`), /one\n$/, 'the neighbours are as they were')
  t.match(succeed(t, ['check', region, ...flags]).toString(), /4 sound|3 sound/)
})

t.test('a mount survives its sources: nothing is left when it ends', async t => {
  const region = `${folder(t)}/region.img`
  makeRegion(region)
  const mountpoint = mount(t, region, flags)
  fs.truncateSync(region, 0)
  t.equal(reading(`${mountpoint}/console-ramoops-0`), 'EIO')
  process.kill(daemonOf(mountpoint), 'SIGTERM')
  t.ok(await until(() => !isMounted(mountpoint) && !daemonOf(mountpoint)))
})
