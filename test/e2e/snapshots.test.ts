/** Open files keep the bytes of their moment, and a mount keeps no more of them than it should. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type Backend } from '#src/index.js'
import { daemonOf, folder, isMounted, mount, run, succeed } from '../program.js'

const layout = { record_size: 4096, console_size: 32 << 20, pmsg_size: 0, ftrace_size: 0 }
const options = Object.entries(layout).map(([name, value]) => `--${name}=${value}`)
const size = 64 << 20
/** Three times the region, and 100 MB. */
const bound = 3 * size + 100e6
const name = 'console-ramoops-0'

const make = (t: Test): { backend: Backend; mountpoint: string } => {
  const region = `${folder(t)}/region.img`
  format(region, { ...layout, mem_size: size })
  const backend = attach(region, layout)
  t.teardown(() => backend.close())
  return { backend, mountpoint: mount(t, region, options) }
}

/** The same, as one of a config file's, which threads look into. */
const makePooled = (t: Test): ReturnType<typeof make> => {
  const home = folder(t)
  const region = `${home}/region.img`
  format(region, { ...layout, mem_size: size })
  const backend = attach(region, layout)
  t.teardown(() => backend.close())
  const keys = Object.entries(layout).map(([key, value]) => `${key} = ${value}\n`)
  const config = `${home}/guests.toml`
  fs.writeFileSync(config, `[backends.ramoops]\nsource = "${region}"\n${keys.join('')}`)
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  succeed(t, ['mount', '--config', config, mountpoint])
  return { backend, mountpoint }
}

/** The most memory that a mount's daemon ever had, in bytes. */
const peakOf = (mountpoint: string): number => {
  const status = fs.readFileSync(`/proc/${daemonOf(mountpoint)}/status`, 'latin1')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024
}

/** Of 32 MiB each: far more than a daemon may have. */
const opens = 60

/** Open a file so often, or until that is refused. */
const openAll = (t: Test, file: string, before: (i: number) => void): number[] => {
  const opened: number[] = []
  t.teardown(() => opened.splice(0).forEach(fd => fs.closeSync(fd)))
  for (let i = 0; i < opens; i++) {
    before(i)
    opened.push(fs.openSync(file, 'r'))
  }
  return opened
}

/** Hold a daemon to its bound; beside other work the collector comes late: what it takes is the least of some runs. */
const checkPeak = async (
  t: Test,
  work: (t: Test, made: ReturnType<typeof make>) => void | Promise<void>,
  makeOne = make,
): Promise<void> => {
  let least = Infinity
  for (let run = 0; run < 4 && least > bound; run++)
    await t.test(`run ${run + 1}`, async t => {
      const made = makeOne(t)
      await work(t, made)
      least = Math.min(least, peakOf(made.mountpoint))
    })
  t.ok(least <= bound, `${least} bytes at most`)
}

for (const [how, makeOne] of [
  ['', make],
  [', in a thread of the pool', makePooled],
] as const)
  t.test(`${opens} opens of a ring of 32 MiB that rests${how}`, async t =>
    checkPeak(
      t,
      async (t, { backend, mountpoint }) => {
        backend.write({ type: 'console', bytes: Buffer.alloc(layout.console_size, 'x') })
        // The lock is let go when this turn ends.
        await new Promise(resolve => setImmediate(resolve))
        const opened = openAll(t, `${mountpoint}/${name}`, () => {})
        const piece = Buffer.alloc(16)
        for (const fd of opened) {
          fs.readSync(fd, piece, 0, 16, 20 << 20)
          if (piece.some(byte => byte !== 0x78)) t.fail('other bytes')
        }
      },
      makeOne,
    ),
  )

t.test('the same of one that does not', async t =>
  checkPeak(t, (t, { backend, mountpoint }) => {
    const write = (i: number): void => {
      const bytes = Buffer.alloc(layout.console_size, 'a'.charCodeAt(0) + (i % 26))
      backend.write({ type: 'console', bytes })
    }
    // Each is another's bytes.
    t.throws(() => openAll(t, `${mountpoint}/${name}`, write), { code: 'EMFILE' })
  }),
)

t.test('what is closed is given back', async t =>
  checkPeak(t, (t, { backend, mountpoint }) => {
    for (let i = 0; i < 20; i++) {
      backend.write({ type: 'console', bytes: Buffer.alloc(layout.console_size, `${i % 10}`) })
      const fd = fs.openSync(`${mountpoint}/${name}`, 'r')
      const piece = Buffer.alloc(4)
      fs.readSync(fd, piece, 0, 4, 1 << 20)
      t.equal(String(piece), `${i % 10}`.repeat(4))
      fs.closeSync(fd)
    }
  }),
)
