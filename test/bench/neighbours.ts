/** What a slow guest's readers cost the guests beside it: the pool, against looks by hand in one thread. */
import { spawn } from 'node:child_process'
import { format, attach, type AttachOptions } from '#src/index.js'
import { recordsOf, type Records } from '#src/pstore/records.js'
import { Pool } from '#src/service/pool/pool.js'
import { print } from './measure.js'

const readers = 4
const samples = 200
/** Between two reads, in ms. */
const pause = 10
const quickLayout = { mem_size: 65536, record_size: 16384, console_size: 16384, ftrace_size: 0 }
const consoleSize = 16 << 20
const slowLayout: AttachOptions = {
  mem_size: consoleSize + 8192,
  record_size: 4096,
  console_size: consoleSize,
  pmsg_size: 0,
  ftrace_size: 0,
  ecc: 16,
}

/** Toggle a byte each ms, as a guest may: no look finds what the last one found. */
const toggler = `
  const fd = require('node:fs').openSync(process.argv[1], 'r+')
  let value = 0
  setInterval(() => require('node:fs').writeSync(fd, Buffer.from([value ^= 1]), 0, 1, 8192), 1)`

const makeGuest = (source: string, options: AttachOptions, console: Buffer): void => {
  format(source, options)
  const backend = attach(source, options)
  backend.write({ type: 'console', bytes: console })
  backend.close()
}

const at = (times: readonly number[], part: number): string =>
  `${times.toSorted((a, b) => a - b)[Math.floor((times.length - 1) * part)].toFixed(1)} ms`

/** Read one guest while others read the slow one, and list both. */
const measure = async (slow: Records, quick: Records) => {
  let going = true
  const looks: number[] = []
  const hammer = async (): Promise<void> => {
    while (going) {
      const start = performance.now()
      await slow.find(`console-${slow.name}-0`)
      await slow.open(`console-${slow.name}-0`)
      looks.push(performance.now() - start)
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  const hammering = Array.from({ length: readers }, hammer)
  const reads: number[] = []
  const lists: number[] = []
  const until = performance.now() + 60_000
  while (reads.length < samples && performance.now() < until) {
    // From when it was due: who waits for the thread itself waits as well.
    let start = performance.now() + pause
    await new Promise(resolve => setTimeout(resolve, pause))
    await quick.find(`console-${quick.name}-0`)
    await quick.open(`console-${quick.name}-0`)
    reads.push(performance.now() - start)
    start = performance.now()
    await Promise.all([slow.names(), quick.names()])
    lists.push(performance.now() - start)
  }
  going = false
  await Promise.all(hammering)
  return { looks, reads, lists }
}

export const benchNeighbours = async (folder: string): Promise<void> => {
  const slowSource = `${folder}/slow.img`
  const quickSource = `${folder}/quick.img`
  makeGuest(slowSource, slowLayout, Buffer.alloc(consoleSize - (consoleSize >> 3), 'x'))
  makeGuest(quickSource, quickLayout, Buffer.from('what a guest said\n'))
  const guest = spawn(process.execPath, ['-e', toggler, slowSource], { stdio: 'ignore' })
  const pool = new Pool(line => process.stderr.write(`${line}\n`))
  const here = [attach(slowSource, slowLayout), attach(quickSource, quickLayout)]
  try {
    const pooled = [
      await pool.attach(
        { name: 'slow', source: slowSource, options: slowLayout },
        { readOnly: false },
      ),
      await pool.attach(
        { name: 'quick', source: quickSource, options: quickLayout },
        { readOnly: false },
      ),
    ]
    for (const [what, [slow, quick]] of [
      ['the pool', pooled],
      ['one thread', here.map(backend => recordsOf(backend))],
    ] as const) {
      const { looks, reads, lists } = await measure(slow, quick)
      print(`${what}: find and open of a slow guest`, `p50 ${at(looks, 0.5)} (${readers} readers)`)
      print(
        '  of another beside it (goal p99 50 ms)',
        `p50 ${at(reads, 0.5)}, p99 ${at(reads, 0.99)}`,
      )
      print('  names of both (goal 100 ms)', `p50 ${at(lists, 0.5)}, p99 ${at(lists, 0.99)}`)
    }
    print('threads', `${pool.threads}`)
  } finally {
    guest.kill()
    for (const backend of here) backend.close()
    await pool.end()
  }
}
